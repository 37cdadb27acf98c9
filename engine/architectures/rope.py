"""Rotary position embeddings of every kind that transformers has, as one layer. Knows no model and no file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module

# The kinds of scaling that are computed here; "default" is plain and "proportional" and "mrope" are mlx_lm's.
KINDS = ("linear", "dynamic", "yarn", "longrope", "llama3")


class Rope(Module):
    """Rotates the first `dims` of queries or keys by their positions.

    Longrope and dynamic rotate by the length seen so far, as transformers does: all that is given in one call takes
    the factors of the length after it, and keys that lie in a cache already stay as they were rotated.
    """

    def __init__(self, dims: int, traditional: bool, parameters: Mapping[str, Any], longest: int) -> None:
        """Make the layer.

        Args:
            dims: how many of the head's dimensions are rotated; even.
            traditional: pairs are neighbours, instead of halves.
            parameters: one entry of transformers' `rope_parameters`, with `rope_type` and `rope_theta`.
            longest: `max_position_embeddings`, in tokens.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.dims = dims
        self.traditional = traditional
        self.kind = parameters["rope_type"]
        self._parameters = dict(parameters)
        self._longest = longest
        self._plain = parameters["rope_theta"] ** (mx.arange(0, dims, 2, dtype=mx.float32) / dims)
        # Pairs of (periods, factor on what is rotated): for short texts, and for texts beyond `_limit` tokens.
        self._short: tuple[mx.array, float | mx.array] = (self._plain, 1.0)
        self._long: tuple[mx.array, float | mx.array] = self._short
        self._limit = longest
        if self.kind == "linear":
            self._short = self._long = (self._plain * parameters["factor"], 1.0)
        elif self.kind == "llama3":
            self._short = self._long = (llama3_periods(self._plain, parameters), 1.0)
        elif self.kind == "yarn":
            self._short = self._long = (yarn_periods(self._plain, parameters), yarn_factor(parameters))
        elif self.kind == "longrope":
            self._limit = parameters["original_max_position_embeddings"]
            short, long = (mx.array(parameters[f"{name}_factor"], mx.float32) for name in ("short", "long"))
            factor = longrope_factor(parameters, longest)
            self._short = (short * self._plain, factor)
            self._long = (long * self._plain, factor)
            if "short_mscale" in parameters:
                # transformers' PhimoeRotaryEmbedding keeps the short periods and changes the factor alone.
                self._short = (short * self._plain, parameters["short_mscale"])
                self._long = (short * self._plain, parameters["long_mscale"])

    @property
    def limit(self) -> int | None:
        """The length in tokens beyond which everything is rotated in another way; None if there is none."""
        return self._limit if self.kind == "longrope" else None

    def keep(self, length: int) -> bool:
        """Rotate every text as one of this many tokens from here on, if it would be rotated otherwise than short ones.

        So do servers that fix the factors by the longest text they take. Returns whether it changed anything.
        """
        if self.kind not in ("longrope", "dynamic") or length <= self._limit:
            return False
        self._short = self._long = self._at(length)
        self.kind = "kept"
        return True

    def __call__(self, x: mx.array, offset: int | mx.array = 0) -> mx.array:
        """Rotate.

        Args:
            x: queries or keys, of shape (batch, heads, time, head dimension).
            offset: the position of the first, for all or for each of the batch, of shape (batch,).
        """
        if self.kind not in ("longrope", "dynamic"):
            return self._rotated(x, offset, *self._short)
        if isinstance(offset, int) or offset.ndim == 0:
            return self._rotated(x, offset, *self._at(offset + x.shape[-2]))
        rows = [
            self._rotated(x[row : row + 1], offset[row], *self._at(offset[row] + x.shape[-2]))
            for row in range(x.shape[0])
        ]
        return mx.concatenate(rows)

    def _rotated(self, x: mx.array, offset: int | mx.array, periods: mx.array, factor: float | mx.array) -> mx.array:
        if not (isinstance(factor, float | int) and factor == 1):
            x = x.at[..., : self.dims].multiply(mx.array(factor, x.dtype))
        return mx.fast.rope(
            x, self.dims, traditional=self.traditional, base=None, scale=1.0, offset=offset, freqs=periods
        )

    def _at(self, length: int | mx.array) -> tuple[mx.array, float | mx.array]:
        """The periods and the factor for a length in tokens."""
        if self.kind == "dynamic":
            # NTK-aware scaling of the base, transformers' _compute_dynamic_ntk_parameters.
            factor = self._parameters["factor"]
            grown = factor * mx.maximum(mx.array(length, mx.float32), self._longest) / self._longest - (factor - 1)
            exponents = mx.arange(0, self.dims, 2, dtype=mx.float32) / (self.dims - 2)
            return self._plain * grown**exponents, 1.0
        if isinstance(length, int):
            return self._long if length > self._limit else self._short
        long = length > self._limit
        return mx.where(long, self._long[0], self._short[0]), mx.where(long, self._long[1], self._short[1])


def llama3_periods(plain: mx.array, parameters: Mapping[str, Any]) -> mx.array:
    """The periods of Llama 3.1: long ones times `factor`, short ones kept, blended between.

    Source: transformers' _compute_llama3_parameters. Shapes: (rotated dimensions / 2,) in and out.
    """
    factor, low, high = (parameters[name] for name in ("factor", "low_freq_factor", "high_freq_factor"))
    turns = parameters["original_max_position_embeddings"] / (2 * math.pi * plain)
    kept = mx.clip((turns - low) / (high - low), 0, 1)
    periods: mx.array = plain / ((1 - kept) / factor + kept)
    return periods


def yarn_periods(plain: mx.array, parameters: Mapping[str, Any]) -> mx.array:
    """The periods of YaRN (Peng et al. 2023, https://arxiv.org/abs/2309.00071), with or without whole-number bounds.

    Source: transformers' _compute_yarn_parameters. Shapes: (rotated dimensions / 2,) in and out.
    """
    pairs = plain.shape[0]
    trained = parameters["original_max_position_embeddings"]

    def pair(turns: float) -> float:
        """Which pair of dimensions turns this often within the trained length."""
        return pairs * math.log(trained / (turns * 2 * math.pi)) / math.log(parameters["rope_theta"])

    low, high = pair(parameters.get("beta_fast") or 32), pair(parameters.get("beta_slow") or 1)
    if parameters.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, 2 * pairs - 1)
    high = high + 0.001 if low == high else high
    stretched = mx.clip((mx.arange(pairs, dtype=mx.float32) - low) / (high - low), 0, 1)
    periods: mx.array = plain / (stretched / parameters["factor"] + (1 - stretched))
    return periods


def yarn_factor(parameters: Mapping[str, Any]) -> float:
    """What YaRN multiplies queries and keys by; transformers' _compute_yarn_parameters."""
    given = parameters.get("attention_factor")
    if given is not None:
        return float(given)

    def scale(weight: float) -> float:
        return 0.1 * weight * math.log(parameters["factor"]) + 1 if parameters["factor"] > 1 else 1.0

    over, under = parameters.get("mscale"), parameters.get("mscale_all_dim")
    return scale(over) / scale(under) if over and under else scale(1)


def longrope_factor(parameters: Mapping[str, Any], longest: int) -> float:
    """What longrope (Ding et al. 2024) multiplies queries and keys by; transformers' _compute_longrope_parameters."""
    given, trained = parameters.get("attention_factor"), parameters["original_max_position_embeddings"]
    if given is not None:
        return float(given)
    factor = parameters.get("factor") or longest / trained
    return math.sqrt(1 + math.log(factor) / math.log(trained)) if factor > 1 else 1.0
