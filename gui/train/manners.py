"""How the computer is told of a run, and the person of the computer: Dock, sleep, notifications, warnings.

Knows how far a run is and what the system says, and no run's figures.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtGui import QGuiApplication

from gui import macos
from gui.desk import Desk
from gui.text import number, tr

_LOOK = 30_000  # milliseconds between two looks at power and memory
_LOW_BATTERY = 20  # per cent


class Manners(QObject):
    """Told when a run of this window begins, how far it is and when it ends; does nothing of note but on a Mac."""

    pause_wanted = Signal()

    def __init__(self, desk: Desk, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self._awake: macos.Awake | None = None
        self._said: set[str] = set()
        self._done = 0.0
        self._timer = QTimer(self, interval=_LOOK)
        self._timer.timeout.connect(self.look)
        application = QGuiApplication.instance()
        if isinstance(application, QGuiApplication):
            application.applicationStateChanged.connect(self._on_state)

    def begin(self, name: str) -> None:
        """The run of this name trains from now on, or goes on after a pause."""
        self._release()
        self._awake = macos.keep_awake(tr("{name} is training", name=name))
        macos.dock_badge("")
        macos.dock_progress(self._done)
        # Asked now, while the person is here, and not when there is something to tell them elsewhere.
        macos.allow_notifications()
        self._said.clear()
        self._timer.start()

    def progress(self, fraction: float) -> None:
        """This share of the steps is done."""
        if self._awake is not None:
            self._done = fraction
            macos.dock_progress(fraction)

    def rest(self) -> None:
        """The run is paused: the computer may sleep, and the bar stays."""
        self._release()

    def end(self, title: str, text: str, *, failed: bool = False) -> None:
        """No run trains any more; says so where the person works in another program, unless there is nothing to say."""
        self.close()
        if title and not _is_active():
            macos.notify(title, text)
            macos.dock_badge("!" if failed else "✓")

    def close(self) -> None:
        """Leave the computer as it was."""
        self._release()
        self._done = 0.0
        macos.dock_progress(None)

    def look(self) -> None:
        """Warn of running on the battery, of a low one and of a shortage of memory, once for each."""
        power = macos.power()
        left = power.percent if power.on_battery is True else None
        low = left is not None and left < _LOW_BATTERY
        percent = number(left or 0)
        on_battery = tr(
            "This computer runs on its battery, which is at {percent} %. Training empties it quickly: plug it in, or "
            "pause the run.",
            percent=percent,
        )
        is_low = tr(
            "The battery is at {percent} %. The run ends with it: plug the computer in, or pause the run.",
            percent=percent,
        )
        self._warn("battery", on_battery if left is not None and not low else "")
        self._warn("low battery", is_low if low else "")
        critical = macos.memory_pressure() == "critical"
        self._warn(
            "memory",
            tr(
                "The computer is short of memory, and everything on it becomes slow. Close other programs, or pause "
                "the run."
            )
            if critical
            else "",
        )

    def _warn(self, condition: str, text: str) -> None:
        if not text:
            # Should it come again, it is news again.
            self._said.discard(condition)
        elif condition not in self._said:
            self._said.add(condition)
            self._desk.notices.tell(text, tr("Pause"), self.pause_wanted.emit)
            if not _is_active():
                macos.notify(tr("Training"), text)

    def _release(self) -> None:
        self._timer.stop()
        if self._awake is not None:
            self._awake.release()
            self._awake = None

    def _on_state(self, state: Qt.ApplicationState) -> None:
        """The person is back and sees for themselves."""
        if state == Qt.ApplicationState.ApplicationActive:
            macos.dock_badge("")


def _is_active() -> bool:
    """Whether the person works in this program."""
    return QGuiApplication.applicationState() == Qt.ApplicationState.ApplicationActive
