"""Curves as small drawings that stand in a page by themselves (SVG). Knows figures, and no run.

Colours come from the page, by the classes of the elements.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

POINTS = 1500
"""How many points a line has at most."""
_WIDTH, _HEIGHT = 480, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 10, 8, 24
_BAND_POINTS = 300
_SMOOTHED = 50  # with fewer steps there is nothing to be calm about
_DRAWN_POINTS = 60  # more are a line


@dataclass(frozen=True, slots=True)
class Curve:
    """One drawing: `y` over `x`, NaN where there is none, both of the same length.

    `low` and `high` bound what lies around it, `sharp` says that they are those of each point and not to be smoothed.
    `percent` writes shares in per cent. `marks` are places on the x axis where something was changed.
    """

    title: str
    about: str
    x: Numbers
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None
    percent: bool = False
    sharp: bool = False
    marks: tuple[float, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not bool(np.isfinite(self.y).any())


def figure(curve: Curve) -> str:
    """The drawing with its title, as an element `figure`."""
    window = window_of(curve)
    found = curve.y[np.isfinite(curve.y)]
    described = f"From {text(float(found[0]), curve.percent)} to {text(float(found[-1]), curve.percent)}."
    return (
        f"<figure><figcaption><b>{escape(curve.title)}</b> <span>{escape(curve.about)}</span></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(curve.title)}</title><desc>{escape(described)}</desc>{_drawing(curve, window)}</svg></figure>"
    )


def text(value: float, percent: bool = False) -> str:
    """A figure as it is read: 43.0 %, 0.0213, 3e-07."""
    if percent:
        return f"{100 * value:.1f}\N{NO-BREAK SPACE}%"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def thinned(x: Numbers, y: Numbers, points: int) -> tuple[Numbers, Numbers]:
    """The line with at most this many points: the lowest and the highest of each stretch stay, in their order."""
    if len(x) <= points:
        return x, y
    kept: list[int] = []
    edges = np.linspace(0, len(x), points // 2 + 1).astype(int)
    for start, end in itertools.pairwise(edges):
        stretch = y[start:end]
        if np.isfinite(stretch).any():
            ends = {int(np.nanargmin(stretch)), int(np.nanargmax(stretch))}
            kept += sorted(int(start) + place for place in ends)
        else:
            kept.append(int(start))
    return x[kept], y[kept]


def smoothed(y: Numbers, window: int) -> Numbers:
    """The mean of the `window` numbers around each, of those that there are; NaN where there are none."""
    sound = np.isfinite(y)
    sums = np.concatenate(([0.0], np.cumsum(np.where(sound, y, 0.0))))
    counts = np.concatenate(([0], np.cumsum(sound)))
    places = np.arange(len(y))
    start, end = np.maximum(0, places - window // 2), np.minimum(len(y), places + (window + 1) // 2)
    count = counts[end] - counts[start]
    return np.where(count > 0, (sums[end] - sums[start]) / np.maximum(count, 1), np.nan)


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` round numbers from low to high."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((power * part for part in (1, 2, 2.5, 5, 10) if power * part >= rough), 10 * power)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return [round(step * (first + place), 12) for place in range(count)]


def window_of(curve: Curve) -> int:
    """How many points around each the bold line is the mean of; 1 where it is the line itself."""
    return max(5, len(curve.x) // _SMOOTHED) if not curve.sharp and len(curve.x) > _SMOOTHED else 1


def _drawing(curve: Curve, window: int) -> str:
    x, y = curve.x, np.where(np.isfinite(curve.y), curve.y, np.nan)
    line_x, line_y = thinned(x, y, POINTS)
    parts: list[str] = []
    band = _band(curve, window)
    frame = _Frame.around(x, [line_y, *(band[1:] if band else ())], curve.percent)
    parts.append(frame.axes())
    parts += [f'<path class="mark" d="M{frame.across(mark):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>' for mark in curve.marks]
    if band:
        across, low, high = band
        there = list(zip(across, high, strict=True)) + list(zip(across[::-1], low[::-1], strict=True))
        parts.append(f'<path class="band" d="{frame.path(there)}Z"/>')
    line = frame.path(list(zip(line_x, line_y, strict=True)))
    if window > 1:
        calm_x, calm_y = thinned(x, smoothed(y, window), _BAND_POINTS)
        calm = frame.path(list(zip(calm_x, calm_y, strict=True)))
        dense = " dense" if len(x) > POINTS else ""
        parts.append(f'<path class="thin{dense}" d="{line}"/><path class="halo" d="{calm}"/>')
        parts.append(f'<path class="bold" d="{calm}"/>')
    else:
        parts.append(f'<path class="bold" d="{line}"/>')
    if len(line_x) <= _DRAWN_POINTS and window == 1:
        parts += [
            f'<circle class="dot" cx="{frame.across(a):.1f}" cy="{frame.down(b):.1f}" r="2.5"/>'
            for a, b in zip(line_x, line_y, strict=True)
            if math.isfinite(b)
        ]
    return "".join(parts)


def _band(curve: Curve, window: int) -> tuple[Numbers, Numbers, Numbers] | None:
    """Where the band is drawn, its lower and its upper bound."""
    if curve.low is None or curve.high is None:
        return None
    bounds = [smoothed(bound, window) if window > 1 else bound for bound in (curve.low, curve.high)]
    sound = np.isfinite(bounds[0]) & np.isfinite(bounds[1])
    if not sound.any():
        return None
    x, low, high = curve.x[sound], bounds[0][sound], bounds[1][sound]
    few = np.unique(np.linspace(0, len(x) - 1, min(len(x), _BAND_POINTS)).astype(int))
    return x[few], low[few], high[few]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a figure's axes begin and end."""

    left: float
    right: float
    low: float
    high: float
    percent: bool

    @classmethod
    def around(cls, x: Numbers, lines: Sequence[Numbers], percent: bool) -> _Frame:
        together = np.concatenate(lines)
        together = together[np.isfinite(together)]
        low, high = float(together.min()), float(together.max())
        room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
        # What cannot be below nothing, or above everything, is not drawn as if it could.
        low = max(low - room, 0.0) if low >= 0.0 else low - room
        high = min(high + room, 1.0) if percent and high <= 1.0 else high + room
        left, right = float(x[0]), float(x[-1])
        return cls(left, right if right > left else left + 1.0, low, high if high > low else low + 1.0, percent)

    def across(self, x: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (x - self.left) / (self.right - self.left)

    def down(self, y: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (self.high - y) / (self.high - self.low)

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        """The line through these points, with a gap where there is no number."""
        said, broken = [], True
        for x, y in points:
            if math.isfinite(y):
                said.append(f"{'M' if broken else 'L'}{self.across(x):.1f} {self.down(y):.1f}")
            broken = not math.isfinite(y)
        return "".join(said)

    def axes(self) -> str:
        """Lines at round numbers, with the numbers."""
        parts = []
        for value in ticks(self.low, self.high, 5):
            down = self.down(value)
            shown = f"{100 * value:g}\N{NO-BREAK SPACE}%" if self.percent else f"{value:,g}"
            parts.append(f'<path class="grid" d="M{_LEFT} {down:.1f}H{_WIDTH - _RIGHT}"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{down + 3.5:.1f}" text-anchor="end">{shown}</text>')
        for value in ticks(self.left, self.right, 6):
            if value == int(value):
                place, end = self.across(value), _WIDTH - _RIGHT
                anchor = "end" if place > end - 14 else "middle"
                parts.append(
                    f'<text x="{min(place, end):.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">{int(value):,}</text>'
                )
        return "".join(parts)
