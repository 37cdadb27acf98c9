"""How long the window's thread is held up while the engine imports, loads, reads a prompt and answers.

A timer of 5 ms runs on the window's thread of the real window; printed are the gaps between two ticks, per phase.
Run: python -m benchmarks.window_gaps [MODEL ...]     (default: starter and SmolLM2-135M-Instruct; offscreen will do)
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial

_HOME = tempfile.TemporaryDirectory()
os.environ["MLX_GRPO_HOME"] = _HOME.name
_STARTED = time.perf_counter()

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication

from gui import app
from gui.chat.page import ChatPage
from gui.desk import Desk
from gui.window import MainWindow

_TICK = 5


class Ticks(QObject):
    """Times of a 5 ms timer on the thread it was made on."""

    def __init__(self) -> None:
        super().__init__()
        self._times: list[float] = []
        self._timer = QTimer(self, timerType=Qt.TimerType.PreciseTimer, interval=_TICK)
        self._timer.timeout.connect(lambda: self._times.append(time.perf_counter()))
        self._timer.start()

    def measure(self, name: str, ready: Callable[[], bool], limit: float = 300.0) -> None:
        """Run the event loop until `ready`, and print the gaps that were seen meanwhile."""
        self._times = [time.perf_counter()]
        end = time.monotonic() + limit
        while not ready():
            if time.monotonic() > end:
                raise TimeoutError(name)
            QApplication.processEvents()
            time.sleep(0.0005)
        gaps = sorted(1000 * (b - a) for a, b in zip(self._times, self._times[1:], strict=False))
        if len(gaps) < 5:
            print(f"  {name:34} too short to measure ({len(gaps)} ticks)")
            return
        p99 = gaps[int(0.99 * (len(gaps) - 1))]
        print(
            f"  {name:34} p50 {gaps[len(gaps) // 2]:6.1f}   p99 {p99:6.1f}   "
            f"longest {gaps[-1]:6.1f} ms   ({len(gaps)} ticks)"
        )


class FirstPaint(QObject):
    """Notes when the window first paints."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0.0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if not self.at and event.type() == QEvent.Type.Paint:
            self.at = time.perf_counter()
        return super().eventFilter(watched, event)


def long_text(words: int) -> str:
    """A text of about so many tokens."""
    return "The sea is wide and blue and deep. " * (words // 9)


def answered_all(chat: ChatPage, questions: list[str]) -> bool:
    """Ask the next question once the last is answered; True after the last answer."""
    if chat.answering or chat.property("asked"):
        return False
    if questions:
        # As a click would: in a turn of the event loop of its own.
        chat.setProperty("asked", True)
        QTimer.singleShot(0, partial(ask, chat, questions.pop()))
        return False
    return True


def ask(chat: ChatPage, question: str) -> None:
    """Send one question."""
    chat.setProperty("asked", False)
    chat.send(question)


def main() -> None:
    application = app.make_application(sys.argv[:1])
    sys.setswitchinterval(app.SWITCH_INTERVAL)
    paint = FirstPaint()
    application.installEventFilter(paint)
    desk = Desk()
    window = MainWindow(desk)
    window.show()
    ticks = Ticks()
    ticks.measure("window until its first paint", lambda: paint.at > 0)
    application.removeEventFilter(paint)
    print(f"  visible {paint.at - _STARTED:.2f} s after the first line of Python")
    chat = window.chat
    ticks.measure("imports and loading: starter", lambda: chat.loaded is not None)
    names = sys.argv[1:]
    if not names:
        from tests.real_model import smollm2

        names = ["starter", str(smollm2.folder())]
    for name in names:
        print(name.rsplit("/", 1)[-1])
        if name != "starter":
            chat.load(name)
            ticks.measure("loading", lambda: chat.loaded is not None)
        chat.new_conversation()
        chat.inspector.form.set_settings(desk.settings.sampling.model_copy(update={"max_tokens": 60}))
        chat.manners.set_sampling(desk.settings.sampling.model_copy(update={"max_tokens": 60}))
        questions = ["What is 47 + 38?"] * 30 if name == "starter" else ["Tell me about the sea."]
        ticks.measure("streaming", partial(answered_all, chat, questions))
        chat.new_conversation()
        chat.send("What is 47 + 38? " * 90 if name == "starter" else long_text(1000))
        ticks.measure("prompt of 1,000 tokens, answer", lambda: not chat.answering)
    window.close()


if __name__ == "__main__":
    main()
