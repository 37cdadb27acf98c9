"""Tells whether some process trains in a run's folder. Knows no figures and no window."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path

from engine.grpo import run_names
from engine.monitor import glance

# A lock on another machine's disk cannot be seen from here; what was written just now tells of it.
_FRESH_SECONDS = 20.0


def is_live(folder: Path, record: Path) -> bool:
    """Whether the run's lock is held, or its record is being written to by a process that cannot be seen from here."""
    held = is_held(folder)
    return _is_written(record) if held is None else held


def is_held(folder: Path) -> bool | None:
    """Whether a process holds the lock of a run's folder; None where this cannot be told."""
    try:
        with (folder / run_names.LOCK).open("rb") as file:
            if not file.read(1):
                return False
            # For an instant only, and where the number in it may be that of a dead process.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False


def _is_written(record: Path) -> bool:
    try:
        stat = record.stat()
        # What was copied just now looks as if it were being written; its end says that it is not.
        return time.time() - stat.st_mtime < _FRESH_SECONDS and (
            glance.take(str(record), stat.st_mtime_ns, stat.st_size).ending is None
        )
    except OSError:
        return False
