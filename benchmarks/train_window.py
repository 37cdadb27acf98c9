"""How long the window's thread is held up while a run trains in it: charts, samples, pause, chat, stop.

A timer of 5 ms runs on the window's thread of the real window; printed are the gaps between two ticks, per phase.
Run: python -m benchmarks.train_window     (the starter model; offscreen will do)
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

_HOME = tempfile.TemporaryDirectory()
os.environ["MLX_GRPO_HOME"] = _HOME.name

from benchmarks.window_gaps import Ticks
from engine.config import build
from engine.grpo.settings import TrainConfig
from gui import app
from gui.desk import Desk
from gui.window import MainWindow
from tests.engine.grpo.runs import TINY


def main() -> None:
    app.make_application(sys.argv[:1])
    sys.setswitchinterval(app.SWITCH_INTERVAL)
    window = MainWindow(Desk())
    window.show()
    ticks, train, chat = Ticks(), window.train, window.chat
    ticks.measure("window and starter model", lambda: chat.loaded is not None)
    window.go("train")
    begun = time.monotonic()
    ticks.measure("the form, imports of the charts", lambda: time.monotonic() - begun > 3)
    changes = {"batch_size": 32, "max_steps": 100000, "eval_steps": 20, "eval_samples": 100, "save_steps": 20}
    train.start(build(TrainConfig, TINY | changes))
    ticks.measure("start", lambda: train.current is not None and len(train.current.record) > 0)
    monitor = train.current
    assert monitor is not None
    record = monitor.record
    for tab in ("charts", "samples", "checkpoints", "about", "charts"):
        monitor.show_tab(tab)
        since = record.step
        ticks.measure(f"training, {tab} in view", lambda since=since: record.step >= since + 15)
    window.chat_with(f"run:{record.folder}")
    ticks.measure("opening the chat with the policy", lambda: chat.loaded is not None)
    asked = time.monotonic()
    chat.send("What is 47 + 38?")
    ticks.measure("chat while it trains", lambda: not chat.answering)
    print(f"  answered {time.monotonic() - asked:.2f} s after it was asked")
    window.go("train")
    monitor.controls.stop_wanted.emit()
    ticks.measure("stop and save", lambda: not train.busy)
    window.end()


if __name__ == "__main__":
    main()
