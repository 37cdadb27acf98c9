"""Rewards judge a stored answer in the window: the real rewards on the real lane, by mouse and by keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from gui import theme as looks
from gui.chat.score_bars import ScoreBar, ScoreBars
from gui.chat.score_choice import Judging, ScoreChoice
from gui.chat.score_sheet import ScoreSheet
from gui.desk import Desk

WAIT = 60_000
ANSWER = "<reasoning>47 + 38 = 85</reasoning>\n<answer>85</answer>"

Open = Callable[..., ScoreSheet]


@pytest.fixture
def desk(theme: looks.Theme) -> Iterator[Desk]:
    theme.wish("light")
    desk = Desk()
    yield desk
    desk.close()


@pytest.fixture(name="opened")
def _opened(qtbot: QtBot, desk: Desk) -> Open:
    def opened(judging: Judging | None = None, text: str = ANSWER) -> ScoreSheet:
        conversation = desk.store.create(model="starter").id
        question = desk.store.add(conversation, None, "user", "What is 47 + 38?")
        answer = desk.store.add(conversation, question.id, "assistant", text, model="starter")
        sheet = ScoreSheet(desk, answer, judging or Judging(("accuracy", "strict_format")))
        qtbot.addWidget(sheet)
        sheet.show()
        qtbot.waitUntil(lambda: not sheet.running, timeout=WAIT)
        return sheet

    return opened


def shown(sheet: ScoreSheet) -> dict[str, float | None]:
    return {name: score for name, score, _ in sheet.bars.scores}


def test_it_judges_at_once_and_again_with_the_right_answer(qtbot: QtBot, opened: Open) -> None:
    sheet = opened()
    assert shown(sheet) == {"accuracy": None, "strict_format": 0.5}
    assert "none is given" in sheet.bars.scores[0][2]
    assert sheet.sum.text() == ""
    qtbot.keyClicks(sheet.choice.reference, "85")
    with qtbot.waitSignal(sheet.judged) as judged:
        qtbot.keyClick(sheet.choice.reference, Qt.Key.Key_Return)
    assert judged.args == [Judging(("accuracy", "strict_format"), "85")]
    qtbot.waitUntil(lambda: not sheet.running, timeout=WAIT)
    assert shown(sheet) == {"accuracy": 1.0, "strict_format": 0.5}
    assert sheet.sum.text() == "Sum: 1.5"
    assert sheet.isVisible(), "Return scores, it closes nothing"


def test_other_rewards_are_chosen(qtbot: QtBot, opened: Open) -> None:
    sheet = opened()
    for name in ("accuracy", "strict_format"):
        sheet.choice.boxes[name].click()
    assert not sheet.score.isEnabled()
    sheet.choice.boxes["integer"].click()
    qtbot.mouseClick(sheet.score, Qt.MouseButton.LeftButton)
    assert sheet.stop.isVisible()
    qtbot.waitUntil(lambda: not sheet.running, timeout=WAIT)
    assert shown(sheet) == {"integer": 0.5}


def test_nothing_is_chosen_at_first_where_nothing_was(opened: Open) -> None:
    sheet = opened(Judging(()))
    assert sheet.hint.isVisible()
    assert sheet.bars.scores == ()


def test_functions_of_a_file_are_offered_and_kept(
    qtbot: QtBot, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def short(completions, **columns):\n    '''1 & only'''\n    return [-0.25]\n", "utf-8")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(file), ""))
    sheet = opened()
    sheet.choice.own.click()
    name = f"{file}:short"
    assert sheet.choice.boxes[name].isChecked()
    sheet.score.click()
    qtbot.waitUntil(lambda: not sheet.running, timeout=WAIT)
    assert shown(sheet)[name] == -0.25
    again = ScoreChoice(sheet.choice.judging)
    qtbot.addWidget(again)
    assert again.judging == sheet.choice.judging


@pytest.mark.parametrize(
    ("source", "words"),
    [("def broken(:", "Line 1"), ("x = 1", "no functions"), ("#" * 300_000, "too large"), (None, "cannot be read")],
)
def test_a_file_without_rewards_is_said(
    qtbot: QtBot, theme: looks.Theme, tmp_path: Path, source: str | None, words: str
) -> None:
    if source is not None:
        (tmp_path / "mine.py").write_text(source, "utf-8")
    choice = ScoreChoice(Judging())
    qtbot.addWidget(choice)
    choice.show()
    choice.add_file(str(tmp_path / "mine.py"))
    assert choice.fault.isVisible()
    assert words in choice.fault.text()


def test_an_answer_that_is_gone_is_an_error_in_its_place(qtbot: QtBot, desk: Desk, opened: Open) -> None:
    sheet = opened()
    desk.store._database.rows("DELETE FROM conversation")
    sheet.score.click()
    qtbot.waitUntil(lambda: not sheet.running, timeout=WAIT)
    assert sheet.failure.isVisible()
    assert sheet.bars.scores == ()


def test_every_score_has_a_bar_and_is_read_aloud(qtbot: QtBot, theme: looks.Theme) -> None:
    bars = ScoreBars()
    qtbot.addWidget(bars)
    bars.resize(400, 200)
    bars.show_scores([("correctness", 2.0, ""), ("mine.py:odd", -3.14159, ""), ("length", None, "Why not.")])
    names = [bar.accessibleName() for bar in bars.findChildren(ScoreBar)]
    assert names == ["correctness: 2", "odd: −3.142", "length: –"]
    assert not bars.grab().isNull()
