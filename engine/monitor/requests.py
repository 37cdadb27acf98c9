"""What can be asked about runs on disk and runs to come: frozen dataclasses, one a job. Knows no room that does it."""

from __future__ import annotations

from dataclasses import dataclass

from engine.grpo.settings import TrainConfig

# On the compute lane before training, which would keep a person waiting for a preview.
_PREVIEW = 2


@dataclass(frozen=True, slots=True)
class ListRuns:
    """Find all runs in the program's own folder of runs and in these others; reads a few lines of each."""

    folders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ListCheckpoints:
    """Find what a run left to be used: its checkpoints, and its model once it is over."""

    folder: str


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """Read a run's record from where it was read up to; `place` and `mark` are those of the last `RecordRead`."""

    folder: str
    place: int = 0
    mark: str = ""


@dataclass(frozen=True, slots=True)
class ReadSamples:
    """Read all completions of a step; 0 is the last one that has some."""

    folder: str
    step: int = 0


@dataclass(frozen=True, slots=True)
class SearchSamples:
    """Find completions and prompts that hold a text, whatever its case, the newest first, `limit` at most."""

    folder: str
    text: str
    limit: int = 200


@dataclass(frozen=True, slots=True)
class CompareTexts:
    """Find the words in which two texts differ."""

    left: str
    right: str


@dataclass(frozen=True, slots=True)
class ReadConfig:
    """Read the settings of a run's folder, of a TOML file, or of a file that comes with the program by its name."""

    name: str


@dataclass(frozen=True, slots=True)
class PreviewData:
    """Render the first rows of a configuration's data, in the order of the run, as the model would read them."""

    config: TrainConfig
    rows: int = 8
    priority: int = _PREVIEW


@dataclass(frozen=True, slots=True)
class TryRewards:
    """Have the rewards of a configuration judge these completions of a row, and `live` new ones of its model.

    `row` counts the training rows in the order of the run, from 0.
    """

    config: TrainConfig
    row: int = 0
    completions: tuple[str, ...] = ()
    live: int = 0
    priority: int = _PREVIEW


@dataclass(frozen=True, slots=True)
class ChangeNotes:
    """Keep a person's notes and tags in a run's folder."""

    folder: str
    notes: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeleteRuns:
    """Put runs aside, from where `RestoreRuns` brings them back until `PurgeRuns`."""

    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RestoreRuns:
    """Bring back runs that were put aside; `folders` are where they are now."""

    folders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PurgeRuns:
    """Delete for good what was put aside in the program's own folder of runs and in these others."""

    folders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WriteReport:
    """Write one HTML page of a run, with everything in it; `output` is its file, "" for one in the run's folder."""

    folder: str
    output: str = ""


MonitorRequest = (
    ListRuns
    | ListCheckpoints
    | ReadRecord
    | ReadSamples
    | SearchSamples
    | CompareTexts
    | ReadConfig
    | PreviewData
    | TryRewards
    | ChangeNotes
    | DeleteRuns
    | RestoreRuns
    | PurgeRuns
    | WriteReport
)
