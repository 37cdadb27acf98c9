"""Weights are read, or what is wrong with them is said."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from engine import stored_weights
from engine.errors import UserError


def test_arrays_are_read_when_they_are_evaluated(tmp_path: Path) -> None:
    mx.save_safetensors(str(tmp_path / "a.safetensors"), {"x": mx.arange(1000)})
    mx.save_safetensors(str(tmp_path / "b.safetensors"), {"y": mx.ones(3)})
    arrays = stored_weights.opened([tmp_path / "a.safetensors", tmp_path / "b.safetensors"])
    stored_weights.evaluate(list(arrays.values()), "both")
    assert arrays["x"][999].item() == 999
    assert sorted(arrays) == ["x", "y"]


def test_a_file_that_is_cut_short_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    mx.save_safetensors(str(path), {"x": mx.arange(100_000)})
    arrays = stored_weights.opened([path])
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match="end: x"):
        stored_weights.evaluate([arrays["x"]], "x")
    path.unlink()
    with pytest.raises(UserError, match=r"a\.safetensors"):
        stored_weights.opened([path])


def test_integers_are_finite() -> None:
    stored_weights.require_finite("packed", mx.array([1, 2], mx.uint32))
    stored_weights.require_finite("none", mx.zeros((0, 3)))
    stored_weights.require_finite("weight", mx.array(np.ones(3, np.float32)))
    for value in ("nan", "inf", "-inf"):
        with pytest.raises(UserError, match="weight"):
            stored_weights.require_finite("weight", mx.array([1.0, float(value)], mx.bfloat16))


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32])
def test_only_what_is_no_number_is_refused(dtype: mx.Dtype) -> None:
    greatest = mx.finfo(dtype).max
    fine = mx.array([0.0, -0.0, -greatest, greatest, 1e-7], dtype).reshape(5, 1)
    for array in (fine, fine.T, mx.zeros((0, 3), dtype), mx.array([1, 2]), mx.array(1.0, dtype)):
        stored_weights.require_finite("x", array)
    for value in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(UserError, match="no numbers"):
            stored_weights.require_finite("x", mx.concatenate([fine, mx.array([[value]], dtype)]).T)
