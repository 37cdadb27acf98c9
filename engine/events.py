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
class ConversionPlanned:
    """What a checkpoint is and what a conversion would make of it; nothing was read but file headers.

    `kind` is "hugging face", "mlx", "gguf" or "nanochat"; `dtype` the stored number format ("mixed" where there are
    several, the quantisation for quantised ones); `tokenizer` its form ("" where there is none); `context` the tokens
    it attends to. `matrices` are the weights that quantisation applies to, as (role, row length, number of weights),
    the role being "sensitive", "head" or "other" as mixed recipes see it; `other_weights` counts the rest. Sizes are
    in bytes: `source_bytes` now, `result_bytes` after, `peak_memory` meanwhile, `disk_needed` of the `free_disk`,
    `scratch_bytes` of it only meanwhile, for files that MLX cannot read; `weight_bytes` are those of one weight that is
    not quantised, or no longer.
    """

    source: str
    output: str
    kind: str
    name: str
    model_type: str
    parameters: int
    dtype: str
    shards: int
    layers: int
    context: int
    tokenizer: str
    has_chat_template: bool
    source_bytes: int
    result_bytes: int
    result_bits: float
    peak_memory: int
    disk_needed: int
    free_disk: int
    checked: bool
    matrices: tuple[tuple[str, int, int], ...] = ()
    other_weights: int = 0
    largest_tensor: int = 0
    scratch_bytes: int = 0
    weight_bytes: float = 2.0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelChecked:
    """Whether the converted model computes what its source computes.

    `verdict` is "same", "different" or "not checked"; `reason` says why in the latter two. `error` is the largest
    difference of logits relative to the largest logit, `agreement` the share of positions with the same most likely
    token, `positions` how many were compared, `longest` the tokens of the longest prompt.
    """

    verdict: Literal["same", "different", "not checked"]
    reason: str = ""
    error: float = 0.0
    agreement: float = 0.0
    positions: int = 0
    longest: int = 0


@dataclass(frozen=True, slots=True)
class QualityMeasured:
    """What one setting costs, measured against the unquantised model on a text of `tokens` tokens.

    `setting` is its short name ("4-bit"), `chosen` whether it is the person's. `size` is in bytes; `bits` per weight;
    `divergence` the mean Kullback-Leibler divergence in nats per token, `agreement` the share of tokens with the same
    most likely next token, `perplexity` that of this setting, `tokens_per_second` its decoding speed (0: not timed).
    """

    setting: str
    chosen: bool
    size: int
    bits: float
    divergence: float
    agreement: float
    perplexity: float
    tokens_per_second: float
    tokens: int


@dataclass(frozen=True, slots=True)
class ModelConverted:
    """A model was written to a folder: its size in bytes, bits per weight, and the tensors that were left out."""

    name: str
    folder: str
    size: int
    bits: float
    parameters: int
    left_out: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelUploaded:
    """A model is on the Hugging Face Hub at this address; in a dry run (`sent` false) it would be."""

    repository: str
    address: str
    private: bool
    files: int
    size: int
    sent: bool


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
    | ConversionPlanned
    | ModelChecked
    | QualityMeasured
    | ModelConverted
    | ModelUploaded
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
