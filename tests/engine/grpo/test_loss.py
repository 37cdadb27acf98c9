"""The loss against TRL's own figures, against finite differences, and for what must not matter to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.grpo.loss import correction_weights, policy_loss

REFERENCE = json.loads((Path(__file__).parent / "trl_reference.json").read_text(encoding="utf-8"))
LOSSES = REFERENCE["losses"]
LOSS_TYPES = ("grpo", "bnpo", "dr_grpo", "dapo", "gspo", "cispo")


def _array(values: list[Any]) -> mx.array:
    return mx.array(np.array(values, dtype=np.float32))


def _close(found: mx.array, wanted: Any) -> None:
    expected = np.array(wanted, dtype=np.float64)
    np.testing.assert_allclose(np.array(found), expected, rtol=2e-5, atol=2e-5 * max(1e-3, np.abs(expected).max()))


def _value_and_gradient(
    logps: Any, old: Any, ref: Any, advantages: Any, mask: Any, **arguments: Any
) -> tuple[mx.array, dict[str, mx.array], mx.array]:
    rest: list[Any] = [None if values is None else mx.array(values) for values in (old, ref, advantages, mask)]
    (loss, metrics), gradient = mx.value_and_grad(lambda logps: policy_loss(logps, *rest, **arguments))(mx.array(logps))
    return loss, metrics, gradient


def _name(case: dict[str, Any]) -> str:
    old = "old" if case["old"] else "no old"
    changed = [f"{name}={value}" for name, value in case["arguments"].items() if value is not None]
    return ",".join([old, case["weighting"], *changed[:-1]])


@pytest.mark.parametrize("case", LOSSES["cases"], ids=_name)
def test_equals_trl(case: dict[str, Any]) -> None:
    weights = {"none": None, "token": _array(LOSSES["weights"]), "sequence": _array(LOSSES["weights"])[:, :1]}
    old, ref, advantages, mask = (_array(LOSSES[name]) for name in ("old_logps", "ref_logps", "advantages", "mask"))
    arguments = {**case["arguments"], "importance_weights": weights[case["weighting"]]}
    loss, metrics, gradient = _value_and_gradient(
        _array(LOSSES["logps"]), old if case["old"] else None, ref, advantages, mask, **arguments
    )
    _close(loss, case["loss"])
    _close(gradient, case["gradient"])
    for name, value in case["metrics"].items():
        _close(metrics[name], value)


def test_gspo_is_grpo_with_one_ratio_a_completion() -> None:
    old, ref, advantages, mask = (_array(LOSSES[name]) for name in ("old_logps", "ref_logps", "advantages", "mask"))
    cases = [case for case in LOSSES["cases"] if case["old"] and case["arguments"]["loss_type"] == "grpo"]
    for case in cases:
        if case["arguments"]["importance_sampling_level"] == "sequence":
            arguments = {**case["arguments"], "loss_type": "gspo", "importance_sampling_level": "token"}
            loss, _, gradient = _value_and_gradient(_array(LOSSES["logps"]), old, ref, advantages, mask, **arguments)
            _close(loss, case["loss"])
            _close(gradient, case["gradient"])


@pytest.mark.parametrize("case", REFERENCE["corrections"]["cases"], ids=lambda case: f"{case['mode']},{case['cap']}")
def test_correction_weights_equal_trl(case: dict[str, Any]) -> None:
    given_arrays = REFERENCE["corrections"]
    mask = np.arange(5)[None] < np.array(given_arrays["lengths"])[:, None]
    sampler = _array(given_arrays["sampler_logps"])
    assert np.isnan(np.array(sampler)).any(), "a token without a sampler's log-probability is part of the test"
    found = correction_weights(
        _array(given_arrays["policy_logps"]), sampler, mx.array(mask), mode=case["mode"], cap=case["cap"]
    )
    _close(found, case["wanted"])


def _example(seed: int, batch: int = 4, time: int = 5) -> dict[str, NDArray[np.float32]]:
    """Completions of random lengths, and policies apart by about as much as some updates do."""
    random = np.random.default_rng(seed)
    logps = -random.uniform(0.05, 3, (batch, time))
    return {
        "logps": logps.astype(np.float32),
        "old": (logps + random.normal(0, 0.3, (batch, time))).astype(np.float32),
        "ref": (logps + random.normal(0, 0.3, (batch, time))).astype(np.float32),
        "advantages": random.normal(0, 1, batch).astype(np.float32),
        "mask": (np.arange(time)[None] < random.integers(0, time + 1, (batch, 1))).astype(np.float32),
    }


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
@pytest.mark.parametrize("loss_type", [kind for kind in LOSS_TYPES if kind != "cispo"])
def test_gradient_equals_finite_differences(loss_type: str, estimator: str, level: str) -> None:
    example = _example(3)
    # Away from the bounds, where there is no derivative; where a completion has one ratio, it is that of its tokens.
    shape = (4, 5) if level == "token" and loss_type != "gspo" else (4, 1)
    apart = np.array([-0.5, -0.1, 0.05, 0.4], dtype=np.float32)
    example["old"] = example["logps"] + np.random.default_rng(4).choice(apart, shape, shuffle=False)
    arguments: dict[str, Any] = {
        "loss_type": loss_type,
        "importance_sampling_level": level,
        "kl_estimator": estimator,
        "beta": 0.3,
        "use_bias_correction_kl": estimator == "k3",
    }
    _, _, gradient = _value_and_gradient(**example, **arguments)
    step = np.float32(2**-7)
    for row, column in np.ndindex(4, 5):
        sides = []
        for sign in (-1, 1):
            moved = example["logps"].copy()
            moved[row, column] += sign * step
            sides.append(float(_value_and_gradient(**{**example, "logps": moved}, **arguments)[0]))
        assert float(gradient[row, column]) == pytest.approx((sides[1] - sides[0]) / (2 * float(step)), abs=2e-4)


def test_gradient_of_cispo_is_the_capped_ratio_times_the_advantage() -> None:
    example = _example(5)
    _, metrics, gradient = _value_and_gradient(**example, loss_type="cispo", epsilon_high=1.1)
    ratio = np.exp(example["logps"] - example["old"])
    wanted = -np.minimum(ratio, 1.1) * example["advantages"][:, None] * example["mask"] / example["mask"].sum()
    np.testing.assert_allclose(np.array(gradient), wanted, rtol=1e-5, atol=1e-7)
    assert float(metrics["clipped_low"]) == 0.0


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_kl_estimators(estimator: str) -> None:
    example = _example(6)
    _, metrics, _ = _value_and_gradient(**example, beta=0.1, kl_estimator=estimator)
    log_ratio = (example["ref"] - example["logps"]).astype(np.float64)
    formula = {"k1": -log_ratio, "k2": log_ratio**2 / 2, "k3": np.exp(log_ratio) - 1 - log_ratio}[estimator]
    assert float(metrics["kl"]) == pytest.approx(np.average(formula, weights=example["mask"]), rel=1e-5)


def test_epsilon_zero_still_has_the_gradient_of_the_plain_ratio() -> None:
    example: dict[str, Any] = {**_example(7), "old": None, "ref": None}
    _, _, gradient = _value_and_gradient(**example, epsilon=0.0, loss_type="bnpo")
    wanted = -example["advantages"][:, None] * example["mask"] / example["mask"].sum()
    np.testing.assert_allclose(np.array(gradient), wanted, rtol=1e-5, atol=1e-7)


def test_without_beta_there_is_no_kl_and_the_reference_does_not_matter() -> None:
    example = _example(8)
    loss, metrics, _ = _value_and_gradient(**example)
    assert "kl" not in metrics
    assert float(loss) == float(_value_and_gradient(**{**example, "ref": None})[0])


def test_ratio_figures_are_of_the_tokens_that_count() -> None:
    example = _example(9)
    example["old"][example["mask"] == 0] = -50
    _, metrics, _ = _value_and_gradient(**example)
    ratio = np.exp(example["logps"] - example["old"])[example["mask"] == 1]
    assert float(metrics["ratio_max"]) == pytest.approx(ratio.max(), rel=1e-5)
    assert float(metrics["ratio_mean"]) == pytest.approx(ratio.mean(), rel=1e-5)


def test_advantages_of_tokens_equal_those_of_completions_they_repeat() -> None:
    example = _example(10)
    repeated = {**example, "advantages": np.repeat(example["advantages"][:, None], 5, axis=1)}
    for loss_type in LOSS_TYPES:
        loss, metrics, gradient = _value_and_gradient(**example, loss_type=loss_type)
        same, same_metrics, same_gradient = _value_and_gradient(**repeated, loss_type=loss_type)
        assert float(loss) == pytest.approx(float(same), rel=1e-6)
        np.testing.assert_allclose(np.array(gradient), np.array(same_gradient), rtol=1e-6)
        if loss_type != "gspo":
            assert float(metrics["clipped"]) == float(same_metrics["clipped"])


def test_half_precision_is_computed_in_float32() -> None:
    example = _example(11)
    arrays = {name: mx.array(values).astype(mx.bfloat16) for name, values in example.items() if name != "mask"}
    loss, _ = policy_loss(arrays["logps"], arrays["old"], None, arrays["advantages"], mx.array(example["mask"]))
    assert loss.dtype == mx.float32


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    loss_type=st.sampled_from(LOSS_TYPES),
    level=st.sampled_from(["token", "sequence"]),
    garbage=st.sampled_from([0.0, 1e30, -1e30, 500.0, np.inf, -np.inf, np.nan]),
    with_old=st.booleans(),
)
def test_what_masked_positions_hold_changes_nothing(
    seed: int, loss_type: str, level: str, garbage: float, with_old: bool
) -> None:
    example: dict[str, Any] = _example(seed)
    example["old"] = example["old"] if with_old else None
    dirty = dict(example)
    masked = example["mask"] == 0
    for name in ("logps", "old", "ref"):
        if example[name] is not None:
            dirty[name] = np.where(masked, np.float32(garbage), example[name])
    arguments: dict[str, Any] = {
        "loss_type": loss_type,
        "importance_sampling_level": level,
        "beta": 0.1,
        "use_bias_correction_kl": True,
    }
    weights = np.abs(example["ref"])
    clean = _value_and_gradient(**example, **arguments, importance_weights=mx.array(weights))
    weights = np.where(masked, np.float32(garbage), weights)
    found = _value_and_gradient(**dirty, **arguments, importance_weights=mx.array(weights))
    assert float(found[0]) == float(clean[0])
    np.testing.assert_array_equal(np.array(found[2]), np.array(clean[2]))
    assert not np.array(found[2])[masked].any()
    assert {name: float(value) for name, value in found[1].items()} == {
        name: float(value) for name, value in clean[1].items()
    }
    for mode in ("token_truncate", "sequence_mask"):
        before = correction_weights(
            mx.array(example["logps"]), mx.array(example["ref"]), mx.array(example["mask"]), mode=mode, cap=2.0
        )
        after = correction_weights(
            mx.array(dirty["logps"]), mx.array(dirty["ref"]), mx.array(example["mask"]), mode=mode, cap=2.0
        )
        np.testing.assert_array_equal(np.array(after), np.array(before))


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_nothing_to_count_is_no_loss_and_no_gradient(loss_type: str) -> None:
    example = _example(12)
    example["mask"][:] = 0
    loss, metrics, gradient = _value_and_gradient(**example, loss_type=loss_type, beta=0.1)
    assert float(loss) == 0.0
    assert not np.array(gradient).any()
    assert all(np.isfinite(float(value)) for value in metrics.values())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), loss_type=st.sampled_from(["dapo", "cispo"]), cut=st.integers(1, 5))
def test_losses_of_micro_batches_add_up_to_that_of_the_whole(seed: int, loss_type: str, cut: int) -> None:
    example = _example(seed, batch=6)
    whole, _, gradient = _value_and_gradient(**example, loss_type=loss_type, beta=0.1)
    items = int(example["mask"].sum())
    parts = []
    for rows in (slice(None, cut), slice(cut, None)):
        part = {name: values[rows] for name, values in example.items()}
        parts.append(_value_and_gradient(**part, loss_type=loss_type, beta=0.1, num_items=mx.array(items)))
    assert float(parts[0][0]) + float(parts[1][0]) == pytest.approx(float(whole), rel=1e-4, abs=1e-6)
    joined = np.concatenate([np.array(part[2]) for part in parts])
    np.testing.assert_allclose(joined, np.array(gradient), rtol=1e-5, atol=1e-7)


def test_compiled_equals_plain() -> None:
    example = {name: mx.array(values) for name, values in _example(13).items()}

    def loss(
        logps: mx.array, old: mx.array, ref: mx.array, advantages: mx.array, mask: mx.array, items: mx.array
    ) -> mx.array:
        return policy_loss(logps, old, ref, advantages, mask, beta=0.1, num_items=items)[0]

    arrays = (*example.values(), mx.array(9))
    assert float(mx.compile(loss)(*arrays)) == pytest.approx(float(loss(*arrays)), rel=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        {"loss_type": "ppo"},
        {"importance_sampling_level": "word"},
        {"beta": 0.1, "kl_estimator": "k4"},
        {"beta": 0.1, "ref": None},
    ],
)
def test_unknown_names_and_a_missing_reference_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown|ref_logps"):
        _value_and_gradient(**{**_example(14), **arguments})


@pytest.mark.parametrize("mode", ["", "token", "word_mask", "token_mask_2"])
def test_unknown_correction_modes_are_refused(mode: Any) -> None:
    with pytest.raises(ValueError, match="unknown mode"):
        correction_weights(mx.zeros((1, 1)), mx.zeros((1, 1)), mx.ones((1, 1)), mode=mode, cap=2.0)
