"""Finds nanochat checkpoints where nanochat puts them, and the tokenizer that belongs to one. Opens no weights."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import UserError

_MODEL = re.compile(r"model_(\d+)\.pt")
_METADATA = re.compile(r"meta_\d+\.json")
# From the least to the most trained; "chatsft" was "sft" in forks.
_STAGES = ("base", "mid", "sft", "chatsft", "rl", "chatrl")
_FOLDER = "{}_checkpoints"
TOKENIZER_FILES = ("tokenizer.pkl", "tokenizer.json")


@dataclass(slots=True)
class Checkpoint:
    """One step of one run: its weights, a name, and what was chosen on the person's behalf."""

    model: Path
    name: str
    choices: list[str] = field(default_factory=list)

    def metadata(self) -> dict[str, Any]:
        """The `model_config` that lies beside the weights.

        Raises:
            UserError: it is missing or damaged.
        """
        path = self.model.with_name(self.model.name.replace("model_", "meta_")).with_suffix(".json")
        try:
            content = json.loads(path.read_text("utf-8"))
            return dict(content["model_config"])
        except FileNotFoundError as error:
            raise UserError(
                "The metadata of {model} are missing.",
                "There is no {file} beside it, which says how many heads and which context the model has.",
                "Copy that file from where the checkpoint came.",
                model=self.model,
                file=path.name,
            ) from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(
                "The metadata file {path} is damaged.",
                "{reason}",
                "Get this file again from where the checkpoint came.",
                path=path,
                reason="It has no model_config." if isinstance(error, KeyError) else error,
            ) from error

    def tokenizer(self) -> Path | None:
        """The tokenizer's file: beside the weights, or where nanochat's own layout has it; None where there is none."""
        folder = self.model.parent
        for place in (folder, folder / "tokenizer", folder.parent.parent / "tokenizer", folder.parent / "tokenizer"):
            for name in TOKENIZER_FILES:
                if (place / name).is_file():
                    return place / name
        return None


def recognise(path: Path) -> bool:
    """Whether a path is a model_*.pt, the folder of a run, a folder of runs, or nanochat's base folder."""
    if path.is_file():
        return bool(_MODEL.fullmatch(path.name))
    return _is_run(path) or any(True for _ in _runs(path)) or any(True for _ in _stages(path))


def find(path: Path, step: int | None = None) -> Checkpoint:
    """The checkpoint that a path means; of several the furthest trained, and of its steps the newest.

    Args:
        step: the step to take instead.

    Raises:
        UserError: there is none, or not that step.
    """
    path = path.absolute()
    if path.is_file():
        return _named(path, [])
    choices: list[str] = []
    stages = [] if _is_run(path) or any(True for _ in _runs(path)) else list(_stages(path))
    if stages:
        path = stages[-1]
        if len(stages) > 1:
            others = ", ".join(stage.name for stage in stages[:-1])
            choices.append(f"{path.name} was taken, the furthest trained; there are also {others}.")
    runs = [] if _is_run(path) else sorted(_runs(path), key=_size)
    if runs:
        if len(runs) > 1:
            others = ", ".join(run.name for run in runs[:-1])
            choices.append(f"The run {runs[-1].name} was taken, the largest or else newest; there are also {others}.")
        path = runs[-1]
    steps = _steps(path)
    if not steps or (step is not None and step not in steps):
        raise UserError(
            "There is no model_*.pt in {folder}." if not steps else "There is no step {step} in {folder}.",
            "The weights of a nanochat checkpoint are in model_<step>.pt beside meta_<step>.json."
            if not steps
            else "There are: {steps}",
            "Give the folder of a run, or one of its model_*.pt files.",
            folder=path,
            step=step,
            steps=", ".join(map(str, sorted(steps))),
        )
    taken = max(steps) if step is None else step
    if step is None and len(steps) > 1:
        others = ", ".join(str(other) for other in sorted(steps) if other != taken)
        choices.append(f"Step {taken} was taken, the newest; there are also {others}.")
    return _named(steps[taken], choices)


def _named(model: Path, choices: list[str]) -> Checkpoint:
    run = model.parent
    stage = run.parent.name.removesuffix("_checkpoints")
    named = run.parent.name == _FOLDER.format(stage) and stage in _STAGES
    return Checkpoint(model, f"nanochat-{run.name}-{stage}" if named else run.name, choices)


def _is_run(folder: Path) -> bool:
    return any(_MODEL.fullmatch(file.name) or _METADATA.fullmatch(file.name) for file in folder.glob("m*_*"))


def _runs(folder: Path) -> Iterator[Path]:
    """The runs in a folder like base_checkpoints."""
    return (run for run in sorted(folder.glob("*/")) if _steps(run))


def _stages(folder: Path) -> Iterator[Path]:
    """The folders of runs in nanochat's base folder, the least trained first."""
    places = (folder / _FOLDER.format(stage) for stage in _STAGES)
    return (place for place in places if any(True for _ in _runs(place)))


def _steps(run: Path) -> dict[int, Path]:
    found = ((_MODEL.fullmatch(file.name), file) for file in run.glob("model_*.pt"))
    return {int(match[1]): file for match, file in found if match and file.is_file()}


def _size(run: Path) -> tuple[int, float]:
    """As nanochat sorts runs: by the depth their tag names (d20), else by age."""
    depth = re.match(r"d(\d+)", run.name)
    return (int(depth[1]) if depth else -1, run.stat().st_mtime)
