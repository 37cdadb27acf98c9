"""What the message list costs the window's thread: streaming at the end of a long answer, opening 200 messages.

Run: python -m benchmarks.transcript     (offscreen will do)
"""

from __future__ import annotations

import statistics
import sys
import time

from PySide6.QtWidgets import QApplication

from engine.chat.conversations import Message
from gui import app
from gui.chat.transcript import Transcript

_ANSWER = """## Gradient descent

It follows the **slope** downhill, one `step` at a time.

1. Compute the gradient.
2. Take a step against it.

| rate | effect |
|---|---|
| small | slow |
| large | jumps |

```python
def step(weights, gradient, rate):
    return [w - rate * g for w, g in zip(weights, gradient)]
```

"""


def message(number: int, role: str, text: str, state: str = "done") -> Message:
    """A stored message."""
    return Message(number, 1, number - 1 or None, role, text, state, 0.0, "", None, "")  # type: ignore[arg-type]


def show(name: str, costs: list[float]) -> None:
    """Print a row of figures in milliseconds."""
    ordered = sorted(1000 * cost for cost in costs)
    p99 = ordered[int(0.99 * (len(ordered) - 1))]
    print(f"  {name:44} mean {statistics.mean(ordered):6.2f}   p99 {p99:6.2f}   worst {ordered[-1]:6.2f} ms")


def main() -> None:
    application = app.make_application(sys.argv[:1])
    transcript = Transcript()
    transcript.resize(1000, 800)
    transcript.show()
    text = (_ANSWER * 200)[:50_000]
    transcript.show_messages([message(1, "user", "Explain"), message(2, "assistant", "", "writing")])
    costs = []
    for at in range(0, len(text), 20):
        before = time.perf_counter()
        transcript.append(2, text[at : at + 20])
        application.processEvents()
        costs.append(time.perf_counter() - before)
    show("append, up to 50,000 characters", costs)
    show("append, the last 5,000 of them", costs[-250:])
    turns = [
        message(n, "assistant" if n % 2 == 0 else "user", _ANSWER * 8 if n % 2 == 0 else "Go on") for n in range(1, 201)
    ]
    costs = []
    before = time.perf_counter()
    transcript.show_messages(turns)
    costs.append(time.perf_counter() - before)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        before = time.perf_counter()
        QApplication.processEvents()
        costs.append(time.perf_counter() - before)
        time.sleep(0.001)
    show("open 200 messages, each turn of the event loop", costs)


if __name__ == "__main__":
    main()
