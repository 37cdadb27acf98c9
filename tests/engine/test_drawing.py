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
from engine.drawing import Uniforms

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
    size = 150_000
    logprobs = mx.full((4000, size), -math.log(size))
    tokens = np.array(Draw(Sampling(temperature=1.0, top_p=1.0))(logprobs[:200], np.linspace(0.99, 0.999999, 200)))
    assert (np.abs(tokens - np.linspace(0.99, 0.999999, 200) * size) <= 8).all()
