"""Weights of 16 bits, which a class changes before it computes, lose nothing. Tests no conversion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from engine import backend
from engine.assemble import assemble
from tests.engine.architectures.hybrid_cases import HYBRID
from tests.support.torch_child import TorchChild, torch_child

IDS = [int(token) for token in np.random.default_rng(0).integers(3, 80, 40)]


@pytest.fixture(scope="module")
def torch() -> Iterator[TorchChild]:
    backend.prepare()
    with torch_child() as child:
        yield child


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["qwen3_5", "qwen3_next", "mamba2", "gemma4_text", "nemotron_h"])
def test_stored_in_sixteen_bits(torch: TorchChild, tmp_path: Path, name: str, dtype: str) -> None:
    folder = torch.make(tmp_path / "m", HYBRID[name] | {"dtype": dtype})
    expected = torch.logits(folder, [IDS])
    weights = dict(mx.load(str(folder / "model.safetensors")))
    kinds = {array.dtype for array in weights.values()}
    assert getattr(mx, dtype) in kinds
    model = assemble(json.loads((folder / "config.json").read_text()), weights).model
    if kinds == {getattr(mx, dtype)}:
        assert model(mx.array([IDS[:4]])).dtype == getattr(mx, dtype)
    model.set_dtype(mx.float32)
    logits = np.array(model(mx.array([IDS])))
    assert float(np.abs(logits - expected).max() / np.abs(expected).max()) <= 1e-3


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_multipliers_that_are_folded_into_weights_lose_nothing(torch: TorchChild, tmp_path: Path, dtype: str) -> None:
    multipliers = {"embedding_multiplier": 5.657, "lm_head_multiplier": 0.039, "key_multiplier": 0.391}
    folder = torch.make(tmp_path / "m", HYBRID["falcon_h1"] | multipliers | {"dtype": dtype})
    expected = torch.logits(folder, [IDS])
    weights = dict(mx.load(str(folder / "model.safetensors")))
    model = assemble(json.loads((folder / "config.json").read_text()), weights).model
    model.set_dtype(mx.float32)
    logits = np.array(model(mx.array([IDS])))
    assert float(np.abs(logits - expected).max() / np.abs(expected).max()) <= 1e-4
