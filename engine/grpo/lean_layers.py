"""Layers that compute what MLX's and mlx_lm's do and keep fewer arrays. Knows no training.

LoRA's product is added where the bare layer's result lies. On the CPU, where MLX makes a norm of many small steps and
keeps what each leaves, its gradient is written out; a GPU has kernels for both.
"""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx.nn.layers.normalization import RMSNorm
from mlx_lm.tuner.lora import LoRALinear

from engine import backend


class LeanLoRALinear(LoRALinear):  # type: ignore[misc]
    """What `LoRALinear` of mlx_lm computes, W x + scale B A x; it saves and fuses alike."""

    def __call__(self, x: mx.array) -> mx.array:
        """Shapes: (..., input width) to (..., output width)."""
        flat = x.reshape(-1, x.shape[-1])
        low = self.scale * (self.dropout(flat) @ self.lora_a)
        return mx.addmm(self.linear(flat), low.astype(x.dtype), self.lora_b).reshape(*x.shape[:-1], -1)


class LeanRMSNorm(RMSNorm):
    """What `RMSNorm` of MLX computes; for its gradient it keeps the input alone."""

    def __call__(self, x: mx.array) -> mx.array:
        """Shapes: (..., width) both."""
        if x.dtype != mx.float32 or self.weight.dtype != mx.float32:
            return super().__call__(x)  # type: ignore[no-any-return, no-untyped-call]
        epsilon = self.eps

        @mx.custom_function
        def norm(x: mx.array, weight: mx.array) -> mx.array:
            return x * mx.rsqrt(mx.square(x).mean(axis=-1, keepdims=True) + epsilon) * weight

        @norm.vjp
        def _(primals: Any, cotangent: Any, _output: Any) -> tuple[mx.array, mx.array]:
            x, weight = primals
            factor = mx.rsqrt(mx.square(x).mean(axis=-1, keepdims=True) + epsilon)
            slope = cotangent * weight
            inward = (slope * x).mean(axis=-1, keepdims=True) * mx.square(factor)
            of_weight = (cotangent * x * factor).reshape(-1, x.shape[-1]).sum(axis=0)
            return factor * (slope - x * inward), of_weight

        found: Any = norm(x, self.weight)
        return found  # type: ignore[no-any-return]


def install(model: Any) -> None:
    """Make the LoRA layers of the model such ones, and on the CPU its norms."""
    lean: dict[type, type] = {LoRALinear: LeanLoRALinear}
    if not backend.has_gpu():
        lean[RMSNorm] = LeanRMSNorm
    for module in model.modules():
        if type(module) in lean:
            module.__class__ = lean[type(module)]
