"""Naming what the system lacks: what stops the set-up, what is only a hint, what only a window needs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from tests.scripts.shell import ROOT, load, script

ABSENT = {"libof-no-system.so.9": "libof-no-system9"}


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The system's check on a Debian that lacks nothing."""
    module = load(ROOT / "scripts/system_check.py")
    for name in ("NEEDED", "X11", "WAYLAND", "FASTER"):
        monkeypatch.setattr(module, name, {})
    script(tmp_path / "bin/apt-get", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "platform", "linux")
    return module


def test_a_missing_library_is_named_with_its_command(
    system: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert system.main([]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(system, "NEEDED", ABSENT)
    assert system.main([]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "libof-no-system.so.9" in said
    assert "apt-get install -y libof-no-system9" in said


def test_a_slower_library_is_only_a_hint(
    system: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(system, "FASTER", ABSENT)
    assert system.main([]) == 0
    assert capsys.readouterr().err.startswith("Hint: ")
    assert system.main(["--packages"]) == 0
    assert capsys.readouterr().out == "libof-no-system9\n"


@pytest.mark.parametrize(
    ("variables", "status"),
    [({}, 0), ({"DISPLAY": ":0"}, 1), ({"WAYLAND_DISPLAY": "w"}, 0), ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "w"}, 0)],
)
def test_a_display_needs_one_of_its_two_doors(
    system: ModuleType, monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], status: int
) -> None:
    monkeypatch.setattr(system, "X11", ABSENT)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert system.main(["--display"]) == status
    assert system.main([]) == 0
