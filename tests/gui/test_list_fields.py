"""Fields that hold several things, or the place of a file, in a form of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QFileDialog, QPushButton, QToolButton
from pytestqt.qtbot import QtBot

from gui.form import Form
from gui.texts import Chips, TextLine
from tests.gui.form_bench import Bench, bench, retype

pytestmark = pytest.mark.usefixtures("theme")


class Lists(BaseModel):
    """One field of every kind that holds several things."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    names: dict[str, str] = Field({}, title="Columns")
    targets: tuple[Literal["first", "second"], ...] = Field((), title="Report to")
    stops: tuple[Annotated[str, Field(min_length=1)], ...] = Field((), title="Stops")
    file: str = Field("", title="Reward file", json_schema_extra={"path": "python"})
    folder: str = Field("", title="Folder", json_schema_extra={"path": "folder"})


@pytest.fixture(name="lists", params=[False, True], ids=["wide", "compact"])
def _lists(qtbot: QtBot, request: pytest.FixtureRequest) -> Bench:
    return bench(qtbot, Lists(), compact=request.param)


def press(qtbot: QtBot, made: Bench, name: str) -> None:
    children = [*made.form.findChildren(QPushButton), *made.form.findChildren(QToolButton)]
    (button,) = [one for one in children if name in (one.text(), one.accessibleName()) and one.isVisible()]
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_pairs_count_once_both_sides_are_there(lists: Bench, qtbot: QtBot) -> None:
    press(qtbot, lists, "Add a Name")
    retype(qtbot, lists.find(TextLine, "Columns: New name"), "right")
    assert lists.form.settings() == Lists()
    assert lists.find(TextLine, "Columns: New name").text() == "right", "half a pair stays for the person to finish"
    retype(qtbot, lists.find(TextLine, "Columns: Column"), "solution")
    assert lists.form.settings() == Lists(names={"right": "solution"})
    press(qtbot, lists, "Remove this name")
    assert lists.form.settings() == Lists()
    lists.form.set_settings(Lists(names={"a": "b", "c": "d"}))
    texts = [line.text() for line in lists.form.findChildren(TextLine) if "Columns" in line.accessibleName()]
    assert texts[-4:] == ["a", "b", "c", "d"]


def test_several_of_a_few_are_ticked(lists: Bench, qtbot: QtBot) -> None:
    first, second = lists.find(QCheckBox, "Report to: First"), lists.find(QCheckBox, "Report to: Second")
    qtbot.mouseClick(second, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(first, Qt.MouseButton.LeftButton)
    assert lists.form.settings() == Lists(targets=("first", "second"))
    lists.form.set_settings(Lists(targets=("second",)))
    assert (first.isChecked(), second.isChecked()) == (False, True)


def test_texts_with_limits_are_chips(lists: Bench, qtbot: QtBot) -> None:
    line = lists.form.findChild(Chips).line
    line.setFocus()
    qtbot.keyClicks(line, "###")
    assert lists.form.settings() == Lists(stops=("###",))


def test_a_path_can_be_typed_and_chosen(
    lists: Bench, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []
    file, folder = str(tmp_path / "mine.py"), str(tmp_path)

    def choose(*words: object) -> tuple[str, str]:
        asked.append(str(words[-1]))
        return file, ""

    monkeypatch.setattr(QFileDialog, "getOpenFileName", choose)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_words: folder)
    press(qtbot, lists, "Choose: Reward file")
    press(qtbot, lists, "Choose: Folder")
    assert lists.form.settings() == Lists(file=file, folder=folder)
    assert "*.py" in asked[0]
    assert lists.find(TextLine, "Reward file").text() == file
    retype(qtbot, lists.find(TextLine, "Reward file"), "other.py")
    assert lists.form.settings().file == "other.py"  # type: ignore[attr-defined]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_words: "")
    press(qtbot, lists, "Choose: Folder")
    assert lists.form.settings().folder == folder  # type: ignore[attr-defined]


def test_a_type_without_an_editor_is_refused(qtbot: QtBot) -> None:
    class Odd(BaseModel):
        pair: tuple[int, ...] = ()

    with pytest.raises(TypeError, match="pair"):
        Form(Odd())
