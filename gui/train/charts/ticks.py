"""Where the lines of an axis stand and what is written at them. Knows numbers and their units, no widget."""

from __future__ import annotations

import math
from typing import Literal

from gui.text import number, size, tr

Unit = Literal["plain", "share", "count", "rate", "memory", "speed"]
"""What a figure counts: nothing in particular, a share of 1, tokens, a learning rate, bytes, tokens a second."""
Ticks = list[tuple[float, str]]

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_TIMES = (1, 2, 5, 10, 15, 30, *(m * _MINUTE for m in (1, 2, 5, 10, 15, 30)), *(h * _HOUR for h in (1, 2, 3, 6, 12)))


def figure(value: float, unit: Unit = "plain") -> str:
    """A figure as a person reads it, with the digits that say something."""
    if not math.isfinite(value):
        return tr("none") if math.isnan(value) else "∞" if value > 0 else "−∞"
    if unit == "share":
        return tr("{share} %", share=number(100 * value, 1))
    if unit == "memory":
        return size(value)
    if unit == "speed":
        return tr("{count} tokens/s", count=number(value, 0 if abs(value) >= 100 else 1))
    if unit == "count":
        return number(value, 0 if value == round(value) or abs(value) >= 1000 else 1)
    return _significant(value)


def _significant(value: float) -> str:
    magnitude = abs(value)
    if value == 0:
        return number(0)
    if magnitude < 1e-3 or magnitude >= 1e6:
        return _scientific(value, 2)
    return number(value, max(0, 3 - max(0, math.floor(math.log10(magnitude)) + 1)) if magnitude >= 1 else 3)


def _scientific(value: float, digits: int) -> str:
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    shown = number(float(mantissa), digits)
    while digits and shown[-1] == "0":
        digits -= 1
        shown = number(float(mantissa), digits)
    return f"{shown}e{int(exponent)}"


def linear(low: float, high: float, most: int, unit: Unit = "plain", *, whole: bool = False) -> Ticks:
    """Round numbers from `low` to `high`, `most` of them at most; `whole` numbers only where it is told."""
    step = _round_step((high - low) / max(1, most))
    if whole:
        step = max(1.0, step)
    if not math.isfinite(step) or step <= 0:
        return []
    return [(value, _label(value, step, unit)) for value in _multiples(low, high, step)]


def powers(low: float, high: float, most: int, unit: Unit = "plain") -> Ticks:
    """Ticks of an axis of powers of ten: the numbers are decimal logarithms."""
    if high - low < 1:
        wanted = linear(10.0**low, 10.0**high, most, unit) if low > -300 and high < 300 else []
        return [(math.log10(value), text) for value, text in wanted if value > 0]
    step = max(1, math.ceil((high - low) / max(1, most)))
    first = math.ceil(low / step) * step
    return [(float(p), _power(p, unit)) for p in range(first, math.floor(high) + 1, step)]


def times(low: float, high: float, most: int) -> Ticks:
    """Round times in seconds."""
    rough = (high - low) / max(1, most)
    step = next((float(time) for time in _TIMES if time >= rough), 0.0)
    if not step:
        step = _DAY * max(1.0, _round_step(rough / _DAY))
    return [(value, clock(value, step)) for value in _multiples(low, high, step)]


def clock(seconds: float, step: float = 1.0) -> str:
    """A time since the start of a run, as exact as `step`."""
    whole = round(seconds)
    hours, minutes, rest = whole // _HOUR, whole % _HOUR // _MINUTE, whole % _MINUTE
    if hours and step < _MINUTE:
        return f"{hours}:{minutes:02}:{rest:02}"
    if hours or step >= _HOUR:
        return tr("{time} h", time=f"{hours}:{minutes:02}" if minutes else str(hours))
    if minutes and (rest or step < _MINUTE):
        return f"{minutes}:{rest:02}"
    return tr("{count} min", count=minutes) if minutes else tr("{count} s", count=rest)


def _multiples(low: float, high: float, step: float) -> list[float]:
    first, last = math.ceil(low / step), math.floor(high / step)
    # So many only where numbers are too large for their differences.
    return [index * step for index in range(first, last + 1)] if last - first <= 50 else []


def _round_step(rough: float) -> float:
    if not math.isfinite(rough) or rough <= 0:
        return 0.0
    unit = 10.0 ** math.floor(math.log10(rough))
    return next((part * unit for part in (1, 2, 5) if part * unit >= rough), 10 * unit)


def _label(value: float, step: float, unit: Unit) -> str:
    if not value:
        return tr("{share} %", share=number(0)) if unit == "share" else number(0)
    if unit == "share":
        return tr("{share} %", share=number(100 * value, _decimals(100 * step)))
    if unit == "memory":
        return _memory(value, step)
    if abs(value) >= 1e6 or step < 1e-4:
        return _scientific(value, 2)
    return number(value, _decimals(step))


def _memory(value: float, step: float) -> str:
    units = (("GB", 1e9), ("MB", 1e6), ("KB", 1e3))
    name, one = next((unit for unit in units if max(value, step) >= unit[1]), ("bytes", 1.0))
    return f"{number(value / one, _decimals(step / one))} {tr(name)}"


def _power(power: int, unit: Unit) -> str:
    if unit in {"share", "memory"} and -6 < power < 15:
        return _label(10.0**power, 10.0**power, unit)
    return number(10.0**power, max(0, -power)) if -4 < power < 5 else f"1e{power}"


def _decimals(step: float) -> int:
    return min(6, max(0, -math.floor(math.log10(step) + 1e-9))) if step > 0 else 0
