"""Sees which processes run. Knows no program."""

from __future__ import annotations

import os
import subprocess
import time


def children(parent: int = 0) -> dict[int, str]:
    """The running children of a process, by default of this one: process id to command line."""
    parent = parent or os.getpid()
    said = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(maxsplit=2) for line in said.splitlines()]
    return {int(row[0]): row[2] for row in rows if int(row[1]) == parent and len(row) == 3}


def runs(pid: int, what: str) -> bool:
    """Whether a process of this id runs, with `what` in its command line."""
    words = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return what in subprocess.run(words, capture_output=True, text=True, check=False).stdout


def ends(pid: int, what: str, seconds: float = 20) -> bool:
    """Whether it has ended, waiting for that."""
    deadline = time.monotonic() + seconds
    while (there := runs(pid, what)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not there
