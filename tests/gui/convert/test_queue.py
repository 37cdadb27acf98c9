"""Several conversions at a time, what is cancelled, and measurements beside them, on the real lanes."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from gui.convert.presets import EIGHT
from gui.window import MainWindow
from tests.engine.tiny import make_model
from tests.gui.convert.conftest import Drop
from tests.gui.convert.steps import WAIT, click, left_behind, reach, settings


def test_several_conversions_stand_in_line(
    qtbot: QtBot, ready: MainWindow, drop: Drop, model: Path, tmp_path: Path
) -> None:
    wizards = drop(model, make_model(tmp_path / "second"), make_model(tmp_path / "第三个模型"))
    for wizard in wizards:
        ready.convert.show_conversion(wizard.conversion)
        settings(qtbot, wizard)
    for wizard in wizards:
        ready.convert.show_conversion(wizard.conversion)
        click(qtbot, wizard, "Convert")
    states = [state for _, state in ready.convert.list.texts()]
    assert states[1:] == ["Waits for its turn"] * 2
    click(qtbot, wizards[2], "Remove from the Queue")
    qtbot.waitUntil(lambda: wizards[2].conversion.state == "choosing", timeout=WAIT)
    for wizard in wizards[:2]:
        reach(qtbot, wizard, "done")
    assert left_behind() == ["second-4bit", "tiny-4bit"]
    assert ready.status.work.text() == "Ready"


def test_two_conversions_never_write_to_one_folder(qtbot: QtBot, ready: MainWindow, drop: Drop, model: Path) -> None:
    (first,), (second,) = drop(model), drop(model)
    pages = []
    for wizard in (first, second):
        ready.convert.show_conversion(wizard.conversion)
        pages.append(settings(qtbot, wizard))
    ready.convert.show_conversion(first.conversion)
    click(qtbot, first, "Convert")
    ready.convert.show_conversion(second.conversion)
    qtbot.mouseClick(pages[1].start, Qt.MouseButton.LeftButton)
    assert second.conversion.state == "choosing"
    assert "Another conversion" in pages[1].output.complaint.text()
    reach(qtbot, first, "done")
    pages[1].show_again()
    assert "exists already" in pages[1].output.complaint.text()
    pages[1].output.replace.setChecked(True)
    click(qtbot, second, "Convert")
    reach(qtbot, second, "done")
    assert left_behind() == ["tiny-4bit"]


def test_cancelling_leaves_nothing_and_leads_back_to_the_settings(qtbot: QtBot, drop: Drop, tmp_path: Path) -> None:
    big = make_model(tmp_path / "big", hidden_size=512, intermediate_size=2048, num_hidden_layers=8)
    (wizard,) = drop(big)
    settings(qtbot, wizard)
    click(qtbot, wizard, "Convert")
    qtbot.waitUntil(lambda: wizard.progress.bar.value() > 0, timeout=WAIT)
    click(qtbot, wizard, "Cancel")
    qtbot.waitUntil(lambda: wizard.conversion.state != "running", timeout=WAIT)
    assert wizard.conversion.state == "choosing"
    assert wizard.stack.currentWidget() is wizard.settings
    assert left_behind() == []
    click(qtbot, wizard, "Convert")
    reach(qtbot, wizard, "done")


def test_closing_the_window_while_it_converts_asks(qtbot: QtBot, ready: MainWindow, drop: Drop, tmp_path: Path) -> None:
    (wizard,) = drop(make_model(tmp_path / "big", hidden_size=512, intermediate_size=2048, num_hidden_layers=8))
    settings(qtbot, wizard)
    click(qtbot, wizard, "Convert")
    ready.close()
    assert ready.isVisible()
    question = ready.findChild(QMessageBox)
    assert question is not None
    click(qtbot, question, "Go On Converting")
    assert wizard.conversion.busy
    ready.close()
    question = next(box for box in ready.findChildren(QMessageBox) if box.isVisible())
    click(qtbot, question, "Cancel and Close")
    qtbot.waitUntil(lambda: not ready.isVisible())
    assert left_behind() == []


def test_quality_is_measured_before_converting_and_kept(qtbot: QtBot, drop: Drop, model: Path, tmp_path: Path) -> None:
    own = tmp_path / "我的文字.txt"
    own.write_text("What is 12 + 34? It is 46, and 46 - 12 is 34 again. " * 40)
    (wizard,) = drop(model)
    page = settings(qtbot, wizard)
    page.quality.set_text(str(own))
    click(qtbot, wizard, "Measure Quality First")
    assert page.quality.bar.isVisible()
    qtbot.waitUntil(lambda: not page.quality.measurement.running, timeout=WAIT)
    assert page.quality.measurement.failure is None
    rows = page.quality.view.table.rowCount()
    assert rows >= 3
    chosen = [figure.setting for figure in page.quality.measurement.figures if figure.chosen]
    assert chosen == ["4-bit"]
    assert left_behind() == []
    click(qtbot, wizard, "Convert")
    reach(qtbot, wizard, "done")
    assert wizard.result.quality.view.table.rowCount() == rows


def test_a_measurement_that_fails_says_why(qtbot: QtBot, drop: Drop, model: Path, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("short")
    (wizard,) = drop(model)
    page = settings(qtbot, wizard)
    page.quality.set_text(str(tmp_path / "short.txt"))
    click(qtbot, wizard, "Measure Quality First")
    qtbot.waitUntil(page.quality.failure.isVisible, timeout=WAIT)
    assert page.quality.failure.text()
    assert page.quality.start.isVisible()


def test_a_finished_one_is_taken_off_the_list_by_a_key(
    qtbot: QtBot, ready: MainWindow, drop: Drop, model: Path
) -> None:
    (wizard,) = drop(model)
    settings(qtbot, wizard)
    qtbot.keyClick(ready.convert.list.view, Qt.Key.Key_Delete)
    assert ready.convert.list.texts() == []
    assert ready.convert.current is None
    assert not ready.convert.list.isVisible()


def test_taken_off_the_list_while_it_measures_it_is_gone(
    qtbot: QtBot, ready: MainWindow, drop: Drop, model: Path
) -> None:
    (wizard,) = drop(model)
    page = settings(qtbot, wizard)
    click(qtbot, wizard, "Measure Quality First")
    qtbot.waitUntil(lambda: page.quality.bar.value() > 0, timeout=WAIT)
    ready.convert.remove(wizard.conversion)
    qtbot.waitUntil(lambda: not ready.desk.compute.busy, timeout=WAIT)
    assert ready.convert.list.texts() == []


def test_what_was_measured_for_other_settings_is_shown_no_more(qtbot: QtBot, drop: Drop, model: Path) -> None:
    (wizard,) = drop(model)
    page = settings(qtbot, wizard)
    click(qtbot, wizard, "Measure Quality First")
    qtbot.waitUntil(lambda: not page.quality.measurement.running, timeout=WAIT)
    assert page.quality.view.isVisible()
    page.choices.cards.choose(EIGHT)
    assert not page.quality.view.isVisible()
    assert wizard.conversion.quality == []
