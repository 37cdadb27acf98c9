"""Paths as a person writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import places
from engine.errors import UserError


def test_the_home_folder_is_put_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places.expand("~/x") == tmp_path / "x"
    assert places.expand("~") == tmp_path
    assert places.expand("a/~b") == Path("a/~b")


def test_a_home_folder_that_is_not_there_is_said() -> None:
    with pytest.raises(UserError, match="no home folder ~nobody-here") as caught:
        places.expand("~nobody-here/x")
    assert "./~nobody-here/x" in caught.value.remedy
    assert places.expand("./~nobody-here/x") == Path("~nobody-here/x")


def test_a_nul_is_said() -> None:
    with pytest.raises(UserError, match="cannot be used") as caught:
        places.expand("a\0b")
    assert "NUL" in caught.value.why
    assert "\0" not in str(caught.value)


def test_the_programs_own_place_stays_as_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLX_GRPO_HOME", "~nobody-here/x")
    assert places.runs_folder() == Path("~nobody-here/x/Runs")
