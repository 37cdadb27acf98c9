"""Several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from gui.desk import Desk
from gui.train.record import Record
from gui.train.runs.comparison import RunComparison
from tests.engine.monitor.run_folders import copied, started, step, written


class Curves(QWidget):
    """Remembers whose curves it is to draw."""

    def __init__(self) -> None:
        super().__init__()
        self.folders: list[str] = []

    def show_records(self, records: Sequence[Record]) -> None:
        self.folders = [record.folder for record in records]


@pytest.fixture
def curves(qtbot: QtBot) -> Curves:
    return Curves()


@pytest.fixture
def view(qtbot: QtBot, desk: Desk, curves: Curves) -> RunComparison:
    view = RunComparison(desk, curves)
    qtbot.addWidget(view)
    view.resize(860, 700)
    view.show()
    return view


def show(qtbot: QtBot, view: RunComparison, *folders: Path) -> None:
    view.show_runs([str(folder) for folder in folders])
    qtbot.waitUntil(lambda: not view._waiting and all(record.loaded or record.failure for record in view._records))


def test_two_runs(qtbot: QtBot, view: RunComparison, curves: Curves, whole: Path, adapters: Path) -> None:
    show(qtbot, view, whole, adapters)
    assert view.title.text() == "2 runs compared"
    settings = {row[0]: row[1:] for row in view.table.texts()}
    assert settings == {"What is trained": ("full", "lora"), "Adapter rank": ("8", "4"), "Steps": ("4", "2")}
    assert view._same.text() == "Everything else is the same."
    assert curves.folders == [str(whole), str(adapters)]
    figures = {row[0]: row[1:] for row in view.figures.texts()}
    assert figures["Steps"] == ("4 of 4", "2 of 2")
    first = view._records[0]
    assert figures["Accuracy before"][0] == f"{100 * first.evaluations[0].accuracy:.1f}\u00a0%"
    best = max(one.accuracy for one in first.evaluations if one.when != "before")
    assert figures["Best accuracy"][0] == f"{100 * best:.1f}\u00a0%"
    assert figures["Reward, last steps"][0] == f"{first.column('reward').mean():.3f}"


def test_the_same_settings(qtbot: QtBot, view: RunComparison, whole: Path, tmp_path: Path) -> None:
    show(qtbot, view, whole, copied(whole, tmp_path / "whole"))
    assert view.table.texts() == []
    assert not view.table.isVisible()
    assert view._same.text() == "All settings are the same."
    header = view.figures.horizontalHeaderItem(1)
    assert header is not None
    assert header.text() == f"whole ({whole.parent.name})", "two runs of one name are told apart"


def test_others_come_and_go(
    qtbot: QtBot, view: RunComparison, curves: Curves, whole: Path, adapters: Path, tmp_path: Path
) -> None:
    third = written(tmp_path / "third", started(), step(5, reward=9.0), seed=7)
    show(qtbot, view, whole, adapters)
    show(qtbot, view, adapters, third)
    assert curves.folders == [str(adapters), str(third)]
    assert {row[0]: row[1:] for row in view.table.texts()}["Seed"] == ("0", "7")
    show(qtbot, view, whole, adapters, third)
    assert view.figures.columnCount() == 4
    row = next(row for row in range(view.figures.rowCount()) if view.figures.row_texts(row)[0] == "Reward, last steps")
    bold = [(item := view.figures.item(row, place)) is not None and item.font().bold() for place in (1, 2, 3)]
    assert bold == [False, False, True]


def test_what_cannot_be_read_is_named_and_the_rest_is_compared(
    qtbot: QtBot, view: RunComparison, whole: Path, adapters: Path, tmp_path: Path
) -> None:
    broken = written(tmp_path / "broken", started(), step(2))
    (broken / "config.toml").write_text("model_name =")
    empty = written(tmp_path / "empty")
    (empty / "events.jsonl").unlink()
    gone = tmp_path / "gone"
    show(qtbot, view, whole, adapters, broken, empty, gone)
    said = " ".join(view.odd.sentences)
    assert "broken are damaged" in said
    assert "empty has no record." in said
    assert "gone" in said
    assert view.table.columnCount() == 4
    assert "Adapter rank" in {row[0] for row in view.table.texts()}


def test_one_run_that_can_be_read_is_nothing_to_compare(
    qtbot: QtBot, view: RunComparison, whole: Path, tmp_path: Path
) -> None:
    show(qtbot, view, whole, tmp_path / "gone")
    assert view._same.text() == "There is nothing to compare."


def test_of_very_many_the_first_are_compared(qtbot: QtBot, view: RunComparison, tmp_path: Path) -> None:
    folders = [written(tmp_path / f"run-{number}", started(), step(1), seed=number) for number in range(11)]
    show(qtbot, view, *folders)
    assert view.folders == [str(folder) for folder in folders[:8]]
    assert view.odd.sentences == ("Only the first 8 of 11 runs are compared.",)
    show(qtbot, view, *folders[:8])
    assert view.odd.sentences == ()


def test_they_are_followed_only_while_they_are_seen(
    qtbot: QtBot, view: RunComparison, whole: Path, tmp_path: Path
) -> None:
    live = written(tmp_path / "live", started(), step(1), age=0)
    show(qtbot, view, whole, live)
    with (live / "events.jsonl").open("a") as file:
        file.write('{"event": "step_finished", "step": 2, "steps": 100, "reward": 0.25}\n')
    qtbot.waitUntil(lambda: view._records[1].step == 2)
    assert all(record._timer.isActive() for record in view._records)
    view.hide()
    assert not any(record._timer.isActive() for record in view._records)


def test_without_curves_it_stands_alone(qtbot: QtBot, desk: Desk, whole: Path, adapters: Path) -> None:
    view = RunComparison(desk)
    qtbot.addWidget(view)
    view.show()
    show(qtbot, view, whole, adapters)
    assert view.table.isVisible()
