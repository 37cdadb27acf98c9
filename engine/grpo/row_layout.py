"""Which prompt each row of a batch continues and where its own tokens begin. Knows no keys and no values."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx
import numpy as np


@dataclass(slots=True)
class RowLayout:
    """Rows in any number a prompt, which joined at different times.

    Attributes:
        lengths: tokens of each prompt, (prompts,).
        padded: whether there is padding after a prompt: where they differ in length, or are empty.
        size: the most rows of a prompt.
        prompts: the prompt of each row, (rows,).
        before: tokens before each row's own ones less the buffer's positions before them, (rows,).
        starts: the buffer position where each row's own tokens begin, (rows,); None where that is 0 for all.
        spread: the row at each place of a table (prompts x size), some other row where there is none.
        places: each row's place in that table. Both are None where rows lie like the table.
    """

    lengths: mx.array
    padded: bool
    size: int
    prompts: mx.array
    before: mx.array
    starts: mx.array | None
    spread: mx.array | None
    places: mx.array | None
    _own: tuple[int, mx.array] | None = None

    @classmethod
    def of(cls, prompts: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> RowLayout:
        """The layout of rows whose prompts have these numbers, (rows,), and tokens, (prompts,)."""
        counts = np.bincount(prompts, minlength=len(lengths))
        size = max(1, int(counts.max()))
        order = np.argsort(prompts, kind="stable")
        rank = np.empty(len(prompts), int)
        rank[order] = np.arange(len(prompts)) - np.repeat(np.cumsum(counts) - counts, counts)
        places = prompts * size + rank
        spread = np.zeros(len(lengths) * size, int)
        spread[places] = np.arange(len(prompts))
        even = np.array_equal(places, np.arange(len(lengths) * size))
        return cls(
            lengths=_indexes(lengths),
            padded=bool(lengths.min() < max(1, lengths.max())),
            size=size,
            prompts=_indexes(prompts),
            before=_indexes(lengths[prompts] - starts),
            starts=_indexes(starts) if starts.any() else None,
            spread=None if even else _indexes(spread),
            places=None if even else _indexes(places),
        )

    def own_mask(self, count: int) -> mx.array | None:
        """Which of `count` buffer positions are each row's own, (rows, 1, 1, count); None where all are."""
        if self.starts is None:
            return None
        # One for all layers.
        if self._own is None or self._own[0] != count:
            self._own = count, (mx.arange(count) >= self.starts[:, None])[:, None, None]
        return self._own[1]


def _indexes(numbers: np.ndarray) -> mx.array:
    return mx.array(numbers.astype(np.int32))
