"""The checkpoints of a run, and what can be made of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from engine import library, places
from gui.desk import Desk
from gui.train.runs.checkpoints import CheckpointsView
from tests.engine.monitor.run_folders import copied, started, step, written
from tests.gui.train.runs.conftest import read


@pytest.fixture
def view(qtbot: QtBot, desk: Desk) -> CheckpointsView:
    view = CheckpointsView(desk)
    qtbot.addWidget(view)
    view.resize(860, 600)
    view.show()
    return view


def show(qtbot: QtBot, desk: Desk, view: CheckpointsView, folder: Path) -> None:
    view.show_record(read(qtbot, desk, folder))
    qtbot.waitUntil(lambda: view._job is None)


def buttons(view: CheckpointsView) -> list[str]:
    return [made.text() for made in (view.chat, view.whole, view.convert, view.upload) if made.isVisible()]


def test_the_checkpoints_with_their_scores(qtbot: QtBot, desk: Desk, view: CheckpointsView, whole: Path) -> None:
    show(qtbot, desk, view, whole)
    rows = view.table.texts()
    record = view._record
    assert record is not None
    names = [row[0].removesuffix(", the best") for row in rows]
    assert names == ["Final model", "Step 4", "Step 2"]
    best = next(saved.step for saved in reversed(record.checkpoints) if saved.best)
    assert [row[0] for row in rows if row[0].endswith("the best")] == [f"Step {best}, the best"]
    for row, at in zip(rows, (4, 4, 2), strict=True):
        (tested,) = {one.accuracy for one in record.evaluations if one.step == at}
        assert row[1] == f"{100 * tested:.1f}\u00a0%"
        rewards = record.column("reward")[:at]
        assert row[3] == f"{rewards.mean():.3f}"
    assert rows[1][4] == "2.3 MB"


def test_what_can_be_done_depends_on_what_it_is(
    qtbot: QtBot, desk: Desk, view: CheckpointsView, whole: Path, adapters: Path
) -> None:
    show(qtbot, desk, view, whole)
    view.table.selectRow(0)
    assert buttons(view) == ["Chat", "Convert…", "Upload…"]
    view.table.selectRow(1)
    assert buttons(view) == ["Chat", "Make a Whole Model"]
    show(qtbot, desk, view, adapters)
    view.table.selectRow(0)
    assert view.table.texts()[0][0] == "Final adapters"
    assert buttons(view) == ["Chat", "Make a Whole Model"]
    assert "adapters for starter" in view._said.text()


def test_the_buttons_say_which_folder(qtbot: QtBot, desk: Desk, view: CheckpointsView, whole: Path) -> None:
    show(qtbot, desk, view, whole)
    for row, folder in ((0, whole / "model"), (2, whole / "checkpoints" / "000002")):
        view.table.selectRow(row)
        for made, signal in ((view.chat, view.chat_wanted), (view.compare, view.compare_wanted)):
            with qtbot.waitSignal(signal) as told:
                made.click()
            assert told.args == [str(folder)]
    view.table.selectRow(0)
    for made, signal in ((view.convert, view.convert_wanted), (view.upload, view.upload_wanted)):
        with qtbot.waitSignal(signal) as told:
            made.click()
        assert told.args == [str(whole / "model")]


@pytest.mark.parametrize(("kind", "row"), [("whole", 2), ("adapters", 0), ("adapters", 1)])
def test_a_whole_model_is_made(
    qtbot: QtBot, desk: Desk, view: CheckpointsView, request: pytest.FixtureRequest, kind: str, row: int
) -> None:
    folder: Path = request.getfixturevalue(kind)
    show(qtbot, desk, view, folder)
    view.table.selectRow(row)
    with qtbot.waitSignal(view.models_changed, timeout=60000):
        view.whole.click()
        assert not view.whole.isEnabled()
        assert view.exporting.cancel.isVisible()
    name = {("whole", 2): "whole-step-2", ("adapters", 0): "thin", ("adapters", 1): "thin-step-2"}[kind, row]
    made = places.models_folder() / name
    assert view.exporting.model == str(made)
    assert f"{name} is ready" in view.exporting.text()
    assert library.weight_files(made, name)
    assert view.whole.isEnabled()
    for button, signal in (
        (view.exporting.chat, view.chat_wanted),
        (view.exporting.convert, view.convert_wanted),
        (view.exporting.upload, view.upload_wanted),
    ):
        with qtbot.waitSignal(signal) as told:
            button.click()
        assert told.args == [str(made)]


def test_a_model_is_not_written_over(qtbot: QtBot, desk: Desk, view: CheckpointsView, whole: Path) -> None:
    there = places.models_folder() / "whole-step-2"
    there.mkdir(parents=True)
    show(qtbot, desk, view, whole)
    view.table.selectRow(2)
    with qtbot.waitSignal(view.models_changed, timeout=60000):
        view.whole.click()
    assert view.exporting.model == f"{there}-2"
    assert list(there.iterdir()) == []


def test_making_a_model_is_cancelled_without_a_trace(
    qtbot: QtBot, desk: Desk, view: CheckpointsView, adapters: Path
) -> None:
    show(qtbot, desk, view, adapters)
    with qtbot.waitSignal(view.exporting.ended, timeout=60000):
        view.whole.click()
        view.exporting.cancel.click()
    assert not view.exporting.isVisible()
    assert list(places.models_folder().glob("*")) == []


def test_a_damaged_checkpoint_is_explained(
    qtbot: QtBot, desk: Desk, view: CheckpointsView, whole: Path, tmp_path: Path
) -> None:
    folder = copied(whole, tmp_path / "damaged")
    file = folder / "checkpoints" / "000004" / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    show(qtbot, desk, view, folder)
    view.table.selectRow(1)
    with qtbot.waitSignal(view.exporting.ended, timeout=60000):
        view.whole.click()
    assert view.exporting.failure.isVisible()
    assert "damaged" in view.exporting.failure.text()


def test_a_run_without_checkpoints_says_so(qtbot: QtBot, desk: Desk, view: CheckpointsView, tmp_path: Path) -> None:
    show(qtbot, desk, view, written(tmp_path / "run", started(), step(1)))
    assert "Nothing was saved yet" in view._empty.text()
    assert not view.table.isVisible()
    assert buttons(view) == []


def test_the_choice_stays_while_checkpoints_come_and_go(
    qtbot: QtBot, desk: Desk, view: CheckpointsView, whole: Path, tmp_path: Path
) -> None:
    folder = copied(whole, tmp_path / "run")
    show(qtbot, desk, view, folder)
    view.table.selectRow(2)
    shutil.copytree(folder / "checkpoints" / "000004", folder / "checkpoints" / "000006")
    shutil.rmtree(folder / "checkpoints" / "000004")
    view.look()
    qtbot.waitUntil(lambda: view._job is None)
    assert [row[0].split(",")[0] for row in view.table.texts()] == ["Final model", "Step 6", "Step 2"]
    assert view.selected is not None
    assert view.selected.step == 2


def test_many_checkpoints_scroll_above_the_buttons(
    qtbot: QtBot, desk: Desk, view: CheckpointsView, whole: Path, tmp_path: Path
) -> None:
    folder = copied(whole, tmp_path / "run")
    for number in range(10, 40):
        shutil.copytree(folder / "checkpoints" / "000004", folder / "checkpoints" / f"{number:06}")
    view.resize(520, 420)
    show(qtbot, desk, view, folder)
    assert len(view.found) == 33
    qtbot.waitUntil(lambda: view.table.geometry().bottom() < view._said.geometry().top())
    assert view.height() == 420
    assert view.table.verticalScrollBar().maximum() > 0
    view.resize(900, 1400)
    qtbot.waitUntil(lambda: view.table.verticalScrollBar().maximum() == 0)


def test_a_folder_that_is_gone_is_explained(
    qtbot: QtBot, desk: Desk, view: CheckpointsView, whole: Path, tmp_path: Path
) -> None:
    folder = copied(whole, tmp_path / "run")
    show(qtbot, desk, view, folder)
    folder.rename(tmp_path / "elsewhere")
    view.look()
    qtbot.waitUntil(view.failure.isVisible)
