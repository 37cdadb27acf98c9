"""Rewards that are chosen, written and tried before any training, with the real starter."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from gui.train.new_run.code_editor import CodeEditor
from gui.train.new_run.known_rewards import TEMPLATE
from gui.train.new_run.rewards_panel import RewardsPanel
from gui.train.new_run.view import NewRunView
from tests.gui.form_bench import retype
from tests.gui.train.new_run.steps import WAIT, click

MINE = '''def long(completions, lengths, **columns):
    """Its tokens."""
    return [float(length) for length in lengths]


def broken(completions, **columns):
    return [1 / 0 for _ in completions]
'''


@pytest.fixture
def panel(qtbot: QtBot, view: NewRunView) -> RewardsPanel:
    view.show_page("rewards")
    assert view.rewards is not None
    qtbot.waitUntil(lambda: bool(view.preview.training_rows), timeout=WAIT)
    return view.rewards


def mine(tmp_path: Path, source: str = MINE) -> str:
    file = tmp_path / "mine.py"
    file.write_text(source)
    return str(file)


def tried(qtbot: QtBot, view: NewRunView) -> None:
    qtbot.waitUntil(lambda: not view.trial.busy, timeout=WAIT)


def cells(panel: RewardsPanel) -> list[list[str]]:
    table = panel.trial_view.table
    items = [[table.item(row, column) for column in range(table.columnCount())] for row in range(table.rowCount())]
    return [[item.text() if item else "" for item in row] for row in items]


def test_rewards_are_ticked_and_weighed(qtbot: QtBot, view: NewRunView, panel: RewardsPanel) -> None:
    pick = panel.pick
    assert [name for name, box in pick.boxes.items() if box.isChecked()] == ["accuracy", "strict_format"]
    qtbot.mouseClick(pick.boxes["length"], Qt.MouseButton.LeftButton, pos=pick.boxes["length"].rect().center() / 2)
    assert view.draft.config.rewards == ("accuracy", "strict_format", "length")
    assert view.draft.config.reward_weights == (1.0, 0.4, 1.0)
    retype(qtbot, pick.weights["strict_format"], "1")
    assert view.draft.config.reward_weights == ()
    retype(qtbot, pick.weights["length"], "-2.5")
    assert view.draft.config.reward_weights == (1.0, 1.0, -2.5)
    retype(qtbot, pick.weights["length"], "many")
    assert not view.start.isEnabled()
    assert "weight" in view.obstacle.text()
    for name in ("accuracy", "strict_format", "length"):
        pick.boxes[name].click()
    assert view.draft.config.rewards == ("length",), "the last one stays in force until another is chosen"
    assert not view.start.isEnabled()
    pick.boxes["accuracy"].click()
    assert view.draft.config.rewards == ("accuracy",)
    assert not view.obstacle.isVisible()


def test_a_text_and_live_completions_are_scored(qtbot: QtBot, view: NewRunView, panel: RewardsPanel) -> None:
    row = view.preview.training_rows[2]
    panel.trial_view.row.setCurrentIndex(2)
    assert not panel.trial_view.score.isEnabled()
    panel.trial_view.text.setPlainText(f"<reasoning>so</reasoning><answer>{row.answer}</answer>")
    click(qtbot, panel, "Score This Text")
    assert view.trial.busy
    assert not panel.trial_view.live.isEnabled()
    tried(qtbot, view)
    assert cells(panel) == [[panel.trial_view.text.toPlainText(), "1", "0.5", "1.2"]]
    click(qtbot, panel, "Try on 3 Live Completions")
    tried(qtbot, view)
    assert [one.live for one in view.trial.scored] == [False, True, True, True]
    assert len(cells(panel)) == 4
    assert {one.question for one in view.trial.scored} == {row.question}


def test_a_file_of_ones_own_is_offered_tried_and_its_fault_shown_at_the_line(
    qtbot: QtBot, view: NewRunView, panel: RewardsPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = mine(tmp_path)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_words: (path, ""))
    click(qtbot, panel, "Open a File…")
    assert view.draft.config.reward_file == path
    assert view.draft.config.rewards == ("accuracy", "strict_format", "long", "broken")
    assert view.draft.config.reward_weights == (1.0, 0.4, 1.0, 1.0)
    panel.trial_view.text.setPlainText("two words")
    click(qtbot, panel, "Score This Text")
    tried(qtbot, view)
    assert panel.code.editor.fault == 7
    assert "ZeroDivisionError" in panel.code.fault.text()
    assert "Line 7" in panel.code.fault.text()
    (scores,) = cells(panel)
    assert scores[1:3] == ["0", "0"]
    assert float(scores[3]) == view.trial.scored[0].tokens > 0
    assert scores[4] == "fault"
    # It is mended in its place, and saved by trying it again.
    panel.code.editor.set_code(MINE.replace("1 / 0", "1.0"))
    panel.code.editor.document().setModified(True)
    assert not view.start.isEnabled()
    click(qtbot, panel, "Score This Text")
    assert "1.0 for" in Path(path).read_text()
    tried(qtbot, view)
    assert panel.code.editor.fault == 0
    assert cells(panel)[0][4] == "1"
    assert view.start.isEnabled()
    click(qtbot, panel, "Leave Out")
    assert view.draft.config.reward_file == ""
    assert view.draft.config.rewards == ("accuracy", "strict_format")
    assert Path(path).exists()


def test_a_reward_is_written_from_an_example(
    qtbot: QtBot, view: NewRunView, panel: RewardsPanel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own"
    click(qtbot, panel, "Write Your Own…")
    assert panel.code.editor.toPlainText() == TEMPLATE
    assert view.draft.config.reward_file == "", "it is nowhere yet"
    assert view.start.isEnabled(), "and in nobody's way"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_words: ("", ""))
    click(qtbot, panel, "Save…")
    assert view.draft.config.reward_file == ""
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_words: (str(path), ""))
    click(qtbot, panel, "Save…")
    assert (tmp_path / "own.py").read_text() == TEMPLATE
    assert view.draft.config.reward_file == f"{path}.py"
    assert view.draft.config.rewards == ("accuracy", "strict_format", "please")
    panel.trial_view.text.setPlainText("Please!")
    click(qtbot, panel, "Score This Text")
    tried(qtbot, view)
    assert cells(panel) == [["Please!", "0", "0", "1", "1"]]


def test_a_slip_of_the_pen_is_told_while_it_is_typed(
    qtbot: QtBot, view: NewRunView, panel: RewardsPanel, tmp_path: Path
) -> None:
    view.draft.change({"reward_file": mine(tmp_path)})
    editor = panel.code.editor
    editor.setFocus()
    qtbot.keyClick(editor, Qt.Key.Key_End, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(editor, "def (")
    qtbot.waitUntil(lambda: editor.fault == 8, timeout=WAIT)
    assert panel.code.fault.isVisible()
    for _ in range(5):
        qtbot.keyClick(editor, Qt.Key.Key_Backspace)
    qtbot.waitUntil(lambda: editor.fault == 0, timeout=WAIT)
    assert not panel.code.fault.isVisible()


def test_a_function_that_is_gone_is_shown_as_gone(
    qtbot: QtBot, view: NewRunView, panel: RewardsPanel, tmp_path: Path
) -> None:
    view.draft.change({"reward_file": mine(tmp_path), "rewards": ("long", "gone"), "reward_weights": ()})
    assert panel.pick.boxes["gone"].isChecked()
    assert "no such function" in panel.pick.boxes["gone"].accessibleDescription()
    panel.trial_view.text.setPlainText("text")
    click(qtbot, panel, "Score This Text")
    tried(qtbot, view)
    assert [fault.reward for fault in view.trial.faults] == ["gone"]
    assert any("gone" in sentence for sentence in panel.trial_view.faults.sentences)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None, b"x" * 200_001])
def test_a_file_that_cannot_be_read_is_said(
    view: NewRunView, panel: RewardsPanel, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "odd.py"
    if content is not None:
        file.write_bytes(content)
    view.draft.change({"reward_file": str(file)})
    assert panel.code.fault.isVisible()
    assert "cannot be read" in panel.code.fault.text()
    assert panel.code.editor.isReadOnly()
    view.draft.change({"reward_file": "~nobody_of_this_name/x.py"})
    assert "cannot be read" in panel.code.fault.text()


def test_a_trial_that_hangs_is_stopped(qtbot: QtBot, view: NewRunView, panel: RewardsPanel, tmp_path: Path) -> None:
    source = "import time\ndef slow(completions, **columns):\n    time.sleep(600)\n"
    view.draft.change({"reward_file": mine(tmp_path, source), "rewards": ("slow",), "reward_weights": ()})
    panel.trial_view.text.setPlainText("text")
    click(qtbot, panel, "Score This Text")
    qtbot.waitUntil(lambda: view.trial.stage == "Scoring completions", timeout=WAIT)
    click(qtbot, panel, "Stop")
    tried(qtbot, view)
    assert view.trial.failure is None
    assert panel.trial_view.score.isEnabled()


def test_the_editor_indents_as_one_expects(qtbot: QtBot, view: NewRunView) -> None:
    editor = CodeEditor()
    qtbot.addWidget(editor)
    editor.show()
    qtbot.keyClicks(editor, "def one(x):")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.keyClicks(editor, "if x:")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.keyClicks(editor, "y")
    qtbot.keyClick(editor, Qt.Key.Key_Tab)
    qtbot.keyClicks(editor, "z")
    assert editor.toPlainText() == "def one(x):\n    if x:\n        y   z"
    qtbot.waitUntil(lambda: bool(editor.document().firstBlock().layout().formats()), timeout=WAIT)
