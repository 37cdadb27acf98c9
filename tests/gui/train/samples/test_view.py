"""The browser as a person uses it, on runs that were really trained and on files in every state."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from engine.grpo import config_file
from engine.run_events import SampleRead
from engine.training_events import TrainingStarted
from gui import theme as looks
from gui.desk import Desk
from gui.train.record import Record
from gui.train.samples.view import SamplesView
from tests.engine.grpo.runs import run, tiny
from tests.engine.monitor.steps import many_steps, sample_line, step, write_events, write_samples

Open = Callable[[Path], SamplesView]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of six steps, of four prompts with four completions each."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLX_GRPO_HOME", str(folder / "home"))
        run(tiny(folder, "real", max_steps=6, eval_steps=0, eval_samples=0, save_steps=0))
    return folder / "real"


@pytest.fixture
def open_run(qtbot: QtBot, desk: Desk) -> Iterator[Open]:
    """Opens a run's folder in a browser of its own, and waits until it has read what there is."""
    made: list[SamplesView] = []

    def do(folder: Path) -> SamplesView:
        view = SamplesView(desk)
        made.append(view)
        view.resize(900, 700)
        view.show()
        record = Record(desk, str(folder), view)
        record.look()
        view.show_record(record)
        qtbot.waitUntil(lambda: (record.loaded or record.failure is not None) and not record.reading)
        settle(qtbot, view)
        return view

    yield do
    for view in made:
        view.show_record(None)
        view.close()
        view.deleteLater()


def settle(qtbot: QtBot, view: SamplesView) -> None:
    qtbot.waitUntil(lambda: not view.reader.reading)


def look(qtbot: QtBot, view: SamplesView) -> None:
    """Read what is new in the record, and what follows from that."""
    record = view.record
    assert record is not None
    qtbot.waitUntil(lambda: not record.reading)
    record.look()
    qtbot.waitUntil(lambda: not record.reading)
    settle(qtbot, view)


def state(view: SamplesView) -> str:
    """What is said where there are no completions."""
    assert view.state.isVisible()
    return f"{view.state.title.text()} {view.state.words.text()}".strip()


def wrote(folder: Path, number: int) -> list[dict[str, object]]:
    lines = (folder / "samples.jsonl").read_text("utf-8").splitlines()
    return [fields for fields in map(json.loads, lines) if fields["step"] == number]


def test_the_newest_step_of_a_real_run_is_shown(trained: Path, open_run: Open) -> None:
    view = open_run(trained)
    assert (view.shown_step, view.steps.step, view.steps.first, view.steps.last) == (6, 6, 1, 6)
    assert [group.number for group in view.list.rows.rows] == [0, 1, 2, 3]
    written = wrote(trained, 6)
    assert [group.prompt for group in view.list.rows.rows] == [written[place]["prompt"] for place in (0, 4, 8, 12)]
    rewards = [sample.reward for sample in view.group.completions.rows.rows]
    assert rewards == sorted((fields["reward"] for fields in written[:4]), reverse=True)
    assert view.group.completion.sample == view.group.completions.current
    text = view.group.completion.text.toPlainText()
    assert text in [fields["text"] for fields in written[:4]]


def test_steps_are_turned_by_buttons_keys_slider_and_number(trained: Path, open_run: Open, qtbot: QtBot) -> None:
    view = open_run(trained)
    assert view.steps.newest
    view.list.setFocus()
    qtbot.keyClick(view.list, Qt.Key.Key_Left)
    settle(qtbot, view)
    assert (view.shown_step, view.steps.newest) == (5, False)
    qtbot.keyClick(view.group.completions, Qt.Key.Key_Right)
    settle(qtbot, view)
    assert view.shown_step == 6
    view.steps._field.setValue(2)
    settle(qtbot, view)
    assert view.shown_step == 2
    for position in (3, 4, 5):  # dragged faster than steps are read
        view.steps._slider.setValue(position)
    settle(qtbot, view)
    assert (view.shown_step, view.steps.step) == (5, 5)
    view.steps._before.click()
    settle(qtbot, view)
    assert view.shown_step == 4
    view.steps._newest.click()
    settle(qtbot, view)
    assert (view.shown_step, view.steps._after.isEnabled()) == (6, False)


def test_groups_and_completions_are_sorted(tmp_path: Path, open_run: Open) -> None:
    rewards = ((0.0, 1.0), (2.0, 2.0), (0.5, 0.6))
    write_samples(
        tmp_path,
        *(
            sample_line(row=group, completion=place, reward=reward, advantage=-reward)
            for group, each in enumerate(rewards)
            for place, reward in enumerate(each)
        ),
    )
    view = open_run(tmp_path)
    for order, numbers in (("spread", [0, 2, 1]), ("highest", [1, 2, 0]), ("lowest", [0, 2, 1]), ("order", [0, 1, 2])):
        view.order.setCurrentIndex(view.order.findData(order))
        assert [group.number for group in view.list.rows.rows] == numbers
        assert view.list.current.number == 0  # what was picked stays so
    for order, places in (("reward", [1, 0]), ("advantage", [0, 1]), ("order", [0, 1])):
        view.group.order.setCurrentIndex(view.group.order.findData(order))
        assert [sample.completion for sample in view.group.completions.rows.rows] == places
        assert view.group.completions.current.completion == 1
    view.list.setCurrentIndex(view.list.rows.index(1))
    assert view.group.hint.isVisible()
    assert not view.group.compare.isEnabled()


def test_the_newest_step_is_followed_until_another_is_chosen(tmp_path: Path, open_run: Open, qtbot: QtBot) -> None:
    write_events(tmp_path, step(1))
    write_samples(tmp_path, *many_steps([1]))
    view = open_run(tmp_path)
    view.list.setCurrentIndex(view.list.rows.index(1))
    view.group.completions.setCurrentIndex(view.group.completions.rows.index(2))
    write_samples(tmp_path, *many_steps([1, 2]))
    write_events(tmp_path, step(2))
    look(qtbot, view)
    assert view.shown_step == 2
    assert view.list.current.number == 1  # and the place in it is kept
    assert view.group.completion.sample is not None
    assert view.group.completion.sample.text == "s2 g1 c2"
    view.steps.turn(-1)
    settle(qtbot, view)
    write_samples(tmp_path, *many_steps([1, 2, 3]))
    write_events(tmp_path, step(3))
    look(qtbot, view)
    assert (view.shown_step, view.steps.last) == (1, 3)


def test_a_hidden_browser_reads_nothing_and_catches_up(tmp_path: Path, open_run: Open, qtbot: QtBot) -> None:
    write_events(tmp_path, step(1))
    write_samples(tmp_path, *many_steps([1]))
    view = open_run(tmp_path)
    view.hide()
    write_samples(tmp_path, *many_steps([1, 2]))
    write_events(tmp_path, step(2))
    look(qtbot, view)
    assert view.shown_step == 1
    view.show()
    settle(qtbot, view)
    assert view.shown_step == 2


def test_a_run_that_was_cut_by_a_resumed_one_is_read_anew(tmp_path: Path, open_run: Open, qtbot: QtBot) -> None:
    file = write_events(tmp_path, *(step(number) for number in (1, 2, 3)))
    write_samples(tmp_path, *many_steps([1, 2, 3]))
    view = open_run(tmp_path)
    file.unlink()
    write_events(tmp_path, step(1))
    write_samples(tmp_path, *many_steps([1]))
    look(qtbot, view)
    settle(qtbot, view)
    assert (view.shown_step, view.steps.last) == (1, 1)


def test_best_and_worst_side_by_side(tmp_path: Path, open_run: Open, qtbot: QtBot) -> None:
    texts = ("the sum is five", "the sum is four", "no idea")
    write_samples(
        tmp_path,
        *(sample_line(completion=place, text=text, reward=(0.5, 1.0, 0.0)[place]) for place, text in enumerate(texts)),
    )
    view = open_run(tmp_path)
    comparison = view.group.comparison
    with qtbot.waitSignal(comparison.shown):
        view.group.compare.click()
    assert [text.toPlainText() for text in comparison.texts] == ["the sum is four", "no idea"]
    assert [head.text() for head in comparison.heads] == ["Best: reward 1.00", "Worst: reward 0.00"]
    view.group.completions.setFocus()
    view.group.completions.setCurrentIndex(view.group.completions.rows.index(1))
    assert view.group.completion.isVisible()
    assert view.group.completion.text.toPlainText() == "the sum is five"


def test_search_goes_to_what_it_found_and_escape_ends_it(trained: Path, open_run: Open, qtbot: QtBot) -> None:
    view = open_run(trained)
    wanted = str(wrote(trained, 2)[9]["text"])
    qtbot.keyClicks(view.field, wanted)
    qtbot.keyClick(view.field, Qt.Key.Key_Return)
    assert view.found.isVisible()
    qtbot.waitUntil(lambda: view.found.over)
    found = [hit for hit in view.found.list.rows.rows if hit.step == 2]
    assert found
    assert all(hit.excerpt[hit.start :][: hit.length] == wanted[:] for hit in found)
    view.found.list.setCurrentIndex(view.found.list.rows.index(view.found.list.rows.rows.index(found[-1])))
    view.found.list.clicked.emit(view.found.list.currentIndex())
    settle(qtbot, view)
    assert (view.shown_step, view.steps.newest) == (2, False)
    picked = view.group.completion.sample
    assert picked is not None
    assert (picked.group, picked.completion, picked.text) == (found[-1].group, found[-1].completion, wanted)
    assert view.group.completion.text.extraSelections()
    qtbot.keyClick(view.field, Qt.Key.Key_Escape)
    assert not view.found.isVisible()
    assert view.list.isVisible()
    assert view.shown_step == 2


def test_a_search_for_nothing_there_says_so(trained: Path, open_run: Open, qtbot: QtBot) -> None:
    view = open_run(trained)
    view.field.setText("quetzal")
    qtbot.waitUntil(lambda: view.found.over)
    assert view.found.state.text().startswith("Nothing was found.")


def test_open_in_chat_and_copy(tmp_path: Path, open_run: Open, qtbot: QtBot) -> None:
    config = tiny(tmp_path, completion_prefill="<reasoning>")
    (tmp_path / config_file.RUN).write_text(config_file.to_toml(config), "utf-8")
    write_samples(tmp_path, sample_line(text="2 + 2</reasoning><answer>4</answer>"))
    view = open_run(tmp_path)
    with qtbot.waitSignal(view.chat_wanted) as wanted:
        view.group.completion._chat.click()
    (sample,) = wanted.args
    assert isinstance(sample, SampleRead)
    assert (sample.prefill, sample.text) == ("<reasoning>", "2 + 2</reasoning><answer>4</answer>")
    view.group.completion._copy.click()
    whole = "<reasoning>2 + 2</reasoning><answer>4</answer>"
    assert QGuiApplication.clipboard().text() == view.group.completion.text.toPlainText() == whole


def test_a_run_that_keeps_no_completions_says_so(tmp_path: Path, open_run: Open) -> None:
    run(tiny(tmp_path, "bare", max_steps=1, log_jsonl=False, eval_steps=0, eval_samples=0))
    view = open_run(tmp_path / "bare")
    assert state(view).startswith("This run keeps no completions.")
    assert not view.steps.isVisible()


def test_no_run_no_step_and_no_file(tmp_path: Path, desk: Desk, open_run: Open, qtbot: QtBot) -> None:
    write_samples(tmp_path)
    view = open_run(tmp_path)
    assert state(view) == "There are no completions yet. The run ended before its first step."
    record = view.record
    view.show_record(None)
    assert state(view).startswith("No run is chosen.")
    (tmp_path / "samples.jsonl").unlink()
    write_events(tmp_path, TrainingStarted("run", "starter", "full", 10, 0, 9, False), step(1))
    view.show_record(record)
    look(qtbot, view)
    assert state(view).startswith("The completions of this run are not there.")
    write_samples(tmp_path, *many_steps([1]))
    view.state.action.click()
    settle(qtbot, view)
    assert view.shown_step == 1


def test_a_step_without_completions_leads_to_the_nearest(tmp_path: Path, open_run: Open, qtbot: QtBot) -> None:
    write_events(tmp_path, *(step(number) for number in range(1, 10)))
    write_samples(tmp_path, *many_steps([3, 4, 5]))
    view = open_run(tmp_path)
    assert (view.shown_step, view.steps.first, view.steps.last) == (5, 3, 9)
    view.go(8)
    settle(qtbot, view)
    assert state(view) == "Step 8 has no completions. They are kept of steps 3 to 5."
    assert view.state.action.text() == "Go to step 5"
    view.state.action.click()
    settle(qtbot, view)
    assert view.shown_step == 5


def test_what_is_wrong_with_the_file_is_told(tmp_path: Path, open_run: Open, qtbot: QtBot) -> None:
    lines = many_steps([1, 2], 1, 2)
    write_samples(tmp_path, *lines[:3], b'{"step": 2, "text": 3}\n', lines[3], b'{"step": 2, "te')
    view = open_run(tmp_path)
    assert view.shown_step == 2
    assert len(view.group.completions.rows.rows) == 2
    assert "One line of this step" in view.remark.text()
    assert "half-written" in view.remark.text()
    view.go(1)
    settle(qtbot, view)
    assert not view.remark.isVisible()


def test_a_folder_that_is_gone_and_comes_back(trained: Path, tmp_path: Path, open_run: Open, qtbot: QtBot) -> None:
    view = open_run(tmp_path / "away")
    assert "not there any more" in view.state.failure.text()
    shutil.copytree(trained, tmp_path / "away")
    view.state.action.click()
    settle(qtbot, view)
    assert view.shown_step == 6


def test_another_run_replaces_the_first_at_once(trained: Path, tmp_path: Path, open_run: Open, qtbot: QtBot) -> None:
    write_samples(tmp_path, *many_steps([4]))
    view = open_run(trained)
    view.field.setText("what")
    view.steps.turn(-1)
    other = Record(view.group.comparison._desk, str(tmp_path), view)
    view.show_record(other)  # while the first is being read
    settle(qtbot, view)
    assert view.shown_step == 4
    assert view.field.text() == ""
    assert view.list.current.prompt == "What is 2 + 2?"


def test_thousands_of_completions_odd_texts_and_both_appearances(
    tmp_path: Path, open_run: Open, qtbot: QtBot, theme: looks.Theme
) -> None:
    odd = ["", "\0\x1b[31m\u202e", "half \ud83d", "مرحبا", "<b>no markup</b>", "x" * 100_000, "小明有三个苹果"]
    lines = [sample_line(completion=place, text=odd[place % len(odd)], reward=place) for place in range(4096)]
    write_samples(tmp_path, *lines)
    view = open_run(tmp_path)
    assert len(view.group.completions.rows.rows) == 4096
    for wish in ("light", "dark"):
        theme.wish(wish)
        for width in (464, 1000):
            view.resize(width, 400)
            for place in (0, 1, 2, 3, 4, 5, 6, 4095):
                view.group.completions.setCurrentIndex(view.group.completions.rows.index(place))
                assert not view.grab().isNull()
    assert not view.list.isHidden()


def test_where_there_is_little_room_prompts_come_one_at_a_time(trained: Path, open_run: Open, qtbot: QtBot) -> None:
    view = open_run(trained)
    view.resize(464, 400)
    assert not view.list.isVisible()
    assert view.group.isVisible()
    view.group._after.click()
    assert view.group.group is not None
    assert view.group.group.number == 1
    view.group._before.click()
    view.group._before.click()
    assert view.group.group.number == 3
    view.field.setText("what")
    qtbot.waitUntil(lambda: view.found.count > 0)
    assert view.found.isVisible()
    assert not view.group.isVisible()
    view.found.list.clicked.emit(view.found.list.currentIndex() or view.found.list.rows.index(0))
    view.found.list.setCurrentIndex(view.found.list.rows.index(0))
    view.found.list.clicked.emit(view.found.list.currentIndex())
    settle(qtbot, view)
    assert view.group.isVisible()
    view.resize(900, 700)
    view.field.clear()
    assert view.list.isVisible()


def test_every_control_has_a_name(trained: Path, open_run: Open) -> None:
    view = open_run(trained)
    for widget in view.findChildren(QWidget):
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.isVisible():
            assert widget.accessibleName() or getattr(widget, "text", str)(), widget
    assert "reward" in str(view.group.completions.currentIndex().data(Qt.ItemDataRole.AccessibleTextRole))
    assert str(view.list.currentIndex().data(Qt.ItemDataRole.AccessibleTextRole)).startswith("Prompt 1: ")
