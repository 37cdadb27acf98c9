"""What happened in a run beside its figures: settings that were changed, checkpoints, resumes. Knows no widget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.grpo.settings import TrainConfig
from gui.text import tr
from gui.train.charts.series import STEPS, TIME
from gui.train.charts.ticks import figure

if TYPE_CHECKING:
    from gui.train.record import Record


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened after a step."""

    step: int
    kind: Literal["setting", "checkpoint", "best", "resumed"]
    text: str


def marks(record: Record) -> list[Mark]:
    """All that happened, kind by kind; of the checkpoints that were the best so far, the last is the best."""
    best = max((saved.step for saved in record.checkpoints if saved.best), default=-1)
    return [
        *(
            Mark(change.step, "setting", _changed(change.name, change.before, change.after))
            for change in record.changes
        ),
        *(Mark(start.step, "resumed", tr("Resumed")) for start in record.starts if start.resumed),
        *(
            Mark(saved.step, "best", tr("Best checkpoint"))
            if saved.step == best
            else Mark(saved.step, "checkpoint", tr("Checkpoint"))
            for saved in record.checkpoints
        ),
    ]


def place(record: Record, mark: Mark, axis: str) -> float:
    """Where on the axis a mark stands; NaN where its time is not known."""
    if axis == STEPS:
        return float(mark.step)
    steps = record.column(STEPS)
    row = int(np.searchsorted(steps, mark.step, "right")) - 1
    return float(record.column(TIME)[row]) if row >= 0 else 0.0


def _changed(name: str, before: float, after: float) -> str:
    field = TrainConfig.model_fields.get(name)
    title = tr(field.title) if field is not None and field.title else name
    return tr("{setting}: {before} → {after}", setting=title, before=figure(before), after=figure(after))
