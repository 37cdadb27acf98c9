"""The words a job may say: small frozen dataclasses of numbers, strings and paths. Knows no job and no view.

A long operation is a generator of these events. Each is one JSON line on disk and on the command line.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from engine.chat_events import ChatEvent
from engine.conversion_events import ConversionEvent
from engine.run_events import RunEvent
from engine.training_events import (
    CheckpointSaved,
    Evaluated,
    SettingChanged,
    StepFinished,
    TrainingFailed,
    TrainingFinished,
    TrainingPlanned,
    TrainingStarted,
    TrainingStopped,
)

StopReason = Literal["end", "stop string", "length", "context full", "stopped"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job has come.

    `what` is a short phrase from a fixed set (it is translated), `detail` the varying part (a file, a module).
    `total` is None where the end is not known. `unit` is "bytes", "tokens", "modules" or "steps".
    """

    what: str
    done: float
    total: float | None = None
    unit: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A plain sentence worth showing that is neither progress nor an error."""

    text: str


@dataclass(frozen=True, slots=True)
class ModelLoaded:
    """A model is in memory and ready.

    `parameters` counts weights before quantisation, `bits` is the mean bits per weight, `memory` the bytes its
    weights take, `context` the tokens it can attend to (0: not stated), `seconds` the time loading took.
    """

    name: str
    folder: str
    model_type: str
    parameters: int
    bits: float
    memory: int
    context: int
    has_chat_template: bool
    demonstration: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelUnloaded:
    """The model's memory was given back; `freed` is in bytes."""

    name: str
    freed: int


@dataclass(frozen=True, slots=True)
class ModelFound:
    """A usable model is on this computer; `weights` is in bytes, `bits` is 0 where it is not quantised."""

    name: str
    folder: str
    model_type: str
    weights: int
    bits: int
    demonstration: bool


@dataclass(frozen=True, slots=True)
class ModelFetched:
    """A model was downloaded and is in this folder."""

    name: str
    folder: str


@dataclass(frozen=True, slots=True)
class PromptRead:
    """The prompt is being read: `done` of `total` tokens, of which `cached` were known from earlier turns."""

    done: int
    total: int
    cached: int


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the answer became readable; `text` may be empty while a character is incomplete.

    `token` is the sampled id, `logprob` its natural-log probability before any sampling filter; None for held text.
    """

    text: str
    token: int | None
    logprob: float | None


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """The answer is complete.

    `prompt_tokens` includes the `cached_tokens`; `first_token_seconds` runs from the request to the first token;
    `tokens_per_second` counts decoding only; `peak_memory` is in bytes; `seed` reproduces the answer. `window` to
    `summarised` as in `ContextFitted`. Of `drafted` tokens that a draft model guessed, `accepted` are in the answer;
    `plain_speed` is the tokens a second that were seen without guesses (0: not measured).
    """

    text: str
    stop_reason: StopReason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    first_token_seconds: float
    tokens_per_second: float
    peak_memory: int
    seed: int
    window: int = 0
    left_out: int = 0
    summarised: bool = False
    drafted: int = 0
    accepted: int = 0
    plain_speed: float = 0.0


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What the computing device's memory holds now and held at most since the last answer began, in bytes."""

    device: str
    active: int
    peak: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `doctor`: what was looked at, what was found, and what to do where it is not right."""

    subject: str
    state: Literal["ok", "hint", "wrong"]
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The job ended as asked."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job was closed before its end, at the person's wish; nothing half-made is left."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended with an error: what happened, why, what to do; `details` is for the log and the curious.

    `fault` is "input" where the person can mend it (exit status 2) and "bug" where only we can (exit status 1).
    """

    what: str
    why: str
    remedy: str
    fault: Literal["input", "bug"] = "input"
    details: str = ""


Ending = Done | Cancelled | Failed
Event = (
    Progress
    | Note
    | ModelLoaded
    | ModelUnloaded
    | ModelFound
    | ModelFetched
    | PromptRead
    | Token
    | ReplyFinished
    | ConversionEvent
    | TrainingPlanned
    | TrainingStarted
    | StepFinished
    | Evaluated
    | SettingChanged
    | CheckpointSaved
    | TrainingFinished
    | TrainingStopped
    | TrainingFailed
    | RunEvent
    | ChatEvent
    | MemoryUse
    | Finding
    | Done
    | Cancelled
    | Failed
)


def event_name(kind: type) -> str:
    """The name of an event class in JSON: `ReplyFinished` -> `reply_finished`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


_KINDS: dict[str, type[Any]] = {event_name(kind): kind for kind in Event.__args__}


def to_json(event: Event) -> str:
    """One JSON line (without the line end), its kind under the key `event`."""
    fields = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    return json.dumps({"event": event_name(type(event)), **fields}, ensure_ascii=False)


def from_json(line: str) -> Event:
    """The event of a line that `to_json` wrote.

    Keys that a newer version added are ignored, so that an older window can follow a newer run.

    Raises:
        ValueError: the line is not JSON, or names no event known here.
    """
    fields = json.loads(line)
    kind = _KINDS.get(fields.pop("event", None)) if isinstance(fields, dict) else None
    if kind is None:
        raise ValueError(f"not an event: {line[:200]}")
    known = {field.name for field in dataclasses.fields(kind)}
    event: Event = kind(**{key: _frozen(value) for key, value in fields.items() if key in known})
    return event


def _frozen(value: Any) -> Any:
    """JSON knows lists only; events hold tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
