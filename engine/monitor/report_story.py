"""What there is to tell of a run: everything its folder says, gathered, and the sentence that sums it up.

Knows files and figures, and no page.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from engine.errors import UserError
from engine.events import Event, Progress
from engine.grpo import config_file
from engine.grpo.settings import TrainConfig
from engine.monitor import record
from engine.monitor.runs import NOTES
from engine.run_events import FiguresRead, RecordRead
from engine.training_events import (
    CheckpointSaved,
    Evaluated,
    SettingChanged,
    TrainingFailed,
    TrainingFinished,
    TrainingStarted,
    TrainingStopped,
)

_FEW = 10  # steps whose mean reward stands for the beginning and for the end
_STATUS = {
    "finished": "Finished",
    "target reached": "Finished: the accuracy to reach was reached",
    "no progress": "Ended early: the accuracy did not rise any more",
    "reward fell": "Ended early: the reward fell far below its best",
}


@dataclass(slots=True)
class Story:
    """All that is known of a run.

    `columns` are as in `FiguresRead`, NaN where there is none; `config` is None where the settings cannot be read, and
    `problem` says why. `written` is when the settings, and `changed` when the record was last written, in seconds since
    1970. `lost` counts lines of the record that were not understood.
    """

    folder: Path
    columns: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    evaluations: list[Evaluated] = field(default_factory=list)
    changes: list[SettingChanged] = field(default_factory=list)
    checkpoints: list[CheckpointSaved] = field(default_factory=list)
    start: TrainingStarted | None = None
    ending: TrainingFinished | TrainingStopped | TrainingFailed | None = None
    live: bool = False
    lost: int = 0
    config: TrainConfig | None = None
    problem: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    written: float = 0.0
    changed: float = 0.0

    @property
    def name(self) -> str:
        """What the run is called."""
        return self.folder.absolute().name

    def column(self, name: str) -> NDArray[np.float64]:
        """The numbers of this name, as many as there are recorded steps."""
        return self.columns.get(name, np.full(len(self.columns.get("step", ())), np.nan))

    @property
    def step(self) -> int:
        """The last step that is known of."""
        recorded = self.column("step")
        said = self.ending.step if isinstance(self.ending, TrainingFinished | TrainingStopped) else 0
        return max(int(recorded[-1]) if len(recorded) else 0, said)

    @property
    def steps(self) -> int:
        """How many steps the run has in all, 0 where that is not known."""
        return self.start.steps if self.start else 0

    @property
    def seconds(self) -> float:
        """How long it trained, less evaluations and pauses."""
        elapsed = self.column("elapsed")
        return float(np.nanmax(elapsed)) if np.isfinite(elapsed).any() else 0.0

    @property
    def whole(self) -> list[Evaluated]:
        """The evaluations on all held-out rows."""
        return [one for one in self.evaluations if one.when != "quick"]

    @property
    def rewards(self) -> list[str]:
        """The names of the rewards."""
        names = [name.removeprefix("rewards/") for name in self.columns if name.startswith("rewards/")]
        return [name for name in names if not name.endswith("/spread")]

    def status(self) -> str:
        """How the run stands, in words."""
        match self.ending:
            case _ if self.live:
                return "Training"
            case TrainingFinished():
                return _STATUS.get(self.ending.reason, self.ending.reason)
            case TrainingStopped():
                return "Stopped and saved"
            case TrainingFailed():
                return f"Failed: {self.ending.what}"
            case _:
                return "Interrupted: its process ended without a word"

    def summary(self) -> str:
        """What came of the run, in a sentence or two."""
        done = f"in {_counted(self.step, 'step')}, {duration(self.seconds)}"
        whole = self.whole
        if len(whole) > 1:
            first, last = whole[0], whole[-1]
            interval = f"95 % interval {share(last.low)} to {share(last.high)}"
            said = f"Held-out accuracy {_moved(first.accuracy, last.accuracy, share)} ({interval}) {done}."
            if first.accuracy != last.accuracy and first.low <= last.high and last.low <= first.high:
                said += " The two intervals overlap, so this may be chance."
            return said
        reward = self.column("reward")
        reward = reward[np.isfinite(reward)]
        if len(reward) > 1:
            few = min(_FEW, len(reward) // 2)
            before, after = float(reward[:few].mean()), float(reward[-few:].mean())
            count = f"mean of {_counted(few, 'step')}" if few > 1 else "one step"
            return f"The mean reward {_moved(before, after, lambda value: f'{value:.3f}')} ({count} each) {done}."
        if whole:
            return f"Held-out accuracy is {share(whole[0].accuracy)} before training; no step tells of more yet."
        return "Nothing was recorded yet from which one could tell what the run learns."


def gathered(folder: Path) -> Generator[Event, None, Story]:
    """Read everything about the run in a folder but its completions; says how far it is in steps.

    Raises:
        UserError: there is no such folder, it holds no record, or the record cannot be read.
    """
    story, blocks = Story(folder), []
    read = 0
    for event in record.read(folder):
        match event:
            case FiguresRead():
                blocks.append(event)
                read += len(event.columns[0][1])
                yield Progress("Reading the run", read, story.steps or None, "steps")
            case RecordRead():
                if event.missing:
                    raise _empty(folder)
                story.live = event.live
                story.lost += event.unknown + (1 if event.torn and not event.live else 0)
            case _:
                _take(story, event)
    story.columns = _joined(blocks)
    _read_settings(story)
    _read_notes(story)
    return story


def share(value: float) -> str:
    """A share in per cent, in one piece."""
    return f"{100 * value:.1f}\N{NO-BREAK SPACE}%"


def duration(seconds: float) -> str:
    """A time, no more exact than is useful."""
    whole = round(max(0.0, seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    said = f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return said.replace(" ", "\N{NO-BREAK SPACE}")


def _take(story: Story, event: Event) -> None:
    try:
        event = TypeAdapter(type(event)).validate_python(dataclasses.asdict(event))
    except ValidationError:
        # Whoever wrote it, it cannot be shown.
        story.lost += 1
        return
    match event:
        case Evaluated():
            story.evaluations.append(event)
        case SettingChanged():
            story.changes.append(event)
        case CheckpointSaved():
            story.checkpoints.append(event)
        case TrainingStarted():
            story.start, story.ending = event, None
        case TrainingFinished() | TrainingStopped() | TrainingFailed():
            story.ending = event


def _joined(blocks: list[FiguresRead]) -> dict[str, NDArray[np.float64]]:
    """One column for each name, in the order in which the names came; a block that has no such name has no number."""
    names = dict.fromkeys(name for block in blocks for name, _ in block.columns)
    parts: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for block in blocks:
        columns = dict(block.columns)
        nothing = np.full(len(block.columns[0][1]), np.nan)
        for name, part in parts.items():
            part.append(np.array(columns[name], np.float64) if name in columns else nothing)
    joined = {name: np.concatenate(part) for name, part in parts.items()}
    return {name: np.where(np.isfinite(column), column, np.nan) for name, column in joined.items()}


def _read_settings(story: Story) -> None:
    file = story.folder / config_file.RUN
    try:
        story.config = config_file.of_run(story.folder)
    except UserError as error:
        story.problem = f"{error.what} {error.why}"
    story.written = _changed(file)
    story.changed = _changed(story.folder / record.FILE)


def _changed(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _read_notes(story: Story) -> None:
    try:
        kept: Any = json.loads((story.folder / NOTES).read_text("utf-8"))
        notes, tags = kept["notes"], kept["tags"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        story.notes = "(The notes of this run cannot be read.)"
        return
    story.notes = notes if isinstance(notes, str) else ""
    story.tags = tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()


def _moved(before: float, after: float, words: Any) -> str:
    first, second = words(before), words(after)
    if first == second:
        return f"stayed at {first}"
    return f"{'rose' if after > before else 'fell'} from {first} to {second}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _empty(folder: Path) -> UserError:
    return UserError(
        "There is nothing to report of the run {name}.",
        "Its folder holds no record: no step was done yet, or the record was deleted.",
        "Write the report once the run has begun.",
        name=folder.name,
    )
