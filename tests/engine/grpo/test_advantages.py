"""Advantages against TRL's own figures, and what must hold for any rewards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.grpo.advantages import group_advantages

REFERENCE = json.loads((Path(__file__).parent / "trl_reference.json").read_text(encoding="utf-8"))["advantages"]
SCHEMES = [("group", "sum_then_normalize"), ("batch", "sum_then_normalize"), ("none", "sum_then_normalize")]
SCHEMES.append(("group", "normalize_then_sum"))


def _name(case: dict[str, Any]) -> str:
    return ",".join(str(value) for value in (case["set"], case["group_size"], *case["arguments"].values()))


@pytest.mark.parametrize("kind", ["mlx", "numpy"])
@pytest.mark.parametrize("case", REFERENCE["cases"], ids=_name)
def test_equals_trl(case: dict[str, Any], kind: str) -> None:
    rewards = np.array(REFERENCE["sets"][case["set"]], dtype=np.float32)
    given_rewards = rewards if kind == "numpy" else mx.array(rewards)
    found = group_advantages(given_rewards, case["group_size"], **case["arguments"])
    assert found.dtype == mx.float32
    np.testing.assert_allclose(np.array(found), np.array(case["wanted"]), rtol=5e-5, atol=2e-6)


@pytest.mark.parametrize("reward", [0.7, 0.1, 1 / 3, 1e-7, 3.3e6, -2.2])
@pytest.mark.parametrize(("scale", "aggregation"), SCHEMES)
def test_equal_rewards_are_exactly_zero(scale: Any, aggregation: Any, reward: float) -> None:
    rewards = np.full((64, 3), reward, dtype=np.float32)
    weights = [0.1, 0.3, 0.7]
    found = group_advantages(rewards, 32, weights=weights, scale=scale, aggregation=aggregation)
    assert not np.array(found).any()


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_sums_that_differ_by_rounding_alone_are_equal(scale: Any) -> None:
    rewards = np.array([[0.1, 0.2, 0.4], [0.3, 0.0, 0.4], [0.7, 0.0, 0.0], [0.35, 0.35, 0.0]], dtype=np.float32)
    found = np.array(group_advantages(rewards, 4, scale=scale))
    assert not found.any()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), scheme=st.sampled_from(SCHEMES), size=st.integers(1, 5), groups=st.integers(1, 4))
def test_flat_groups_are_zero_beside_others(seed: int, scheme: tuple[Any, Any], size: int, groups: int) -> None:
    random = np.random.default_rng(seed)
    rewards = random.choice([0.0, 0.1, 0.7, 2.0], (groups * size, 2)).astype(np.float32)
    rewards[:size] = rewards[0]
    found = np.array(group_advantages(rewards, size, scale=scheme[0], aggregation=scheme[1]))
    assert not found[:size].any()
    assert np.isfinite(found).all()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), scheme=st.sampled_from(SCHEMES))
def test_the_order_of_groups_and_of_their_rows_does_not_matter(seed: int, scheme: tuple[Any, Any]) -> None:
    random = np.random.default_rng(seed)
    rewards = random.normal(0, 1, (4, 3, 2)).astype(np.float32)
    rewards[random.random(rewards.shape) < 0.2] = np.nan

    def advantages(values: Any) -> Any:
        flat = values.reshape(12, 2)
        return np.array(group_advantages(flat, 3, scale=scheme[0], aggregation=scheme[1])).reshape(4, 3)

    groups, rows = random.permutation(4), random.permutation(3)
    np.testing.assert_allclose(
        advantages(rewards[groups][:, rows]), advantages(rewards)[groups][:, rows], rtol=1e-5, atol=1e-6
    )


def test_ddof_is_taken_off_the_count() -> None:
    rewards = np.array([[0.0], [1.0], [2.0], [5.0]])
    for ddof in (0, 1):
        found = np.array(group_advantages(rewards, 4, ddof=ddof))
        wanted = (rewards - rewards.mean()) / (rewards.std(ddof=ddof) + 1e-4)
        np.testing.assert_allclose(found, wanted[:, 0], rtol=1e-6)


def test_a_group_of_one_teaches_nothing() -> None:
    assert not np.array(group_advantages(np.array([[1.0], [5.0]]), 1)).any()


@pytest.mark.parametrize(
    ("rewards", "arguments", "said"),
    [
        (np.zeros((5, 1)), {}, "groups of 2"),
        (np.zeros(4), {}, "groups of 2"),
        (np.array([[np.inf], [0.0]]), {}, "infinite"),
        (np.zeros((4, 2)), {"weights": [1.0]}, "2 reward functions"),
        (np.zeros((4, 1)), {"scale": "row"}, "unknown scale"),
        (np.zeros((4, 1)), {"aggregation": "max"}, "unknown aggregation"),
    ],
)
def test_what_does_not_fit_is_refused(rewards: Any, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        group_advantages(rewards, 2, **arguments)
