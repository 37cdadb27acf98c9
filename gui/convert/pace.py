"""How fast a job goes and how long it still takes, smoothed. Knows numbers and a clock, no job."""

from __future__ import annotations

import math

_HALF_LIFE = 4.0  # seconds after which an older speed counts half
_FIRST = 1.0  # seconds before a speed is worth saying


class Pace:
    """The speed of a count that grows towards a total, in its unit a second."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._time = self._done = 0.0
        self._speed = 0.0

    def feed(self, done: float, now: float) -> None:
        """The count at a time in seconds; a count that fell begins anew."""
        if self._began is None or done < self._done:
            self._began, self._speed = now, 0.0
        elif now > self._time:
            latest = (done - self._done) / (now - self._time)
            age = now - self._began
            # Early on the mean of all is better than the mean of the newest.
            weight = max(1 - math.exp2(-(now - self._time) / _HALF_LIFE), (now - self._time) / max(age, 1e-9))
            self._speed += weight * (latest - self._speed)
        else:
            return
        self._time, self._done = now, done

    @property
    def speed(self) -> float:
        """Units a second; 0 while it is too early to say."""
        return self._speed if self._began is not None and self._time - self._began >= _FIRST else 0.0

    def left(self, total: float) -> float | None:
        """The seconds up to `total`; None while it is too early to say."""
        return max(0.0, total - self._done) / self.speed if self.speed > 0 else None
