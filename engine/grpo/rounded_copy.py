"""A copy of a model with rounded weights, for faster rollouts. Knows no training."""

from __future__ import annotations

import copy
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.quantized import quantize

_ROLLOUT_BITS, _ROLLOUT_GROUP = 4, 64


def of(model: Module) -> Any:
    """A model that shares all but the weights of linear layers and embeddings, which are rounded to 4 bits.

    Those whose rows do not divide into groups are shared too.
    """
    twin = _twin(model, copy.copy)

    def quantisable(_name: str, module: Any) -> bool:
        return hasattr(module, "to_quantized") and module.weight.shape[-1] % _ROLLOUT_GROUP == 0

    quantize(twin, _ROLLOUT_GROUP, _ROLLOUT_BITS, class_predicate=quantisable)
    mx.eval(twin.parameters())
    return twin


def _twin(value: Any, copied: Any) -> Any:
    """The same arrays in modules and containers of their own."""
    if isinstance(value, Module):
        twin = copied(value)
        for name, child in value.items():
            twin[name] = _twin(child, copied)
        return twin
    if isinstance(value, list):
        return [_twin(item, copied) for item in value]
    if isinstance(value, dict):
        return {name: _twin(item, copied) for name, item in value.items()}
    return value
