from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from engine.errors import UserError
from engine.grpo.reward_file import RewardFile
from tests.support.children import children, ends

Result = TypeVar("Result")


def drain(steps: Generator[Any, None, Result]) -> Result:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


def write(folder: Path, source: str) -> Path:
    path = folder / "mine.py"
    path.write_text(textwrap.dedent(source), "utf-8")
    return path


def children_of_rewards() -> list[int]:
    return [pid for pid, command in children().items() if "engine.grpo.reward_file" in command]


def score(path: Path, *names: str, seconds: float = 60.0, completions: tuple[str, ...] = ("one", "three")) -> Any:
    columns = {"answer": ["1"] * len(completions), "lengths": [1] * len(completions)}
    with closing(RewardFile(str(path), names, seconds)) as file:
        drain(file.open())
        return drain(file.score(names, completions, columns))


def test_functions_see_completions_and_columns(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text(
        "def borrowed(completions, **columns):\n    return [0.5 for _ in completions]\n"
    )
    path = write(
        tmp_path,
        """
        import sys
        import numpy as np
        from beside import borrowed

        count = 0

        def noisy(completions, answer, **columns):
            global count
            count += 1
            print('{"end": true}')
            assert sys.stdin.read() == ""
            completions.reverse()
            return np.array([len(text) + count for text in completions], np.float32)

        def silent(completions, **columns):
            return (None if text == "one" else True for text in completions)

        def _private(completions, **columns):
            return []
        """,
    )
    columns = {"answer": ["1", "2"]}
    with closing(RewardFile(str(path), ["borrowed"], 60.0)) as file:
        drain(file.open())
        assert file.known == ("noisy", "silent", "borrowed")
        scores = drain(file.score(file.known, ["one", "three"], columns))
        assert scores == {"noisy": [6.0, 4.0], "silent": [None, 1.0], "borrowed": [0.5, 0.5]}
        # The process lives on, and with it what the file remembers.
        assert drain(file.score(["noisy"], ["\ud800\n\0", ""], columns)) == {"noisy": [2.0, 5.0]}
        (pid,) = children_of_rewards()
    assert not (tmp_path / "__pycache__" / "mine.pyc").exists()
    assert ends(pid, "reward_file")


def test_relative_paths_are_the_persons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("one")
    path = write(
        tmp_path, "words = open('words.txt').read()\ndef known(texts, **_):\n    return [t in words for t in texts]\n"
    )
    assert score(Path(path.name), "known") == {"known": [1.0, 0.0]}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def f(:\n", ("not valid Python", "line 1", "def f(:")),
        ("x = 1\nimport no_such_module\n", ("could not be loaded", "line 2", "no_such_module")),
        ("raise SystemExit(3)", ("could not be loaded", "line 1", "SystemExit")),
        ("import os\nos._exit(7)", ("ended its own process", "status 7")),
        ("x = 'a\0b'", ("not valid Python",)),
        ("def f(completions):\n    return []\n", ("cannot be called", "line 1", "def f(completions, **columns):")),
        ("def f(*, completions, **columns):\n    return []\n", ("cannot be called",)),
        ("while True:\n    pass\n", ("longer than 0.5 s", "reward_timeout")),
    ],
)
def test_a_file_at_fault_is_refused(tmp_path: Path, source: str, words: tuple[str, ...]) -> None:
    path = write(tmp_path, source)
    with closing(RewardFile(str(path), ["f"], 0.5)) as file, pytest.raises(UserError) as caught:
        drain(file.open())
    said = f"{caught.value.what} {caught.value.why} {caught.value.remedy}"
    assert caught.value.fault == "input"
    assert str(path) in said
    assert all(word in said for word in words), said
    assert children_of_rewards() == []


@pytest.mark.parametrize("name", ["nothing.py", "."])
def test_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="There is no reward file"):
        RewardFile(str(tmp_path / name), [], 1.0)


FAULTS = """\
import os, time

def raising(completions, **columns):
    return [1 / 0]

def leaving(completions, **columns):
    raise SystemExit

def lacking(completions, colour, **columns):
    return []

def short(completions, **columns):
    return [1.0]

def one(completions, **columns):
    return 1.0

def text(completions, **columns):
    return ["1", "2"]

def infinite(completions, **columns):
    return [0.0, float("inf")]

def unknown(completions, **columns):
    return [float("nan")] * len(completions)

def crashing(completions, **columns):
    os.kill(os.getpid(), 11)

def hanging(completions, **columns):
    while True:
        pass

def sleeping(completions, **columns):
    time.sleep(1000)

class Mute(Exception):
    def __str__(self):
        raise ValueError("no words")

class Odd:
    def __init__(self, kind):
        self.kind = kind

    def __float__(self):
        raise {"float": Mute, "repr": TypeError}[self.kind]

    def __repr__(self):
        raise KeyError("no picture")

def mute(completions, **columns):
    raise Mute

def muttering(completions, **columns):
    raise Exception(Mute())

def unfloatable(completions, **columns):
    return [1.0, Odd("float")]

def unshowable(completions, **columns):
    return [1.0, Odd("repr")]
"""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raising", ("line 4", "ZeroDivisionError", "answer, lengths")),
        ("leaving", ("line 7", "SystemExit")),
        ("lacking", ("line 9", "colour")),
        ("short", ("line 12", "given 2 completions", "1 scores")),
        ("one", ("a float",)),
        ("text", ("completion 1", "'1'")),
        ("infinite", ("completion 2", "inf")),
        ("unknown", ("nan",)),
        ("crashing", ("ended its own process", "-11")),
        ("hanging", ("longer than 0.5 s",)),
        ("sleeping", ("longer than 0.5 s",)),
        ("mute", ("failed", "Mute: it says nothing")),
        ("muttering", ("failed", "Exception: it says nothing")),
        ("unfloatable", ("failed", "line 46", "Mute")),
        ("unshowable", ("failed", "line 49", "KeyError", "no picture")),
    ],
)
def test_a_reward_at_fault_names_itself(tmp_path: Path, name: str, words: tuple[str, ...]) -> None:
    path = write(tmp_path, FAULTS)
    with pytest.raises(UserError) as caught:
        score(path, name, seconds=0.5)
    said = f"{caught.value.what} {caught.value.why} {caught.value.remedy}"
    assert caught.value.fault == "input"
    assert f"The reward {name} " in caught.value.what
    assert all(word in said for word in (*words, str(path))), said
    assert children_of_rewards() == []


def test_closing_midway_ends_the_process_and_the_next_step_starts_another(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        import pathlib, subprocess, time

        def slow(completions, **columns):
            if completions[0] == "wait":
                child = subprocess.Popen(["sleep", "1000"])
                pathlib.Path(completions[1]).write_text(str(child.pid))
                time.sleep(1000)
            return [1.0] * len(completions)
        """,
    )
    note = tmp_path / "pid"
    with closing(RewardFile(str(path), ["slow"], 60.0)) as file:
        drain(file.open())
        (first,) = children_of_rewards()
        steps = file.score(["slow"], ["wait", str(note)], {})
        while not (note.exists() and note.read_text()):
            assert next(steps) == "slow"
        steps.close()
        assert ends(first, "reward_file")
        assert ends(int(note.read_text()), "sleep")
        assert drain(file.score(["slow"], ["go"], {})) == {"slow": [1.0]}


def test_a_large_step_passes_both_ways(tmp_path: Path) -> None:
    path = write(tmp_path, "def size(completions, **columns):\n    return [len(text) for text in completions]\n")
    assert score(path, "size", completions=("x" * 300_000,) * 8) == {"size": [300_000.0] * 8}


def test_the_process_ends_with_its_parent(tmp_path: Path) -> None:
    path = write(tmp_path, "def busy(completions, **columns):\n    print('busy')\n    while True:\n        pass\n")
    code = (
        "from engine.grpo.reward_file import RewardFile\n"
        f"file = RewardFile({str(path)!r}, ['busy'], 1000.0)\n"
        "for _ in file.score(['busy'], ['x'], {}): print('.', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        # It is at work once the function has printed.
        assert b"busy" in parent.stderr.readline()
        (child,) = [pid for pid, command in children(parent.pid).items() if "reward_file" in command]
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        assert ends(child, "reward_file")
