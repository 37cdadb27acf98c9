"""What is said of runs on disk, and of runs to come: small frozen dataclasses, part of the words of `engine.events`.

Knows no job and no view. Sizes are in bytes, times in seconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RunStatus = Literal[
    "training",
    "paused",
    "finished",
    "target reached",
    "no progress",
    "reward fell",
    "stopped",
    "failed",
    "interrupted",
    "unreadable",
]
"""How a run stands: it trains in some process, or is held by it, which only that process knows; it ended, and why; it
was stopped and saved; an error ended it; its process died; its record cannot be read."""


@dataclass(frozen=True, slots=True)
class RunFound:
    """A run's folder was looked at, its first and last lines only.

    `step` of `steps` are done (0 of 0 where nothing was recorded). `reward` is the last mean reward,
    `accuracy_before` the held-out accuracy of before the training and `accuracy` the latest one since, each None where
    there is none.
    `began` and `changed` are when the run's settings and its record were written. `problem` says what cannot be read,
    a sentence a line, "" where all can. `checkpoints` are the steps of those on the disk.
    """

    folder: str
    name: str
    model: str
    status: RunStatus
    step: int
    steps: int
    reward: float | None
    accuracy_before: float | None
    accuracy: float | None
    began: float
    changed: float
    checkpoints: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()
    notes: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CheckpointFound:
    """Something that was trained lies in `folder`: a checkpoint of a step, or what a run left at its end.

    `kind` is "checkpoint", "model" (what was trained, at the end) or "fused" (a whole model, at the end). `adapters`:
    they need the model `model` that they were trained on; else the weights are whole. `size` is in bytes, `saved` when
    it was written. `ready`: the folder is a model of its own, which can be loaded as it is.
    """

    folder: str
    kind: Literal["checkpoint", "model", "fused"]
    step: int
    size: int
    saved: float
    adapters: bool
    ready: bool
    model: str


@dataclass(frozen=True, slots=True)
class FiguresRead:
    """Some steps of a run's record, in its order: a name and a value for each step, None where there is none.

    The names are the number fields of `StepFinished`; "rewards/NAME" is the mean of a reward and "rewards/NAME/spread"
    its standard deviation. All columns have the same length.
    """

    columns: tuple[tuple[str, tuple[float | None, ...]], ...]


@dataclass(frozen=True, slots=True)
class RecordReplaced:
    """The record is not what it was when it was last read: what was read of it is void, and it comes from its start."""


@dataclass(frozen=True, slots=True)
class RecordRead:
    """The record was read up to its byte `place`; `mark` proves next time that it is still the same record.

    `torn` is how many bytes of a half-written last line there are, `unknown` how many lines of this reading were not
    understood. `live` is whether some process trains in the folder. `missing`: there is no record yet.
    """

    place: int
    mark: str
    torn: int
    unknown: int
    live: bool
    missing: bool = False


@dataclass(frozen=True, slots=True)
class SampleRead:
    """One completion of one step; `group` numbers the step's prompts in their order, `completion` those of a prompt.

    `rewards` are (name, score) unweighted, None where a reward had no opinion; `reward` is their weighted sum.
    `left_out`: its group was replaced, and nothing was learned from it. `prefill` was put before the text, which does
    not hold it. `found` is what stands in the answer's tags, None where there are none; `right` is whether it equals
    the right answer, None where that is not known.
    """

    step: int
    group: int
    row: int
    completion: int
    prompt: str
    answer: str
    text: str
    rewards: tuple[tuple[str, float | None], ...]
    reward: float
    advantage: float
    tokens: int
    stop_reason: str
    left_out: bool = False
    prefill: str = ""
    found: str | None = None
    right: bool | None = None


@dataclass(frozen=True, slots=True)
class SamplesRead:
    """The completions of `step` were read; the run keeps those of the steps from `first` to `last`, 0 for none.

    `step` is 0 where the last one was asked for and there is none. `torn` is how many bytes of a half-written last
    line there are, `unknown` how many lines of the step were not understood. `missing`: there is no file of them.
    `kept` is False where the run's settings say that none are kept.
    """

    step: int
    first: int
    last: int
    torn: int = 0
    unknown: int = 0
    missing: bool = False
    kept: bool = True


@dataclass(frozen=True, slots=True)
class TextsCompared:
    """Two texts in parts (kind, text): "same" in both, "other", or "rest", which was too long to be compared."""

    left: tuple[tuple[str, str], ...]
    right: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SampleFound:
    """A completion that holds a text that was searched for; `excerpt` is its surroundings, `start` where it begins.

    `completion` is -1 where the prompt of the group holds it.
    """

    step: int
    group: int
    completion: int
    excerpt: str
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class ConfigRead:
    """The settings of a run or of a file, as the text of a TOML file that states all of them."""

    name: str
    toml: str


@dataclass(frozen=True, slots=True)
class PromptRendered:
    """A row of data as the model would read it: `rendered` is the whole prompt with its template and prefill.

    `marks` are the stretches of it, (start, length) in characters, that are special tokens and no text. `too_long`:
    the run leaves the row out.
    """

    row: int
    question: str
    answer: str
    rendered: str
    tokens: int
    too_long: bool
    held_out: bool = False
    marks: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class CompletionScored:
    """A completion and what the rewards say of it: (name, score), None where one had no opinion; `total` is weighted.

    `live`: the model wrote it just now.
    """

    row: int
    question: str
    answer: str
    completion: str
    tokens: int
    scores: tuple[tuple[str, float | None], ...]
    total: float
    live: bool


@dataclass(frozen=True, slots=True)
class RewardFault:
    """A reward could not be loaded or failed; `line` of its file is at fault, counted from 1, 0 where unknown."""

    reward: str
    line: int
    what: str
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class RunMoved:
    """A folder of runs has another place now: put aside to be deleted, or brought back; "" where it is not there."""

    folder: str
    now: str


@dataclass(frozen=True, slots=True)
class ReportWritten:
    """The report of a run is in this file."""

    path: str


RunEvent = (
    RunFound
    | CheckpointFound
    | FiguresRead
    | RecordReplaced
    | RecordRead
    | SampleRead
    | SamplesRead
    | TextsCompared
    | SampleFound
    | ConfigRead
    | PromptRendered
    | CompletionScored
    | RewardFault
    | RunMoved
    | ReportWritten
)
