"""Sampling: log-probabilities are those of a whole pass, draws those of the key. No reward here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p

from engine import session
from engine.events import Note, Progress
from engine.grpo import rollout
from engine.grpo.policy import Policy, open_policy
from engine.grpo.rollout import Rollout, Sampler
from engine.grpo.settings import TrainConfig
from engine.grpo.shared_prompts import CompletionCache
from tests.engine.grpo import cases
from tests.engine.tiny import make_model

# A tenth of the vocabulary ends a completion, so that rows drop out all the time.
ENDS = range(10, 40)


def rows(found: list[Rollout], size: int) -> list[tuple[list[int], Rollout]]:
    """Each completion with its prompt."""
    return [(cases.PROMPTS[place // size], rolled) for place, rolled in enumerate(found)]


def ending(folder: Path, kind: str = "llama", **changes: Any) -> tuple[Policy, TrainConfig]:
    config = cases.config_of(make_model(folder, **cases.MODELS[kind]), **changes)
    return cases.policy_of(config, ENDS), config


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma2", "gemma3", "qwen3_moe", "mamba"])
def test_log_probabilities_are_those_of_a_whole_pass(tmp_path: Path, kind: str) -> None:
    policy, config = ending(tmp_path, kind, temperature=0.7, max_new_tokens=20, num_generations=6)
    found = cases.completions(policy, config)
    assert len({len(rolled.tokens) for rolled in found}) > 3
    for prompt, rolled in rows(found, 6):
        expected = cases.full_logprobs(policy.model, prompt, rolled.tokens, 0.7)
        assert np.allclose(rolled.logprobs, np.array(expected), rtol=0, atol=1e-4)
        assert rolled.sampler_logprobs is None
        assert rolled.logprobs.dtype == np.float32


@pytest.mark.parametrize(
    "changes",
    [
        {"top_k": 5},
        {"top_p": 0.6},
        {"min_p": 0.5},
        {"top_k": 40, "top_p": 0.9},
        {"policy_temperature": "one"},
        {"policy_temperature": "one", "top_k": 5},
    ],
)
def test_what_was_drawn_from_is_kept_beside_the_policy(tmp_path: Path, changes: dict[str, Any]) -> None:
    policy, config = ending(tmp_path, temperature=0.7, **changes)
    for prompt, rolled in rows(cases.completions(policy, config), 4):
        logits = np.array(cases.full_logits(policy.model, prompt, rolled.tokens)).astype(np.float64)
        policy_temperature = 1.0 if config.policy_temperature == "one" else 0.7
        scored = np.exp(logits / policy_temperature)
        scored /= scored.sum(axis=-1, keepdims=True)
        plain = np.exp(logits)
        plain /= plain.sum(axis=-1, keepdims=True)
        drawn = np.exp((logits - logits.max(axis=-1, keepdims=True)) / 0.7)
        for place, token in enumerate(rolled.tokens):
            assert abs(rolled.logprobs[place] - np.log(scored[place, token])) < 1e-4
            order = np.argsort(-plain[place])
            before = np.cumsum(plain[place, order]) - plain[place, order]
            left = order[before < config.top_p][: config.top_k or None]
            left = left[plain[place, left] >= config.min_p * plain[place].max()]
            assert token in left
            assert rolled.sampler_logprobs is not None
            expected = np.log(drawn[place, token] / drawn[place, left].sum())
            assert abs(rolled.sampler_logprobs[place] - expected) < 2e-4


@pytest.mark.parametrize("kind", ["llama", "mamba"])
def test_greedy_tokens_are_those_of_mlx_lm(tmp_path: Path, kind: str) -> None:
    from mlx_lm.generate import generate_step

    policy, config = ending(tmp_path, kind)
    found = cases.result_of(rollout.generate(policy, cases.PROMPTS, config, generations=1, key=None, max_tokens=15))
    for prompt, rolled in zip(cases.PROMPTS, found, strict=True):
        theirs = [token for token, _ in generate_step(mx.array(prompt), policy.model, max_tokens=15)]
        end = next((at + 1 for at, token in enumerate(theirs) if token in policy.end_tokens), 15)
        assert rolled.tokens == theirs[:end]
        assert rolled.stop_reason == ("end" if rolled.tokens[-1] in policy.end_tokens else "length")


def test_greedy_completions_of_the_starter_are_those_of_mlx_lm() -> None:
    from mlx_lm.generate import generate

    config = TrainConfig(model_name="starter", precision="float32")
    policy = cases.policy_of(config)
    messages = [[{"role": "user", "content": text}] for text in ("12 + 34", "98 - 25")]
    prompts = [policy.tokenizer.apply_chat_template(message, add_generation_prompt=True) for message in messages]
    found = cases.result_of(rollout.generate(policy, prompts, config, generations=1, key=None, max_tokens=60))
    for prompt, rolled in zip(prompts, found, strict=True):
        assert rolled.text == generate(policy.model, policy.tokenizer, prompt, max_tokens=60)
        assert rolled.stop_reason == "end"
        assert rolled.tokens[-1] in policy.end_tokens


def test_the_same_key_gives_the_same_completions(tmp_path: Path) -> None:
    policy, config = ending(tmp_path, max_new_tokens=20)
    found = cases.completions(policy, config)
    assert_same(cases.completions(policy, config), found)
    assert [rolled.tokens for rolled in cases.completions(policy, config, seed=4)] != [r.tokens for r in found]


def assert_same(found: list[Rollout], expected: list[Rollout]) -> None:
    """The same tokens and, but for rounding, the same log-probabilities."""
    for one, other in zip(found, expected, strict=True):
        assert (one.tokens, one.stop_reason, one.text) == (other.tokens, other.stop_reason, other.text)
        assert np.allclose(one.logprobs, other.logprobs, rtol=0, atol=1e-4)


def on_a_border(one: Rollout, other: Rollout) -> bool:
    """Whether a draw fell between two neighbours of the vocabulary, where rounding says which of them it is."""
    parted = next(
        (place for place, pair in enumerate(zip(one.tokens, other.tokens, strict=False)) if pair[0] != pair[1]), None
    )
    if parted is None or abs(one.tokens[parted] - other.tokens[parted]) != 1:
        return False
    return np.allclose(one.logprobs[:parted], other.logprobs[:parted], rtol=0, atol=1e-4)


def batches(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The shape of each call of the model from now on, as long as the test lasts."""
    shapes = []
    call = type(policy.model).__call__

    def noting(model: Any, ids: mx.array, **named: Any) -> Any:
        shapes.append(ids.shape)
        return call(model, ids, **named)

    monkeypatch.setattr(type(policy.model), "__call__", noting)
    return shapes


MANY = [*cases.PROMPTS, [4, 4, 4], [100, 3], [8, 30, 2, 60, 1, 5, 44, 43, 42]]


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gemma3", "qwen3_moe", "mamba"])
def test_the_number_at_once_changes_no_completion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    policy, config = ending(tmp_path, kind, max_new_tokens=30)
    found = cases.completions(policy, config, MANY)
    for at_once in (1, 3, 4, 6, 10, 23, 24, 100):
        with monkeypatch.context() as patch:
            shapes = batches(policy, patch)
            some = cases.completions(policy, config.model_copy(update={"rollout_batch_size": at_once}), MANY)
        assert_same(some, found)
        # Without shared prompts a group is never parted.
        assert max(rows for rows, _ in shapes) <= (at_once if policy.shares_prompts else 4)


@pytest.mark.parametrize("at_once", [0, 3, 8])
def test_each_prompt_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    policy, config = ending(tmp_path, max_new_tokens=20, rollout_batch_size=at_once)
    prompts = [[*range(50, 50 + length)] for length in (9, 10, 11, 12, 13, 14)]
    shapes = batches(policy, monkeypatch)
    events = list(rollout.generate(policy, prompts, config, generations=4, key=mx.random.key(1), max_tokens=20))
    assert sum(rows for rows, tokens in shapes if tokens > 1) == len(prompts)
    reading = [event for event in events if isinstance(event, Progress) and event.what == "Reading prompts"]
    assert [event.done for event in reading] == sorted(event.done for event in reading)
    assert reading[-1].done == reading[-1].total == sum(map(len, prompts)) - len(prompts)


def test_completions_join_before_the_others_have_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, config = ending(tmp_path, max_new_tokens=40, rollout_batch_size=8)
    shapes = batches(policy, monkeypatch)
    lengths = np.array([len(rolled.tokens) for rolled in cases.completions(policy, config, MANY)])
    waves = sum(int(lengths[start : start + 8].max()) for start in range(0, len(lengths), 8))
    passes = sum(tokens == 1 for _, tokens in shapes)
    assert lengths.sum() / 8 <= passes < waves


@pytest.mark.parametrize("at_once", [4, 7])
def test_a_batch_holds_no_more_than_one_that_was_filled_prompt_by_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    policy, config = ending(tmp_path, max_new_tokens=30, rollout_batch_size=at_once)
    prompts = [[*range(50, 50 + length)] for length in (20, 13, 17, 20, 1, 2, 20, 20, 19, 20)]
    held = []
    attend = CompletionCache.attend

    def noting(cache: CompletionCache, *arguments: Any) -> mx.array:
        keys = cache.own()[0]
        assert keys.shape[2] <= 31
        held.append(cache.prompt_keys.shape[0] * 20 + keys.shape[0] * 30)
        return attend(cache, *arguments)

    monkeypatch.setattr(CompletionCache, "attend", noting)
    cases.completions(policy, config, prompts)
    assert max(held) <= -(-at_once // 4) * 20 + at_once * 30


def test_buffers_are_cut_where_few_rows_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = cases.policy_in(tmp_path)
    config = cases.config_of(tmp_path, max_new_tokens=30, rollout_batch_size=16, stop=("never looked at",))
    # Thirteen rows join at 25; the three that are left of the first end at 30, too few to be dropped.
    lengths = [25] * 13 + [30] * 16
    monkeypatch.setattr(rollout._Batch, "_stops", lambda batch, row: len(batch._tokens[row]) == lengths[row])
    longest = []
    attend = CompletionCache.attend

    def noting(cache: CompletionCache, *arguments: Any) -> mx.array:
        longest.append(cache.own()[0].shape[2])
        return attend(cache, *arguments)

    monkeypatch.setattr(CompletionCache, "attend", noting)
    steps = rollout.generate(policy, [[7]] * 29, config, generations=1, key=mx.random.key(0), max_tokens=30)
    assert [len(rolled.tokens) for rolled in cases.result_of(steps)] == lengths
    assert len(longest) == 2 * (25 + 30 + 1)
    assert max(longest) == 31


@pytest.mark.parametrize("kind", ["llama", "mamba"])
@pytest.mark.parametrize("at_once", [0, 3, 8])
def test_progress_grows_to_all_tokens(tmp_path: Path, kind: str, at_once: int) -> None:
    policy, config = ending(tmp_path, kind, rollout_batch_size=at_once)
    steps = rollout.generate(policy, MANY, config, generations=4, key=mx.random.key(1), max_tokens=20)
    told = [event for event in steps if isinstance(event, Progress) and event.what == "Generating completions"]
    assert {event.total for event in told} == {6 * 4 * 20}
    assert [event.done for event in told] == sorted(event.done for event in told)
    assert told[-1].done == told[-1].total
    assert told[-1].detail == "0 open"


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([6, 5, 9, 5], 5, 20, 4, 407, False)  # a draw on a border, with gemma3
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
    st.integers(1, 5),
    st.integers(1, 24),
    st.integers(0, 24),
    st.integers(0, 1000),
    st.booleans(),
)
def test_completions_of_any_lengths_are_those_of_all_at_once(
    sampled_from: tuple[Policy, TrainConfig],
    lengths: list[int],
    generations: int,
    longest: int,
    at_once: int,
    seed: int,
    stops: bool,
) -> None:
    policy, config = sampled_from
    generator = np.random.default_rng(seed)
    prompts = [generator.integers(1, policy.vocabulary, length).tolist() for length in lengths]
    config = config.model_copy(
        update={"num_generations": generations, "max_new_tokens": longest, "stop": ("1", "+ ") if stops else ()}
    )
    found = cases.completions(policy, config, prompts, seed)
    some = cases.completions(policy, config.model_copy(update={"rollout_batch_size": at_once}), prompts, seed)
    pairs = [pair for pair in zip(some, found, strict=True) if not on_a_border(*pair)]
    assert_same([one for one, _ in pairs], [other for _, other in pairs])


@pytest.fixture(scope="module", params=["llama", "gemma3"])
def sampled_from(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Policy, TrainConfig]:
    return ending(tmp_path_factory.mktemp("model"), request.param)


def test_no_prompt_has_no_completion(tmp_path: Path) -> None:
    policy, config = ending(tmp_path)
    assert cases.completions(policy, config, []) == []


def test_a_completion_does_not_depend_on_the_others_of_its_batch(tmp_path: Path) -> None:
    policy, config = ending(tmp_path, max_new_tokens=20)
    together = cases.completions(policy, config)
    policy.shares_prompts = False
    assert_same(cases.completions(policy, config), together)


def test_completions_end_with_their_end_token(tmp_path: Path) -> None:
    policy, config = ending(tmp_path, max_new_tokens=20)
    found = cases.completions(policy, config)
    assert {rolled.stop_reason for rolled in found} == {"end", "length"}
    for rolled in found:
        ended = rolled.stop_reason == "end"
        assert not set(rolled.tokens[:-1]) & policy.end_tokens
        assert (rolled.tokens[-1] in policy.end_tokens) == ended
        assert ended or len(rolled.tokens) == 20
        assert len(rolled.logprobs) == len(rolled.tokens)
        assert rolled.text == policy.tokenizer.decode(rolled.tokens[:-1] if ended else rolled.tokens)


def test_a_stop_string_ends_a_completion(tmp_path: Path) -> None:
    policy, config = ending(tmp_path, max_new_tokens=20)
    free = cases.completions(policy, config)
    text = next(rolled.text for rolled in free if len(rolled.text) > 8)
    stop = text[4:6]
    stopped = cases.completions(policy, config.model_copy(update={"stop": (stop,)}))
    assert any(rolled.stop_reason == "stop string" for rolled in stopped)
    for rolled, was in zip(stopped, free, strict=True):
        assert rolled.tokens == was.tokens[: len(rolled.tokens)]
        if rolled.stop_reason == "stop string":
            assert stop in rolled.text
            assert stop not in policy.tokenizer.decode(rolled.tokens[:-1])
        else:
            assert rolled.tokens == was.tokens


def test_without_a_chat_template_a_completion_ends_where_the_other_side_speaks(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    config = cases.config_of(folder, max_new_tokens=40, temperature=5.0, stop=("\n",))
    policy = cases.policy_of(config)
    assert rollout._Batch(policy, [[1]], 1, Sampler(config, greedy=True), None, config, 4)._stop == ("\n",)
    policy.tokenizer.has_chat_template = False
    stops = rollout._Batch(policy, [[1]], 1, Sampler(config, greedy=True), None, config, 4)._stop
    assert stops == ("\n", "\nUser:")


def test_one_token_is_a_completion(tmp_path: Path) -> None:
    policy, config = ending(tmp_path, max_new_tokens=1)
    assert [len(rolled.tokens) for rolled in cases.completions(policy, config)] == [1] * 12


@pytest.mark.parametrize("changes", [{}, {"temperature": 0.5}, {"top_k": 6}, {"top_p": 0.7}, {"min_p": 0.2}])
def test_the_sampler_draws_by_the_distribution(changes: dict[str, Any]) -> None:
    config = TrainConfig(**changes)
    logits = mx.random.normal((12,), key=mx.random.key(5)) * 2
    count = 40_000
    uniform = mx.random.uniform(shape=(count,), key=mx.random.key(6))
    tokens, logprobs, drawn = Sampler(config, greedy=False)(mx.broadcast_to(logits, (count, 12)), uniform)
    seen = np.bincount(np.array(tokens), minlength=12)
    by_token = dict(zip(np.array(tokens).tolist(), np.exp(np.array(drawn)).tolist(), strict=True))
    expected = np.array([by_token.get(token, 0.0) for token in range(12)])
    assert abs(expected.sum() - 1) < 1e-4
    there = expected > 0
    # The chi-square of 11 degrees of freedom is above 40 once in 30,000 draws.
    assert (((seen - expected * count)[there] ** 2) / (expected[there] * count)).sum() < 40
    scored = np.array(mx.softmax(logits / config.temperature, axis=-1))
    assert np.allclose(np.exp(np.array(logprobs)), scored[np.array(tokens)], rtol=1e-4)


@pytest.mark.parametrize("policy_temperature", ["sampling", "one"])
@pytest.mark.parametrize("changes", [{"top_k": 5}, {"top_p": 0.8}, {"min_p": 0.1}, {"top_k": 9, "top_p": 0.7}])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7])
def test_a_chat_would_draw_from_the_same(
    changes: dict[str, Any], temperature: float, policy_temperature: Literal["sampling", "one"]
) -> None:
    """By mlx_lm's own filters, which look at probabilities at temperature 1."""
    config = TrainConfig(temperature=temperature, policy_temperature=policy_temperature, **changes)
    logits = mx.random.normal((1, 40), key=mx.random.key(5)) * 2
    kept = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    if config.top_p < 1.0:
        kept = apply_top_p(kept, config.top_p)
    if config.min_p > 0.0:
        kept = apply_min_p(kept, config.min_p)
    if config.top_k > 0:
        kept = apply_top_k(kept, config.top_k)
    expected = np.array(mx.softmax(kept / temperature, axis=-1))[0]
    count = 4000
    uniform = mx.arange(count) / count
    tokens, _, drawn = Sampler(config, greedy=False)(mx.broadcast_to(logits, (count, 40)), uniform)
    assert np.allclose(np.exp(np.array(drawn)), expected[np.array(tokens)], rtol=1e-4)
    seen = np.bincount(np.array(tokens), minlength=40) / count
    assert np.abs(seen - expected).max() < 2 / count


def test_no_number_draws_what_is_ruled_out() -> None:
    logits = mx.array([[-40.0, 2.0, -float("inf"), 1.0, -float("inf")]] * 3)
    numbers = mx.array([0.0, 0.5, float(np.nextafter(np.float32(1), np.float32(0)))])
    tokens, _, drawn = Sampler(TrainConfig(top_k=2), greedy=False)(logits, numbers)
    assert tokens.tolist() == [1, 1, 3]
    assert np.isfinite(np.array(drawn)).all()


def test_layers_without_attention(tmp_path):
    def block(heads):
        return {
            "attention": {"n_heads_in_group": heads, "no_op": heads is None, "replace_with_linear": False},
            "ffn": {"ffn_mult": 2.0, "no_op": False, "replace_with_linear": False},
        }

    folder = make_model(
        tmp_path,
        model_type="nemotron-nas",
        num_hidden_layers=3,
        num_attention_heads=4,
        block_configs=[block(2), block(None), block(2)],
        num_key_value_heads=None,
        intermediate_size=None,
        attention_bias=False,
        mlp_bias=False,
        hidden_act="silu",
        rope_scaling=None,
    )
    policy = cases.policy_of(cases.config_of(folder))
    for place, rolled in enumerate(cases.completions(policy, policy._config)):
        expected = cases.full_logprobs(policy.model, cases.PROMPTS[place // 4], rolled.tokens)
        assert np.allclose(rolled.logprobs, np.array(expected), atol=1e-4)


LONGROPE = {
    "rope_type": "longrope",
    "type": "longrope",
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "long_factor": [1.5, 4.0, 6.0, 8.0],
}
PAST_THE_CONTEXT: dict[str, dict[str, Any]] = {
    "longrope": {
        "model_type": "phi3",
        "max_position_embeddings": 64,
        "original_max_position_embeddings": 16,
        "rope_scaling": LONGROPE,
        "pad_token_id": 0,
    },
    "dynamic": {
        "max_position_embeddings": 16,
        "rope_scaling": {"rope_type": "dynamic", "type": "dynamic", "factor": 2},
    },
}


@pytest.mark.parametrize("share_prompts", [True, False])
@pytest.mark.parametrize("kind", list(PAST_THE_CONTEXT))
def test_past_the_first_context_log_probabilities_are_those_of_a_whole_pass(
    tmp_path: Path, kind: str, share_prompts: bool
) -> None:
    """Rotary factors of long texts differ from those of short ones; rollouts come from one to the other."""
    folder = make_model(tmp_path, **(cases.GQA | PAST_THE_CONTEXT[kind]))
    config = cases.config_of(
        folder, max_prompt_length=8, max_new_tokens=24, num_generations=4, share_prompts=share_prompts
    )
    said = list[str]()
    opening = open_policy(config)
    while True:
        try:
            event = next(opening)
            said += [event.text] if isinstance(event, Note) else []
        except StopIteration as end:
            policy: Policy = end.value
            break
    assert policy.shares_prompts == share_prompts
    assert any("rotary factors" in text for text in said)
    cases.unsettle(policy, size=0.2)
    policy.end_tokens = frozenset(range(10, 25))
    found = cases.completions(policy, config)
    lengths = [len(prompt) + len(rolled.tokens) for prompt, rolled in rows(found, 4)]
    assert min(lengths) < 16 < max(lengths)
    for prompt, rolled in rows(found, 4):
        expected = np.array(cases.full_logprobs(policy.model, prompt, rolled.tokens, config.temperature))
        assert np.allclose(rolled.logprobs, expected, rtol=0, atol=1e-4)


def test_a_whole_pass_over_a_long_text_is_that_of_the_model_alone(tmp_path: Path) -> None:
    """And where no text of a run can be long, those of short texts are."""
    folder = make_model(tmp_path, **(cases.GQA | PAST_THE_CONTEXT["longrope"]))
    alone, _ = session.load(folder, "float32")
    for longest, length in ((24, 30), (8, 16)):
        policy = cases.policy_of(cases.config_of(folder, max_prompt_length=8, max_new_tokens=longest))
        assert policy.turns_as_long == (longest == 24)
        ids = mx.arange(length)[None] + 5
        assert mx.allclose(policy.model(ids), alone(ids), rtol=0, atol=1e-5)
        assert policy.turns_as_long != mx.allclose(policy.model(ids[:, :6]), alone(ids[:, :6]), rtol=0, atol=1e-5)
