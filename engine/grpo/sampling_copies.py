"""Copies of a model that completions are sampled from, sharing with it all they can. Knows no training."""

from __future__ import annotations

import copy
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.linear import Linear
from mlx.nn.layers.quantized import quantize
from mlx.utils import tree_unflatten
from mlx_lm.tuner.dora import DoRALinear
from mlx_lm.tuner.lora import LoRALinear

_ROLLOUT_BITS, _ROLLOUT_GROUP = 4, 64


def rounded(model: Module) -> Any:
    """A model whose matrices, embeddings too, are rounded to 4 bits."""
    twin = _twin(model)

    def quantisable(_name: str, module: Any) -> bool:
        return hasattr(module, "to_quantized") and module.weight.shape[-1] % _ROLLOUT_GROUP == 0

    quantize(twin, _ROLLOUT_GROUP, _ROLLOUT_BITS, class_predicate=quantisable)
    mx.eval(twin.parameters())
    return twin


def merged(model: Any) -> Any:
    """A model with the adapters in the matrices they stand beside: the same but for rounding, in fewer products.

    In float32; in 16 bits what an adapter adds would be lost in the rounding of what it is added to.
    """
    twin = _twin(model)
    found = [(name, _merged(module)) for name, module in model.named_modules() if _merges(module)]
    twin.update_modules(tree_unflatten(found))
    mx.eval(twin.parameters())
    return twin


def can_merge(model: Any) -> bool:
    """Whether any of its adapters stands beside a plain matrix of float32."""
    return any(_merges(module) for module in model.modules())


def _merges(module: Any) -> bool:
    if not isinstance(module, LoRALinear | DoRALinear):
        return False
    inner: Any = module.linear
    return type(inner) is Linear and inner.weight.dtype == mx.float32


def _merged(module: Any) -> Module:
    """What `fuse` of mlx_lm makes, which draws weights first and throws them away."""
    weight = module.linear.weight + (module.scale * module.lora_b.T) @ module.lora_a.T
    if isinstance(module, DoRALinear):
        weight = (module.m / mx.linalg.norm(weight, axis=1))[:, None] * weight
    plain: Any = copy.copy(module.linear)
    plain.weight = weight
    return plain  # type: ignore[no-any-return]


def _twin(value: Any) -> Any:
    """The same arrays in modules and containers of their own."""
    if isinstance(value, Module):
        twin: Any = copy.copy(value)
        for name, child in value.items():
            twin[name] = _twin(child)
        return twin
    if isinstance(value, list):
        return [_twin(item) for item in value]
    if isinstance(value, dict):
        return {name: _twin(item) for name, item in value.items()}
    return value
