"""Layers that compute what MLX's and mlx_lm's do, for training. Knows no loss.

LoRA's product is added where the bare layer's result lies. On the CPU, where MLX makes a norm of many small steps and
keeps what each leaves, its gradient is written out; a GPU has kernels for both. There an embedding's gradient is added
up in an order of its own: MLX's comes in any, and a run that is gone on with would not be the same.
"""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx.nn.layers.embedding import Embedding
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


class OrderedEmbedding(Embedding):
    """What `Embedding` of MLX computes; the gradients of a token's places are added up in the same order always."""

    def __call__(self, x: mx.array) -> mx.array:
        """Shapes: (...) token ids to (..., width)."""

        @mx.custom_function
        def rows(weight: mx.array, ids: mx.array) -> mx.array:
            return weight[ids]

        @rows.vjp
        def _(primals: Any, cotangent: Any, _output: Any) -> tuple[mx.array, mx.array]:
            weight, ids = primals
            tokens = ids.reshape(-1)
            same = tokens[:, None] == tokens
            sums = same.astype(cotangent.dtype) @ cotangent.reshape(-1, cotangent.shape[-1])
            # At the first place of each token its sum, at the others 0, which any order adds alike.
            first = mx.argmax(same, axis=1) == mx.arange(len(tokens))
            gradient = mx.zeros_like(weight).at[tokens].add(mx.where(first[:, None], sums, 0.0).astype(weight.dtype))
            return gradient, mx.zeros_like(ids)

        found: Any = rows(self.weight, x)
        return found  # type: ignore[no-any-return]


def install(model: Any) -> None:
    """Make the layers of the model such ones, of each kind where they are better than MLX's."""
    lean: dict[type, type] = {LoRALinear: LeanLoRALinear}
    if backend.has_gpu():
        lean[Embedding] = OrderedEmbedding
    else:
        lean[RMSNorm] = LeanRMSNorm
    for module in model.modules():
        if type(module) in lean:
            module.__class__ = lean[type(module)]
