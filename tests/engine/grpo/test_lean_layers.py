"""Lean layers against the layers whose place they take."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn
from mlx_lm.tuner.lora import LoRALinear

from engine import backend
from engine.grpo import lean_layers


class Model(nn.Module):
    """A norm before an adapter."""

    def __init__(self, quantised: bool) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(64, eps=1e-5)
        self.norm.weight = mx.random.normal((64,), key=mx.random.key(3))
        linear: Any = nn.Linear(64, 48, bias=True)
        if quantised:
            linear = nn.QuantizedLinear.from_linear(linear, 64, 4)
        self.adapter = LoRALinear.from_base(linear, r=4, scale=3.0)
        self.adapter.lora_b = mx.random.normal((4, 48), key=mx.random.key(4))

    def __call__(self, x: mx.array) -> mx.array:
        return self.adapter(self.norm(x))


@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16])
def test_results_and_gradients_are_those_of_the_plain_layers(quantised: bool, dtype: mx.Dtype) -> None:
    model = Model(quantised)
    model.set_dtype(dtype)
    model.adapter.linear.freeze()
    x = mx.random.normal((2, 5, 64), key=mx.random.key(0)).astype(dtype)

    def run(weights: Any, x: mx.array) -> mx.array:
        model.update(weights)
        return mx.square(model(x).astype(mx.float32)).sum()

    plain, plain_slopes = mx.value_and_grad(run, (0, 1))(model.trainable_parameters(), x)
    lean_layers.install(model)
    assert isinstance(model.adapter, lean_layers.LeanLoRALinear)
    assert model(x).dtype == dtype
    lean, lean_slopes = mx.value_and_grad(run, (0, 1))(model.trainable_parameters(), x)
    tolerance = 1e-4 if dtype == mx.float32 else 0.1
    assert float(lean.item()) == pytest.approx(float(plain.item()), rel=tolerance)
    pairs = zip(nn.utils.tree_flatten(lean_slopes), nn.utils.tree_flatten(plain_slopes), strict=True)
    for (name, one), (other_name, other) in pairs:
        assert name == other_name
        found, wanted = (np.array(each.astype(mx.float32)) for each in (one, other))
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * np.abs(wanted).max())


def test_a_lean_adapter_fuses_as_before() -> None:
    model = Model(quantised=False)
    x = mx.random.normal((3, 64), key=mx.random.key(0))
    lean_layers.install(model)
    np.testing.assert_allclose(np.array(model.adapter.fuse()(x)), np.array(model.adapter(x)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16])
def test_an_embedding_in_order_has_the_same_gradient(dtype: mx.Dtype) -> None:
    layer = nn.Embedding(9, 16)
    layer.set_dtype(dtype)
    ids = mx.array([[3, 1, 3, 8], [8, 8, 0, 3]])
    slopes = mx.random.normal((2, 4, 16), key=mx.random.key(1)).astype(dtype)

    def gradient() -> tuple[mx.array, np.ndarray]:
        found, grads = nn.value_and_grad(layer, lambda ids: (layer(ids) * slopes).sum())(ids)
        return found, np.array(grads["weight"].astype(mx.float32))

    value, expected = gradient()
    layer.__class__ = lean_layers.OrderedEmbedding
    found, gradients = gradient()
    assert mx.array_equal(found, value)
    np.testing.assert_allclose(gradients, expected, rtol=0, atol=1e-6 if dtype == mx.float32 else 2e-2)
    assert not gradients[[2, 4, 5, 6, 7]].any()


def test_each_device_has_the_layers_that_are_better_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def kinds(gpu: bool) -> set[type]:
        monkeypatch.setattr(backend, "has_gpu", lambda: gpu)
        model = nn.Sequential(nn.Embedding(4, 8), nn.RMSNorm(8), nn.QuantizedEmbedding(8, 64))
        lean_layers.install(model)
        return {type(layer) for layer in model.layers}

    assert kinds(gpu=True) == {lean_layers.OrderedEmbedding, nn.RMSNorm, nn.QuantizedEmbedding}
    assert kinds(gpu=False) == {nn.Embedding, lean_layers.LeanRMSNorm, nn.QuantizedEmbedding}
