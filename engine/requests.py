"""What can be asked of the engine: frozen dataclasses, one a job. Knows no room that does it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from engine.chat.requests import ChatOptions, ChatRequest
from engine.config import Sampling
from engine.convert.settings import ConversionSettings
from engine.grpo.settings import TrainConfig
from engine.monitor.requests import MonitorRequest

# Lower numbers go first on the compute lane.
MEASURE, CHAT, EVALUATION, CONVERSION, TRAINING = range(5)


@dataclass(frozen=True, slots=True)
class LoadModel:
    """Have this model in memory; another one that was there goes first.

    `model` "run:FOLDER" is the policy of a run that trains on the same lane, as it is now, on the run's own weights:
    nothing is loaded for it, what was loaded before stays, and the other fields do not apply.
    `fetch` downloads a Hugging Face id that is not on this computer; the window does that on its network lane instead.
    """

    model: str
    precision: str = "auto"
    memory_limit: int = 0
    adapter: str = ""
    trust_remote_code: bool = False
    fetch: bool = False
    priority: int = CHAT


@dataclass(frozen=True, slots=True)
class UnloadModel:
    """Give the model's memory back."""

    priority: int = CHAT


@dataclass(frozen=True, slots=True)
class Generate:
    """Answer one prompt without storing it; `raw` continues the bare text, without the chat template."""

    load: LoadModel
    prompt: str
    system: str = ""
    raw: bool = False
    sampling: Sampling = field(default_factory=Sampling)
    options: ChatOptions = field(default_factory=ChatOptions)
    priority: int = CHAT


@dataclass(frozen=True, slots=True)
class Reply:
    """Write the text of a stored assistant message: the answer to the messages before it.

    `prefix` are token ids that it begins with and goes on from, as where another token was chosen in an answer.
    """

    load: LoadModel
    database: Path
    message: int
    sampling: Sampling = field(default_factory=Sampling)
    prefix: tuple[int, ...] = ()
    options: ChatOptions = field(default_factory=ChatOptions)
    priority: int = CHAT


@dataclass(frozen=True, slots=True)
class Download:
    """Fetch a model from the Hugging Face Hub; `any_kind` also one that must be converted before it can be used."""

    repository: str
    revision: str | None = None
    any_kind: bool = False


@dataclass(frozen=True, slots=True)
class ListModels:
    """Find the usable models on this computer."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Say which device computes and how much of its memory is in use; imports nothing for it."""

    priority: int = MEASURE


@dataclass(frozen=True, slots=True)
class Examine:
    """Look at what this machine can run, and what is wrong with it."""

    priority: int = CHAT


@dataclass(frozen=True, slots=True)
class LookAt:
    """Say what a checkpoint is and what a conversion would make of it. Reads headers only and needs no MLX.

    `source` is a folder, a file or a Hugging Face id; `output` the folder to write, "" for one in the program's own.
    """

    source: str
    output: str = ""
    settings: ConversionSettings = field(default_factory=ConversionSettings)
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Convert:
    """Turn a checkpoint into an MLX model.

    `report` measures quality first, on the file `text` if one is named; `fetch` as in `LoadModel`.
    """

    source: str
    output: str = ""
    settings: ConversionSettings = field(default_factory=ConversionSettings)
    revision: str | None = None
    overwrite: bool = False
    report: bool = False
    text: str = ""
    fetch: bool = False
    priority: int = CONVERSION


@dataclass(frozen=True, slots=True)
class Fuse:
    """Merge an adapter into the weights of its model and write the result; `dequantize` makes the weights whole."""

    model: str
    adapter: str
    output: str
    dequantize: bool = False
    overwrite: bool = False
    priority: int = CONVERSION


@dataclass(frozen=True, slots=True)
class ExportCheckpoint:
    """Write a checkpoint of a run, the folder RUN/checkpoints/STEP, as a whole model.

    `output` is the folder to write, "" for one in the program's own, named after run and step.
    """

    folder: str
    output: str = ""
    overwrite: bool = False
    priority: int = CONVERSION


@dataclass(frozen=True, slots=True)
class MeasureQuality:
    """Measure what the chosen and the neighbouring settings cost, without writing a model."""

    source: str
    settings: ConversionSettings = field(default_factory=ConversionSettings)
    revision: str | None = None
    text: str = ""
    priority: int = CONVERSION


@dataclass(frozen=True, slots=True)
class Upload:
    """Put a model folder on the Hugging Face Hub."""

    folder: str
    repository: str
    private: bool = True
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Train:
    """Improve a model at a task by reinforcement learning.

    `resume` is the folder of a run to go on with, "" for a new one; `dry_run` says what the run would do and need,
    without training; `fetch` as in `LoadModel`. `given` names settings that a run to go on with is given anew: what was
    changed of them while it trained is taken back, also where the value is the one in its file.
    """

    config: TrainConfig
    resume: str = ""
    dry_run: bool = False
    fetch: bool = False
    given: tuple[str, ...] = ()
    priority: int = TRAINING


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Let a model, with an adapter where one is named, answer the held-out rows of a training run's settings."""

    model: str
    adapter: str
    config: TrainConfig
    fetch: bool = False
    priority: int = EVALUATION


Request = (
    LoadModel
    | UnloadModel
    | Generate
    | Reply
    | Download
    | ListModels
    | Measure
    | Examine
    | LookAt
    | Convert
    | Fuse
    | ExportCheckpoint
    | MeasureQuality
    | Upload
    | Train
    | Evaluate
    | MonitorRequest
    | ChatRequest
)
