"""Two models of a real run answer the same prompt: the answers are theirs, and what goes wrong is said in its place."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QPlainTextEdit, QPushButton
from pytestqt.qtbot import QtBot

from engine import jobs
from engine.config import Sampling
from engine.events import ReplyFinished
from gui import theme as looks
from gui.desk import Desk
from gui.train.compare.view import CompareView
from gui.train.record import Record
from tests.engine.grpo.runs import run, tiny

WAIT = 60_000
PROMPTS = ("What is 84 - 13?", "What is 54 + 10?", "What is 91 - 75?")


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """The run is made on this thread, which must not import while the lane does."""
    importlib.import_module("mlx_lm.utils")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    run(tiny(folder, name="sums", learning_rate=5e-3, max_steps=4, save_steps=2, eval_steps=0, eval_samples=8))
    return folder / "sums"


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    """The run, somewhere else than where it was recorded."""
    return shutil.copytree(trained, tmp_path / "sums")


@pytest.fixture
def desk(theme: looks.Theme) -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


Open = Callable[[Path], CompareView]


@pytest.fixture
def shown(qtbot: QtBot, desk: Desk) -> Iterator[Open]:
    records: list[Record] = []

    def opened(folder: Path) -> CompareView:
        record = Record(desk, str(folder))
        records.append(record)
        record.follow()
        qtbot.waitUntil(lambda: record.loaded or record.failure is not None, timeout=WAIT)
        view = CompareView(desk)
        qtbot.addWidget(view)
        view.resize(804, 600)
        view.show()
        view.show_record(record)
        qtbot.waitUntil(lambda: view._reading is None and not view.questions.reading, timeout=WAIT)
        return view

    yield opened
    for record in records:
        record.rest()


def titles(view: CompareView, side: int = 1) -> list[str]:
    picker = view.sides[side].picker
    return [picker.itemText(place) for place in range(picker.count())]


def answered(qtbot: QtBot, view: CompareView, prompt: str = PROMPTS[0]) -> tuple[str, str]:
    view.bar.prompt.setPlainText(prompt)
    qtbot.mouseClick(view.bar.ask, Qt.MouseButton.LeftButton)
    assert view.answers.running
    qtbot.waitUntil(lambda: not view.answers.running, timeout=WAIT)
    return view.sides[0].said, view.sides[1].said


def reply(model: str, prompt: str, sampling: Sampling) -> str:
    request = jobs.Generate(jobs.LoadModel(model, "float32"), prompt, sampling=sampling)
    (finished,) = [event for event in jobs.start(request, jobs.Workbench()) if isinstance(event, ReplyFinished)]
    return finished.text


def test_all_that_the_run_left_is_offered(folder: Path, shown: Open) -> None:
    view = shown(folder)
    assert [title.split(",")[0] for title in titles(view)] == ["Before training", "Step 2", "Step 4", "After training"]
    assert sum("best" in title for title in titles(view)) <= 1
    left, right = (side.source for side in view.sides)
    assert left is not None
    assert right is not None
    assert (left.model, right.model) == ("starter", str(folder / "model"))


def test_what_was_deleted_is_not_offered(folder: Path, shown: Open) -> None:
    shutil.rmtree(folder / "checkpoints" / "000002")
    assert (folder / "checkpoints").is_dir()
    shutil.rmtree(folder / "model")
    view = shown(folder)
    assert [title.split(",")[0] for title in titles(view)] == ["Before training", "Step 4"]


def test_each_answer_is_that_of_its_model(qtbot: QtBot, folder: Path, shown: Open) -> None:
    greedy = Sampling(temperature=0.0, top_p=1.0, max_tokens=32, seed=0)
    view = shown(folder)
    differ = 0
    for prompt in PROMPTS:
        left, right = answered(qtbot, view, prompt)
        assert left == reply("starter", prompt, greedy)
        assert right == reply(str(folder / "model"), prompt, greedy)
        differ += left != right
    assert differ, "the run should have changed something"
    assert all("tokens a second" in side.state.text() for side in view.sides)


def test_the_words_in_which_they_differ_are_marked(qtbot: QtBot, folder: Path, shown: Open) -> None:
    view = shown(folder)
    for prompt in PROMPTS:
        left, right = answered(qtbot, view, prompt)
        qtbot.waitUntil(lambda: bool(view.note.text()), timeout=WAIT)
        assert [side.text.toPlainText() for side in view.sides] == [left, right]
        kinds = {kind for side in view.sides for kind, _ in side.text._parts}
        assert ("other" in kinds) == (left != right)
        assert ("same." in view.note.text()) == (left == right)


def test_both_have_the_same_seed(qtbot: QtBot, folder: Path, shown: Open) -> None:
    view = shown(folder)
    assert not view.bar.seed.isEnabled()
    view.bar.temperature.set_number(1.5)
    view.bar.temperature.edited.emit(1.5)
    assert view.bar.seed.isEnabled()
    view.sides[1].choose("starter")
    view.bar.seed.set_number(7)
    seen = {answered(qtbot, view)}
    view.bar.seed.set_number(8)
    seen.add(answered(qtbot, view))
    assert all(left == right for left, right in seen)
    assert len(seen) == 2


def test_numbers_out_of_bounds_are_brought_within(shown: Open, folder: Path) -> None:
    view = shown(folder)
    view.bar.temperature.set_number(9.0)
    view.bar.seed.set_number(-3)
    assert (view.bar.heat, view.bar.number) == (2.0, 0)


def test_the_prompts_of_the_last_step_come_one_after_the_other(qtbot: QtBot, folder: Path, shown: Open) -> None:
    view = shown(folder)
    seen: list[str] = []
    for _ in range(5):
        qtbot.mouseClick(view.bar.next, Qt.MouseButton.LeftButton)
        seen.append(view.bar.text)
        question = view.questions.current
        assert question is not None
        assert question.answer in view.bar.about.text()
    assert len(set(seen)) == 4
    assert seen[4] == seen[0]
    view.bar.prompt.setPlainText("Something else")
    assert "right answer" not in view.bar.about.text()


def test_a_run_without_completions_can_be_asked(qtbot: QtBot, folder: Path, shown: Open) -> None:
    (folder / "samples.jsonl").unlink()
    view = shown(folder)
    assert not view.bar.next.isEnabled()
    assert all(answered(qtbot, view))


def test_nothing_is_asked_without_words(folder: Path, shown: Open) -> None:
    view = shown(folder)
    assert not view.bar.ask.isEnabled()
    view.bar.prompt.setPlainText("  \n ")
    assert not view.bar.ask.isEnabled()
    view.bar.prompt.setPlainText("What?")
    assert view.bar.ask.isEnabled()


def test_an_answer_goes_when_its_question_or_its_model_changes(qtbot: QtBot, folder: Path, shown: Open) -> None:
    view = shown(folder)
    assert all(answered(qtbot, view))
    view.bar.prompt.setPlainText("Another")
    assert not any(side.said or side.text.toPlainText() or side.state.text() for side in view.sides)
    assert all(answered(qtbot, view))
    view.sides[1].picker.activated.emit(0)
    assert not any(side.said for side in view.sides)
    assert view.note.text() == ""


def test_stop_stops_both(qtbot: QtBot, folder: Path, shown: Open) -> None:
    view = shown(folder)
    view.bar.prompt.setPlainText(PROMPTS[0])
    view.bar.ask.click()
    assert view.bar.stop.isVisible()
    assert not view.bar.ask.isVisible()
    view.bar.stop.click()
    assert not view.answers.running
    assert [side.state.text() for side in view.sides] == ["Stopped", "Stopped"]
    texts = [side.said for side in view.sides]
    qtbot.wait(300)
    assert [side.said for side in view.sides] == texts
    assert all(answered(qtbot, view))


def test_an_error_stands_in_its_place_and_the_other_answers(qtbot: QtBot, folder: Path, shown: Open) -> None:
    view = shown(folder)
    view.choose(str(folder / "checkpoints" / "000004"))
    (folder / "checkpoints" / "000004" / "weights.safetensors").write_bytes(b"not weights")
    left, right = answered(qtbot, view)
    assert left
    assert not right
    assert view.sides[1].failure.isVisible()
    assert view.sides[1].failure.text()
    assert not view.sides[0].failure.isVisible()
    view.sides[1].choose("starter")
    assert all(answered(qtbot, view))
    assert not view.sides[1].failure.isVisible()


def test_a_checkpoint_can_be_chosen_before_the_settings_are_read(
    qtbot: QtBot, desk: Desk, folder: Path, shown: Open
) -> None:
    wanted = str(folder / "checkpoints" / "000002")
    first = shown(folder)
    view = CompareView(desk)
    qtbot.addWidget(view)
    view.show()
    view.show_record(first._record)
    view.choose(wanted)
    qtbot.waitUntil(lambda: view.sides[1].source is not None, timeout=WAIT)
    right = view.sides[1].source
    assert right is not None
    assert right.model == wanted


def test_a_checkpoint_that_goes_takes_its_answer_along(qtbot: QtBot, folder: Path, shown: Open) -> None:
    view = shown(folder)
    view.choose(str(folder / "checkpoints" / "000002"))
    assert all(answered(qtbot, view))
    shutil.rmtree(folder / "checkpoints" / "000002")
    view.hide()
    view.show()
    right = view.sides[1].source
    assert right is not None
    assert right.model == str(folder / "model")
    assert not any(side.said for side in view.sides)


def test_what_the_system_prompt_says_can_be_seen(shown: Open, folder: Path) -> None:
    file = folder / "config.toml"
    text = file.read_text("utf-8").replace('system_prompt = ""', 'system_prompt = "Be <b>brief</b>."')
    file.write_text(text, "utf-8")
    view = shown(folder)
    assert "system prompt" in view.bar.about.text()
    assert "Be &lt;b&gt;brief&lt;/b&gt;." in view.bar.about.toolTip()


def test_settings_that_cannot_be_read_are_said(folder: Path, shown: Open) -> None:
    (folder / "config.toml").write_text("nonsense", "utf-8")
    view = shown(folder)
    assert view.failure.isVisible()
    assert "damaged" in view.failure.text()
    view.bar.prompt.setPlainText("What?")
    assert not view.bar.ask.isEnabled()


def test_another_run_and_no_run(qtbot: QtBot, folder: Path, shown: Open) -> None:
    view = shown(folder)
    assert all(answered(qtbot, view))
    view.show_record(None)
    assert not any(side.said for side in view.sides)
    assert not view.bar.ask.isEnabled()
    assert not view.bar.next.isEnabled()


def test_the_policy_that_trains_is_asked_as_it_is_now(qtbot: QtBot, desk: Desk, shown: Open, tmp_path: Path) -> None:
    config = tiny(tmp_path, name="live", max_steps=100_000, eval_samples=0, save_steps=0)
    job = desk.compute.submit(jobs.Train(config))
    ends: list[object] = []
    job.ended.connect(ends.append)
    record = tmp_path / "live" / "events.jsonl"
    qtbot.waitUntil(lambda: record.is_file() and b"step_finished" in record.read_bytes(), timeout=WAIT)
    view = shown(tmp_path / "live")
    assert titles(view) == ["Before training", "Now, as it trains"]
    assert all(answered(qtbot, view))
    assert not any(side.failure.isVisible() for side in view.sides), [side.failure.text() for side in view.sides]
    job.cancel()
    qtbot.waitUntil(lambda: bool(ends), timeout=WAIT)
    qtbot.waitUntil(lambda: "Now, as it trains" not in titles(view), timeout=WAIT)


def test_every_control_has_a_name(folder: Path, shown: Open) -> None:
    view = shown(folder)
    kinds = (QPushButton, QComboBox, QPlainTextEdit, QAbstractSpinBox)
    controls = [widget for kind in kinds for widget in view.findChildren(kind)]
    assert len(controls) >= 9
    nameless = [widget for widget in controls if not (widget.accessibleName() or getattr(widget, "text", str)())]
    assert nameless == []


def test_it_looks_right_in_both_appearances(qtbot: QtBot, folder: Path, shown: Open, theme: looks.Theme) -> None:
    view = shown(folder)
    left, right = answered(qtbot, view)
    qtbot.waitUntil(lambda: bool(view.note.text()), timeout=WAIT)
    for appearance in ("dark", "light"):
        theme.wish(appearance)
        assert [side.text.toPlainText() for side in view.sides] == [left, right]
        colour = view.sides[0].text.textCursor().charFormat().foreground().color().name()
        assert colour == theme.colours.text
