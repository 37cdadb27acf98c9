"""What can be asked about conversations and batches: frozen dataclasses, one a job. Knows no room that does it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.config import Sampling, WhenFull

if TYPE_CHECKING:
    from engine.requests import LoadModel

# On the compute lane: a person looks at the answer that is inspected, and a batch goes on beside a chat.
_CHAT, _BATCH = 1, 2


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """How a chat uses the model's window and the memory, as the settings say it.

    `kv_bits` is 0 (as the model computes), 8 or 4. `kv_memory` (0: a quarter of what there is) and `kv_disk` (0: none
    is kept) bound what is remembered of conversations, in bytes. `draft` is a model that guesses ahead, if any.
    """

    when_full: WhenFull = "stop"
    kv_bits: int = 0
    kv_memory: int = 0
    kv_disk: int = 0
    draft: str = ""


@dataclass(frozen=True, slots=True)
class SearchConversations:
    """Find ended messages that contain a text in any letter case, newest first, `limit` at most."""

    database: Path
    text: str
    limit: int = 200


@dataclass(frozen=True, slots=True)
class ExportConversations:
    """Write these conversations, all of them for (), to a file or, as Markdown, one file each to a folder."""

    database: Path
    output: str
    form: Literal["markdown", "json"]
    conversations: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportConversations:
    """Read conversations from our JSON, or from an export of ChatGPT or LM Studio (a file, a folder or a .zip)."""

    database: Path
    source: str


LARGEST_ATTACHMENT = 1_000_000
"""How many bytes of text a file that goes with a message may have."""


@dataclass(frozen=True, slots=True)
class ReadTextFile:
    """Read a text file of `LARGEST_ATTACHMENT` bytes at most, to go with a message."""

    path: str


@dataclass(frozen=True, slots=True)
class InspectAnswer:
    """Say how likely each token of a stored answer was, and which others the model held for possible.

    `load` need not be the model that wrote it: its tokens are then those of the model asked.
    """

    load: LoadModel
    database: Path
    message: int
    top: int = 8
    priority: int = _CHAT


@dataclass(frozen=True, slots=True)
class ScoreAnswer:
    """Have rewards judge a stored answer.

    `rewards` are names of the program's own or FILE.py:FUNCTION; `reference` is the right answer, "" for none. Where
    `text` is not empty, this other answer of `tokens` tokens to the same question is judged in its place.
    """

    database: Path
    message: int
    rewards: tuple[str, ...]
    reference: str = ""
    text: str = ""
    tokens: int = 0
    priority: int = _CHAT


@dataclass(frozen=True, slots=True)
class BatchSource:
    """Where the prompts of a batch come from and how each is said.

    `file` holds lines, JSONL or CSV, told by its name; `text` is a paste of any of the three, told by its look. The
    rows' columns stand in `template` and `system` as {column}; a line is the column "prompt". An empty template is the
    column "prompt", or the only one. `reference` names the column of right answers; "" takes "answer" or "reference"
    where there is one.
    """

    file: str = ""
    text: str = ""
    template: str = ""
    system: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class PlanBatch:
    """Say what a batch would ask; needs no model."""

    source: BatchSource


@dataclass(frozen=True, slots=True)
class RunBatch:
    """Answer many prompts side by side.

    Answers are appended to the JSONL file `output` as they come, "" for one in the program's own folder. `resume` goes
    on with that file: what is answered there is kept; `again` names rows (from 0) to be answered anew all the same.
    Sample number n of a prompt has the seed `sampling.seed` + n. `rows_at_once` is how many answers are written side by
    side, 0 for what pays, 1 for one after the other, computed exactly as in a chat.
    """

    load: LoadModel
    source: BatchSource
    output: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    samples: int = 1
    rewards: tuple[str, ...] = ()
    rows_at_once: int = 0
    resume: bool = False
    again: tuple[int, ...] = ()
    priority: int = _BATCH


@dataclass(frozen=True, slots=True)
class ExportBatch:
    """Write the answers in a batch's JSONL file to another file, as JSONL or CSV by its name."""

    source: str
    output: str


ChatRequest = (
    SearchConversations
    | ExportConversations
    | ImportConversations
    | ReadTextFile
    | InspectAnswer
    | ScoreAnswer
    | PlanBatch
    | RunBatch
    | ExportBatch
)
