"""All settings of a run in their forms."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog, QMenu
from pytestqt.qtbot import QtBot

from engine.grpo.settings import TrainConfig
from gui.controls import Choice, NumberBox
from gui.texts import TextLine
from gui.train.new_run.editors import PUZZLES, DatasetEditor, ModelEditor
from gui.train.new_run.settings_panel import GROUPS
from gui.train.new_run.view import NewRunView
from tests.engine.tiny import make_model
from tests.gui.form_bench import retype
from tests.gui.train.new_run.steps import WAIT, click, control


def test_every_setting_can_be_found_by_its_name(qtbot: QtBot, view: NewRunView) -> None:
    """All but the rewards and their weights, which have a page of their own."""
    view.show_page("settings")
    view.settings.build()
    for name in ("rewards", "reward_weights"):
        assert not any(name in form._facts for form in view.settings.forms.values())
    for name in TrainConfig.model_fields:
        shown = [form for form in view.settings.forms.values() if name in form._facts]
        assert len(shown) == (name not in {"rewards", "reward_weights"})
        if shown:
            assert shown[0].search(name) >= 1
            assert shown[0]._rows[name].isVisibleTo(shown[0]), name
    assert tuple(view.settings.forms) == GROUPS


def test_the_search_shows_what_it_finds_and_says_where_nothing_is(qtbot: QtBot, view: NewRunView) -> None:
    view.show_page("settings")
    view.settings.build()
    view.settings.search.setText("adam beta 1")
    qtbot.waitUntil(lambda: view.settings._found == 1 and not view.settings._unsearched)
    assert control(view.settings, NumberBox, "Adam beta 1").isVisible()
    assert not control(view.settings, NumberBox, "Learning rate").isVisible()
    view.settings.search.setText("no such thing")
    qtbot.waitUntil(view.settings._nothing.isVisible)
    view.settings.search.clear()
    qtbot.waitUntil(control(view.settings, NumberBox, "Learning rate").isVisible)
    assert not view.settings._nothing.isVisible()


def test_a_reset_goes_back_to_the_recipe(qtbot: QtBot, view: NewRunView) -> None:
    """Its value, not the program's default, is where a person came from."""
    view.show_page("settings")
    view.settings.build()
    box = control(view.settings, NumberBox, "Learning rate")
    retype(qtbot, box, "0.5")
    assert view.draft.config.learning_rate == 0.5
    click(qtbot, view.settings, "Reset Learning rate")
    assert view.draft.config.learning_rate == 3e-4
    assert view.draft.origin is not None
    assert view.draft.config == view.draft.origin.config


def test_what_one_page_changes_the_others_show(qtbot: QtBot, view: NewRunView) -> None:
    view.settings.build()
    view.draft.change({"loss_type": "dr_grpo", "dataset": "rows.csv"})
    assert view.settings.forms["Update"].current == view.draft.config
    choice = control(view.settings, Choice, "Loss")
    assert choice.currentText() == "Dr. GRPO"
    assert view.overview._lines["data"].text.text() == "rows.csv"
    choice.activated.emit(choice.findText("CISPO"))
    assert view.draft.config.loss_type == "cispo"
    assert view.draft.config.dataset == "rows.csv"


def texts(menu: QMenu) -> list[str]:
    return [action.text() for action in menu.actions() if action.text()]


def test_models_on_this_computer_are_offered(qtbot: QtBot, view: NewRunView, home: Path) -> None:
    from engine import places

    folder = make_model(places.models_folder() / "mine")
    view.settings.build()
    (editor,) = view.settings.findChildren(ModelEditor)
    editor.menu.aboutToShow.emit()
    qtbot.waitUntil(lambda: any(text.startswith("mine") for text in texts(editor.menu)), timeout=WAIT)
    next(action for action in editor.menu.actions() if action.text().startswith("mine")).trigger()
    assert view.draft.config.model_name == str(folder)
    next(action for action in editor.menu.actions() if action.text().startswith("starter")).trigger()
    assert view.draft.config.model_name == "starter"


def test_data_sets_are_offered_with_what_belongs_to_them(
    qtbot: QtBot, view: NewRunView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view.settings.build()
    (editor,) = view.settings.findChildren(DatasetEditor)
    editor.menu.aboutToShow.emit()
    next(action for action in editor.menu.actions() if "GSM8K" in action.text()).trigger()
    assert (view.draft.config.dataset, view.draft.config.dataset_config) == ("openai/gsm8k", "main")
    (puzzles,) = [action.menu() for action in editor.menu.actions() if action.menu()]
    puzzles.actions()[0].trigger()
    assert view.draft.config.dataset.startswith("reasoning_gym:")
    assert view.draft.config.rewards == ("reasoning_gym",)
    file = str(tmp_path / "rows.jsonl")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_words: (file, ""))
    next(action for action in editor.menu.actions() if "File" in action.text()).trigger()
    assert view.draft.config.dataset == file
    assert control(view.settings, TextLine, "Data set").text() == file


def test_the_puzzles_that_are_offered_are_tasks() -> None:
    from engine.grpo import procedural

    for task in PUZZLES:
        train, held_out = procedural.gym_task(task, 2)
        assert len(train) == 2
        assert held_out is not None


def test_a_menu_leads_to_each_group(qtbot: QtBot, view: NewRunView) -> None:
    view.show_page("settings")
    view.settings.search.setText("seed")
    (menu,) = [menu for menu in view.settings.findChildren(QMenu) if "Optimiser" in texts(menu)]
    assert texts(menu) == list(GROUPS)
    next(action for action in menu.actions() if action.text() == "Optimiser").trigger()
    bar, holder = view.settings._column.verticalScrollBar(), view.settings._holders["Optimiser"]
    qtbot.waitUntil(lambda: bar.value() == holder.y() > 0, timeout=WAIT)
    assert view.settings.search.text() == ""
    assert control(view.settings, NumberBox, "Learning rate").isVisible()
