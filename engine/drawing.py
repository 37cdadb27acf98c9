"""Draws tokens by inverting the distribution function at numbers that come from a seed. Knows no model and no text.

A token is a function of the logits and of one number; the number is a function of a seed and a position. So an answer
is the same alone, as a row of a batch, and whatever else draws meanwhile.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import mlx.core as mx
    import numpy as np

_BLOCK = 256


class Uniforms:
    """The numbers in [0, 1) of a seed, by position: those of Philox (Salmon et al. 2011), as NumPy computes it."""

    def __init__(self, seed: int) -> None:
        import numpy as np

        self._generator = np.random.Generator(np.random.Philox(seed))
        self._known = np.zeros(0, np.float32)

    def at(self, position: int, count: int = 1) -> np.ndarray:
        """The numbers of `count` positions from this one on, (count,) of float32."""
        import numpy as np

        while len(self._known) < position + count:
            self._known = np.append(self._known, self._generator.random(_BLOCK, dtype=np.float32))
        return self._known[position : position + count]


class Filters:
    """Which tokens may be drawn: those that mlx_lm's filters keep (`sample_utils.py`), in its order.

    They look at probabilities at temperature 1: top-p, min-p, top-k. With top-k the others look at its candidates
    alone, the same tokens without sorting a whole vocabulary.
    """

    def __init__(self, top_k: int, top_p: float, min_p: float) -> None:
        self._top_k, self._top_p, self._min_p = top_k, top_p, min_p
        self.any = top_k > 0 or top_p < 1.0 or min_p > 0.0

    def __call__(self, logprobs: mx.array) -> tuple[mx.array | None, mx.array]:
        """The tokens that may be drawn, None for all in order, and their log-probabilities, -inf for none at all.

        Args:
            logprobs: (rows, vocabulary).
        """
        import mlx.core as mx

        from engine.exponentials import exp

        size = logprobs.shape[-1]
        if not 0 < self._top_k < size and self._top_p == 1.0:
            return None, mx.where(_reaches(logprobs, self._min_p), logprobs, -mx.inf) if self._min_p else logprobs
        count = min(self._top_k or size, size)
        found = mx.argpartition(-logprobs, kth=count - 1, axis=-1)[:, :count] if count < size else None
        some = logprobs if found is None else mx.take_along_axis(logprobs, found, axis=-1)
        order = mx.argsort(-some, axis=-1)
        candidates = order if found is None else mx.take_along_axis(found, order, axis=-1)
        some = mx.take_along_axis(some, order, axis=-1)
        if self._min_p > 0.0:
            some = mx.where(_reaches(some, self._min_p), some, -mx.inf)
        if self._top_p < 1.0:
            shares = exp(some)
            # A token stays while those likelier than it do not reach the share.
            some = mx.where(mx.cumsum(shares, axis=-1) - shares < self._top_p, some, -mx.inf)
        return candidates, some


def invert(kept: mx.array, uniform: mx.array) -> tuple[mx.array, mx.array]:
    """The place of the token drawn from each row, (rows,), and the sum of the row's exponentials, (rows,).

    Args:
        kept: (rows, candidates) logarithms of weights, at most about 0.
        uniform: (rows,) numbers in [0, 1).
    """
    import mlx.core as mx

    from engine.exponentials import exp

    cumulative = mx.cumsum(exp(kept), axis=-1)
    total = cumulative[:, -1]
    # The first token whose cumulative weight is above the number: never one of weight 0.
    chosen = (cumulative <= (uniform * total)[:, None]).sum(axis=-1)
    return mx.minimum(chosen, kept.shape[-1] - 1), total


def at(values: mx.array, places: mx.array) -> mx.array:
    """One entry of each row: (rows,) of (rows, any) at (rows,)."""
    import mlx.core as mx

    return mx.take_along_axis(values, places[:, None], axis=-1)[:, 0]


def _reaches(logprobs: mx.array, share: float) -> Any:
    """Which tokens have at least this share of the likeliest one's probability."""
    return logprobs >= logprobs.max(axis=-1, keepdims=True) + math.log(share)
