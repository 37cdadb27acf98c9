"""Choosing tokens: the filters, the seed, and independence of everything else that draws."""

from __future__ import annotations

import math

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx_lm.sample_utils import make_repetition_penalty

from engine.chat.sampling import Chooser, logits_processors, new_seed
from engine.config import Sampling

VOCABULARY = 24


def logprobs(seed: int) -> mx.array:
    logits = mx.random.normal((1, VOCABULARY), key=mx.random.key(seed)) * 3
    return logits - mx.logsumexp(logits, axis=-1, keepdims=True)


def draws(sampling: Sampling, distribution: mx.array, seed: int, count: int) -> list[int]:
    chooser = Chooser(sampling, seed)
    return [int(chooser(distribution).item()) for _ in range(count)]


@given(
    st.integers(0, 1000),
    st.floats(0.05, 1.0),
    st.integers(0, VOCABULARY + 5),
    st.floats(0.0, 1.0),
)
@settings(max_examples=40, deadline=None)
def test_only_tokens_the_filters_keep_are_drawn(seed: int, top_p: float, top_k: int, min_p: float) -> None:
    distribution = logprobs(seed)
    sampling = Sampling(temperature=1.0, top_p=top_p, top_k=top_k, min_p=min_p)
    probabilities = sorted(((math.exp(p), i) for i, p in enumerate(distribution[0].tolist())), reverse=True)
    kept, mass = set(), 0.0
    for rank, (probability, token) in enumerate(probabilities):
        nucleus = mass < top_p + 1e-5
        mass += probability
        if nucleus and (not top_k or rank < top_k) and probability >= min_p * probabilities[0][0] * (1 - 1e-5):
            kept.add(token)
    assert set(draws(sampling, distribution, seed, 30)) <= kept


def test_temperature_0_takes_the_most_likely() -> None:
    distribution = logprobs(3)
    assert set(draws(Sampling(temperature=0.0), distribution, 1, 5)) == {int(mx.argmax(distribution).item())}


def test_draws_follow_the_distribution() -> None:
    distribution = mx.log(mx.array([[0.5, 0.3, 0.2]]))
    drawn = draws(Sampling(temperature=1.0, top_p=1.0), distribution, 11, 3000)
    shares = [drawn.count(token) / len(drawn) for token in range(3)]
    assert shares == pytest.approx([0.5, 0.3, 0.2], abs=0.03)


def test_the_seed_alone_decides() -> None:
    distribution, sampling = logprobs(5), Sampling(temperature=1.5)
    first = draws(sampling, distribution, 9, 20)
    mx.random.seed(123)
    mx.eval(mx.random.normal((5,)))
    assert draws(sampling, distribution, 9, 20) == first
    assert draws(sampling, distribution, 10, 20) != first


def test_drawing_leaves_the_global_state_alone() -> None:
    mx.random.seed(4)
    expected = mx.random.uniform(shape=(3,)).tolist()
    mx.random.seed(4)
    draws(Sampling(temperature=1.0, top_k=5, min_p=0.01), logprobs(6), 2, 10)
    assert mx.random.uniform(shape=(3,)).tolist() == expected


def test_the_log_probability_is_that_of_the_model() -> None:
    distribution = logprobs(8)
    chooser = Chooser(Sampling(temperature=2.0, top_k=3), 1)
    for _ in range(4):
        token = int(chooser(distribution).item())
        assert chooser.logprob() == pytest.approx(float(distribution[0, token].item()), abs=1e-6)


def test_the_penalty_sees_prompt_and_answer() -> None:
    prompt, answer = [1, 2, 3, 4], [7, 8]
    (process,) = logits_processors(Sampling(repetition_penalty=1.5), prompt)
    logits = mx.random.normal((1, VOCABULARY), key=mx.random.key(1))
    # generate_step passes the prompt's last token and what was sampled.
    ours = process(mx.array([prompt[-1], *answer]), mx.array(logits))
    theirs = make_repetition_penalty(1.5, 20)(mx.array(prompt + answer), mx.array(logits))
    assert mx.array_equal(ours, theirs).item()
    assert logits_processors(Sampling(), prompt) == []


def test_a_seed_is_kept_or_made() -> None:
    assert new_seed(Sampling(seed=7)) == 7
    assert len({new_seed(Sampling()) for _ in range(10)}) > 1
