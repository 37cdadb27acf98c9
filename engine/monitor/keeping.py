"""Keeps a person's notes in a run's folder, and puts runs aside until they are deleted for good. Knows no record.

A run that is put aside is a hidden folder beside its old place, `.NAME.deleted`, with a file in it that says so. Only
folders with that file are ever deleted, and it is the last of their files to go.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from engine import errors, places
from engine.errors import UserError
from engine.events import Event
from engine.grpo import run_names
from engine.monitor import runs
from engine.monitor.liveness import is_held
from engine.run_events import RunMoved

_MARK = ".deleted"
_ASIDE = re.compile(r"\.(?P<name>.+)\.deleted(?:-\d+)?", re.DOTALL)
# As long a run can be brought back, whatever else happens; afterwards it may be deleted.
_KEPT_SECONDS = 3600.0
# Another look at the list may hold the lock for an instant.
_PATIENCE = 0.2


def write_notes(folder: Path, notes: str, tags: Sequence[str]) -> None:
    """Keep notes and tags in a run's folder; what stands in their file besides stays.

    A file of notes that cannot be read is put beside the new one, as notes.json.damaged.

    Raises:
        UserError: the folder is gone, or the disk is full or cannot be written; the old notes are as they were.
    """
    file = folder / runs.NOTES
    try:
        document = _document(file)
        if document is None:
            file.replace(file.with_name(f"{file.name}.damaged"))
            document = {}
        _write(file, document | {"notes": notes, "tags": list(tags)})
    except OSError as error:
        raise errors.explain(error) from error


def put_aside(folders: Sequence[Path]) -> Iterator[Event]:
    """Take runs out of sight, to be brought back or deleted; of one that is a link, the link alone.

    Yields:
        RunMoved for each.

    Raises:
        UserError: some process trains in one, it is no run, or it cannot be moved; the others were moved.
    """
    yield from _each(folders, _put_aside_one)


def bring_back(folders: Sequence[Path]) -> Iterator[Event]:
    """Bring runs back to their old places; where another run is there meanwhile, beside it under a new name.

    Yields:
        RunMoved for each.

    Raises:
        UserError: one was deleted for good, or cannot be moved; the others were moved.
    """
    yield from _each(folders, _bring_back_one)


def purge(folders: Sequence[str]) -> Iterator[Event]:
    """Delete for good what was put aside by a process that has ended, or longer than an hour ago.

    Args:
        folders: folders of runs, or of single runs, besides the program's own folder of runs.

    What cannot be deleted now is left for the next time. Nothing outside of these folders is touched: a link is
    removed, and not what it leads to.

    Yields:
        RunMoved for each run that is no more.
    """
    for hidden in _put_aside([places.runs_folder(), *runs.expanded(folders)]):
        with contextlib.suppress(OSError):
            if _is_over(hidden) and not is_held(hidden):
                _delete(hidden)
        name = _ASIDE.fullmatch(hidden.name)
        if name is not None and not os.path.lexists(hidden):
            yield RunMoved(str(hidden.with_name(name["name"])), "")


def _each(folders: Sequence[Path], move: Callable[[Path], RunMoved]) -> Iterator[RunMoved]:
    fault: UserError | None = None
    for folder in folders:
        try:
            moved = move(folder.absolute())
        except (UserError, OSError) as error:
            fault = fault or errors.explain(error)
        else:
            yield moved
    if fault is not None:
        raise fault


def _put_aside_one(folder: Path) -> RunMoved:
    if not runs.is_run(folder):
        raise _no_run(folder)
    if runs.look(folder).status == "training":
        raise _trains(folder)
    with _alone(folder):
        if not folder.is_symlink():
            (folder / _MARK).write_text(f"{os.getpid()} {platform.node()}", "utf-8")
        return RunMoved(str(folder), str(_moved(folder, [f".{folder.name}.deleted"])))


def _bring_back_one(folder: Path) -> RunMoved:
    name = _ASIDE.fullmatch(folder.name)
    if name is None or not runs.is_run(folder):
        raise UserError(
            "The run {name} cannot be brought back.",
            "It was deleted for good, or its folder was moved.",
            "Look for it in the trash or in a backup.",
            name=name["name"] if name else folder.name,
        )
    shown = _moved(folder, [name["name"], f"{name['name']}-restored"])
    if not shown.is_symlink():
        (shown / _MARK).unlink(missing_ok=True)
    return RunMoved(str(folder), str(shown))


def _put_aside(folders: Sequence[Path]) -> Iterator[Path]:
    """The hidden folders, also those of runs that are named by themselves."""
    for folder in dict.fromkeys(folders):
        # A run that was named by itself is not there any more once it is put aside.
        here = [] if runs.is_run(folder) else list(_hidden(folder, None))
        yield from (*here, *_hidden(folder.parent, folder.name))


def _hidden(folder: Path, name: str | None) -> Iterator[Path]:
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return
    for path in found:
        aside = _ASIDE.fullmatch(path.name)
        if aside and name in {None, aside["name"]}:
            ours = runs.is_run(path) if path.is_symlink() else (path / _MARK).is_file()
            if ours:
                yield path


def _is_over(hidden: Path) -> bool:
    """Whether nobody can want it back any more: the window that could bring it back is gone, or let it lie."""
    if hidden.is_symlink():
        return time.time() - hidden.lstat().st_ctime > _KEPT_SECONDS
    mark = hidden / _MARK
    if time.time() - mark.stat().st_mtime > _KEPT_SECONDS:
        return True
    process, _, machine = mark.read_text("utf-8", "replace").partition(" ")
    if machine != platform.node() or not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    return False


def _delete(hidden: Path) -> None:
    """Delete a folder, the mark last: what is half deleted is known as such the next time."""
    if hidden.is_symlink():
        hidden.unlink()
        return
    for path in hidden.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != _MARK:
            path.unlink()
    if [path.name for path in hidden.iterdir()] == [_MARK]:
        shutil.rmtree(hidden)


def _moved(folder: Path, names: Sequence[str]) -> Path:
    """Rename a folder to the first of these names that is free, or to the last one with a number; gives its place."""
    numbered = (f"{names[-1]}-{number}" for number in range(2, 1000))
    for name in (*names, *numbered):
        target = folder.with_name(name)
        if folder.is_symlink():
            if os.path.lexists(target):
                continue
        else:
            # Taken first, as an empty folder that a folder may replace: nobody else's run is ever written over.
            try:
                target.mkdir()
            except FileExistsError:
                continue
        try:
            folder.rename(target)
        except OSError:
            if not folder.is_symlink():
                target.rmdir()
            raise
        return target
    raise FileExistsError(17, "Too many folders of this name", str(folder))


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the run's lock, so that no process begins to train in it meanwhile."""
    lock = folder / run_names.LOCK
    if not lock.exists():
        yield
        return
    with lock.open("r+b") as file:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > end:
                    raise _trains(folder) from error
                time.sleep(0.01)
            else:
                break
        yield


def _document(file: Path) -> dict[str, Any] | None:
    """What stands in a file of notes; None where it is damaged."""
    try:
        document = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _write(file: Path, document: dict[str, Any]) -> None:
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as lines:
            lines.write(json.dumps(document, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace"))
            lines.flush()
            os.fsync(lines.fileno())
        Path(temporary).replace(file)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _trains(folder: Path) -> UserError:
    return UserError(
        "The run {name} trains just now and was not deleted.",
        "A process writes to its folder {folder}.",
        "Stop it first, or wait for its end.",
        name=folder.name,
        folder=folder,
    )


def _no_run(folder: Path) -> UserError:
    return UserError(
        "There is no run in {folder}.",
        "Neither settings nor a record of a run are in it, or it was moved or deleted.",
        "Look at the list again; it shows what is there now.",
        folder=folder,
    )
