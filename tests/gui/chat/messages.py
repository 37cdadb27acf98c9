"""Messages, and what a transcript shows of them."""

from __future__ import annotations

import itertools
from typing import get_args

from PySide6.QtCore import QPoint
from pytestqt.qtbot import QtBot

from engine.chat.conversations import Message, State
from engine.events import ReplyFinished, StopReason
from gui.chat.message_view import AnswerView
from gui.chat.prose_view import ProseView
from gui.chat.transcript import Transcript

_ids = itertools.count(1)

ANSWER = """# Descent

Some **bold** text with `code` and a [page](https://example.com).

1. one
2. two
   - nested

| a | b |
|---|---|
| 1 | 2 |

> quoted

```python
def f(x: int) -> int:
    return x + 1  # more
```

The end.
"""


def message(role: str, text: str, state: str = "done", *, stop: str = "", error: str = "") -> Message:
    """A message as the store gives it; with figures where `stop` says how it ended."""
    assert state in get_args(State)
    assert not stop or stop in get_args(StopReason)
    stats = ReplyFinished(text, stop, 120, 100, 41, 0.21, 52.3, 1_500_000_000, 42) if stop else None  # type: ignore[arg-type]
    return Message(next(_ids), 1, None, role, text, state, 0.0, "starter", stats, error)  # type: ignore[arg-type]


def conversation(turns: int, answer: str = ANSWER) -> list[Message]:
    """Questions and answers in turn."""
    pairs = [(message("user", f"Question {turn}"), message("assistant", answer, stop="end")) for turn in range(turns)]
    return list(itertools.chain.from_iterable(pairs))


def settle(qtbot: QtBot, transcript: Transcript) -> None:
    qtbot.waitUntil(lambda: not transcript._rest.isActive())


def views(transcript: Transcript) -> list[AnswerView]:
    return [record.view for record in transcript._records.values() if isinstance(record.view, AnswerView)]


def seen(transcript: Transcript) -> list[str]:
    """The running text in the viewport, from top to bottom."""
    port = transcript.viewport()
    found = []
    for prose in transcript.findChildren(ProseView):
        top = prose.mapTo(port, QPoint()).y()
        if prose.isVisible() and top < port.height() and top + prose.height() > 0:
            found.append((top, prose.toPlainText()))
    return [text for _, text in sorted(found)]


def place(transcript: Transcript, text: str) -> int:
    prose = next(found for found in transcript.findChildren(ProseView) if text in found.toPlainText())
    return prose.mapTo(transcript.viewport(), QPoint()).y()
