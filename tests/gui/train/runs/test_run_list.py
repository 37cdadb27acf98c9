"""The column of runs: what a row says, what is chosen, and what can be done with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QItemSelectionModel, QPoint, Qt
from PySide6.QtGui import QColor, QContextMenuEvent, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot

from engine.run_events import RunFound, RunStatus
from gui import theme as looks
from gui.desk import Desk
from gui.train.runs import words
from gui.train.runs.run_list import RunList
from gui.train.runs.runs import Runs

Key = Qt.Key


def found(name: str, status: RunStatus = "finished", **more: object) -> RunFound:
    known: dict[str, object] = {
        "folder": f"/runs/{name}",
        "model": "starter",
        "step": 120,
        "steps": 600,
        "reward": 0.571,
        "accuracy_before": 0.4,
        "accuracy": 0.5,
        "began": 1.0,
        "changed": 2.0,
    }
    return RunFound(name=name, status=status, **(known | more))  # type: ignore[arg-type]


@pytest.fixture
def runs(desk: Desk) -> Runs:
    return Runs(desk)


@pytest.fixture
def column(qtbot: QtBot, runs: Runs) -> RunList:
    column = RunList(runs)
    qtbot.addWidget(column)
    column.resize(240, 600)
    column.show()
    runs._show(
        [
            found("b-live", "training", folder="/runs/b", tags=("good",)),
            found("a-killed", "interrupted", folder="/runs/a"),
            found("c-done", folder="/runs/c", notes="the best of all"),
        ],
        [],
    )
    return column


def click(column: RunList, row: int, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    place = column.view.visualRect(column.model.index(row)).center()
    QTest.mouseClick(column.view.viewport(), Qt.MouseButton.LeftButton, keys, place)


def texts(menu: QMenu) -> dict[str, bool]:
    return {action.text(): action.isEnabled() for action in menu.actions() if not action.isSeparator()}


def trigger(menu: QMenu, text: str) -> None:
    next(action for action in menu.actions() if action.text() == text).trigger()


def test_a_row_says_all_to_a_screen_reader(column: RunList) -> None:
    said = column.model.index(0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert said == "b-live. Training · step 120 of 600. 40 to 50\u00a0% right, reward 0.57. good"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ("training", "Training · step 120 of 600"),
        ("stopped", "Stopped · step 120 of 600"),
        ("interrupted", "Interrupted · step 120 of 600"),
        ("finished", "Finished · 120 steps"),
        ("reward fell", "Reward fell · 120 steps"),
    ],
)
def test_how_a_run_stands(status: RunStatus, text: str) -> None:
    assert words.standing(found("x", status)) == text
    assert words.standing(found("x", "interrupted", step=0, steps=0)) == "Interrupted"


def test_every_state_has_its_own_word_and_picture() -> None:
    states = words._STATUS
    assert len({word for word, _, _ in states.values()}) == len(states)
    for _, icon, colour in states.values():
        assert not looks.icon(icon, getattr(looks.LIGHT, colour)).isNull()


def test_a_click_chooses_once(qtbot: QtBot, column: RunList, runs: Runs) -> None:
    with qtbot.waitSignal(column.chosen) as told:
        click(column, 1)
    assert told.args == ["/runs/a"]
    with qtbot.assertNotEmitted(column.chosen, wait=200):
        click(column, 1)
        runs.changed.emit()


def test_the_selection_stays_when_runs_come_and_go(qtbot: QtBot, column: RunList, runs: Runs) -> None:
    click(column, 2)
    with qtbot.assertNotEmitted(column.chosen, wait=200):
        runs._show([found("new"), *runs.runs], [])
        assert column.selected == ["/runs/c"]
        runs._show([run for run in runs.runs if run.folder != "/runs/a"], [])
        assert column.selected == ["/runs/c"]
        column.filter.setText("live")
        assert column.selected == []
        column.filter.clear()
        assert column.selected == ["/runs/c"]


def test_the_neighbour_of_a_deleted_run_comes_into_view(qtbot: QtBot, column: RunList, runs: Runs) -> None:
    click(column, 1)
    with qtbot.waitSignal(column.chosen) as told:
        runs._show([run for run in runs.runs if run.folder != "/runs/a"], [])
    assert told.args == ["/runs/c"]


def test_the_rest_of_a_comparison_stays(qtbot: QtBot, column: RunList, runs: Runs) -> None:
    column.view.selectAll()
    qtbot.waitUntil(lambda: len(column._chosen) == 3)
    with qtbot.waitSignal(column.compare_wanted) as told:
        runs._show([run for run in runs.runs if run.folder != "/runs/a"], [])
    assert told.args == [["/runs/b", "/runs/c"]]
    with qtbot.waitSignal(column.chosen) as told:
        runs._show([run for run in runs.runs if run.folder != "/runs/b"], [])
    assert told.args == ["/runs/c"]
    runs._show([], [])
    assert column.selected == []


def test_two_are_compared(qtbot: QtBot, column: RunList) -> None:
    click(column, 0)
    with qtbot.waitSignal(column.compare_wanted) as told:
        click(column, 2, Qt.KeyboardModifier.ControlModifier)
    assert told.args == [["/runs/b", "/runs/c"]]


def test_a_growing_selection_is_told_once(qtbot: QtBot, column: RunList) -> None:
    click(column, 0)
    told: list[list[str]] = []
    column.compare_wanted.connect(told.append)
    for _ in range(2):
        QTest.keyClick(column.view, Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    qtbot.wait(300)
    assert told == [["/runs/b", "/runs/a", "/runs/c"]]


def test_choosing_from_outside_tells_nobody(qtbot: QtBot, column: RunList) -> None:
    with qtbot.assertNotEmitted(column.chosen, wait=150):
        column.choose("/runs/c")
    assert column.selected == ["/runs/c"]
    column.choose("")
    assert column.selected == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("killed", ["a-killed"]),
        ("GOOD", ["b-live"]),
        ("starter training", ["b-live"]),
        ("interrupted", ["a-killed"]),
        ("best of all", ["c-done"]),
        ("nothing such", []),
        ("", ["b-live", "a-killed", "c-done"]),
    ],
)
def test_find(column: RunList, text: str, names: list[str]) -> None:
    column.filter.setText(text)
    assert [column.model.index(row).data() for row in range(column.model.rowCount())] == names
    assert column._empty.isVisible() == (not names)


def test_without_runs_it_says_where_they_come_from(column: RunList, runs: Runs) -> None:
    runs._show([], ["/x"])
    assert "No runs yet" in column._empty.text()
    assert column._absent.text().startswith("/x is not there")
    runs._show([found("x")], [])
    assert not column._empty.isVisible()
    assert not column._absent.isVisible()


def test_the_menu_of_one_run(qtbot: QtBot, column: RunList) -> None:
    menu = column.menu(["/runs/a"])
    assert texts(menu) == {
        "Open": True,
        "Go On Training": True,
        "New Run with These Settings…": True,
        "Compare With": True,
        "Open Folder": True,
        "Delete": True,
    } or "Show in Finder" in texts(menu)
    live = texts(column.menu(["/runs/b"]))
    assert not live["Go On Training"]
    assert not live["Delete"]
    for text, signal in (
        ("Open", column.chosen),
        ("Go On Training", column.resume_wanted),
        ("New Run with These Settings…", column.duplicate_wanted),
        ("Delete", column.delete_wanted),
    ):
        with qtbot.waitSignal(signal) as told:
            trigger(column.menu(["/runs/a"]), text)
        assert told.args == ["/runs/a"]


def test_compare_with_another_by_the_menu(qtbot: QtBot, column: RunList) -> None:
    menu = column.menu(["/runs/a"])
    others = next(action.menu() for action in menu.actions() if action.text() == "Compare With")
    assert isinstance(others, QMenu)
    assert list(texts(others)) == ["b-live", "c-done"]
    with qtbot.waitSignal(column.compare_wanted) as told:
        trigger(others, "c-done")
    assert told.args == [["/runs/a", "/runs/c"]]
    assert column.selected == ["/runs/a", "/runs/c"]


def test_the_menu_of_several_runs(qtbot: QtBot, column: RunList) -> None:
    menu = column.menu(["/runs/a", "/runs/c"])
    assert list(texts(menu)) == ["Compare These 2 Runs", "Delete 2 Runs"]
    deleted: list[str] = []
    column.delete_wanted.connect(deleted.append)
    trigger(menu, "Delete 2 Runs")
    assert deleted == ["/runs/a", "/runs/c"]


def test_keys(qtbot: QtBot, column: RunList) -> None:
    click(column, 1)
    with qtbot.waitSignal(column.delete_wanted) as told:
        QTest.keyClick(column.view, Key.Key_Backspace)
    assert told.args == ["/runs/a"]
    with qtbot.waitSignal(column.chosen):
        QTest.keyClick(column.view, Key.Key_Return)
    event = QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, QPoint(3, 3), QPoint(3, 3))
    with qtbot.waitSignal(column.view.menu_wanted):
        QApplication.sendEvent(column.view, event)
    menu = next(menu for menu in column.findChildren(QMenu) if menu.isVisible())
    assert "Go On Training" in texts(menu)
    menu.close()


def test_a_new_run_and_folders_of_runs(qtbot: QtBot, column: RunList, runs: Runs, tmp_path: Path) -> None:
    with qtbot.waitSignal(column.new_wanted):
        column._new.click()
    with qtbot.waitSignal(runs.changed):
        runs.add_folder(str(tmp_path))
    menu = column.folders_menu()
    assert list(texts(menu)) == ["Add a Folder of Runs…", f"Stop Looking in {tmp_path}"]
    trigger(menu, f"Stop Looking in {tmp_path}")
    assert runs.folders == ()


@pytest.mark.parametrize("appearance", ["light", "dark"])
def test_a_live_run_has_a_bar(column: RunList, theme: looks.Theme, appearance: str) -> None:
    theme.wish(appearance)
    picture = column.view.viewport().grab().toImage()
    accent = QColor(theme.colours.accent)
    assert [_has(picture, column, row, accent) for row in range(3)] == [True, False, False]
    theme.wish("light")


def _has(picture: QImage, column: RunList, row: int, colour: QColor) -> bool:
    """Whether the lower edge of a row shows a colour."""
    rect = column.view.visualRect(column.model.index(row))
    middle = rect.left() + 16
    return any(picture.pixelColor(middle, rect.bottom() - above) == colour for above in range(12))


def test_a_long_list_stays_where_it_was_scrolled_to(qtbot: QtBot, column: RunList, runs: Runs) -> None:
    runs._show([found(f"run-{number}") for number in range(500)], [])
    column.view.verticalScrollBar().setValue(5000)
    runs._show([found(f"run-{number}", reward=1.0) for number in range(500)], [])
    assert column.view.verticalScrollBar().value() == 5000
    column.choose("/runs/run-400")
    assert column.view.visualRect(column.model.index(400)).intersects(column.view.viewport().rect())
    column.view.verticalScrollBar().setValue(5000)
    runs._show([found("newest"), *runs.runs], [])
    qtbot.wait(50)
    assert column.view.verticalScrollBar().value() == 5000
    assert column.selected == ["/runs/run-400"]


def test_a_selection_by_mouse_and_keys_is_extended(column: RunList) -> None:
    column.view.selectionModel().select(column.model.index(0), QItemSelectionModel.SelectionFlag.ClearAndSelect)
    assert column.selected == ["/runs/b"]
    column.view.selectAll()
    assert len(column.selected) == 3
