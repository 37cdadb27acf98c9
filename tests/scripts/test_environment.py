"""Keeping .venv right: what counts as damage, what is mended, what is made anew. Nothing is installed here."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.scripts.shell import ROOT, SPACED, load, run


@pytest.fixture
def environment(tmp_path: Path) -> ModuleType:
    """The set-up of a checkout whose environment is finished (and empty)."""
    checkout = tmp_path / SPACED
    (checkout / "scripts").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "scripts/environment.py"):
        shutil.copy(ROOT / name, checkout / name)
    venv.create(checkout / ".venv", symlinks=True)
    module = load(checkout / "scripts/environment.py")
    (module.VENV / "bin/mlx-grpo").touch()
    module.write_stamp()
    return module


def packages(environment: ModuleType) -> Path:
    return next(environment.VENV.glob("lib/*/site-packages"))


def test_nothing_is_done_twice(environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(environment, "call")
    environment.set_up(0)
    (packages(environment) / "added_by_hand").mkdir()
    environment.set_up(0)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda there: (there.VENV / "bin/python").unlink(), "does not run"),
        (lambda there: (there.VENV / "bin/mlx-grpo").unlink(), "bin/mlx-grpo is gone"),
        (lambda there: there.STAMP.unlink(), "not finished"),
        (lambda there: there.STAMP.write_text("{"), "not finished"),
        (lambda there: there.STAMP.write_text('{"inputs": ""}'), "another folder"),
        (lambda there: shutil.rmtree(there.VENV), "none yet"),
    ],
)
def test_damage_is_seen(environment: ModuleType, damage: Callable[[ModuleType], None], reason: str) -> None:
    assert environment.fault(environment.read_stamp()) == ""
    damage(environment)
    assert reason in environment.fault(environment.read_stamp())


def test_a_lost_package_is_seen(environment: ModuleType) -> None:
    module = packages(environment) / "numpy/core.py"
    module.parent.mkdir()
    module.touch()
    environment.write_stamp()
    module.unlink()
    assert environment.fault(environment.read_stamp()).endswith("numpy/core.py is gone")


def test_a_dangling_python_is_seen(environment: ModuleType) -> None:
    python = environment.VENV / "bin/python"
    python.unlink()
    python.symlink_to("/nowhere/python")
    assert "does not run" in environment.fault(environment.read_stamp())


def test_a_moved_checkout_is_seen(environment: ModuleType, tmp_path: Path) -> None:
    moved = environment.ROOT.rename(tmp_path / "elsewhere")
    there = load(moved / "scripts/environment.py")
    assert "another folder" in there.fault(there.read_stamp())


def test_another_python_is_seen(environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment.platform, "python_version", lambda: "3.13.9")
    assert "another Python" in environment.fault(environment.read_stamp())


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt", "scripts/environment.py"])
def test_changed_pins_are_mended_and_not_made_anew(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    steps: list[int] = []
    monkeypatch.setattr(environment, "install", steps.append)
    monkeypatch.delattr(environment, "make_anew")
    with (environment.ROOT / name).open("a") as file:
        file.write("\n# changed\n")
    environment.set_up(7)
    environment.set_up(7)
    assert steps == [7]


@pytest.mark.parametrize(("status", "reason"), [(1, ""), (-9, "not finished")])
def test_a_mending_that_pip_refuses_leaves_what_was_there(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, status: int, reason: str
) -> None:
    def fail(lock: int) -> None:
        raise subprocess.CalledProcessError(status, "pip")

    monkeypatch.setattr(environment, "install", fail)
    (environment.ROOT / "constraints.txt").write_text("numpy==1\n")
    with pytest.raises(subprocess.CalledProcessError):
        environment.set_up(0)
    assert reason in environment.fault(environment.read_stamp())
    assert environment.STAMP.exists() is (not reason)


@pytest.mark.parametrize("thing", ["folder", "file", "link"])
def test_whatever_stands_in_the_way_is_replaced(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, thing: str
) -> None:
    if thing == "folder":
        (packages(environment) / "half").mkdir()
        environment.STAMP.unlink()
    else:
        shutil.rmtree(environment.VENV)
        environment.VENV.touch() if thing == "file" else environment.VENV.symlink_to(tmp_path / "nowhere")
    monkeypatch.setattr(environment, "call", lambda lock, *command: venv.create(command[-1], symlinks=True))
    monkeypatch.setattr(environment, "install", lambda lock: None)
    environment.set_up(0)
    assert environment.fault(environment.read_stamp()) == ""
    assert not (packages(environment) / "half").exists()


@pytest.mark.parametrize("arguments", [[".venv/bin/python"], [sys._base_executable, "--help"]])
def test_a_call_by_hand_changes_nothing(environment: ModuleType, arguments: list[str]) -> None:
    program, *words = arguments
    environment.STAMP.unlink()
    ran = run(program, environment.ROOT / "scripts/environment.py", *words, cwd=environment.ROOT)
    assert ran.returncode == 2
    assert "use `make environment`" in ran.stderr
    assert (environment.VENV / "bin/mlx-grpo").exists()


def test_a_second_set_up_waits_for_the_first(environment: ModuleType) -> None:
    source = environment.ROOT / "scripts/environment.py"
    with source.open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        second = subprocess.Popen([sys._base_executable, "-I", source], stderr=subprocess.PIPE, text=True)
        assert second.stderr is not None
        assert "waiting" in second.stderr.readline()
        assert second.poll() is None
    assert second.communicate()[1] == ""
    assert second.returncode == 0
