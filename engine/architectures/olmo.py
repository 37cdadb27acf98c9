"""OLMo as transformers has it: Llama with norms that learn nothing and clipped projections. Reads no weights.

mlx_lm's class of this name is for the older form of the checkpoints and needs a package of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx.nn.layers.linear import Linear
from mlx.nn.layers.normalization import LayerNorm
from mlx.nn.layers.quantized import QuantizedLinear
from mlx_lm.models import llama

_EPSILON = 1e-5  # transformers' OlmoLayerNorm


@dataclass
class ModelArgs(llama.ModelArgs):  # type: ignore[misc]
    """What config.json says; `clip_qkv` bounds queries, keys and values."""

    clip_qkv: float | None = None


class _Bounded:
    """Goes before the class of a projection: its result stays within `bound`, which the model sets."""

    bound: float

    def __call__(self, x: mx.array) -> mx.array:
        return mx.clip(super().__call__(x), -self.bound, self.bound)  # type: ignore[misc]


class Clipped(_Bounded, Linear):
    """A projection whose result is bounded."""

    def to_quantized(self, *args: Any, **kwargs: Any) -> Any:
        """The same with packed weights, bounded too."""
        packed: Any = super().to_quantized(*args, **kwargs)
        packed.__class__ = ClippedQuantized
        packed.bound = self.bound
        return packed


class ClippedQuantized(_Bounded, QuantizedLinear):
    """A projection with packed weights whose result is bounded."""


class Model(llama.Model):  # type: ignore[misc]
    """The language model; logits of shape (batch, time, vocabulary)."""

    def __init__(self, args: Any) -> None:
        super().__init__(args)
        self.model.norm = _norm(args)
        for layer in self.layers:
            layer.input_layernorm = _norm(args)
            layer.post_attention_layernorm = _norm(args)
            for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj):
                if args.clip_qkv is not None:
                    projection.__class__ = Clipped
                    projection.bound = args.clip_qkv


def _norm(args: ModelArgs) -> LayerNorm:
    return LayerNorm(args.hidden_size, eps=_EPSILON, affine=False)
