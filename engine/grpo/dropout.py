"""Dropout whose mask is a function of a key, for adapters. Knows no loss and no step."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module


class KeyedDropout(Module):
    """Leaves out a share of its input in training mode; the same key leaves out the same, also when recomputed."""

    def __init__(self, share: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._share = share
        self._key = mx.random.key(0)

    def __call__(self, x: mx.array) -> mx.array:
        """Shapes: (..., width) both."""
        if not self.training:
            return x
        kept = mx.random.bernoulli(1.0 - self._share, x.shape, key=self._key)
        return mx.where(kept, x * (1.0 / (1.0 - self._share)), mx.zeros_like(x))

    def set_key(self, key: mx.array) -> None:
        """Decide what is left out from here on."""
        self._key = key


def install(model: Any, share: float) -> list[KeyedDropout]:
    """Give every adapter of the model such a dropout in place of its own; all of them, in order."""
    installed: list[KeyedDropout] = []
    for _, module in model.named_modules():
        if "lora_a" in module:
            module.dropout = KeyedDropout(share)
            # Modules begin in training mode, and completions are sampled first.
            module.dropout.eval()
            installed.append(module.dropout)
    return installed


def set_keys(layers: list[KeyedDropout], key: mx.array) -> None:
    """One key for all, from which each gets its own."""
    for layer, own in zip(layers, mx.random.split(key, len(layers)), strict=True):
        layer.set_key(own)
