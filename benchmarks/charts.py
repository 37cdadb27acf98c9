"""How many frames a second the charts make with 100,000 steps of all figures, and how long they hold the window up.

A frame is: the event that asks for it, all that follows on the window's thread, and the painting of every chart that
is seen. Its work is the processor time of that thread, which other programs hardly make longer.
Run: python -m benchmarks.charts [STEPS]     (offscreen will do)
"""

from __future__ import annotations

import dataclasses
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

_HOME = tempfile.TemporaryDirectory()
os.environ["MLX_GRPO_HOME"] = _HOME.name

import numpy as np
from PySide6.QtWidgets import QApplication

from engine.run_events import FiguresRead
from engine.training_events import Evaluated, StepFinished
from gui import app
from gui.desk import Desk
from gui.train.charts.tools import SPANS
from gui.train.charts.view import ChartsView
from gui.train.record import Record

_FRAMES = 240
_SIZES = ((804, 700), (1300, 900))
_NAMES = [field.name for field in dataclasses.fields(StepFinished) if field.name not in {"rewards", "rows"}]


def figures(first: int, count: int, random: np.random.Generator) -> FiguresRead:
    """Noise around a slow curve, in every figure."""
    steps = np.arange(first, first + count, dtype=float)
    slow = 0.5 - 0.4 * np.exp(-steps / 30_000)
    columns = {name: slow + 0.1 * random.standard_normal(count) for name in _NAMES}
    columns |= {"step": steps, "steps": np.full(count, 1e6), "elapsed": steps * 2.5}
    for name in ("accuracy", "strict_format"):
        columns[f"rewards/{name}"] = slow + 0.1 * random.standard_normal(count)
        columns[f"rewards/{name}/spread"] = np.abs(0.1 * random.standard_normal(count))
    return FiguresRead(tuple((name, tuple(values.tolist())) for name, values in columns.items()))


def evaluated(step: int) -> Evaluated:
    """An evaluation."""
    return Evaluated("during", step, 200, 0.5, 0.43, 0.57, 1.0, 0.6, 200.0, 0.0, 9.0, step * 2.5)


def settle() -> None:
    """Run the event loop until nothing is waiting."""
    end = time.monotonic() + 1
    while time.monotonic() < end:
        QApplication.processEvents()


def measure(view: ChartsView, name: str, frames: Iterator[None]) -> None:
    """Print how long frames take, each from its beginning to when everything is painted."""
    costs: list[float] = []
    turns: list[float] = []
    work: list[float] = []
    for _ in frames:
        before, worked = time.perf_counter(), time.thread_time()
        # More than once: what one turn finds to do is painted by the next.
        while True:
            began = time.perf_counter()
            QApplication.processEvents()
            turns.append(1000 * (time.perf_counter() - began))
            if not view.busy:
                break
        began = time.perf_counter()
        QApplication.processEvents()
        now = time.perf_counter()
        turns.append(1000 * (now - began))
        costs.append(1000 * (now - before))
        work.append(1000 * (time.thread_time() - worked))
    costs.sort()
    work.sort()
    middle, p99 = len(costs) // 2, int(0.99 * (len(costs) - 1))
    print(
        f"  {name:34} median {costs[middle]:6.2f}   p99 {costs[p99]:6.2f} ms   {1000 / costs[middle]:4.0f}/s"
        f"   of it work {work[middle]:6.2f}   p99 {work[p99]:6.2f} ms   longest turn {max(turns):5.1f} ms"
    )


def repeated(act: Callable[[int], object]) -> Iterator[None]:
    """Some hundred frames, each begun by `act`."""
    for index in range(_FRAMES):
        act(index)
        yield


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    app.make_application(sys.argv[:1])
    sys.setswitchinterval(app.SWITCH_INTERVAL)
    desk, random = Desk(), np.random.default_rng(0)
    record = Record(desk, "/nowhere/run")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for start in range(1, count, 10_000):
        record._on_events((figures(start, min(10_000, count - start + 1), random),))
    record._on_events(tuple(evaluated(step) for step in range(0, count, max(1, count // 50))))
    read = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    view = ChartsView(desk.notices)
    for size in _SIZES:
        view.resize(*size)
        view.show()
        turns = []
        view.show_records([record])
        end = time.monotonic() + 2
        while time.monotonic() < end:
            began = time.perf_counter()
            QApplication.processEvents()
            turns.append(1000 * (time.perf_counter() - began))
        seen = sum(card.is_seen for card in view.cards.values())
        print(f"{size[0]} x {size[1]}, {seen} of {len(view.cards)} charts seen, {len(record)} steps")
        print(f"  opening: the longest turn of the event loop {max(turns):.1f} ms")
        for smoothing in (0, 8):
            view.tools.smoothing.setValue(smoothing)
            settle()
            word = f"smoothed over {SPANS[smoothing]}" if smoothing else "not smoothed"
            view.span.show(1, 0.6 * count)
            settle()
            measure(view, f"move on, {word}", repeated(lambda _: view.span.pan(0.0015 * count)))
            view.fit()
            settle()
            measure(view, f"zoom in, {word}", repeated(lambda _: view.span.zoom(0.97, 0.7 * count)))
            view.fit()
            settle()
            measure(view, f"lead the cursor, {word}", repeated(lambda index: view.span.point(count // 2 + index * 100)))
            view.span.point(None)
            measure(view, f"one more step, {word}", repeated(lambda _: more(view, record, random)))
        measure(view, "drag the slider of smoothing", repeated(lambda i: view.tools.smoothing.setValue(1 + i % 13)))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"memory: the record {(read - before) / 1024:.0f} MB, the charts {(after - read) / 1024:.0f} MB")
    view.close()
    desk.close()


def more(view: ChartsView, record: Record, random: np.random.Generator) -> None:
    """One more step, drawn at once and not when the view next looks."""
    record._on_events((figures(record.step + 1, 1, random),))
    view._due.stop()
    view._look()


if __name__ == "__main__":
    main()
