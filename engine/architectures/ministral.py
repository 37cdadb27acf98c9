"""Ministral: mlx_lm's Llama, which it calls by no such name, also with a window in every layer. Reads no weights."""

from __future__ import annotations

from typing import Any

from mlx_lm.models import llama
from mlx_lm.models.llama import ModelArgs

__all__ = ("Model", "ModelArgs")


class Model(llama.Model):  # type: ignore[misc]
    """Llama with `layer_types`, as transformers' MinistralModel."""

    def __init__(self, args: Any) -> None:
        kinds = list(args.layer_types)
        if "full_attention" not in kinds:
            args.layer_types = [*kinds[:-1], "full_attention"]  # without one, Llama's class finds no mask
        super().__init__(args)
        for layer, kind in zip(self.layers, kinds, strict=True):
            layer.use_sliding = kind == "sliding_attention"
        if self.model.swa_idx is None and "sliding_attention" in kinds:
            self.model.swa_idx = kinds.index("sliding_attention")
