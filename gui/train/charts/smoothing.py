"""An exponential moving average of figures that become more. Knows numpy, no chart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Within a block weights are taken relative to its first number: they may grow this far and stay exact.
_GROWTH = 1e100


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
        size = min(len(values), max(1, int(math.log(_GROWTH) / -math.log(self._keep))))
        rows = -(-len(values) // size)
        scale = float(np.abs(values).max()) or 1.0
        padded = np.zeros(rows * size)
        padded[: len(values)] = values / scale
        fade = self._keep ** np.arange(1, size + 1)
        blocks = padded.reshape(rows, size)
        # Each block as if nothing had been before it; what was fades into it below.
        blocks = np.cumsum(blocks / fade, axis=1) * (fade * (1 - self._keep))
        before = np.empty((rows, 1))
        mean = self._mean / scale
        for row, last in enumerate(blocks[:, -1].tolist()):
            before[row] = mean
            mean = mean * float(fade[-1]) + last
        means = (blocks + before * fade).ravel()[: len(values)]
        counts = np.arange(self._count + 1, self._count + len(values) + 1)
        self._mean = float(means[-1]) * scale
        self._count += len(values)
        averages: NDArray[np.float64] = means / -np.expm1(counts * math.log(self._keep)) * scale
        return averages
