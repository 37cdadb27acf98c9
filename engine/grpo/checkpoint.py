"""One saved moment of a run: a folder of arrays, a JSON state and their checksums. Knows no model and no optimiser.

A checkpoint is there as a whole or not at all: its files are written into a hidden folder beside it, brought to the
disk, and the folder is renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from engine import errors
from engine.errors import UserError
from engine.events import Note

if TYPE_CHECKING:
    import mlx.core as mx

STATE = "state.json"
_TENSORS = ".safetensors"
_UNFINISHED = ".partial"
_REPLACED = ".replaced"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was saved: the number of steps, the arrays by file and name, and the state as JSON knows it."""

    step: int
    tensors: dict[str, dict[str, mx.array]]
    state: dict[str, Any]


def folder_of(checkpoints: Path, step: int) -> Path:
    """The folder of the checkpoint after this many steps."""
    return checkpoints / f"{step:06}"


def save(
    checkpoints: Path,
    step: int,
    tensors: dict[str, dict[str, mx.array]],
    state: dict[str, Any],
    files: dict[str, bytes] | None = None,
) -> Path:
    """Write the checkpoint after `step` steps and give its folder; one of the same step is replaced.

    Args:
        checkpoints: the folder of all checkpoints of a run; it is made where it is missing.
        tensors: arrays by name for each file: {"adapters": {...}} becomes adapters.safetensors. Any type and shape.
        state: what JSON can hold; numbers come back bit for bit, tuples as lists.
        files: further files by name, such as adapter_config.json.

    Raises:
        UserError: the disk is full or cannot be written; earlier checkpoints are as they were.
    """
    final = folder_of(checkpoints, step)
    unfinished = checkpoints / f".{final.name}{_UNFINISHED}"
    try:
        checkpoints.mkdir(parents=True, exist_ok=True)
        remove_leftovers(checkpoints)
        unfinished.mkdir()
        _write_files(unfinished, step, tensors, state, files or {})
        _move_into_place(unfinished, final)
    except OSError as error:
        raise _explained(error, final) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return final


def load(folder: Path) -> Loaded:
    """Read a checkpoint and make sure that every byte is as it was written; the arrays are evaluated.

    Raises:
        UserError: a file is missing, cannot be read, or was changed.
    """
    import mlx.core as mx

    document = _verified(folder)
    tensors: dict[str, dict[str, mx.array]] = {}
    for name in document["files"]:
        if name.endswith(_TENSORS):
            arrays = mx.load(str(folder / name))
            if not isinstance(arrays, dict):
                raise TypeError(f"{name} holds no named arrays")
            mx.eval(arrays)
            tensors[name.removesuffix(_TENSORS)] = arrays
    return Loaded(document["step"], tensors, document["state"])


def latest(checkpoints: Path) -> tuple[Path | None, tuple[Note, ...]]:
    """The newest undamaged checkpoint, None where there is none, and a sentence for each damaged one passed over.

    Raises:
        UserError: the folder cannot be read.
    """
    try:
        remove_leftovers(checkpoints)
        folders = _folders(checkpoints)
    except OSError as error:
        raise _explained(error, checkpoints) from error
    notes: list[Note] = []
    for folder in reversed(folders):
        try:
            _verified(folder)
        except UserError as error:
            notes.append(Note(f"{error.what} {error.why} It is passed over."))
        else:
            return folder, tuple(notes)
    return None, tuple(notes)


def state_of(folder: Path) -> tuple[int, dict[str, Any]]:
    """The number of steps and the state of a checkpoint that `latest` found whole."""
    document = _document(folder)
    return document["step"], document["state"]


def restate(folder: Path, state: dict[str, Any]) -> None:
    """Give a checkpoint another state where it differs; it is whole at every moment.

    Raises:
        UserError: the disk is full or cannot be written; the checkpoint is as it was.
    """
    document = _document(folder)
    if document["state"] == state:
        return
    unfinished = folder / f".{STATE}{_UNFINISHED}"
    try:
        unfinished.unlink(missing_ok=True)
        _write_document(unfinished, document | {"state": state})
        unfinished.replace(folder / STATE)
        _sync_folder(folder)
    except OSError as error:
        raise _explained(error, folder) from error
    finally:
        unfinished.unlink(missing_ok=True)


def last_step(checkpoints: Path) -> int:
    """The step of the newest checkpoint; 0 where there is none."""
    folders = _folders(checkpoints)
    return int(folders[-1].name) if folders else 0


def prune(checkpoints: Path, keep: int, best: int | None) -> None:
    """Remove all but the newest `keep` checkpoints, 1 at least; the one of step `best` stays besides.

    Raises:
        UserError: a checkpoint cannot be removed.
    """
    _remove([folder for folder in _folders(checkpoints)[:-keep] if int(folder.name) != best])


def remove_after(checkpoints: Path, step: int) -> None:
    """Remove the checkpoints of later steps, which a run that goes on from `step` writes anew.

    Raises:
        UserError: a checkpoint cannot be removed.
    """
    _remove([folder for folder in _folders(checkpoints) if int(folder.name) > step])


def remove_leftovers(checkpoints: Path) -> None:
    """Clear away what a process that died while saving or removing left behind.

    Raises:
        OSError: a leftover cannot be moved.
    """
    for unfinished in checkpoints.glob(f".*{_UNFINISHED}"):
        shutil.rmtree(unfinished, ignore_errors=True)
    for replaced in checkpoints.glob(f".*{_REPLACED}"):
        final = checkpoints / replaced.name.removeprefix(".").removesuffix(_REPLACED)
        if final.exists():
            shutil.rmtree(replaced, ignore_errors=True)
        else:
            replaced.rename(final)


def _folders(checkpoints: Path) -> list[Path]:
    """The checkpoints from the oldest step to the newest."""
    numbered = [path for path in checkpoints.glob("[0-9]*") if path.name.isdecimal() and path.is_dir()]
    return sorted(numbered, key=lambda path: int(path.name))


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        # Renamed first: a half-removed checkpoint must not look like a damaged one.
        unwanted = folder.with_name(f".{folder.name}{_UNFINISHED}")
        try:
            shutil.rmtree(unwanted, ignore_errors=True)
            folder.rename(unwanted)
            shutil.rmtree(unwanted)
        except OSError as error:
            raise _explained(error, folder) from error


def _write_files(
    folder: Path, step: int, tensors: dict[str, dict[str, mx.array]], state: dict[str, Any], files: dict[str, bytes]
) -> None:
    import mlx.core as mx

    for name, arrays in tensors.items():
        with _durable(folder / f"{name}{_TENSORS}") as file:
            # A path in place of the file would lose the system's reason where the disk is full. MLX writes in the
            # order of its own table, which depends on the order of insertion.
            mx.save_safetensors(file, dict(sorted(arrays.items())), {"format": "mlx"})  # type: ignore[arg-type]
    for name, content in files.items():
        with _durable(folder / name) as file:
            file.write(content)
    checksums = {path.name: _checksum(path) for path in sorted(folder.iterdir())}
    _write_document(folder / STATE, {"step": step, "files": checksums, "state": state})
    _sync_folder(folder)


def _write_document(path: Path, document: dict[str, Any]) -> None:
    signed = document | {"sha256": _digest_of(document)}
    with _durable(path) as file:
        file.write(json.dumps(signed, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace"))


def _move_into_place(unfinished: Path, final: Path) -> None:
    """Rename a complete folder; an older one of the same name is not lost, whenever the process dies."""
    replaced = final.with_name(f".{final.name}{_REPLACED}")
    if final.exists():
        final.rename(replaced)
    try:
        unfinished.rename(final)
    except OSError:
        if replaced.exists():
            replaced.rename(final)
        raise
    _sync_folder(final.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _verified(folder: Path) -> dict[str, Any]:
    """The document of a checkpoint whose files all have their checksums.

    Raises:
        UserError: a file is missing, cannot be read, or was changed.
    """
    try:
        document = _document(folder)
        for name, checksum in document["files"].items():
            if _checksum(folder / name) != checksum:
                raise _damaged(folder, name)
    except FileNotFoundError as error:
        raise _damaged(folder, Path(error.filename).name) from error
    except OSError as error:
        raise _explained(error, folder) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, STATE) from error
    return document


def _document(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / STATE).read_text("utf-8"))
    written = document.pop("sha256")
    if _digest_of(document) != written:
        raise _damaged(folder, STATE)
    return document


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _damaged(folder: Path, file: str) -> UserError:
    return UserError(
        "The checkpoint {folder} is damaged.",
        "The file {file} is missing or is not as it was written.",
        "Resume without naming a checkpoint, which takes the newest whole one, or restore the file from a backup.",
        folder=folder,
        file=file,
    )


def _explained(error: OSError, path: Path) -> UserError:
    """The words for an error of the system; one of a write to an open file names no path by itself."""
    number = error.errno if error.errno is not None else 0
    return errors.explain(OSError(number, error.strerror or str(error), str(error.filename or path)))


@contextlib.contextmanager
def _durable(path: Path) -> Iterator[IO[bytes]]:
    """A new file for writing; what was written is on the disk afterwards."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
