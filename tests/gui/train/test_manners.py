"""What a run of this window does to the computer, and what it tells the person."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication

from gui import macos
from gui.notices import News, Notices
from gui.train.manners import Manners
from tests.gui.mac import Mac, install

pytestmark = pytest.mark.usefixtures("qapp")


class Case:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mac: Mac = install(monkeypatch)
        self.power, self.pressure, self.active = macos.Power(False), "normal", True
        monkeypatch.setattr(macos, "power", lambda: self.power)
        monkeypatch.setattr(macos, "memory_pressure", lambda: self.pressure)
        states = Qt.ApplicationState
        monkeypatch.setattr(
            QGuiApplication,
            "applicationState",
            lambda: states.ApplicationActive if self.active else states.ApplicationInactive,
        )
        self.news: list[News] = []
        notices = Notices()
        notices.said.connect(self.news.append)
        self._notices = notices
        self.manners = Manners(SimpleNamespace(notices=notices))  # type: ignore[arg-type]

    @property
    def awake(self) -> bool:
        begun = self.mac.named("NSProcessInfo.beginActivityWithOptions_reason_")
        return len(begun) > len(self.mac.named("NSProcessInfo.endActivity_"))

    def badge(self) -> str | None:
        return self.mac.named("NSDockTile.setBadgeLabel_")[-1][0]


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(monkeypatch)


def test_the_computer_stays_awake_while_a_run_trains(case: Case) -> None:
    case.manners.begin("run-1")
    assert case.awake
    case.manners.progress(0.4)
    assert len(case.mac.named("NSDockTile.display")) == 2
    case.manners.end("run-1", "It has ended.")
    assert not case.awake
    assert case.mac.named("NSDockTile.setContentView_")[-1] == (None,)
    case.manners.progress(0.5)
    assert case.mac.named("NSDockTile.setContentView_")[-1] == (None,)


def test_a_paused_run_keeps_nobody_awake(case: Case) -> None:
    case.manners.begin("run-1")
    case.manners.rest()
    assert not case.awake
    case.manners.begin("run-1")
    assert case.awake
    case.manners.begin("run-1")
    case.manners.rest()
    assert not case.awake


def test_the_bar_stays_where_it_was_over_a_pause(case: Case) -> None:
    case.manners.begin("run-1")
    case.manners.progress(0.5)
    drawn = len(case.mac.named("NSDockTile.display"))
    case.manners.rest()
    case.manners.begin("run-1")
    assert len(case.mac.named("NSDockTile.display")) == drawn
    case.manners.end("", "")
    case.manners.begin("run-2")
    assert case.mac.named("NSBox.setHidden_")[-1] == (True,)


def test_who_looks_on_is_not_notified(case: Case) -> None:
    case.manners.begin("run-1")
    case.manners.end("run-1", "It has ended.")
    assert case.mac.named("UNMutableNotificationContent.setTitle_") == []
    assert case.badge() is None


@pytest.mark.parametrize(("failed", "badge"), [(False, "✓"), (True, "!")])
def test_who_works_elsewhere_is_notified_until_they_are_back(case: Case, failed: bool, badge: str) -> None:
    case.manners.begin("run-1")
    case.active = False
    case.manners.end("run-1", "It has ended.", failed=failed)
    assert case.mac.named("UNMutableNotificationContent.setTitle_") == [("run-1",)]
    assert case.mac.named("UNMutableNotificationContent.setBody_") == [("It has ended.",)]
    assert case.badge() == badge
    QGuiApplication.instance().applicationStateChanged.emit(Qt.ApplicationState.ApplicationActive)  # type: ignore[union-attr]
    assert case.badge() is None


def test_a_run_that_nothing_is_to_be_said_of_ends_quietly(case: Case) -> None:
    case.manners.begin("run-1")
    case.active = False
    case.manners.end("", "")
    assert not case.awake
    assert case.mac.named("UNMutableNotificationContent.setTitle_") == []
    assert case.badge() is None


def test_a_window_that_closes_leaves_the_computer_as_it_was(case: Case) -> None:
    case.manners.begin("run-1")
    case.manners.progress(0.5)
    case.manners.close()
    assert not case.awake
    assert case.mac.named("NSDockTile.setContentView_")[-1] == (None,)
    case.manners.close()


def test_a_battery_is_spoken_of_once_when_it_is_used_and_once_when_it_is_low(case: Case) -> None:
    case.manners.begin("run-1")
    for on_battery, percent, said in [
        (False, 80, 0),
        (True, 80, 1),
        (True, 20, 1),
        (True, 19, 2),
        (True, 18, 2),
        (False, 18, 2),
        (True, 12, 3),
        (None, 5, 3),
        (True, None, 3),
    ]:
        case.power = macos.Power(on_battery, percent)
        case.manners.look()
        assert len(case.news) == said
    assert "80 %" in case.news[0].text
    assert "19 %" in case.news[1].text
    assert "12 %" in case.news[2].text


def test_a_shortage_of_memory_is_said_once_and_offers_to_pause(case: Case) -> None:
    paused: list[bool] = []
    case.manners.pause_wanted.connect(lambda: paused.append(True))
    case.manners.begin("run-1")
    case.pressure = "warning"
    case.manners.look()
    assert case.news == []
    case.pressure = "critical"
    case.manners.look()
    case.manners.look()
    (news,) = case.news
    assert "memory" in news.text
    assert news.action
    assert news.act is not None
    news.act()
    assert paused == [True]


def test_a_warning_reaches_who_works_elsewhere(case: Case) -> None:
    case.manners.begin("run-1")
    case.active, case.pressure = False, "critical"
    case.manners.look()
    assert len(case.mac.named("UNMutableNotificationContent.setBody_")) == 1


def test_nothing_is_watched_while_nothing_trains(case: Case) -> None:
    timer = case.manners._timer
    assert not timer.isActive()
    case.manners.begin("run-1")
    assert timer.isActive()
    assert timer.interval() == 30_000
    case.manners.end("run-1", "It has ended.")
    assert not timer.isActive()
