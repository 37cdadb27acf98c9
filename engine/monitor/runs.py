"""Finds the runs on this computer and says how each stands, from the first and last lines of its record.

Knows no view. A run is any folder with settings or a record in it; nothing is ever written there.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine import errors, places
from engine.errors import UserError
from engine.events import Event
from engine.grpo import checkpoint, config_file
from engine.grpo.settings import TrainConfig
from engine.monitor import glance
from engine.monitor.liveness import is_live
from engine.monitor.record import FILE
from engine.run_events import CheckpointFound, ConfigRead, RunFound, RunMoved, RunStatus

NOTES = "notes.json"
"""The file of a person's notes and tags, in a run's folder."""
_ADAPTERS = "adapter_config.json"
_NO_SETTINGS = "Its settings are missing: the file config.toml is not in its folder."
_DAMAGED_SETTINGS = "Its settings are damaged: config.toml cannot be read."
_NEWER_SETTINGS = "Its settings come from a newer version of the program, or were changed by hand."
_NO_RECORD = "It has no record: the file events.jsonl is not in its folder."
_LOCKED_RECORD = "Its record cannot be read: the system refuses access to events.jsonl."
_STRANGE_RECORD = "Its record holds nothing that this version of the program can read."
_DAMAGED_NOTES = "Its notes are damaged: notes.json cannot be read."
_READS = 8192


@dataclass(frozen=True, slots=True)
class _Settings:
    model: str = ""
    problem: str = ""


def found(folders: Sequence[str] = ()) -> Iterator[Event]:
    """All runs in the program's own folder of runs and in the given ones, the newest first.

    Args:
        folders: folders of runs; one may be that of a run itself.

    Yields:
        RunMoved to "" for each of the folders that is not there, and RunFound for each run that is not hidden.
    """
    given = expanded(folders)
    listed: dict[tuple[int, int], RunFound] = {}
    for folder in (places.runs_folder(), *given):
        for run in [folder] if is_run(folder) else _inside(folder):
            try:
                state = run.stat()
                if (state.st_dev, state.st_ino) not in listed:
                    listed[state.st_dev, state.st_ino] = look(run)
            except OSError:
                continue  # it was moved or deleted meanwhile
    for folder in given:
        if not folder.is_dir():
            yield RunMoved(str(folder), "")
    yield from sorted(listed.values(), key=lambda run: (-run.began, run.name))


def is_run(folder: Path) -> bool:
    """Whether there are settings or a record of a run in a folder."""
    return (folder / config_file.RUN).is_file() or (folder / FILE).is_file()


def expanded(folders: Sequence[str]) -> list[Path]:
    """The absolute paths of these folders; a name that no path can have is none."""
    paths = []
    for name in folders:
        try:
            paths.append(places.expand(name).absolute())
        except UserError:
            continue
    return paths


def look(folder: Path) -> RunFound:
    """How the run in a folder stands.

    Raises:
        OSError: the folder is gone.
    """
    file = folder / FILE
    settings_at, record_at = _changed(folder / config_file.RUN), _changed(file)
    settings = _settings(str(folder / config_file.RUN), *settings_at) if settings_at[0] else _Settings("", _NO_SETTINGS)
    notes, tags, wrong = _notes(str(folder / NOTES), *_changed(folder / NOTES))
    status: RunStatus
    try:
        record = glance.take(str(file), *record_at) if record_at[0] else glance.NOTHING
        problem = "" if record_at[0] else _NO_RECORD
        if record_at[1] and not record.lines:
            problem = _STRANGE_RECORD
    except OSError:
        record, problem = glance.NOTHING, _LOCKED_RECORD
    if problem in {_STRANGE_RECORD, _LOCKED_RECORD}:
        status = "unreadable"
    else:
        status = "training" if is_live(folder, file) else record.ending or "interrupted"
    if status == "training" and problem == _NO_RECORD:
        problem = ""
    return RunFound(
        str(folder),
        folder.name,
        settings.model or record.model,
        status,
        record.step,
        record.steps,
        record.reward,
        record.accuracy_before,
        record.accuracy,
        (settings_at[0] or record_at[0] or folder.stat().st_mtime_ns) / 1e9,
        (record_at[0] or settings_at[0] or folder.stat().st_mtime_ns) / 1e9,
        tuple(step for step, _ in _steps(folder)),
        tags,
        notes,
        "\n".join(sentence for sentence in (settings.problem, problem, wrong) if sentence),
    )


def config(name: str) -> Iterator[Event]:
    """The settings of a run's folder, of a TOML file, or of a file that comes with the program by its name.

    Yields:
        ConfigRead.

    Raises:
        UserError: there is no such thing, or it is damaged or of a newer version.
    """
    folder = places.expand(name)
    if not folder.is_dir():
        yield ConfigRead(name, config_file.to_toml(config_file.load(name, ())))
        return
    file = folder / config_file.RUN
    strange = sorted(_keys(file) - set(TrainConfig.model_fields))
    if strange:
        raise UserError(
            "This version of the program does not know all settings of the run {name}.",
            "A newer version made it, or its file {file} was changed by hand: {keys}.",
            "Update the program, or take these lines out of that file. Its figures can be looked at all the same.",
            name=folder.name,
            file=file,
            keys=", ".join(strange),
        )
    yield ConfigRead(name, config_file.to_toml(config_file.of_run(folder)))


def checkpoints(folder: Path) -> Iterator[Event]:
    """What a run left to be used: its checkpoints by their steps, then its model.

    Yields:
        CheckpointFound.

    Raises:
        UserError: the folder is gone.
    """
    if not folder.is_dir():
        raise errors.explain(FileNotFoundError(2, "No such folder", str(folder)))
    file = folder / config_file.RUN
    model = _settings(str(file), *_changed(file)).model
    last = glance.take(str(folder / FILE), *at).step if (at := _changed(folder / FILE))[0] else 0
    for step, path in _steps(folder):
        if (saved := _changed(path / checkpoint.STATE)[0]) > 0:
            adapters = (path / _ADAPTERS).is_file()
            yield CheckpointFound(str(path), "checkpoint", step, _size(path), saved / 1e9, adapters, False, model)
    for kind in ("model", "fused"):
        path = folder / kind
        if (saved := _changed(path)[0]) > 0 and path.is_dir():
            adapters = (path / _ADAPTERS).is_file()
            yield CheckpointFound(str(path), kind, last, _size(path), saved / 1e9, adapters, not adapters, model)


def _inside(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return
    for name in names:
        if is_run(folder / name):
            yield folder / name


def _changed(file: Path) -> tuple[int, int]:
    """When a file was changed, in nanoseconds, and its size in bytes; zeros where it is not there."""
    try:
        state = file.stat()
    except OSError:
        return 0, 0
    return state.st_mtime_ns, state.st_size


def _steps(folder: Path) -> list[tuple[int, Path]]:
    """The checkpoints on the disk, by their steps."""
    try:
        with os.scandir(folder / "checkpoints") as entries:
            found = [(int(entry.name), Path(entry.path)) for entry in entries if entry.name.isdecimal()]
    except OSError:
        return []
    return sorted(found)


def _size(folder: Path) -> int:
    return sum(_changed(path)[1] for path in folder.iterdir() if path.is_file())


def _keys(file: Path) -> set[str]:
    """The settings that stand in a file; none where it cannot be read, which its reader will say in words."""
    try:
        return set(tomllib.loads(file.read_text("utf-8-sig")))
    except (OSError, ValueError):
        return set()


@lru_cache(_READS)
def _settings(file: str, _when: int, _size: int) -> _Settings:
    try:
        text = Path(file).read_text("utf-8-sig")
        values: dict[str, Any] = tomllib.loads(text)
    except (OSError, ValueError):
        return _Settings("", _DAMAGED_SETTINGS)
    model = str(values.get("model_name", ""))
    if not model:
        return _Settings("", _DAMAGED_SETTINGS)
    return _Settings(model, _NEWER_SETTINGS if set(values) - set(TrainConfig.model_fields) else "")


@lru_cache(_READS)
def _notes(file: str, when: int, _size: int) -> tuple[str, tuple[str, ...], str]:
    """Notes, tags, and what is wrong with them."""
    if not when:
        return "", (), ""
    try:
        document = json.loads(Path(file).read_text("utf-8"))
        return str(document.get("notes", "")), tuple(map(str, document.get("tags", ()))), ""
    except (OSError, ValueError, AttributeError, TypeError):
        return "", (), _DAMAGED_NOTES
