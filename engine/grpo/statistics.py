"""Shares and how far they can be trusted: confidence interval, pass@k. Knows no model and no text."""

from __future__ import annotations

import math
from collections.abc import Sequence

_NORMAL_975 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution: 95 % lie within it on both sides."""


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share, of which `right` out of `count` independent trials were seen.

    The score interval of Wilson (1927, J. Am. Stat. Assoc. 22:209), which holds for few trials and for shares near 0
    and 1 too. No trial at all says nothing: 0 to 1.

    Raises:
        ValueError: not 0 <= right <= count.
    """
    if not 0 <= right <= count:
        raise ValueError(f"{right} of {count} is no share")
    if count == 0:
        return 0.0, 1.0
    squared = _NORMAL_975**2
    share = right / count
    middle = (share + squared / (2 * count)) / (1 + squared / count)
    spread = math.sqrt(share * (1 - share) / count + squared / (4 * count**2)) / (1 + squared / count)
    half = _NORMAL_975 * spread
    # Where all or none were right the bound is exactly the share, and rounding must not say otherwise.
    low = 0.0 if right == 0 else max(0.0, middle - half)
    high = 1.0 if right == count else min(1.0, middle + half)
    return low, high


def pass_at_k(right: int, samples: int, k: int) -> float:
    """The unbiased estimate of the chance that at least one of `k` samples is right, when `right` of `samples` were.

    1 - C(samples - right, k) / C(samples, k), from Chen et al. 2021 (arXiv 2107.03374, section 2.1).

    Raises:
        ValueError: not 0 <= right <= samples and 1 <= k <= samples.
    """
    if not (0 <= right <= samples and 1 <= k <= samples):
        raise ValueError(f"pass@{k} cannot be told from {right} right of {samples}")
    return 1.0 - math.comb(samples - right, k) / math.comb(samples, k)


def pass_curve(right: Sequence[int], samples: int) -> tuple[tuple[int, float], ...]:
    """Mean pass@k over tasks, as pairs (k, share) for k = 1, 2, 4, ... and `samples` itself.

    `right` counts the right ones among the `samples` of each task; without a task all shares are 0.
    """
    sizes = [1 << power for power in range(samples.bit_length()) if 1 << power < samples] + [samples]
    return tuple((k, mean([pass_at_k(count, samples, k) for count in right])) for k in sizes)


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; 0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0
