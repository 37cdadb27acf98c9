"""Drawing tokens: the numbers of a seed, and 20,000 draws against the exact distribution."""

from __future__ import annotations

import math
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.chat.sampling import Chooser, Draw, logits_processors
from engine.config import Sampling
from engine.drawing import Uniforms, digits, invert

DRAWS, VOCABULARY = 20_000, 30
LOGITS = np.random.default_rng(7).normal(0, 2.0, VOCABULARY)
SAID = [3, 5, 5, 9, 11]


def exact(sampling: Sampling, said: list[int]) -> np.ndarray:
    """The probability of each token, step by step in float64."""
    logits = LOGITS.copy()
    for token in set(said[-20:]):
        penalty = sampling.repetition_penalty
        logits[token] = logits[token] * penalty if logits[token] < 0 else logits[token] / penalty
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    keep = np.ones(VOCABULARY, bool)
    order = np.argsort(-shares)
    before = np.cumsum(shares[order]) - shares[order]
    if sampling.top_p < 1.0:
        keep[order[before >= sampling.top_p]] = False
    keep &= shares >= sampling.min_p * shares.max()
    if sampling.top_k:
        keep[order[sampling.top_k :]] = False
    heated = np.where(keep, shares, 0.0) ** (1.0 / sampling.temperature)
    return heated / heated.sum()


def chance(statistic: float, degrees: int) -> float:
    """That of a chi-square statistic at least this large (Wilson and Hilferty 1931)."""
    spread = 2 / (9 * degrees)
    return 0.5 * math.erfc(((statistic / degrees) ** (1 / 3) - (1 - spread)) / math.sqrt(2 * spread))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 1.7},
        {"top_p": 0.8},
        {"top_k": 6},
        {"min_p": 0.1},
        {"repetition_penalty": 1.6},
        {"temperature": 1.4, "top_p": 0.9, "top_k": 12, "min_p": 0.02, "repetition_penalty": 1.3},
    ],
)
def test_20000_draws_match_the_exact_distribution(changes: dict[str, Any]) -> None:
    sampling = Sampling(**({"temperature": 1.0, "top_p": 1.0} | changes))
    logits = mx.array(LOGITS.astype(np.float32))[None]
    for process in logits_processors(sampling, SAID):
        # The prompt's last token is the first that the model is asked with.
        logits = process(mx.array(SAID[-1:]), logits)
    logprobs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    tokens = Chooser(sampling, 20_260).choose(mx.broadcast_to(logprobs, (DRAWS, VOCABULARY)), 0)
    seen = np.bincount(np.array(tokens), minlength=VOCABULARY)
    expected = exact(sampling, SAID) * DRAWS
    assert not seen[expected == 0].any()
    # Rare tokens are counted together, as the test wants at least five of each.
    rare = (expected < 5) & (expected > 0)
    pairs = [*zip(seen[expected >= 5], expected[expected >= 5], strict=True)]
    pairs += [(seen[rare].sum(), expected[rare].sum())] if rare.any() else []
    statistic = sum((count - mean) ** 2 / mean for count, mean in pairs)
    assert chance(statistic, len(pairs) - 1) > 1e-3


def test_a_wrong_distribution_is_told() -> None:
    """The test above can fail: a temperature off by a twentieth is seen."""
    tokens = Draw(Sampling(temperature=1.05, top_p=1.0))(
        mx.broadcast_to(mx.array(LOGITS.astype(np.float32)), (DRAWS, VOCABULARY)), Uniforms(1).at(0, DRAWS)
    )
    seen = np.bincount(np.array(tokens), minlength=VOCABULARY)
    expected = exact(Sampling(temperature=1.0, top_p=1.0), []) * DRAWS
    common = expected >= 5
    statistic = float(((seen - expected)[common] ** 2 / expected[common]).sum())
    assert chance(statistic, int(common.sum()) - 1) < 1e-3


@given(st.integers(0, 2**31 - 1), st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 600)), max_size=4))
@settings(max_examples=30, deadline=None)
def test_a_number_depends_on_seed_and_position_alone(seed: int, spans: list[tuple[int, int]]) -> None:
    whole, pieces = Uniforms(seed).at(0, 2600), Uniforms(seed)
    assert ((whole >= 0) & (whole < 1)).all()
    for position, count in spans:
        assert (pieces.at(position, count) == whole[position : position + count]).all()


def test_seeds_that_follow_one_another_have_nothing_in_common() -> None:
    numbers = np.stack([Uniforms(seed).at(0, 1000) for seed in range(20)])
    between = np.corrcoef(numbers) - np.eye(20)
    assert np.abs(between).max() < 0.15


@given(st.integers(0, 1000), st.integers(1, 40), st.integers(0, 39), st.floats(0.1, 1.0))
@settings(max_examples=40, deadline=None)
def test_a_row_is_drawn_alike_alone_and_among_others(seed: int, rows: int, row: int, top_p: float) -> None:
    row %= rows
    draw = Draw(Sampling(temperature=0.9, top_p=top_p, top_k=seed % 50))
    logits = mx.random.normal((rows, 200), key=mx.random.key(seed)) * 3
    logprobs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    numbers = Uniforms(seed).at(0, rows)
    together = draw(logprobs, numbers)
    assert draw(logprobs[row : row + 1], numbers[row : row + 1]).tolist() == [together[row].item()]


def test_large_vocabularies_keep_their_last_tokens() -> None:
    """The sum of 150,000 small shares in float32 is near enough to 1 that no token at the end is lost."""
    size, numbers = 150_000, np.linspace(0.99, 0.999999, 200)
    logprobs = mx.full((200, size), -math.log(size))
    tokens = np.array(Draw(Sampling(temperature=1.0, top_p=1.0))(logprobs, numbers))
    assert (np.abs(tokens - numbers * size) <= 520).all()


def test_what_is_tiny_beside_one_token_is_drawn_as_often_as_it_should_be() -> None:
    """Each of these weights is less than half of what float32 tells from 1; together they are a hundredth."""
    size, weight = 150_000, 2e-8
    whole = 1 + size * weight
    logprobs = mx.array(np.log(np.concatenate([[1.0], np.full(size, weight)]) / whole).astype(np.float32))[None]
    numbers = np.concatenate([np.linspace(0.1, 0.99, 20), 1 - (1 - np.arange(200) / 200) * size * weight / whole])
    tokens = np.array(Draw(Sampling(temperature=1.0, top_p=1.0))(mx.broadcast_to(logprobs, (220, size + 1)), numbers))
    assert (tokens[:20] == 0).all()
    assert (np.abs(tokens[21:] - np.arange(1, 200) / 200 * size) < 2000).all()


@pytest.mark.parametrize("total", [2.0000002, 3.0, 3.9999998, 1.0000001])
def test_the_largest_number_draws_nothing_of_weight_0(total: float) -> None:
    """A product that rounds up to the whole sum."""
    kept = mx.log(mx.array([[total - 1, 1.0, 0.0, 0.0]]))
    chosen, _ = invert(kept, mx.array([1 - 2.0**-24]))
    assert chosen.tolist() == [1]


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=50))
def test_the_digits_of_a_number_are_below_1_and_give_it_back(numbers: list[float]) -> None:
    first, behind = (np.array(part, np.float64) for part in digits(numbers))
    assert ((first < 1) & (behind < 1) & (first >= 0) & (behind >= 0)).all()
    assert np.allclose(first + behind * 2.0**-24, numbers, rtol=0, atol=2.0**-47)
