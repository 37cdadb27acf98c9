"""Python's garbage is collected on the window's thread alone."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject, QThread
from pytestqt.qtbot import QtBot

from engine import backend
from gui.garbage import Garbage


class Ring(QObject):
    """An object that only a cycle holds, and which notes the thread it dies on."""

    def __init__(self, deaths: list[threading.Thread]) -> None:
        super().__init__()
        self.itself = self
        weakref.finalize(self, lambda: deaths.append(threading.current_thread()))


@pytest.fixture
def garbage(qapp: object) -> Iterator[Garbage]:
    holder = QObject()
    garbage = Garbage(holder)
    yield garbage
    garbage.close()


def test_a_ring_made_on_the_window_thread_dies_there(garbage: Garbage, qtbot: QtBot) -> None:
    deaths: list[threading.Thread] = []
    for _ in range(20):
        Ring(deaths)

    class Worker(QThread):
        def run(self) -> None:
            kept = [[number] for number in range(50_000)]
            backend.collect_garbage()
            del kept

    worker = Worker()
    worker.start()
    assert worker.wait(10_000)
    assert deaths == []
    more = [[number] for number in range(10_000)]
    qtbot.waitUntil(lambda: len(deaths) == 20, timeout=10_000)
    assert set(deaths) == {threading.main_thread()}
    assert more


def test_python_collects_again_afterwards(garbage: Garbage) -> None:
    assert not gc.isenabled()
    garbage.close()
    assert gc.isenabled()
