"""Pictures of formulas: how they arrive, what becomes of those that do not, and how they look."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytestqt.qtbot import QtBot

from gui.chat import typesetting
from gui.chat.typesetting import Picture, Request, Typesetter


@pytest.fixture
def typesetter(qtbot: QtBot) -> Iterator[Typesetter]:
    made = Typesetter(None)
    yield made
    made.stop()


def request(latex: str) -> Request:
    return Request(latex, display=True, size=14)


def test_pictures_arrive_in_their_own_time(qtbot: QtBot, typesetter: Typesetter) -> None:
    good, bad, more = request("x^2"), request(r"\frac{1}"), request(r"\alpha")
    with qtbot.waitSignal(typesetter.arrived, timeout=30_000):
        assert [typesetter.picture(each) for each in (good, bad, more, good)] == [None] * 4
    qtbot.waitUntil(lambda: typesetter.knows(more))
    picture = typesetter.picture(good)
    assert isinstance(picture, Picture)
    assert typesetter.picture(good) is picture
    assert typesetter.knows(bad)
    assert typesetter.picture(bad) is None


def test_one_that_takes_the_process_along_stays_text_and_the_next_is_drawn(
    qtbot: QtBot, typesetter: Typesetter
) -> None:
    first, second = request("x"), request("y")
    typesetter.picture(first)
    typesetter.picture(second)
    process = typesetter._process
    assert process is not None
    process.waitForStarted()
    process.kill()
    qtbot.waitUntil(lambda: typesetter.knows(second), timeout=30_000)
    assert typesetter.picture(first) is None
    assert typesetter.picture(second) is not None


def test_one_that_takes_too_long_is_given_up(qtbot: QtBot, typesetter: Typesetter) -> None:
    typesetter.picture(request("x"))
    typesetter.picture(request("y"))
    typesetter._limit.timeout.emit()
    assert typesetter.knows(request("x"))
    qtbot.waitUntil(lambda: typesetter.knows(request("y")), timeout=30_000)
    assert typesetter.picture(request("y")) is not None


def test_it_ends_when_nothing_comes_and_begins_again(qtbot: QtBot, typesetter: Typesetter) -> None:
    typesetter.picture(request("x"))
    qtbot.waitUntil(lambda: typesetter.knows(request("x")), timeout=30_000)
    typesetter._idle.timeout.emit()
    assert typesetter._process is None
    typesetter.picture(request("y"))
    qtbot.waitUntil(lambda: typesetter.knows(request("y")), timeout=30_000)


@pytest.mark.parametrize("program", [["-c", "pass"], None])
def test_without_the_program_formulas_stay_text(
    qtbot: QtBot,
    typesetter: Typesetter,
    program: list[str] | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if program is None:
        monkeypatch.setattr(typesetting.sys, "executable", "/nowhere/python")
    else:
        monkeypatch.setattr(typesetting, "_PROGRAM", program)
    for number in range(5):
        typesetter.picture(request(f"x_{number}"))
    qtbot.waitUntil(lambda: typesetter._is_broken, timeout=30_000)
    assert "formulas stay as they were written" in caplog.text
    caplog.clear()
    assert typesetter.picture(request("y")) is None
    assert typesetter._process is None
    assert not typesetter._waiting


def test_old_pictures_are_let_go(qtbot: QtBot, typesetter: Typesetter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typesetting, "_KEPT", 2)
    for latex in "abc":
        typesetter.picture(request(latex))
        qtbot.waitUntil(lambda latex=latex: typesetter.knows(request(latex)), timeout=30_000)  # type: ignore[misc]
    assert [typesetter.knows(request(latex)) for latex in "abc"] == [False, True, True]


def test_a_picture_is_drawn_in_a_colour_for_a_screen(qtbot: QtBot) -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -8 10 10"><rect x="0" y="-8" width="10" height="8"/></svg>'
    )
    picture = Picture(svg, 10, 8, 2)
    plain, fine = picture.image("#ff0000", 1.0), picture.image("#00ff00", 2.0)
    assert (plain.width(), plain.height(), fine.width(), fine.devicePixelRatio()) == (10, 10, 20, 2.0)
    assert plain.pixelColor(5, 5).name() == "#ff0000"
    assert fine.pixelColor(10, 10).name() == "#00ff00"
    assert plain.pixelColor(5, 9).alpha() == 0
    assert picture.image("#00ff00", 2.0) is fine
