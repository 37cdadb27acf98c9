"""Where the answers of a batch go, and what of them is there already. Knows questions, no model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine import places
from engine.batch import answers_file
from engine.batch.answers_file import AnswersFile
from engine.batch.questions import Question
from engine.chat.requests import RunBatch
from engine.chat.sampling import new_seed
from engine.chat_events import BatchAnswered
from engine.errors import UserError
from engine.events import Note

_SEEDS = 2**31
# What decides what a model answers, besides the prompts.
_DECIDES = ("model", "adapter", "precision", "sampling", "system", "template")


@dataclass(slots=True)
class Output:
    """The file of a batch and the answers in it, `kept` by row and sample; `notes` are worth telling."""

    file: AnswersFile
    kept: dict[tuple[int, int], BatchAnswered]
    notes: list[Note]
    _seed: int
    _seed_again: int
    _again: frozenset[int] = field(default_factory=frozenset)

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.file.path

    def seed(self, row: int, sample: int) -> int:
        """The seed of a sample; a row that is answered again has one of its own unless one was asked for."""
        return ((self._seed_again if row in self._again else self._seed) + sample) % _SEEDS

    def keep(self, answer: BatchAnswered) -> None:
        """Write an answer to the file."""
        self.file.append(answer)
        self.kept[answer.row, answer.sample] = answer


@contextmanager
def open_output(request: RunBatch, questions: Sequence[Question]) -> Iterator[Output]:
    """The file that the answers go to, made or gone on with.

    Raises:
        UserError: it is there and is not to be gone on with, or it is one of other prompts.
    """
    goes_on = request.resume or bool(request.again)
    path = _path(request)
    before = answers_file.read(path) if goes_on and path.exists() else {}
    _require_same(path, before, questions)
    settings = answers_file.read_settings(path) if goes_on else {}
    base = _base_seed(request, before, settings)
    again = frozenset(request.again)
    kept = {
        number: answer
        for number, answer in before.items()
        if not answer.error and answer.row not in again and answer.sample < request.samples
    }
    now = _settings(request, base)
    changed = [name for name in _DECIDES if before and name in settings and settings[name] != now[name]]
    notes = [Note(f"The answers that are there were asked for otherwise: {', '.join(changed)}.")] if changed else []
    with AnswersFile(path) as file:
        answers_file.write_settings(path, now)
        yield Output(file, kept, notes, base, new_seed(request.sampling), again)


def _path(request: RunBatch) -> Path:
    if not request.output:
        if request.resume or request.again:
            raise UserError(
                "There is nothing to go on with.",
                "No file of answers is named.",
                "Name the file that the batch wrote.",
            )
        model = Path(request.load.model).name.replace(":", "-") or "model"
        stamp = time.strftime("%Y-%m-%d %H.%M.%S")
        names = (f"{stamp} {model}{mark}.jsonl" for mark in ("", *(f" {number}" for number in range(2, 1000))))
        return next(path for name in names if not (path := places.batches_folder() / name).exists())
    path = places.expand(request.output)
    if path.is_dir():
        raise UserError(
            "{path} is a folder.", "Answers are written to one file.", "Name a file, as answers.jsonl.", path=path
        )
    if not (request.resume or request.again) and path.exists() and path.stat().st_size:
        raise UserError(
            "The file {path} exists already.",
            "A batch writes to a new file, so that no answer is lost.",
            "Choose another name, or resume the batch in this file.",
            path=path,
        )
    return path


def _require_same(path: Path, before: dict[tuple[int, int], BatchAnswered], questions: Sequence[Question]) -> None:
    for answer in before.values():
        if answer.row >= len(questions) or questions[answer.row].prompt != answer.prompt:
            raise UserError(
                "{path} holds answers to other prompts.",
                "What it answers in row {row} begins: {prompt}",
                "Name the file that belongs to these prompts, or a new one.",
                path=path,
                row=answer.row + 1,
                prompt=answer.prompt[:60],
            )


def _base_seed(request: RunBatch, before: dict[tuple[int, int], BatchAnswered], settings: dict[str, Any]) -> int:
    """The seed asked for, else that of the answers that are there, else a new one."""
    if request.sampling.seed is None:
        if isinstance(settings.get("seed"), int):
            return int(settings["seed"])
        for answer in before.values():
            return (answer.seed - answer.sample) % _SEEDS
    return new_seed(request.sampling)


def _settings(request: RunBatch, seed: int) -> dict[str, Any]:
    """How the answers are asked for, as plain values."""
    source = request.source
    return {
        "model": request.load.model,
        "adapter": request.load.adapter,
        "precision": request.load.precision,
        "file": source.file,
        "template": source.template,
        "system": source.system,
        "reference": source.reference,
        "samples": request.samples,
        "rewards": list(request.rewards),
        "seed": seed,
        "sampling": request.sampling.model_dump(mode="json", exclude={"seed"}),
    }
