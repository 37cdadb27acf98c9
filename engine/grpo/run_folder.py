"""A run on disk: its settings, its events, its samples and the lock on them. Knows no trainer and no array.

One folder a run: config.toml, events.jsonl, samples.jsonl and checkpoints/STEP.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from engine import errors, places
from engine.errors import UserError
from engine.events import Event, to_json
from engine.grpo import checkpoint, config_file, run_names
from engine.grpo.settings import TrainConfig
from engine.training_events import TrainingStarted

_CONFIG = config_file.RUN
_EVENTS = "events.jsonl"
_SAMPLES = "samples.jsonl"
# How the lines begin that are written once there is a checkpoint.
_SAVED = re.compile(rb'\{"event": "(?:checkpoint_saved"|training_stopped".*"step": [1-9])')
# A model is written here, and moved to the place of that name.
_MODELS = ("model", "fused")
_TRIES, _TRY_SECONDS = 10, 0.02


class RunFolder:
    """The folder of a run that this process alone writes to, until it is closed.

    Attributes:
        folder: the run's folder.
        config: the settings that are in config.toml.
    """

    def __init__(self, folder: Path, config: TrainConfig, lock: IO[str]) -> None:
        """Made by `create` and `open_existing`, which hold the lock."""
        self.folder = folder
        self.config = config
        self._lock = lock
        self._logs: dict[str, IO[bytes]] = {}
        try:
            for name in (_EVENTS, _SAMPLES):
                self._logs[name] = (folder / name).open("ab", buffering=0)
        except OSError as error:
            self.close()
            raise errors.explain(error) from error

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints; it may not exist yet."""
        return self.folder / "checkpoints"

    def append_event(self, event: Event) -> None:
        """Add one line to events.jsonl; another process can read it at once.

        Raises:
            UserError: the disk is full; the file is as it was.
        """
        self._append(_EVENTS, [to_json(event)])

    def append_news(self, events: Iterable[Event]) -> None:
        """Add the events with which a run begins; of one that goes on, those that its record does not begin with.

        Raises:
            UserError: the disk is full; the file is as it was.
        """
        known = _opening(self.folder / _EVENTS)
        self._append(_EVENTS, [to_json(event) for event in events if _encoded(to_json(_as_begun(event))) not in known])

    def append_samples(self, samples: Iterable[dict[str, Any]]) -> None:
        """Add one line a sample to samples.jsonl, all of them or none; what a sample holds is for the caller to say.

        Raises:
            UserError: the disk is full; the file is as it was.
        """
        self._append(_SAMPLES, [json.dumps(sample, ensure_ascii=False) for sample in samples])

    def sizes(self) -> dict[str, int]:
        """How many bytes each file has, all of them on the disk; kept in a checkpoint and given back to `rewind`.

        Raises:
            UserError: the disk is full or failed.
        """
        try:
            for log in self._logs.values():
                os.fsync(log.fileno())
            return {name: os.fstat(log.fileno()).st_size for name, log in self._logs.items()}
        except OSError as error:
            raise errors.explain(error) from error

    def has_saved(self) -> bool:
        """Whether the record tells of a checkpoint."""
        with (self.folder / _EVENTS).open("rb") as lines:
            return any(_SAVED.match(line) for line in lines)

    def rewind(self, step: int, sizes: dict[str, int]) -> None:
        """Make the folder what it was when the checkpoint of `step` was saved, to go on from there.

        Both files are cut to their sizes of then, which takes a half-written last line along, and checkpoints of
        later steps are removed. A file that is shorter than it was then loses its half-written line alone.
        Step 0 with no sizes begins anew.

        Raises:
            UserError: a file or checkpoint cannot be changed.
        """
        try:
            for name, log in self._logs.items():
                size = sizes.get(name, 0)
                now = os.fstat(log.fileno()).st_size
                os.ftruncate(log.fileno(), size if now >= size else _whole_lines(self.folder / name))
                os.fsync(log.fileno())
        except OSError as error:
            raise errors.explain(error) from error
        checkpoint.remove_after(self.checkpoints, step)

    def replace_config(self, config: TrainConfig) -> None:
        """Take other settings from here on, such as more steps.

        Raises:
            UserError: the disk is full; the settings are as they were.
        """
        try:
            _write_config(self.folder, config)
        except OSError as error:
            raise errors.explain(error) from error
        self.config = config

    def close(self) -> None:
        """Close the files and give the lock back. Safe to call more than once."""
        for log in self._logs.values():
            log.close()
        self._lock.close()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, name: str, lines: list[str]) -> None:
        log = self._logs[name]
        before = os.fstat(log.fileno()).st_size
        data = memoryview(_encoded("".join(f"{line}\n" for line in lines)))
        try:
            while data:
                data = data[log.write(data) :]
        except OSError as error:
            os.ftruncate(log.fileno(), before)
            raise errors.explain(OSError(error.errno, error.strerror, str(self.folder / name))) from error


def create(config: TrainConfig) -> RunFolder:
    """Make the folder of a new run, with its settings in it.

    Without a `run_name` it is called after the model, with the smallest free number.

    Raises:
        UserError: the name is no name of a folder, a run of this name exists, or the disk cannot be written.
    """
    try:
        folder = run_names.make(config)
        lock = _locked(folder)
        try:
            # Once more under the lock: another process may have begun the same run meanwhile.
            run_names.require_new(folder)
            return _begun(folder, config, lock)
        except BaseException:
            lock.close()
            raise
    except OSError as error:
        raise errors.explain(error) from error


def open_existing(path: str | Path, output_dir: str = "") -> RunFolder:
    """Open the folder of a run to go on with it, under the settings in its config.toml.

    Args:
        path: the run's folder, or its name alone.
        output_dir: the folder of runs that a name alone is looked for in; empty is the program's own.

    Raises:
        UserError: there is no such run, its settings cannot be read, or another process trains in it.
    """
    runs = run_names.runs_folder(output_dir)
    try:
        given = places.expand(str(path)).absolute()
        folder = given if (given / _CONFIG).is_file() else runs / str(path)
        if not (folder / _CONFIG).is_file():
            raise run_names.unknown(str(path), runs)
        lock = _locked(folder)
    except OSError as error:
        raise errors.explain(error) from error
    try:
        _remove_leftovers(folder)
        return RunFolder(folder, config_file.of_run(folder), lock)
    except OSError as error:
        lock.close()
        raise errors.explain(error) from error
    except BaseException:
        lock.close()
        raise


def _begun(folder: Path, config: TrainConfig, lock: IO[str]) -> RunFolder:
    try:
        _write_config(folder, config)
        return RunFolder(folder, config, lock)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _remove_leftovers(folder: Path) -> None:
    """Clear away what a process that died while writing settings or a model left behind.

    Raises:
        OSError: a leftover cannot be moved.
    """
    (folder / run_names.PARTIAL).unlink(missing_ok=True)
    for name in _MODELS:
        for leftover in folder.glob(f".{name}-*"):
            # The old model was moved away once the new one was whole.
            if (leftover / "old").exists() and (leftover / "new").exists() and not (folder / name).exists():
                (leftover / "new").rename(folder / name)
            shutil.rmtree(leftover, ignore_errors=True)


def _locked(folder: Path) -> IO[str]:
    """The lock file, held; closing it gives the lock back, and so does the end of the process, however it comes."""
    lock = (folder / run_names.LOCK).open("a+", encoding="utf-8")
    try:
        _take(lock)
    except BlockingIOError as error:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise UserError(
            "Another process trains in {folder}.",
            "It is the process {holder}, and two cannot write to one run.",
            "Wait for its end or stop it, or start a run with another name.",
            folder=folder,
            holder=holder,
        ) from error
    except OSError:
        lock.close()
        raise
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _take(lock: IO[str]) -> None:
    """Hold the lock; who only looks whether somebody trains there has it for an instant."""
    for _ in range(_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(_TRY_SECONDS)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _write_config(folder: Path, config: TrainConfig) -> None:
    """Write every setting but those that are None, which TOML cannot say, to a temporary name first."""
    import tomli_w

    temporary = folder / run_names.PARTIAL
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(tomli_w.dumps(config.model_dump(mode="json", exclude_none=True)))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / _CONFIG)
    finally:
        temporary.unlink(missing_ok=True)


def _whole_lines(file: Path) -> int:
    """The bytes of a file up to its last line end."""
    return file.read_bytes().rfind(b"\n") + 1


def _encoded(text: str) -> bytes:
    """Half of a surrogate pair has no UTF-8; as an escape it is JSON all the same."""
    return text.encode("utf-8", "backslashreplace")


def _opening(file: Path) -> set[bytes]:
    """The lines of a record up to the first that says the run began."""
    known = set[bytes]()
    with file.open("rb") as lines:
        for line in lines:
            known.add(line.rstrip(b"\n"))
            if b'"event": "training_started"' in line:
                break
    return known


def _as_begun(event: Event) -> Event:
    return dataclasses.replace(event, step=0, resumed=False) if isinstance(event, TrainingStarted) else event
