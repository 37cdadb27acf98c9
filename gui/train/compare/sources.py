"""What can be compared of a run: the model it began with, its checkpoints, its result and the policy of now.

Knows a run's record and its folder, and no widget.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from engine.grpo.settings import TrainConfig
from engine.training_events import TrainingFinished
from gui.text import number, tr
from gui.train.record import Record

_LOCK = ".lock"  # holds the number of the process that trains
_STATE = "state.json"  # a checkpoint without it was never finished, or is being deleted


@dataclass(frozen=True, slots=True)
class Source:
    """Something that answers: the `model` to open and what it is called."""

    model: str
    title: str


def sources(record: Record, settings: TrainConfig) -> list[Source]:
    """All that can answer now, the model that the run began with first, then in the order of training."""
    found = [Source(settings.model_name, tr("Before training"))]
    best = max((one.step for one in record.checkpoints if one.best), default=None)
    names = {one.step: Path(one.folder).name for one in record.checkpoints}
    for step, name in sorted(names.items()):
        # Where the run is now, and not where it was when it was recorded.
        folder = Path(record.folder) / "checkpoints" / name
        if (folder / _STATE).is_file():
            title = tr("Step {step}, the best", step=number(step)) if step == best else ""
            found.append(Source(str(folder), title or tr("Step {step}", step=number(step))))
    result = Path(record.folder) / "model"
    if isinstance(record.ending, TrainingFinished) and result.is_dir():
        found.append(Source(str(result), tr("After training")))
    if record.live and _trains_here(Path(record.folder)):
        found.append(Source(f"run:{record.folder}", tr("Now, as it trains")))
    return found


def favourite(found: list[Source]) -> Source:
    """What a person wants to see beside the model of before: how it is now, else the result, else the newest."""
    return found[-1]


def _trains_here(folder: Path) -> bool:
    """Whether the policy of the run is in this process, where it can be asked."""
    try:
        return (folder / _LOCK).read_text("utf-8").strip() == str(os.getpid())
    except (OSError, ValueError):
        return False
