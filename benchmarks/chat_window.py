"""How long the window's thread is held up with 200 messages shown: opening, scrolling, an answer, and beside a run.

A timer of 5 ms runs on the window's thread of the real window; printed are the gaps between two ticks, per phase.
Run: python -m benchmarks.chat_window [MODEL]     (default: SmolLM2-135M-Instruct; offscreen will do)
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

_HOME = tempfile.TemporaryDirectory()
os.environ["MLX_GRPO_HOME"] = _HOME.name

from benchmarks.transcript import _ANSWER
from benchmarks.window_gaps import Ticks
from engine.config import Sampling, build
from engine.grpo.settings import TrainConfig
from gui import app
from gui.chat.page import ChatPage
from gui.desk import Desk
from gui.window import MainWindow
from tests.engine.grpo.runs import TINY
from tests.real_model import smollm2

_TURNS, _LENGTH = 200, 400


def fill(desk: Desk) -> int:
    """A stored conversation of 200 messages; its number."""
    store = desk.store
    conversation = store.create(title="Long", sampling=Sampling(max_tokens=_LENGTH)).id
    parent = None
    for turn in range(_TURNS):
        role = "assistant" if turn % 2 else "user"
        # Together less than the 8,192 tokens that the model reads.
        said = _ANSWER if turn % 20 == 19 else "It **follows** the slope, one `step` at a time."
        text = said if turn % 2 else f"Question {turn // 2}"
        parent = store.add(conversation, parent, role, text).id
    return conversation


def answer(ticks: Ticks, chat: ChatPage, name: str) -> None:
    """Ask, and measure until the answer is whole."""
    began = time.perf_counter()
    chat.send("Tell me a long story about the sea, with a list and a table.")
    ticks.measure(name, lambda: not chat.answering)
    print(f"    ({time.perf_counter() - began:.1f} s)")


def main() -> None:
    app.make_application(sys.argv[:1])
    sys.setswitchinterval(app.SWITCH_INTERVAL)
    model = sys.argv[1] if len(sys.argv) > 1 else str(smollm2.folder())
    window = MainWindow(Desk())
    window.show()
    ticks, train, chat = Ticks(), window.train, window.chat
    conversation = fill(window.desk)
    chat.choose_model(model)
    ticks.measure("window and model", lambda: chat.loaded is not None and chat.model == model)
    chat.open_conversation(conversation)
    begun = time.monotonic()
    ticks.measure("opening 200 messages", lambda: time.monotonic() - begun > 2)
    bar = chat.transcript.verticalScrollBar()
    positions = [bar.maximum() * (200 - step) // 200 for step in range(201)]

    def scroll() -> bool:
        bar.setValue(positions.pop(0))
        return not positions

    ticks.measure("scrolling from the end to the top", scroll)
    bar.setValue(bar.maximum())
    answer(ticks, chat, "an answer below them")
    window.go("train")
    train.start(build(TrainConfig, TINY | {"max_steps": 100000, "eval_steps": 0, "save_steps": 1000}))
    ticks.measure("start of a run", lambda: train.current is not None and len(train.current.record) > 0)
    window.go("chat")
    begun = time.monotonic()
    ticks.measure("beside the run", lambda: time.monotonic() - begun > 5)
    answer(ticks, chat, "an answer beside the run")
    monitor = train.current
    assert monitor is not None
    monitor.controls.stop_wanted.emit()
    ticks.measure("stop and save", lambda: not train.busy)
    window.end()


if __name__ == "__main__":
    main()
