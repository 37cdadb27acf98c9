"""Whether a run is under way: by its lock where that can be seen, by its record's age elsewhere."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

from engine.grpo import run_names
from engine.monitor.liveness import is_live
from engine.training_events import TrainingStopped
from tests.engine.monitor.steps import step, write_events

_HOLD = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_that_another_process_holds_tells(tmp_path: Path) -> None:
    lock, record = tmp_path / run_names.LOCK, tmp_path / "events.jsonl"
    lock.write_text("4711")
    command = [sys.executable, "-c", _HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline().strip() == "held"
        assert is_live(tmp_path, record)
        holder.stdin.close()
        holder.wait()
    assert not is_live(tmp_path, record)


def test_looking_leaves_the_lock_free(tmp_path: Path) -> None:
    lock = tmp_path / run_names.LOCK
    lock.write_text("4711")
    assert not is_live(tmp_path, tmp_path / "events.jsonl")
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_an_empty_lock_is_that_of_a_run_that_ended(tmp_path: Path) -> None:
    (tmp_path / run_names.LOCK).touch()
    record = tmp_path / "events.jsonl"
    record.touch()
    assert not is_live(tmp_path, record)


def test_without_a_lock_the_age_of_the_record_tells(tmp_path: Path) -> None:
    record = tmp_path / "events.jsonl"
    assert not is_live(tmp_path, record)
    record.touch()
    assert is_live(tmp_path, record)
    write_events(tmp_path, step(1))
    assert is_live(tmp_path, record)
    hour_ago = time.time() - 3600
    os.utime(record, (hour_ago, hour_ago))
    assert not is_live(tmp_path, record)


def test_an_ended_run_that_was_copied_just_now_is_not_under_way(tmp_path: Path) -> None:
    write_events(tmp_path, step(1), TrainingStopped(str(tmp_path), 1))
    assert not is_live(tmp_path, tmp_path / "events.jsonl")
