"""Pictures, drawings and tables of charts on disk."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QByteArray
from PySide6.QtGui import QColor, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer
from pytestqt.qtbot import QtBot

from engine.events import Failed
from engine.training_events import Evaluated, StepFinished
from gui import theme as looks
from gui.desk import Desk
from gui.notices import News
from gui.train.charts import tables
from gui.train.charts.saving import write
from gui.train.charts.view import ChartsView
from tests.engine.grpo.runs import run, tiny
from tests.gui.train.charts import records


@pytest.fixture
def shown(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> ChartsView:
    """The charts of a run with some of everything."""
    events = [*records.steps(30), records.evaluated(10), records.evaluated(20, 0.75), records.saved(20, best=True)]
    view.show_records([records.read(desk, records.write(tmp_path / "run", events), qtbot)])
    records.settle(view, qtbot)
    return view


def lines(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def recorded(folder: Path, kind: str) -> list[dict[str, str]]:
    """The events of a kind, each value with the digits that stand in the record."""
    found = []
    for line in (folder / "events.jsonl").read_text("utf-8").splitlines():
        event: dict[str, Any] = json.loads(line, parse_float=str, parse_int=str)
        if event.pop("event") == kind:
            found.append(event)
    return found


def saved(view: ChartsView, qtbot: QtBot, path: Path, what: list[str]) -> Path:
    """Save a picture or drawing of these charts, of all where none are named."""
    charts = [chart for chart in view.shelf.charts if not what or chart.key in what]
    with qtbot.waitSignal(view.dialog.saving.saved):
        view.dialog.save_sheet(path, view.sheet(charts))
    return path


def test_the_table_has_the_digits_of_the_record(view: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    run(tiny(tmp_path, kl_coeff=0.01))
    record = records.read(desk, tmp_path / "run", qtbot)
    view.show_records([record])
    with qtbot.waitSignal(view.dialog.saving.saved):
        view.dialog.save_figures(tmp_path / "all.csv", view.shelf.charts, [record])
    steps = recorded(tmp_path / "run", "step_finished")
    table = lines(tmp_path / "all.csv")
    assert len(table) == len(steps) == 4
    for row, event in zip(table, steps, strict=True):
        rewards = event.pop("rewards")
        del event["rows"]
        expected = event | {f"rewards/{name}": mean for name, mean, _ in rewards}
        expected |= {f"rewards/{name}/spread": spread for name, _, spread in rewards}
        assert row == expected
    evaluations = recorded(tmp_path / "run", "evaluated")
    table = lines(tmp_path / "all-evaluations.csv")
    assert len(table) == len(evaluations)
    for row, event in zip(table, evaluations, strict=True):
        del event["pass_at_k"]
        assert row == {name: "" if value is None else value for name, value in event.items()}


def test_the_table_of_a_chart_has_its_figures_alone(shown: ChartsView, tmp_path: Path, qtbot: QtBot) -> None:
    charts = {chart.key: chart for chart in shown.shelf.charts}
    with qtbot.waitSignal(shown.dialog.saving.saved):
        shown.dialog.save_figures(tmp_path / "length.csv", [charts["length"]], shown.records)
    table = lines(tmp_path / "length.csv")
    assert table[0] == {"step": "1", "elapsed": "6.25", "mean_length": "187.5", "shortest": "20", "longest": "512"}
    assert len(table) == 30
    with qtbot.waitSignal(shown.dialog.saving.saved):
        shown.dialog.save_figures(tmp_path / "accuracy.csv", [charts["accuracy"]], shown.records)
    assert [(row["step"], row["accuracy"]) for row in lines(tmp_path / "accuracy.csv")] == [
        ("10", "0.5"),
        ("20", "0.75"),
    ]


def test_the_table_of_two_runs_names_them(desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    runs = [
        records.read(desk, records.write(tmp_path / name, [*records.steps(2), records.step(3, kl=kl)]), qtbot)
        for name, kl in (("one, the first", None), ("two", 0.5))
    ]
    (tmp_path / "both.csv").write_bytes(tables.steps(runs, ("kl",))())
    assert [(row["run"], row["step"], row["kl"]) for row in lines(tmp_path / "both.csv")] == [
        ("one, the first", "1", ""),
        ("one, the first", "2", ""),
        ("one, the first", "3", ""),
        ("two", "1", ""),
        ("two", "2", ""),
        ("two", "3", "0.5"),
    ]


def test_whole_numbers_have_no_point() -> None:
    kinds = {field.name: field.type for kind in (StepFinished, Evaluated) for field in dataclasses.fields(kind)}
    assert kinds["step"] == "int"
    assert {name for name, kind in kinds.items() if kind == "int"} == tables._WHOLE


def test_a_picture_has_twice_the_points(shown: ChartsView, tmp_path: Path, qtbot: QtBot) -> None:
    image = QImage(str(saved(shown, qtbot, tmp_path / "reward.png", ["reward"])))
    assert image.width() > 1700
    assert has(image, looks.current().colours.accent)
    everything = QImage(str(saved(shown, qtbot, tmp_path / "all.png", [])))
    assert everything.width() > 2600
    assert everything.height() > 2000


@pytest.mark.parametrize("wish", ["light", "dark"])
def test_a_drawing_is_made_of_lines(
    shown: ChartsView, theme: looks.Theme, tmp_path: Path, qtbot: QtBot, wish: str
) -> None:
    theme.wish(wish)
    text = saved(shown, qtbot, tmp_path / "reward.svg", ["reward"]).read_text("utf-8")
    assert "<image" not in text
    assert "Reward" in text
    renderer = QSvgRenderer(QByteArray(text.encode()))
    assert renderer.isValid()
    image = QImage(renderer.defaultSize() * 2, QImage.Format.Format_RGB32)
    painter = QPainter(image)
    renderer.render(painter)
    painter.end()
    assert image.pixelColor(3, 3).name() == theme.colours.raised
    assert has(image, theme.colours.accent)


def has(image: QImage, colour: str) -> bool:
    """Whether a colour is somewhere in a picture."""
    wanted = QColor(colour).rgb()
    return any(image.pixel(x, y) == wanted for y in range(0, image.height(), 2) for x in range(0, image.width(), 2))


def test_saving_tells_of_it(shown: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot) -> None:
    said: list[object] = []
    desk.notices.said.connect(said.append)
    saved(shown, qtbot, tmp_path / "reward.png", ["reward"])
    qtbot.waitUntil(lambda: bool(said))
    assert isinstance(said[0], News)
    assert "reward.png" in said[0].text


def test_a_folder_that_is_not_there_is_told_in_words(
    shown: ChartsView, desk: Desk, tmp_path: Path, qtbot: QtBot
) -> None:
    said: list[object] = []
    desk.notices.said.connect(said.append)
    shown.dialog.save_sheet(tmp_path / "nowhere" / "reward.png", shown.sheet(shown.shelf.charts[:1]))
    qtbot.waitUntil(lambda: bool(said))
    assert isinstance(said[0], Failed)
    assert said[0].fault == "input"
    assert said[0].remedy


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "charts.csv").mkdir()
    with pytest.raises(OSError, match="directory"):
        write(tmp_path / "charts.csv", b"text")
    assert [path.name for path in tmp_path.iterdir()] == ["charts.csv"]


def test_the_window_closes_while_something_is_saved(shown: ChartsView, tmp_path: Path) -> None:
    shown.dialog.save_sheet(tmp_path / "all.png", shown.sheet(shown.shelf.charts))
    shown.close()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
