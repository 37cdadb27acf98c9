"""The charts of runs: what they draw, and what they do in a person's hands."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from engine.run_events import FiguresRead
from engine.training_events import Evaluated, StepFinished
from gui import theme as looks
from gui.desk import Desk
from gui.train.charts.canvas import Canvas
from gui.train.charts.view import ChartsView
from gui.train.record import Record
from tests.engine.grpo.runs import only, run, tiny
from tests.gui.train.charts import records

ALL = {
    "reward",
    "accuracy",
    "rewards/accuracy",
    "rewards/strict_format",
    "length",
    "cut_short",
    "flat_groups",
    "entropy",
    "clipped",
    "loss",
    "gradient_norm",
    "learning_rate",
    "speed",
    "memory",
}


def show(view: ChartsView, qtbot: QtBot, *shown: Record) -> None:
    """Show runs, and wait for their charts."""
    view.show_records(shown)
    records.settle(view, qtbot)


def drawn(view: ChartsView, key: str, run_number: int = 0) -> tuple[list[float], list[float]]:
    """The points of a curve as they are drawn."""
    line = view.cards[key].canvas.traces.layers[run_number].line
    return line.x.tolist(), line.highs.tolist()


def canvas(view: ChartsView, key: str = "reward") -> Canvas:
    """A chart's inside."""
    return view.cards[key].canvas


def place(view: ChartsView, share: float, height: float = 0.5, key: str = "reward") -> QPoint:
    """A place inside a chart, as shares of its width and height."""
    box = canvas(view, key).box.sceneBoundingRect()
    return QPoint(round(box.left() + share * box.width()), round(box.top() + height * box.height()))


def test_the_figures_drawn_are_those_of_the_record(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    events = run(tiny(tmp_path, kl_coeff=0.01))
    view.resize(1300, 1400)
    show(view, qtbot, records.read(desk, tmp_path / "run", qtbot))
    steps: list[StepFinished] = only(events, StepFinished)
    evaluations: list[Evaluated] = only(events, Evaluated)
    assert len(steps) == 4
    assert set(view.cards) == ALL | {"kl"}
    numbers = [event.step for event in steps]
    expected = {
        "reward": [event.reward for event in steps],
        "rewards/accuracy": [event.rewards[0][1] for event in steps],
        "rewards/strict_format": [event.rewards[1][1] for event in steps],
        "kl": [event.kl for event in steps],
        "length": [event.mean_length for event in steps],
        "cut_short": [event.cut_short for event in steps],
        "flat_groups": [event.flat_groups for event in steps],
        "entropy": [event.entropy for event in steps],
        "clipped": [event.clipped_low + event.clipped_high for event in steps],
        "loss": [event.loss for event in steps],
        "gradient_norm": [event.gradient_norm for event in steps],
        "learning_rate": [event.learning_rate for event in steps],
        "memory": [event.peak_memory for event in steps],
        "speed": [e.tokens / (e.rollout_seconds + e.reward_seconds + e.update_seconds) for e in steps],
    }
    assert {key: drawn(view, key) for key in expected} == {key: (numbers, ys) for key, ys in expected.items()}
    assert drawn(view, "accuracy") == ([event.step for event in evaluations], [event.accuracy for event in evaluations])
    band = canvas(view, "accuracy").traces.layers[0]
    assert band.low is not None
    assert band.high is not None
    assert band.low.lows.tolist() == [event.low for event in evaluations]
    assert band.high.highs.tolist() == [event.high for event in evaluations]
    band = canvas(view).traces.layers[0]
    assert band.low is not None
    assert band.low.lows.tolist() == [event.reward - event.reward_spread for event in steps]


def test_only_charts_with_figures_are_there(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    record = records.read(desk, records.write(tmp_path / "run", records.steps(3)), qtbot)
    show(view, qtbot, record)
    assert set(view.cards) == ALL - {"accuracy"}
    records.write(tmp_path / "run", [records.evaluated(3), records.step(4, kl=0.25)])
    records.look(record, qtbot)
    records.settle(view, qtbot)
    assert set(view.cards) == ALL | {"kl"}
    assert [card.chart.key for card in view.board._cards][:2] == ["reward", "accuracy"]  # type: ignore[attr-defined]
    assert drawn(view, "accuracy") == ([3], [0.5])


def test_it_says_why_there_is_nothing(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    assert "Choose a run" in view.nothing.text.text()
    show(view, qtbot, records.read(desk, records.write(tmp_path / "run", []), qtbot))
    assert "first step" in view.nothing.text.text()
    show(view, qtbot, records.read(desk, tmp_path / "gone", qtbot))
    assert view.nothing.failure.isVisible()
    assert "not there any more" in view.nothing.failure.text()
    show(view, qtbot)
    assert view.nothing.text.isVisible()
    assert not view.nothing.failure.isVisible()


def test_a_new_step_is_drawn_when_it_comes(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    record = records.read(desk, records.write(tmp_path / "run", records.steps(3)), qtbot)
    show(view, qtbot, record)
    records.write(tmp_path / "run", records.steps(2, 4))
    records.look(record, qtbot)
    records.settle(view, qtbot)
    assert drawn(view, "reward") == ([1, 2, 3, 4, 5], [number / 7 for number in range(1, 6)])
    assert view.span.view[1] > 5


def test_another_record_in_the_same_place_begins_anew(
    view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot
) -> None:
    record = records.read(desk, records.write(tmp_path / "run", records.steps(30)), qtbot)
    view.tools.smoothing.setValue(4)
    show(view, qtbot, record)
    (tmp_path / "run" / "events.jsonl").unlink()
    records.write(tmp_path / "run", records.steps(40, 11))
    records.look(record, qtbot)
    records.settle(view, qtbot)
    assert drawn(view, "reward")[0] == list(range(11, 51))
    smooth = canvas(view).traces.layers[0].smooth
    assert smooth is not None
    assert smooth.highs[0] == pytest.approx(11 / 7)


def test_two_runs_lie_over_each_other(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    one = records.read(desk, records.write(tmp_path / "one", records.steps(5)), qtbot)
    two = records.read(desk, records.write(tmp_path / "two", [*records.steps(9), records.evaluated(4)]), qtbot)
    show(view, qtbot, one, two)
    assert view.legend.isVisible()
    assert view.legend.names == ["one", "two"]
    assert [len(layer.line.x) for layer in canvas(view).traces.layers] == [5, 9]
    colours = [layer.colour for layer in canvas(view).traces.layers]
    assert colours[0] != colours[1]
    assert "accuracy" in view.cards
    assert view.span.view[1] > 9
    show(view, qtbot, two)
    assert not view.legend.isVisible()
    assert len(drawn(view, "reward")[0]) == 9


def test_the_cursor_tells_the_figures_of_its_step(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    events = [*(records.step(n, reward=n / 8, mean_length=100.0 + n) for n in range(1, 41)), records.changed(20)]
    view.resize(1300, 1400)
    show(view, qtbot, records.read(desk, records.write(tmp_path / "run", events), qtbot))
    assert view.cards["reward"].heading.figures[0][0] == "5.00"
    assert view.cards["learning_rate"].heading.figures[0][0] == "3e-6"
    view.span.point(20.0)
    assert view.cards["reward"].heading.figures[0][0] == "2.50"
    assert view.cards["reward"].heading.figures[1][0] == "2.25 to 2.75"
    assert view.cards["length"].heading.figures[0][0] == "120"
    assert canvas(view).overlay.hint.dots[0][:2] == (20, 2.5)
    QTest.mouseMove(canvas(view).viewport(), place(view, 0.5))
    QApplication.processEvents()
    assert view.span.cursor == round(view.span.cursor or 0.5)
    view.span.point(20.0)
    assert canvas(view).overlay.hint.text == "Step 20 · Learning rate: 1e-6 → 5e-7"
    QApplication.sendEvent(canvas(view), QEvent(QEvent.Type.Leave))
    assert view.span.cursor is None
    assert canvas(view).overlay.hint is None


def test_dragging_chooses_a_part_of_all_charts(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    show(view, qtbot, records.read(desk, records.write(tmp_path / "run", records.steps(100)), qtbot))
    assert not view.tools.fit.isVisible()
    inside, left = canvas(view).viewport(), view.span.view[0]
    width = view.span.view[1] - left
    QTest.mousePress(inside, Qt.MouseButton.LeftButton, pos=place(view, 0.25))
    QTest.mouseMove(inside, place(view, 0.5))
    assert canvas(view).overlay.choice is not None
    QTest.mouseRelease(inside, Qt.MouseButton.LeftButton, pos=place(view, 0.5))
    records.settle(view, qtbot)
    assert view.span.view == pytest.approx((left + 0.25 * width, left + 0.5 * width), abs=0.5)
    for key in ("reward", "length"):
        assert canvas(view, key).box.viewRange()[0] == pytest.approx(view.span.view)
    seen = [y for x, y in zip(*drawn(view, "reward"), strict=True) if view.span.view[0] <= x <= view.span.view[1]]
    bottom, top = canvas(view).box.viewRange()[1]
    assert bottom < min(seen) < max(seen) < top < 100 / 7
    assert view.tools.fit.isVisible()
    QTest.mouseDClick(inside, Qt.MouseButton.LeftButton, pos=place(view, 0.5))
    records.settle(view, qtbot)
    assert not view.span.zoomed
    assert not view.tools.fit.isVisible()


def test_a_steep_drag_chooses_a_part_of_the_height(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    show(view, qtbot, records.read(desk, records.write(tmp_path / "run", records.steps(100)), qtbot))
    inside, (low, high) = canvas(view).viewport(), canvas(view).box.viewRange()[1]
    QTest.mousePress(inside, Qt.MouseButton.LeftButton, pos=place(view, 0.5, 0.25))
    QTest.mouseMove(inside, place(view, 0.5, 0.75))
    QTest.mouseRelease(inside, Qt.MouseButton.LeftButton, pos=place(view, 0.5, 0.75))
    records.settle(view, qtbot)
    middle, room = (low + high) / 2, (high - low) / 4
    assert canvas(view).box.viewRange()[1] == pytest.approx((middle - room, middle + room), rel=0.05)
    assert not view.span.zoomed
    view.tools.fit.click()
    records.settle(view, qtbot)
    assert canvas(view).box.viewRange()[1] == pytest.approx((low, high))


def turn(view: ChartsView, across: int, down: int, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    """Turn the wheel over a chart, as the window system tells of it."""
    at = canvas(view).viewport().mapTo(view, place(view, 0.5))
    QTest.wheelEvent(view.windowHandle(), QPointF(at), QPoint(across, down), QPoint(), keys)
    QApplication.processEvents()


def test_the_wheel_scrolls_the_page_and_zooms_with_a_key(
    view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot
) -> None:
    show(view, qtbot, records.read(desk, records.write(tmp_path / "run", records.steps(100)), qtbot))
    bar = view.area.verticalScrollBar()
    turn(view, 0, -120)
    assert bar.value() > 0
    assert not view.span.zoomed
    bar.setValue(0)
    turn(view, 0, 240, Qt.KeyboardModifier.ControlModifier)
    assert view.span.zoomed
    assert bar.value() == 0
    left = view.span.view[0]
    turn(view, -60, 0)
    assert view.span.view[0] > left


def test_keys_lead_the_cursor_and_zoom(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    show(view, qtbot, records.read(desk, records.write(tmp_path / "run", records.steps(50)), qtbot))
    chart = canvas(view)
    chart.setFocus(Qt.FocusReason.TabFocusReason)
    for key in (Qt.Key.Key_Left, Qt.Key.Key_Left, Qt.Key.Key_Left, Qt.Key.Key_Right):
        QTest.keyClick(chart, key)
    assert view.span.cursor == 49
    QTest.keyClick(chart, Qt.Key.Key_Plus)
    assert view.span.zoomed
    QTest.keyClick(chart, Qt.Key.Key_Escape)
    assert not view.span.zoomed


def test_smoothing_keeps_the_figures_and_adds_their_average(
    view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot
) -> None:
    events = [records.step(number, reward=float(number % 2)) for number in range(1, 201)]
    show(view, qtbot, records.read(desk, records.write(tmp_path / "run", events), qtbot))
    assert canvas(view).traces.layers[0].smooth is None
    view.tools.smoothing.setValue(7)
    records.settle(view, qtbot)
    layer = canvas(view).traces.layers[0]
    assert layer.line.highs.tolist() == [number % 2 for number in range(1, 201)]
    assert layer.smooth is not None
    assert layer.smooth.highs[-50:] == pytest.approx(np.full(50, 0.5), abs=0.05)
    assert view.cards["reward"].heading.figures[0][0].startswith("≈ 0.4")
    view.tools.smoothing.setValue(0)
    records.settle(view, qtbot)
    assert canvas(view).traces.layers[0].smooth is None


def test_a_log_scale_leaves_out_what_is_not_above_0(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    norms = [1e-3, 0.0, 1.0, -1.0, 100.0]
    events = [records.step(number, gradient_norm=norm) for number, norm in enumerate(norms, 1)]
    view.resize(1300, 1400)
    show(view, qtbot, records.read(desk, records.write(tmp_path / "run", events), qtbot))
    view.tools.log.setChecked(True)
    records.settle(view, qtbot)
    assert drawn(view, "gradient_norm")[1] == pytest.approx([-3, math.nan, 0, math.nan, 2], nan_ok=True)
    low, high = canvas(view, "gradient_norm").box.viewRange()[1]
    assert -4 < low < -3 < 2 < high < 3
    # A loss below 0 leaves an empty chart, and no error.
    assert all(math.isnan(value) for value in drawn(view, "loss")[1])
    view.tools.log.setChecked(False)
    records.settle(view, qtbot)
    assert drawn(view, "gradient_norm")[1] == norms


def test_time_to_the_right(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    events = [*records.steps(20), records.evaluated(8), records.saved(8)]
    show(view, qtbot, records.read(desk, records.write(tmp_path / "run", events), qtbot))
    view.tools.axis.setCurrentIndex(1)
    records.settle(view, qtbot)
    assert drawn(view, "reward")[0] == [6.25 * number for number in range(1, 21)]
    assert drawn(view, "accuracy")[0] == [50]
    assert [flag.x for flag in canvas(view).traces.flags] == [50]
    assert view.span.view[1] > 125


def test_marks_tell_what_happened(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    events = [
        *records.steps(9),
        records.saved(3, best=True),
        records.saved(6, best=True),
        records.resumed(6),
        records.changed(7),
        records.saved(9),
    ]
    record = records.read(desk, records.write(tmp_path / "run", events), qtbot)
    show(view, qtbot, record)
    flags = canvas(view).traces.flags
    assert sorted((flag.x, flag.kind) for flag in flags) == [
        (3, "checkpoint"),
        (6, "best"),
        (6, "resumed"),
        (7, "setting"),
        (9, "checkpoint"),
    ]
    records.write(tmp_path / "run", [records.saved(10)])
    records.look(record, qtbot)
    records.settle(view, qtbot)
    assert len(canvas(view).traces.flags) == 6


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        [0.5],
        [math.nan, 0.5, math.nan, 0.25, 0.75, math.nan],
        [math.inf, 1.0, -math.inf],
        [1e308, -1e308, 1e-308, 0.0],
        [0.0, 0.0, 0.0],
        [-1.0, -2.0],
        [5e-324, 1e-300],
    ],
)
@pytest.mark.parametrize("smoothing", [0, 5])
def test_strange_figures_are_drawn_without_a_fault(
    view: ChartsView, desk: Desk, qtbot: QtBot, values: list[float], log: bool, smoothing: int
) -> None:
    names = [field.name for field in dataclasses.fields(StepFinished) if field.name not in {"rewards", "rows"}]
    numbers = tuple(float(number) for number in range(1, len(values) + 1))
    columns = {name: tuple(None if math.isnan(value) else value for value in values) for name in names}
    columns |= {"step": numbers, "elapsed": numbers}
    record = Record(desk, "/nowhere/run")
    record._on_events((FiguresRead(tuple(columns.items())),))
    view.tools.log.setChecked(log)
    view.tools.smoothing.setValue(smoothing)
    show(view, qtbot, record)
    assert not view.grab().isNull()
    low, high = canvas(view).box.viewRange()[1]
    assert math.isfinite(low)
    assert math.isfinite(high)
    assert low < high
    for number in numbers:
        view.span.point(number)
    QApplication.processEvents()


def test_gaps_and_lonely_points_are_seen(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    events = [records.step(number, kl=0.5 if number in {2, 6, 7} else None) for number in range(1, 9)]
    view.resize(1300, 1400)
    show(view, qtbot, records.read(desk, records.write(tmp_path / "run", events), qtbot))
    assert drawn(view, "kl")[1] == pytest.approx(
        [math.nan, 0.5, math.nan, math.nan, math.nan, 0.5, 0.5, math.nan], nan_ok=True
    )
    chart = canvas(view, "kl")
    image = chart.grab().toImage()
    line, y = (
        [chart.mapFromScene(chart.box.mapToScene(QPointF(float(chart.traces.across(x)), 0))).x() for x in (2, 4, 6.5)],
        chart.mapFromScene(chart.box.mapToScene(QPointF(0, float(chart.traces.down(0.5))))).y(),
    )
    accent = looks.current().colours.accent
    assert [is_near(image, x, y, accent) for x in line] == [True, False, True]


def is_near(image: QImage, x: int, y: int, colour: str) -> bool:
    """Whether there is a colour about a place of a picture."""
    found = {image.pixelColor(x + i, y + j).name() for i in range(-1, 2) for j in range(-1, 2)}
    return colour in found


def test_both_appearances(view: ChartsView, desk: Desk, theme: looks.Theme, tmp_path: Path, qtbot: QtBot) -> None:
    show(view, qtbot, records.read(desk, records.write(tmp_path / "run", records.steps(5)), qtbot))
    for wish in ("dark", "light"):
        theme.wish(wish)
        records.settle(view, qtbot)
        assert canvas(view).traces.layers[0].colour == theme.colours.accent
        image = canvas(view).grab().toImage()
        assert image.pixelColor(2, 2).name() == theme.colours.raised
        colours = {image.pixelColor(x, y).name() for x in range(0, image.width(), 1) for y in range(image.height())}
        assert theme.colours.accent in colours


def test_a_chart_in_a_window_of_its_own_goes_on(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    record = records.read(desk, records.write(tmp_path / "run", records.steps(3)), qtbot)
    show(view, qtbot, record)
    view.cards["reward"].menu.actions()[0].trigger()
    window = view.windows["reward"]
    assert view.open_window("reward") is window
    assert window.windowTitle() == "Reward – run"
    view.hide()
    records.write(tmp_path / "run", records.steps(2, 4))
    records.look(record, qtbot)
    records.settle(view, qtbot)
    assert window.card.canvas.traces.layers[0].line.x.tolist() == [1, 2, 3, 4, 5]
    window.close()
    assert view.windows == {}
    view.open_window("length")
    view.close()
    assert view.windows == {}


def test_columns_by_the_room_there_is(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    show(view, qtbot, records.read(desk, records.write(tmp_path / "run", records.steps(3)), qtbot))
    found = []
    for width in (464, 804, 1300):
        view.resize(width, 700)
        records.settle(view, qtbot)
        found.append(view.board.columns)
        assert view.width() == width
        assert view.board.width() <= view.area.viewport().width()
    assert found == [1, 2, 3]


def test_charts_that_are_not_seen_cost_nothing(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    record = records.read(desk, records.write(tmp_path / "run", records.steps(3)), qtbot)
    view.resize(464, 440)
    show(view, qtbot, record)
    last = view.cards["memory"]
    assert last.stale
    view.area.verticalScrollBar().setValue(view.area.verticalScrollBar().maximum())
    records.settle(view, qtbot)
    assert not last.stale
    assert len(last.canvas.traces.layers[0].line.x) == 3


def test_a_record_that_was_deleted_is_let_go(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    record = records.read(desk, records.write(tmp_path / "run", records.steps(3)), qtbot)
    show(view, qtbot, record)
    record.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    show(view, qtbot)
    assert view.nothing.text.isVisible()


def test_every_control_has_a_name(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    show(view, qtbot, records.read(desk, records.write(tmp_path / "run", records.steps(3)), qtbot))
    card = view.cards["reward"]
    controls = [view.tools.axis, view.tools.smoothing, view.tools.fit, view.tools.save, card.more, card.canvas]
    assert all(control.accessibleName() for control in controls)
    assert "Reward" in card.heading.accessibleName()
