"""How far a conversion is as a whole: its stages, and one bar over all of them. Knows progress events, no widget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.conversion_events import ConversionPlanned
from engine.events import Progress
from engine.jobs import Convert
from gui.convert.pace import Pace

Stage = Literal["ready", "read", "check", "measure", "write"]
TITLES: dict[Stage, str] = {
    "ready": "Get ready",
    "read": "Read the source",
    "check": "Compare with the source",
    "measure": "Measure quality",
    "write": "Write the new model",
}
# By the first word of what a job says it does.
_BY_WORD: dict[str, Stage] = {
    "Looking": "ready",
    "Starting": "ready",
    "Reading": "read",
    "Checking": "check",
    "Computing": "check",
    "Comparing": "check",
    "Measuring": "measure",
    "Writing": "write",
}
# The tokenizer is written before the weights are even read.
_EARLY = {"Writing the tokenizer"}
_ORDER: tuple[Stage, ...] = ("ready", "read", "check", "measure", "write")


@dataclass
class _Leg:
    stage: Stage
    weight: float
    share: float = 0.0


class Journey:
    """The stages of one conversion and the share of all its work that is done.

    A stage weighs as many bytes as it has to go through, so that the bar moves as evenly as can be known beforehand.
    """

    def __init__(self, plan: ConversionPlanned, request: Convert) -> None:
        whole = max(1, plan.source_bytes)
        weights: dict[Stage, float] = {"ready": 0.05 * whole, "write": max(1, plan.result_bytes)}
        if plan.checked and request.settings.check != "never":
            weights["check"] = whole
        if request.report:
            weights["measure"] = 2 * whole
        self._reading = float(whole)
        self._legs = [_Leg(stage, weights[stage]) for stage in _ORDER if stage in weights]
        self._current = 0
        self._share = 0.0
        self._whole, self._bytes = Pace(), Pace()
        self._last: Progress | None = None

    def feed(self, event: Progress, now: float) -> None:
        """Take in an event that came at this time, in seconds."""
        stage = self.stage if event.what in _EARLY else _BY_WORD.get(event.what.partition(" ")[0], self.stage)
        if stage not in self.stages:
            self._insert(stage)
        place = self.stages.index(stage)
        self._current = max(self._current, place)
        leg = self._legs[self._current]
        if place == self._current and event.total and (event.unit == "bytes" or stage != "write"):
            leg.share = max(leg.share, min(1.0, event.done / event.total))
        for earlier in self._legs[: self._current]:
            earlier.share = 1.0
        done = sum(leg.weight * leg.share for leg in self._legs)
        self._share = max(self._share, done / self._total)
        self._whole.feed(self._share, now)
        if self._last is None or self._last.what != event.what:
            self._bytes = Pace()
        if event.unit == "bytes":
            self._bytes.feed(event.done, now)
        self._last = event

    @property
    def stages(self) -> list[Stage]:
        """The stages in their order."""
        return [leg.stage for leg in self._legs]

    @property
    def stage(self) -> Stage:
        """The one under way."""
        return self._legs[self._current].stage

    @property
    def share(self) -> float:
        """How much of all is done, from 0 to 1; it never falls."""
        return self._share

    @property
    def speed(self) -> float:
        """Bytes a second of what goes on; 0 where that is not known."""
        return self._bytes.speed

    @property
    def left(self) -> float | None:
        """Seconds to the end; None while it is too early to say, and where steps tell nothing of time."""
        return self._whole.left(1.0) if self._last is not None and self._last.unit == "bytes" else None

    @property
    def _total(self) -> float:
        return sum(leg.weight for leg in self._legs)

    def _insert(self, stage: Stage) -> None:
        place = sum(_ORDER.index(leg.stage) < _ORDER.index(stage) for leg in self._legs)
        self._legs.insert(place, _Leg(stage, self._reading))
        if place <= self._current and place < len(self._legs) - 1:
            self._current += 1
