"""Attention over shared prompts: equal to each row alone, for every kind of mask and architecture. No rollout here."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

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


def test_rows_and_prompts_that_are_kept_go_on_as_before(tmp_path: Path) -> None:
    policy = cases.policy_in(tmp_path)
    prompts = mx.array([[3, 1, 4, 1], [5, 9, 2, 6]])

    def continued(tokens: list[list[int]], drop: bool) -> mx.array:
        collected = [PromptCache() for _ in policy.model.layers]
        policy.split.hidden(prompts, collected)
        caches = [
            CompletionCache(layer.keys, layer.values, mx.array([4, 4]), 3, False)  # type: ignore[arg-type]
            for layer in collected
        ]
        policy.model(mx.array(tokens), cache=caches)
        if drop:
            for layer in caches:
                layer.keep(mx.array([1]), mx.array([3, 5]), 2)
        rows = [[7], [8]] if drop else [[0], [0], [0], [7], [0], [8]]
        logits: mx.array = policy.model(mx.array(rows), cache=caches)
        return logits

    tokens = [[11, 12], [13, 14], [15, 16], [17, 18], [19, 20], [21, 22]]
    whole, dropped = continued(tokens, drop=False), continued(tokens, drop=True)
    assert mx.allclose(dropped, whole[mx.array([3, 5])], rtol=1e-4, atol=1e-5)


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
