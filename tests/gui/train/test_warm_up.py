"""Importing beside the window's thread."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pytestqt.qtbot import QtBot

from gui.train.warm_up import WarmUp

ROOT = Path(__file__).parents[3]


def test_it_is_ready_once(qtbot: QtBot) -> None:
    warm_up = WarmUp()
    came: list[bool] = []
    warm_up.ready.connect(lambda: came.append(True))
    with qtbot.waitSignal(warm_up.ready):
        warm_up.start()
        warm_up.start()
    assert warm_up.is_ready
    warm_up.start()
    qtbot.wait(20)
    assert came == [True]


def test_afterwards_the_charts_are_there_and_were_not_before() -> None:
    code = """
import sys
from PySide6.QtCore import QCoreApplication
from gui.train.warm_up import WarmUp
application = QCoreApplication([])
print("numpy" in sys.modules, "pyqtgraph" in sys.modules)
warm_up = WarmUp()
warm_up.ready.connect(application.quit)
warm_up.start()
application.exec()
print("gui.train.charts.view" in sys.modules, "pyqtgraph" in sys.modules)
warm_up.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.stdout.split(), done.stderr) == (["False", "False", "True", "True"], "")


def test_it_can_be_closed_at_any_time() -> None:
    warm_up = WarmUp()
    warm_up.start()
    warm_up.close()
    assert not warm_up.is_ready
