"""Attention over shared prompts: equal to each row alone, for every kind of mask and architecture. No rollout here."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from engine.grpo.rows import SharedRows
from engine.grpo.shared_prompts import CompletionCache, PromptCache
from tests.engine.grpo import cases

SHARING = ["llama", "qwen2", "qwen3", "gemma2", "gemma3", "qwen3_moe"]


@pytest.mark.parametrize("kind", SHARING)
def test_completions_over_shared_prompts_get_the_logits_of_each_row_alone(tmp_path: Path, kind: str) -> None:
    policy = cases.policy_in(tmp_path, kind)
    assert policy.shares_prompts
    lengths = [len(prompt) for prompt in cases.PROMPTS]
    padded = np.zeros((3, max(lengths)), np.int32)
    for filled, prompt in zip(padded, cases.PROMPTS, strict=True):
        filled[: len(prompt)] = prompt
    collected = [PromptCache() for _ in policy.model.layers]
    policy.split.hidden(mx.array(padded), collected)
    caches = [
        CompletionCache(layer.keys, layer.values, mx.array(lengths), 2, True)  # type: ignore[arg-type]
        for layer in collected
    ]
    tokens = np.random.default_rng(0).integers(0, policy.vocabulary, (6, 9))
    # In one piece, and then token by token, as rollouts do.
    parts = [policy.model(mx.array(tokens[:, :5]), cache=caches)]
    parts += [policy.model(mx.array(tokens[:, at : at + 1]), cache=caches) for at in range(5, 9)]
    shared = mx.concatenate(parts, axis=1)
    for row, own in enumerate(tokens.tolist()):
        prompt = cases.PROMPTS[row // 2]
        alone = policy.model(mx.array([prompt + own]))[0, len(prompt) :]
        assert mx.allclose(shared[row], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", SHARING)
def test_rows_that_come_and_go_get_the_logits_of_each_row_alone(tmp_path: Path, kind: str) -> None:
    policy = cases.policy_in(tmp_path, kind)
    prompts = [*cases.PROMPTS, [2, 4, 6, 8, 10, 12, 14, 16, 18]]
    rows = SharedRows(policy.model, [prompt[:-1] for prompt in prompts])
    going: list[list[int]] = []
    generator = np.random.default_rng(0)

    def go_on(times: int) -> None:
        for _ in range(times):
            logits = policy.model(mx.array([[row[-1]] for row in going]), cache=rows.layers)[:, -1]
            for row, found in zip(going, logits, strict=True):
                assert mx.allclose(found, policy.model(mx.array([row]))[0, -1], rtol=1e-4, atol=1e-4)
                row.append(int(generator.integers(1, policy.vocabulary)))

    def join(*numbers: int) -> None:
        cases.result_of(rows.admit(numbers))
        going.extend(list(prompts[number]) for number in numbers)

    def keep(*places: int, waiting: tuple[int, ...] = ()) -> None:
        rows.keep(places, waiting)
        going[:] = [going[place] for place in places]

    join(2, 2, 1)
    go_on(3)
    join(0, 0, 3)
    go_on(5)
    keep(0, 2, 4, 5)
    join(0)
    go_on(3)
    assert rows.unused([2, 3, 4]) == 3
    keep(2, 3, 4)
    assert rows.length == 8
    go_on(2)
    keep(waiting=(3,))
    join(3, 3)
    go_on(6)
    keep(1)
    go_on(1)
    keep()
    join(2, 0)
    go_on(2)


def test_a_model_with_states_does_not_share(tmp_path: Path) -> None:
    assert not cases.policy_in(tmp_path, "mamba").shares_prompts


def test_sharing_can_be_turned_off(tmp_path: Path) -> None:
    assert not cases.policy_in(tmp_path, share_prompts=False).shares_prompts


def test_other_caches_are_attended_to_as_before(tmp_path: Path) -> None:
    from mlx_lm.models.cache import make_prompt_cache

    policy = cases.policy_in(tmp_path)
    ids = mx.array([[4, 8, 15, 16, 23, 42]])
    cache = make_prompt_cache(policy.model)
    parts = [policy.model(ids[:, :4], cache=cache), policy.model(ids[:, 4:], cache=cache)]
    assert mx.allclose(mx.concatenate(parts, axis=1), policy.model(ids), rtol=1e-4, atol=1e-5)
