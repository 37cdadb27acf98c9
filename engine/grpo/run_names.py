"""Where runs lie and what their folders are called. Knows nothing of what a run keeps there."""

from __future__ import annotations

import difflib
import itertools
import re
from pathlib import Path

from engine import places
from engine.errors import UserError
from engine.grpo import config_file
from engine.grpo.settings import TrainConfig

LOCK = ".lock"
"""The file in a run's folder that its process holds."""
PARTIAL = f".{config_file.RUN}.partial"
"""The settings' file while it is written."""


def runs_folder(output_dir: str = "") -> Path:
    """Where runs are: the given folder, or the program's own."""
    return places.expand(output_dir).absolute() if output_dir else places.runs_folder()


def make(config: TrainConfig) -> Path:
    """The new folder of a run: called by its `run_name`, or after the model with the smallest free number.

    Raises:
        UserError: the name is no name of a folder, or a run of this name exists.
        OSError: the disk cannot be written.
    """
    runs = runs_folder(config.output_dir)
    return _named(runs, config.run_name) if config.run_name else _numbered(runs, _model_part(config.model_name))


def require_new(folder: Path) -> None:
    """Refuse a folder in which there is anything that a run, or anyone else, left.

    Raises:
        UserError: there is something.
    """
    if any(path.name not in {LOCK, PARTIAL} for path in folder.iterdir()):
        raise UserError(
            "The run {folder} exists already.",
            "A new run would mix its files with those.",
            "Resume it, or choose another run_name.",
            folder=folder,
            name=folder.name,
        )


def unknown(name: str, runs: Path) -> UserError:
    """The words for a run that is not there, with the names nearest to it."""
    found = (path.parent.name for path in runs.glob(f"*/{config_file.RUN}"))
    # A hidden one was put aside to be deleted.
    known = sorted(each for each in found if not each.startswith("."))
    near = difflib.get_close_matches(name, known, 1)
    remedy = "Did you mean {nearest}?" if near else "Known runs: {known}." if known else "Give the folder of a run."
    return UserError(
        "There is no run {name}.",
        "No config.toml is in a folder of this name, nor in one in {runs}.",
        remedy,
        name=name,
        runs=runs,
        nearest=near[0] if near else "",
        known=", ".join(known),
    )


def _named(runs: Path, name: str) -> Path:
    if name in {".", ".."} or "/" in name or not name.isprintable():
        raise UserError(
            "A run cannot be called {name!r}.",
            "The name becomes the name of one folder.",
            "Choose a name without slashes, and name the folder it shall lie in with output_dir.",
            name=name,
        )
    folder = runs / name
    if folder.exists():
        require_new(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _numbered(runs: Path, name: str) -> Path:
    """A new folder with the smallest number that is free; made at once, so that no other process takes it."""
    runs.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = runs / f"{name}-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError  # count() has no end


def _model_part(model_name: str) -> str:
    """The last part of a model's name, as a folder can be called."""
    last = places.expand(model_name.strip()).absolute().name.removesuffix(".gguf")
    return re.sub(r"[^\w.-]+", "-", last).strip("-.") or "run"
