"""Models side by side through the real lane: the same question and seed, differences, scores, and what goes wrong."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from engine import jobs, places
from engine.config import Sampling
from engine.events import ReplyFinished
from gui import theme as looks
from gui.chat.compare_models import Contender
from gui.chat.compare_view import CompareView
from gui.chat.score_choice import ChooseRewards, Judging
from gui.desk import Desk
from tests.engine.grpo.runs import run, tiny
from tests.engine.tiny import make_model

WAIT = 60_000
HOT = Sampling(temperature=1.2, seed=11, max_tokens=24)

Open = Callable[..., CompareView]


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """Models are made on this thread, which must not import while the lane does."""
    importlib.import_module("mlx_lm.utils")


@pytest.fixture
def desk(theme: looks.Theme) -> Iterator[Desk]:
    theme.wish("light")
    desk = Desk()
    yield desk
    desk.close()


@pytest.fixture(name="opened")
def _opened(qtbot: QtBot, desk: Desk) -> Iterator[Open]:
    views: list[CompareView] = []

    def opened(*contenders: str, judging: Judging | None = None, system: str = "") -> CompareView:
        conversation = desk.store.create(model="starter").id
        question = desk.store.add(conversation, None, "user", "What is 47 + 38?")
        view = CompareView(desk, question, "starter", system, HOT, judging or Judging(()))
        qtbot.addWidget(view)
        views.append(view)
        view.show()
        for place, contender in enumerate(contenders):
            column = view.columns[place] if place < len(view.columns) else view.add_column()
            column.picker.pick(Contender(contender))
        return view

    yield opened
    for view in views:
        view.reject()


def ask(qtbot: QtBot, view: CompareView) -> None:
    qtbot.mouseClick(view.bar.ask, Qt.MouseButton.LeftButton)
    assert view.answers.running
    qtbot.waitUntil(lambda: not view.answers.running, timeout=WAIT)
    qtbot.waitUntil(lambda: not view.opinions.busy, timeout=WAIT)


def reply(model: str, system: str = "") -> str:
    request = jobs.Generate(jobs.LoadModel(model), "What is 47 + 38?", system, sampling=HOT)
    (finished,) = [event for event in jobs.start(request, jobs.Workbench()) if isinstance(event, ReplyFinished)]
    return finished.text


def test_the_same_model_says_the_same_with_the_same_seed(qtbot: QtBot, opened: Open) -> None:
    view = opened(system="Answer briefly.")
    assert not view.bar.ask.isEnabled(), "there is nobody to compare with yet"
    view.columns[1].picker.pick(Contender("starter"))
    ask(qtbot, view)
    first, second = view.columns
    assert first.said == second.said == reply("starter", "Answer briefly.")
    assert view.note.text() == "Both answers are the same."
    assert "tokens/s" in first.state.text()
    assert not view.displaced


def test_what_differs_is_marked_on_wish(qtbot: QtBot, opened: Open, tmp_path: Path) -> None:
    other = str(make_model(tmp_path / "other", seed=4))
    view = opened("starter", other)
    ask(qtbot, view)
    first, second = view.columns
    assert [first.said, second.said] == [reply("starter"), reply(other)]
    assert view.displaced
    assert first.answer.isVisible()
    assert not first.marked.isVisible()
    view.differences.click()
    assert first.marked.isVisible()
    assert "other" in {kind for kind, _ in second.marked._parts}
    assert "".join(text for _, text in first.marked._parts) == first.said
    view.differences.click()
    assert first.answer.isVisible()


def test_three_are_compared_with_the_first(qtbot: QtBot, opened: Open, tmp_path: Path) -> None:
    other = str(make_model(tmp_path / "other", seed=4))
    view = opened("starter", other, "starter")
    ask(qtbot, view)
    view.differences.click()
    parts = [{kind for kind, _ in column.marked._parts} for column in view.columns]
    assert parts[0] == {"same"}
    assert "other" in parts[1]
    assert parts[2] == {"same"}


def test_an_answer_is_kept_once(qtbot: QtBot, opened: Open) -> None:
    view = opened("starter", "starter")
    ask(qtbot, view)
    column = view.columns[1]
    with qtbot.waitSignal(view.kept) as kept:
        qtbot.mouseClick(column.keep, Qt.MouseButton.LeftButton)
    prompt, model, finished = kept.args
    assert (prompt, model, finished.text) == ("What is 47 + 38?", "starter", column.said)
    assert not column.keep.isEnabled()


def test_scores_stand_under_each_answer(qtbot: QtBot, opened: Open) -> None:
    view = opened("starter", "starter", judging=Judging(("accuracy", "length"), "85"))
    ask(qtbot, view)
    for column in view.columns:
        (accuracy, right, _), (length, short, _) = column.bars.scores
        assert (accuracy, length, short) == ("accuracy", "length", 1.0)
        assert right == float("<answer>85</answer>" in column.said)
    view.scores.click()
    dialog = view.findChild(ChooseRewards)
    assert isinstance(dialog, ChooseRewards)
    dialog.choice.boxes["length"].click()
    dialog.take.click()
    qtbot.waitUntil(lambda: not view.opinions.busy, timeout=WAIT)
    assert [name for name, _, _ in view.columns[0].bars.scores] == ["accuracy"]


def test_one_that_cannot_answer_says_why_and_the_others_answer(qtbot: QtBot, opened: Open) -> None:
    view = opened("/nowhere/at/all", "starter")
    ask(qtbot, view)
    first, second = view.columns
    assert first.failure.isVisible()
    assert "/nowhere/at/all" in first.failure.text()
    assert second.said
    assert not first.keep.isVisible()


def test_another_question_takes_the_answers_away(qtbot: QtBot, opened: Open) -> None:
    view = opened("starter", "starter")
    ask(qtbot, view)
    view.bar.prompt.setPlainText("What is 1 + 1?")
    assert not any(column.said for column in view.columns)
    ask(qtbot, view)
    assert all(column.said for column in view.columns)


def test_answers_can_be_stopped_and_the_dialog_closed_meanwhile(
    qtbot: QtBot, desk: Desk, opened: Open, tmp_path: Path
) -> None:
    endless = str(make_model(tmp_path / "endless", endless=True))
    view = opened(endless, "starter")
    view._sampling = Sampling(temperature=1.0, max_tokens=50_000)
    view.ask()
    qtbot.waitUntil(lambda: len(view.columns[0].said) > 50, timeout=WAIT)
    qtbot.mouseClick(view.bar.stop, Qt.MouseButton.LeftButton)
    assert not view.answers.running
    assert [column.state.text() for column in view.columns] == ["Stopped", "Stopped"]
    view.ask()
    qtbot.waitUntil(lambda: len(view.columns[0].said) > 50, timeout=WAIT)
    view.reject()
    qtbot.waitUntil(lambda: not desk.compute.busy, timeout=WAIT)


def test_up_to_four_stand_beside_each_other_or_in_rows(qtbot: QtBot, opened: Open) -> None:
    view = opened("starter", "starter", "starter", "starter")
    assert not view.add.isEnabled()

    def rows() -> list[int]:
        return [view._grid.getItemPosition(view._grid.indexOf(column))[0] for column in view.columns]  # type: ignore[index]

    view.resize(1400, 700)
    qtbot.waitUntil(lambda: rows() == [0, 0, 0, 0])
    view.resize(1000, 700)
    qtbot.waitUntil(lambda: rows() == [0, 0, 1, 1])
    view.columns[3].remove.click()
    view.columns[0].remove.click()
    assert len(view.columns) == 2
    assert not any(column.remove.isVisible() for column in view.columns)
    view.resize(640, 460)
    qtbot.waitUntil(lambda: rows() == [0, 0])
    ask(qtbot, view)


def offered(view: CompareView, text: str) -> QAction:
    """An entry of the second picker's menu, or of a menu in it."""
    menu = view.columns[1].picker.menu()
    waiting = list(menu.actions())
    while waiting:
        action = waiting.pop(0)
        inner = action.menu()
        waiting += list(inner.actions()) if inner is not None else []  # type: ignore[attr-defined]
        if action.text().startswith(text):
            return action
    raise AssertionError(f"{text} is not offered")


def test_checkpoints_of_runs_and_adapters_are_offered_and_answer(
    qtbot: QtBot, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tiny(places.runs_folder(), name="sums", max_steps=2, save_steps=1, eval_steps=0, eval_samples=4))
    view = opened("starter")
    qtbot.waitUntil(lambda: bool(view.shelf.runs), timeout=WAIT)
    offered(view, "Step 1").trigger()
    picker = view.columns[1].picker
    assert picker.text() == "sums, step 1"
    ask(qtbot, view)
    assert view.columns[1].said == reply(str(places.runs_folder() / "sums" / "checkpoints" / "000001"))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "/tmp/nothing/here")
    view.columns[1].picker.pick(Contender("starter"))
    offered(view, "Put an Adapter").trigger()
    assert picker.contender == Contender("starter", "/tmp/nothing/here")
    assert picker.text() == "starter with here"
    ask(qtbot, view)
    assert view.columns[1].failure.isVisible()


@pytest.mark.parametrize(
    ("contender", "name"),
    [
        (Contender("starter"), "starter"),
        (Contender("mlx-community/Qwen-4bit"), "Qwen-4bit"),
        (Contender("/runs/sums/checkpoints/000250"), "sums, step 250"),
        (Contender("/runs/sums/model"), "sums"),
        (Contender("run:/runs/sums"), "sums, as it trains"),
        (Contender("a/b", "/x/lora"), "b with lora"),
    ],
)
def test_each_is_called_by_a_short_name(contender: Contender, name: str) -> None:
    assert contender.name == name
