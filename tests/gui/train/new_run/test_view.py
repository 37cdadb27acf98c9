"""Putting a run together, from the first look to the button, with the real engine behind it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QSlider,
    QTableWidget,
)
from pytestqt.qtbot import QtBot

from engine.events import Failed
from engine.grpo import config_file
from engine.grpo.settings import TrainConfig
from engine.run_events import RunFound
from gui.controls import NumberBox
from gui.disclosure import Disclosure
from gui.texts import TextLine
from gui.train.new_run.view import NewRunView
from tests.engine.grpo.runs import tiny
from tests.engine.tiny import make_model
from tests.gui.form_bench import retype
from tests.gui.train.new_run.steps import WAIT, click, control, forecast, recipe
from tests.support.hub_server import HubServer


def started(view: NewRunView) -> list[TrainConfig]:
    found: list[TrainConfig] = []
    view.start_wanted.connect(found.append)
    return found


def test_a_stranger_needs_one_button(qtbot: QtBot, view: NewRunView) -> None:
    """The first recipe is there, it fits, and Return starts it."""
    found = started(view)
    forecast(qtbot, view)
    assert view.forecast.plan is not None
    assert view.forecast.plan.fits
    assert "600 steps" in view.strip.about.text()
    view.take_focus()
    assert view.start.hasFocus()
    qtbot.keyClick(view.start, Qt.Key.Key_Space)
    assert found == [config_file.load("starter", [])]


def test_a_name_that_is_still_being_typed_counts(qtbot: QtBot, view: NewRunView) -> None:
    found = started(view)
    qtbot.keyClicks(view.overview.name, "my run")
    qtbot.keyClick(view.overview.name, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert [config.run_name for config in found] == ["my run"]


def test_changes_are_put_aside_with_another_recipe_and_come_back(qtbot: QtBot, view: NewRunView) -> None:
    view.draft.change({"seed": 5})
    assert view.overview._lines["changed"].text.text() == "Seed"
    recipe(qtbot, view, "smoke_test")
    assert view.draft.config == config_file.load("smoke_test", [])
    assert view.overview.cards.cards["smoke_test"].isChecked()
    click(qtbot, view, "Bring Them Back")
    assert view.draft.config == config_file.load("starter", ["seed=5"])
    assert view.overview.cards.cards["starter"].isChecked()


def test_an_earlier_run_begins_another_under_a_name_of_its_own(qtbot: QtBot, view: NewRunView, tmp_path: Path) -> None:
    folder = tmp_path / "first"
    folder.mkdir()
    config = tiny(tmp_path, "first", seed=9)
    (folder / "config.toml").write_text(config_file.to_toml(config))
    run = RunFound(str(folder), "first", "starter", "finished", 4, 4, 1.0, 0.4, 0.9, 0.0, 0.0)
    broken = RunFound("/x", "x", "", "unreadable", 0, 0, None, None, None, 0.0, 0.0, problem="It is damaged.")
    assert not view.overview.runs.isEnabled()
    view.set_runs([run, broken])
    (action,) = view.overview.runs_menu.actions()
    action.trigger()
    qtbot.waitUntil(lambda: view.draft.config.seed == 9, timeout=WAIT)
    assert view.draft.config == config.model_copy(update={"run_name": ""})
    assert not any(card.isChecked() for card in view.overview.cards.cards.values())
    view.start_from(config, "first")
    assert view.draft.config.run_name == ""


def test_settings_are_saved_to_a_file_and_dropped_on_the_page(
    qtbot: QtBot, view: NewRunView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.toml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_words: (str(file.with_suffix("")), ""))
    view.draft.change({"seed": 77, "run_name": "kept"})
    click(qtbot, view, "Save as File…")
    saved = view.draft.config
    assert config_file.load(str(file), []) == saved
    recipe(qtbot, view, "prod")
    drop(view, file)
    qtbot.waitUntil(lambda: view.draft.config == saved, timeout=WAIT)
    assert view.draft.origin is not None
    assert view.draft.origin.name == "mine.toml"


def drop(view: NewRunView, file: Path) -> None:
    data, buttons, keys = QMimeData(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    data.setUrls([QUrl.fromLocalFile(str(file))])
    copy = Qt.DropAction.CopyAction
    QApplication.sendEvent(view, QDragEnterEvent(QPoint(50, 50), copy, data, buttons, keys))
    QApplication.sendEvent(view, QDropEvent(QPointF(50, 50), copy, data, buttons, keys))


@pytest.mark.parametrize(
    ("content", "words"),
    [("learning_rat = 1.0", "learning_rate"), ("not toml", "not a TOML file"), ("max_steps = -1", "max_steps")],
)
def test_a_file_that_is_no_settings_is_refused_in_its_place(
    qtbot: QtBot, view: NewRunView, tmp_path: Path, content: str, words: str
) -> None:
    before = view.draft.config
    file = tmp_path / "wrong.toml"
    file.write_text(content)
    view.open_file(str(file))
    qtbot.waitUntil(view.overview.failure.isVisible, timeout=WAIT)
    assert words in view.overview.failure.text()
    assert view.draft.config == before
    assert view.overview.cards.cards["starter"].isChecked()


def test_what_is_typed_wrong_keeps_the_run_from_starting(qtbot: QtBot, view: NewRunView) -> None:
    found = started(view)
    view.show_page("settings")
    view.settings.build()
    box = control(view.settings, NumberBox, "Completions per prompt")
    retype(qtbot, box, "1")
    assert not view.start.isEnabled()
    assert "Completions per prompt: Enter a whole number between 2" in view.obstacle.text()
    qtbot.keyClick(view, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert found == []
    retype(qtbot, box, "6")
    assert view.start.isEnabled()
    assert not view.obstacle.isVisible()
    assert view.draft.config.num_generations == 6


def test_a_run_that_does_not_fit_is_offered_settings_that_do(qtbot: QtBot, view: NewRunView) -> None:
    view.draft.change({"memory_limit": 30})
    forecast(qtbot, view)
    assert "Does not fit" in view.strip.title.text()
    assert "Tokens at once" in view.strip.about.text()
    assert not view.start.isEnabled()
    click(qtbot, view.strip, "Use This")
    assert view.draft.config.micro_batch_tokens < 2048
    forecast(qtbot, view)
    assert view.forecast.plan is not None
    assert view.forecast.plan.fits
    assert view.start.isEnabled()


def test_a_model_that_is_not_here_is_downloaded_and_the_run_can_start(
    qtbot: QtBot, view: NewRunView, hub_server: HubServer, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "tiny")
    hub_server.add_model("owner/tiny", {path.name: path.read_bytes() for path in model.iterdir()})
    view.draft.change({"model_name": "owner/tiny"})
    forecast(qtbot, view)
    assert "owner/tiny is not on this computer" in view.strip.title.text()
    assert not view.start.isEnabled()
    click(qtbot, view.strip, "Download It")
    assert not view.start.isEnabled()
    qtbot.waitUntil(lambda: view.forecast.plan is not None and view.forecast.plan.parameters > 0, timeout=WAIT)
    qtbot.waitUntil(view.start.isEnabled, timeout=WAIT)


def test_a_download_that_fails_says_so_and_can_be_tried_again(
    qtbot: QtBot, view: NewRunView, hub_server: HubServer
) -> None:
    view.draft.change({"model_name": "owner/absent"})
    forecast(qtbot, view)
    click(qtbot, view.strip, "Download It")
    qtbot.waitUntil(lambda: view.download.failure is not None, timeout=WAIT)
    assert "owner/absent" in view.strip.title.text()
    assert hub_server.requests
    click(qtbot, view.strip, "Try Again")
    forecast(qtbot, view)
    assert view.strip.action.text() == "Download It"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"answer_pattern": "(", "dataset": "{file}"}, "“Answer pattern” is not a regular expression"),
        ({"dataset": "/no/such/file.jsonl"}, "no data file"),
        ({"prompt_column": "task", "dataset": "{file}"}, "no column task"),
    ],
)
def test_data_that_cannot_be_read_keeps_the_run_from_starting(
    qtbot: QtBot, view: NewRunView, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"question": "1 + 1?", "answer": "2"}\n' * 3)
    view.draft.change({name: value.format(file=file) for name, value in changes.items()})
    forecast(qtbot, view)
    assert words in view.strip.title.text()
    assert not view.start.isEnabled()
    view.draft.change({"dataset": "arithmetic", "answer_pattern": "", "prompt_column": "question"})
    forecast(qtbot, view)
    assert view.start.isEnabled()


def test_only_the_last_settings_are_forecast(qtbot: QtBot, view: NewRunView) -> None:
    """And what a forecast does not depend on makes no new one."""
    forecast(qtbot, view)
    for steps in (10, 20, 30):
        view.draft.change({"max_steps": steps})
    forecast(qtbot, view)
    assert view.forecast.plan is not None
    assert view.forecast.plan.steps == 30
    view.draft.change({"run_name": "other", "save_steps": 7})
    assert not view.forecast.busy


def test_what_ends_while_the_view_is_going_is_no_error(qtbot: QtBot, view: NewRunView) -> None:
    """All jobs are given up in the middle."""
    view.draft.change({"seed": 3})
    view.show_page("data")
    qtbot.waitUntil(lambda: view.forecast._job is not None, timeout=WAIT)
    view.close_jobs()
    assert not isinstance(view.forecast.failure, Failed)
    assert not view.forecast.busy


def test_the_name_of_the_overview_and_of_the_form_are_one(qtbot: QtBot, view: NewRunView) -> None:
    view.settings.build()
    line = control(view.settings, TextLine, "Name of the run")
    view.draft.change({"run_name": "both"})
    assert (line.text(), view.overview.name.text()) == ("both", "both")


def test_every_control_has_a_name_and_can_be_reached_by_keys(qtbot: QtBot, view: NewRunView) -> None:
    """On all pages, with everything unfolded."""
    view.settings.build()
    for fold in view.settings.findChildren(Disclosure):
        fold.setChecked(True)
    view.show_page("rewards")
    view.show_page("data")
    kinds = (QAbstractButton, QLineEdit, QAbstractSpinBox, QComboBox, QPlainTextEdit, QSlider, QProgressBar)
    nameless = []
    for kind in kinds:
        for one in view.findChildren(kind):
            # Qt's own, inside of a control that has a name, and what is hidden until there are words for it.
            inside = isinstance(one.parentWidget(), QAbstractSpinBox | QComboBox | QLineEdit | QTableWidget)
            words = one.accessibleName() or (one.text() if isinstance(one, QAbstractButton) else "")
            if not words and not inside and not one.isHidden():
                nameless.append(f"{type(one).__name__} in {type(one.parentWidget()).__name__}")
    assert nameless == []
    unreachable = [
        one.text() for one in view.findChildren(QAbstractButton) if one.focusPolicy() == Qt.FocusPolicy.NoFocus
    ]
    assert [text for text in unreachable if text] == []


def test_long_names_do_not_push_the_button_out(qtbot: QtBot, view: NewRunView) -> None:
    view.resize(544, 480)
    view.draft.change({"model_name": "/no/" + "deep/" * 60 + "model", "dataset": "/no/" + "deep/" * 60 + "rows.csv"})
    forecast(qtbot, view)
    assert view.start.mapTo(view, view.start.rect().bottomRight()).x() < view.width()
    for page in ("recipe", "settings", "data", "rewards"):
        view.show_page(page)
        assert view.minimumSizeHint().width() <= 544, page
