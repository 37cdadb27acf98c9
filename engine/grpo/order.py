"""The order in which a run takes its rows: endless shuffled epochs. Knows numbers alone.

Nothing is kept between calls: the row at any place is computed from the seed by itself, so that a resumed run goes on
where it was, whatever the versions of Python and its libraries.
"""

from __future__ import annotations

import hashlib
from typing import Final

_ROUNDS: Final = 8
# Small tables have few permutations that such a network can make, so that small data sets use a larger one's.
_SMALLEST_HALF: Final = 4


def row_at(seed: int, rows: int, cursor: int) -> int:
    """The row at place `cursor` of an endless sequence in which every epoch holds each of `rows` rows once.

    A balanced Feistel network over the numbers below a power of four, keyed by SHA-256 of the seed and the epoch, is
    followed until it leads back below `rows` ("cycle walking": Black and Rogaway, Ciphers with Arbitrary Finite
    Domains, 2002); so it takes the same short time at every place and no memory.

    Args:
        seed: any integer; another one gives other orders.
        rows: how many there are, at least 1.
        cursor: the place, counted from 0 over all epochs.

    Raises:
        ValueError: there are no rows, or the cursor is negative.
    """
    if rows < 1 or cursor < 0:
        raise ValueError(f"no row at place {cursor} of {rows} rows")
    epoch, place = divmod(cursor, rows)
    half = max(_SMALLEST_HALF, ((rows - 1).bit_length() + 1) // 2)
    while True:
        place = _permuted(place, half, f"{seed} {epoch}")
        if place < rows:
            return place


def _permuted(place: int, half: int, key: str) -> int:
    """Where the network sends a number of 2 * `half` bits."""
    mask = (1 << half) - 1
    left, right = place >> half, place & mask
    for turn in range(_ROUNDS):
        digest = hashlib.sha256(f"{key} {turn} {right}".encode()).digest()
        left, right = right, left ^ (int.from_bytes(digest[:8], "big") & mask)
    return left << half | right
