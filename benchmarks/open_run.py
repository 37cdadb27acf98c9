"""How a run of 100,000 steps and 1,000,000 completions opens: time, memory, and how long the window is held up.

Writes the run to a temporary folder (about 500 MB), opens it as the page does, jumps, compares and searches.
Run: python -m benchmarks.open_run [STEPS] [COMPLETIONS]     (offscreen will do)
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

_HOME = tempfile.TemporaryDirectory()
os.environ["MLX_GRPO_HOME"] = _HOME.name

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication

from benchmarks import big_run
from gui import app
from gui.desk import Desk
from gui.window import MainWindow

_TICK = 5
_PAGE_BYTES = 4096


class Watch(QObject):
    """Times of a 5 ms timer on the window's thread, and the memory that the program takes."""

    def __init__(self) -> None:
        super().__init__()
        self._times: list[float] = []
        self._timer = QTimer(self, timerType=Qt.TimerType.PreciseTimer, interval=_TICK)
        self._timer.timeout.connect(self._tick)
        self._timer.start()
        self.idle = 0.0

    def run(self, name: str, ready: Callable[[], bool], limit: float = 120.0) -> None:
        """Run the event loop until `ready`, and for a moment longer; print what was seen."""
        began = time.perf_counter()
        self._times = [began]
        while not ready():
            if time.perf_counter() - began > limit:
                raise TimeoutError(name)
            self._turn()
        took = time.perf_counter() - began
        self.rest(0.3)
        gaps = sorted(1000 * (b - a) for a, b in zip(self._times, self._times[1:], strict=False))
        p99 = gaps[int(0.99 * (len(gaps) - 1))]
        print(
            f"  {name:44} {took:6.2f} s   gaps p99 {p99:5.1f}  longest {gaps[-1]:5.1f} ms"
            f"   memory {memory() - self.idle:+6.0f} MB"
        )

    def rest(self, seconds: float) -> None:
        """Run the event loop for a while."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            self._turn()

    def _tick(self) -> None:
        self._times.append(time.perf_counter())

    @staticmethod
    def _turn() -> None:
        QApplication.processEvents()
        time.sleep(0.0005)


def memory() -> float:
    """What the program takes of the memory now, in MB."""
    if sys.platform == "linux":
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    given = sys.argv[1:]
    steps = int(given[0]) if given else 100_000
    rollouts = int(given[1]) if len(given) > 1 else 1_000_000
    folder = Path(_HOME.name) / "runs" / "big"
    big_run.write(folder, steps, rollouts)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{steps:,} steps, {rollouts:,} completions, {size / 1e6:.0f} MB")
    app.make_application(sys.argv[:1])
    sys.setswitchinterval(app.SWITCH_INTERVAL)
    window = MainWindow(Desk())
    window.resize(1280, 800)
    window.show()
    watch = Watch()
    watch.run("the window and the starter model", lambda: window.chat.loaded is not None)
    window.go("train")
    watch.rest(3.0)
    watch.idle = memory()
    window.train.open(str(folder))
    watch.run("until the run is in view", lambda: window.train.current is not None)
    monitor = window.train.current
    assert monitor is not None
    record, charts = monitor.record, monitor.view("charts")
    watch.run("until its record is read", lambda: record.loaded)
    watch.run("until its charts are drawn", lambda: not charts.busy)
    assert len(record) == steps
    view = monitor.view("samples")
    watch.run("until the completions of the last step", lambda: bool(view.groups))
    middle = steps // 2
    view.go(middle)
    watch.run(f"jump to step {middle:,}", lambda: view.shown_step == middle)
    view.group.compare.click()
    watch.run("best and worst compared", lambda: view.group.comparison.compared)
    view.field.setText("altogether")
    watch.run(
        "search for a frequent word, first place", lambda: view.found.text == "altogether" and view.found.count > 0
    )
    nowhere = "this stands nowhere"
    view.field.setText(nowhere)
    watch.run("search for what is nowhere, to its end", lambda: view.found.text == nowhere and view.found.over)
    end = time.perf_counter() + 2.0
    watch.run("followed with nothing new", lambda: time.perf_counter() > end)
    monitor.show_tab("about")
    watch.rest(1.0)
    monitor.show_tab("charts")
    charts.tools.smoothing.setValue(8)
    watch.run("back to the charts, smoothed", lambda: not charts.busy)
    window.end()


if __name__ == "__main__":
    main()
