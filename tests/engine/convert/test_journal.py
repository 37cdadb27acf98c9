"""Half-made folders: none is left, not even after a sudden death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine import places
from engine.convert import journal

REPOSITORY = Path(__file__).parents[3]
DYING = """
import os, signal, sys
from pathlib import Path
from engine.convert import journal
with journal.unfinished(Path(sys.argv[1])) as work:
    (work / "half").write_text("half")
    {before}
    print("ready", flush=True)
    sys.stdin.readline()
"""


def start(output: Path, before: str = "") -> subprocess.Popen[str]:
    """A process that is in the midst of making `output`."""
    process = subprocess.Popen(
        [sys.executable, "-c", DYING.format(before=before), str(output)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def test_the_folder_is_on_the_same_disk_and_gone_afterwards(tmp_path: Path) -> None:
    output = tmp_path / "deep" / "model"
    with journal.unfinished(output) as work:
        assert work.parent == output.parent
        (work / "a").mkdir()
        (work / "a" / "b").write_text("x")
    assert list(output.parent.iterdir()) == []
    assert list(places.unfinished_folder().iterdir()) == []


def test_a_renamed_folder_stays(tmp_path: Path) -> None:
    with journal.unfinished(tmp_path / "model") as work:
        (work / "a").write_text("x")
        work.rename(tmp_path / "model")
    assert (tmp_path / "model" / "a").read_text() == "x"


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with journal.unfinished(tmp_path / "model") as work:
            (work / "a").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.glob(".*")) == []


def test_what_a_killed_process_left_goes_at_the_next_start(tmp_path: Path) -> None:
    process = start(tmp_path / "model")
    assert journal.sweep() == 0, "it is still at work"
    assert len(list(tmp_path.glob(".model.*.partial"))) == 1
    kill(process)
    assert journal.sweep() == 1
    assert list(tmp_path.iterdir()) == []
    assert list(places.unfinished_folder().iterdir()) == []


def test_death_while_replacing_gives_the_old_one_back(tmp_path: Path) -> None:
    output = tmp_path / "model"
    output.mkdir()
    (output / "config.json").write_text("old")
    kill(start(output, before=f'Path(sys.argv[1]).rename(work / "{journal.REPLACED}")'))
    assert not output.exists()
    journal.sweep()
    assert (output / "config.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_damaged_note_removes_nothing_but_itself(tmp_path: Path) -> None:
    notes = places.unfinished_folder()
    notes.mkdir(parents=True)
    (notes / "a.json").write_text("{")
    (notes / "b.json").write_text(f'{{"folder": "{tmp_path}", "output": "{tmp_path}", "process": ""}}')
    assert journal.sweep() == 0
    assert tmp_path.is_dir()
    assert list(notes.iterdir()) == []
