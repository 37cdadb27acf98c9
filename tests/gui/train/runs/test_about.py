"""What is said of one run, its notes and tags, and its settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from engine.events import Failed
from engine.monitor import keeping
from engine.run_events import RunFound
from gui.desk import Desk
from gui.train.runs.about import AboutRun
from gui.train.runs.runs import Runs
from tests.engine.monitor.run_folders import evaluated, started, step, written
from tests.gui.train.runs.conftest import read


@pytest.fixture
def about(qtbot: QtBot, desk: Desk) -> AboutRun:
    about = AboutRun(desk)
    qtbot.addWidget(about)
    about.resize(820, 700)
    about.show()
    return about


def seen(qtbot: QtBot, desk: Desk, folder: Path) -> RunFound:
    """What the list of runs says of a folder now."""
    runs = Runs(desk, desk)
    with qtbot.waitSignal(runs.changed):
        runs._desk.settings = desk.settings.model_copy(update={"run_folders": (str(folder),)})
        runs.look()
    run = runs.run(str(folder))
    assert run is not None
    return run


def show(qtbot: QtBot, desk: Desk, about: AboutRun, folder: Path) -> RunFound:
    run = seen(qtbot, desk, folder)
    about.show_record(read(qtbot, desk, folder), run)
    qtbot.waitUntil(lambda: not desk.network.busy)
    return run


def test_a_run_that_is_over(qtbot: QtBot, desk: Desk, about: AboutRun, whole: Path) -> None:
    show(qtbot, desk, about, whole)
    facts = about.facts.texts()
    assert about.sentence.text() == "It is finished: all of its 4 steps are done."
    assert "of the held-out questions right before the training" in about.success.text()
    assert facts["Model"] == "starter"
    assert facts["Trained"] == "all weights: 188,864 numbers"
    assert facts["Folder"].endswith("whole")
    assert not about.odd.isVisible()
    assert not about.news.isVisible()
    rows = {row[0]: row[1:] for row in about.table.texts()}
    assert rows["Steps"] == ("4", "0")
    assert "Top-k" not in rows
    about.all.setChecked(True)
    assert "Top-k" in {row[0] for row in about.table.texts()}
    about.search.setText("learning")
    assert "Learning rate" in {row[0] for row in about.table.texts()}
    about.search.setText("nothing such")
    assert about._nothing.isVisible()
    assert not about.table.isVisible()


def test_nothing_is_shown_of_nothing(about: AboutRun) -> None:
    for widget in (about.facts, about.notes, about.table, about.search):
        assert not widget.isVisible()


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([step(3), {"event": "training_stopped", "run": "", "step": 3}], "after 3 of 100 steps. It can go on"),
        ([step(3)], "unexpectedly after 3 of 100 steps. Its process crashed or was killed"),
        ([step(3)], "It saved no checkpoint yet"),
        ([], "ended unexpectedly after 0 of 100"),
        ([step(3), {"event": "training_finished", "reason": "no progress"}], "it got no better. After 3 of"),
        ([step(3), {"event": "training_finished", "reason": "reward fell"}], "its reward fell. After 3"),
        ([step(3), {"event": "training_finished", "reason": "target reached"}], "to reach. This took 3 of"),
    ],
)
def test_how_a_run_stands(
    qtbot: QtBot, desk: Desk, about: AboutRun, tmp_path: Path, lines: list[dict[str, object]], text: str
) -> None:
    show(qtbot, desk, about, written(tmp_path / "run", started(), *lines))
    assert text in f"{about.sentence.text()} {about.more.text()}"


def test_a_killed_run_goes_on_from_its_checkpoint(qtbot: QtBot, desk: Desk, about: AboutRun, tmp_path: Path) -> None:
    folder = written(tmp_path / "run", started(), step(70))
    (folder / "checkpoints" / "000050").mkdir(parents=True)
    show(qtbot, desk, about, folder)
    assert about.more.text().endswith("It can go on from its last checkpoint, of step 50.")


def test_another_process_trains_it(qtbot: QtBot, desk: Desk, about: AboutRun, tmp_path: Path) -> None:
    run = show(qtbot, desk, about, written(tmp_path / "run", started(), step(3), age=0))
    assert about.sentence.text() == "It trains: 3 of 100 steps are done."
    assert "Another process trains it" in about.more.text()
    about.show_record(about._record, run, here=True)
    assert not about.more.isVisible()


def test_settings_that_cannot_be_read_are_explained(
    qtbot: QtBot, desk: Desk, about: AboutRun, tmp_path: Path, whole: Path
) -> None:
    folder = written(tmp_path / "run", started(), step(1))
    file = folder / "config.toml"
    file.write_text(f"dream_depth = 3\n{file.read_text()}")
    show(qtbot, desk, about, folder)
    assert about.settings_failure.isVisible()
    assert "dream_depth" in about.settings_failure.text()
    assert not about.table.isVisible()
    assert any("newer version" in sentence for sentence in about.odd.sentences)
    show(qtbot, desk, about, whole)
    assert not about.settings_failure.isVisible()
    assert about.table.isVisible()


def test_what_changed_while_it_trained(qtbot: QtBot, desk: Desk, about: AboutRun, tmp_path: Path) -> None:
    change = {"event": "setting_changed", "step": 3, "name": "kl_coeff", "before": 0.0, "after": 0.05}
    note = {"event": "note", "text": "The checkpoint 2 is damaged. It is passed over."}
    folder = written(tmp_path / "run", started(), note, evaluated(0.5), change, note)
    show(qtbot, desk, about, folder)
    assert about.news.isVisible()
    assert about._news_text.text() == (
        "After step 3: KL factor: 0.0 → 0.05\nThe checkpoint 2 is damaged. It is passed over."
    )


def kept(folder: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads((folder / "notes.json").read_text("utf-8"))
    return document


def test_notes_are_kept_when_typing_pauses(qtbot: QtBot, desk: Desk, about: AboutRun, tmp_path: Path) -> None:
    folder = written(tmp_path / "run", started(), step(1))
    run = show(qtbot, desk, about, folder)
    with qtbot.waitSignal(about.notes_kept) as told:
        QTest.keyClicks(about.notes.text, "It works!")
    assert told.args == [str(folder)]
    assert kept(folder) == {"notes": "It works!", "tags": []}
    about.show_record(about._record, run)  # looked at before the notes were there
    assert about.notes.text.toPlainText() == "It works!"
    about.show_record(about._record, seen(qtbot, desk, folder))
    assert about.notes.text.toPlainText() == "It works!"


def test_notes_that_are_being_typed_are_kept_when_the_window_closes(
    qtbot: QtBot, desk: Desk, about: AboutRun, tmp_path: Path
) -> None:
    folder = written(tmp_path / "run", started(), step(1))
    show(qtbot, desk, about, folder)
    QTest.keyClicks(about.notes.text, "Not yet")
    about.flush()
    desk.network.close()
    assert kept(folder)["notes"] == "Not yet"


def test_tags_are_kept(qtbot: QtBot, desk: Desk, about: AboutRun, tmp_path: Path) -> None:
    folder = written(tmp_path / "run", started(), step(1))
    show(qtbot, desk, about, folder)
    QTest.keyClicks(about.notes.tags.line, "baseline")
    with qtbot.waitSignal(about.notes_kept):
        QTest.keyClick(about.notes.tags.line, Qt.Key.Key_Return)
    assert kept(folder) == {"notes": "", "tags": ["baseline"]}


def test_what_was_typed_goes_to_the_run_it_was_typed_for(
    qtbot: QtBot, desk: Desk, about: AboutRun, tmp_path: Path
) -> None:
    first, second = (written(tmp_path / name, started(), step(1)) for name in ("first", "second"))
    show(qtbot, desk, about, first)
    QTest.keyClicks(about.notes.text, "of the first")
    show(qtbot, desk, about, second)
    assert about.notes.text.toPlainText() == ""
    qtbot.waitUntil((first / "notes.json").exists)
    assert kept(first)["notes"] == "of the first"
    assert not (second / "notes.json").exists()
    QTest.keyClicks(about.notes.text, "of the second")
    about.hide()
    qtbot.waitUntil((second / "notes.json").exists)


def test_notes_of_another_window_appear_but_not_over_what_is_typed(
    qtbot: QtBot, desk: Desk, about: AboutRun, tmp_path: Path
) -> None:
    folder = written(tmp_path / "run", started(), step(1))
    show(qtbot, desk, about, folder)
    keeping.write_notes(folder, "from elsewhere", ["other"])
    about.show_record(about._record, seen(qtbot, desk, folder))
    assert about.notes.text.toPlainText() == "from elsewhere"
    QTest.keyClicks(about.notes.text, "mine: ")
    keeping.write_notes(folder, "from elsewhere again", [])
    about.show_record(about._record, seen(qtbot, desk, folder))
    assert about.notes.text.toPlainText() == "mine: from elsewhere"


def test_notes_that_cannot_be_kept_are_told(qtbot: QtBot, desk: Desk, about: AboutRun, tmp_path: Path) -> None:
    folder = written(tmp_path / "run", started(), step(1))
    show(qtbot, desk, about, folder)
    folder.rename(tmp_path / "elsewhere")
    with qtbot.waitSignal(desk.notices.said) as told:
        QTest.keyClicks(about.notes.text, "lost?")
    assert isinstance(told.args[0], Failed)
    assert about.notes.text.toPlainText() == "lost?"
