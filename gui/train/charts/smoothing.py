"""An exponential moving average of figures that become more. Knows numpy, no chart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Within a block weights are taken relative to its first number: they may grow this far and stay exact.
_GROWTH = 1e100
_EXACT = 40.0  # exp(-40) is nothing beside 1


class Average:
    """The bias-corrected average over about the last `span` figures; gaps are passed over, and stay gaps.

    The same whether the figures come at once or one by one, but for rounding. With a span of 1 each figure is its own
    average.
    """

    def __init__(self, span: float) -> None:
        self._keep = 1 - 1 / max(1.0, span)
        self._mean = 0.0  # not yet corrected for its start at 0
        self._count = 0

    def extend(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The averages at some more figures, as long as `values`; NaN where a figure is not finite."""
        found = np.isfinite(values)
        result = np.full(len(values), np.nan)
        if self._keep == 0:
            result[found] = values[found]
        elif found.any():
            result[found] = self._averages(values[found])
        return result

    def _averages(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        fall = -math.log(self._keep)
        size = min(len(values), max(1, int(math.log(_GROWTH) / fall)))
        rows = -(-len(values) // size)
        scale = max(float(values.max()), -float(values.min())) or 1.0
        means = np.zeros(rows * size)
        np.divide(values, scale, out=means[: len(values)])
        fade = np.exp(-fall * np.arange(1, size + 1))
        # Each block as if nothing had been before it; what was fades into it.
        blocks = means.reshape(rows, size)
        blocks /= fade
        np.cumsum(blocks, axis=1, out=blocks)
        share, last = 1 - self._keep, float(fade[-1])
        before = np.empty((rows, 1))
        mean = self._mean / scale
        for row, total in enumerate(blocks[:, -1].tolist()):
            before[row] = mean / share
            mean = (mean + share * total) * last
        blocks += before
        blocks *= fade * (share * scale)
        means = means[: len(values)]
        self._mean = float(means[-1])
        # After so many figures the start counts less than rounding.
        early = min(len(values), max(0, int(_EXACT / fall) - self._count))
        means[:early] /= -np.expm1(-fall * np.arange(self._count + 1, self._count + early + 1))
        self._count += len(values)
        return means
