"""What the message list costs the window's thread: streaming at the end of a long answer, opening 200 messages.

Run: python -m benchmarks.transcript [KIND ...]     (offscreen will do)
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


_FORMULA = """The loss $\\mathcal{L}(\\theta)$ has its minimum where $\\nabla_\\theta \\mathcal{L} = 0$:

$$
\\theta^* = \\arg\\min_\\theta \\frac{1}{n} \\sum_{i=1}^{n} \\ell(f_\\theta(x_i), y_i) + \\lambda_{NUMBER} R(\\theta)
$$

"""
# Answers of 100,000 characters that are hard on a text view, by name.
_LONG = {
    "one paragraph": "It goes on and on without an end, word after word. " * 2_000,
    "one line without a space": "0123456789" * 10_000,
    "one block of code": "```python\n" + "    value = function(argument, 'text')  # why\n" * 2_200,
    "a table": "| name | value | note |\n|---|---|---|\n" + "| a name | 12.5 | some words about it |\n" * 2_600,
    "a deep list": "".join(f"{'  ' * (number % 12)}- item {number} of a list\n" for number in range(3_000)),
    "deep quotes": "".join(f"{'> ' * (1 + number % 9)}quoted\n" for number in range(6_000)),
    "formulas": "".join(_FORMULA.replace("NUMBER", str(number)) for number in range(470)),
}
_PIECE = 27  # characters a frame, at 200 tokens a second


def message(number: int, role: str, text: str, state: str = "done") -> Message:
    """A stored message."""
    return Message(number, 1, number - 1 or None, role, text, state, 0.0, "", None, "")  # type: ignore[arg-type]


def show(name: str, costs: list[float]) -> None:
    """Print a row of figures in milliseconds."""
    ordered = sorted(1000 * cost for cost in costs)
    p99 = ordered[int(0.99 * (len(ordered) - 1))]
    print(f"  {name:60} mean {statistics.mean(ordered):6.2f}   p99 {p99:6.2f}   worst {ordered[-1]:6.2f} ms")


def conversation() -> list[Message]:
    """200 messages."""
    return [
        message(n, "assistant" if n % 2 == 0 else "user", _ANSWER * 8 if n % 2 == 0 else "Go on") for n in range(1, 201)
    ]


def stream(application: QApplication, transcript: Transcript, name: str, text: str) -> None:
    """Show 200 messages and most of a long answer, and stream its end."""
    begun = len(text) - 300 * _PIECE
    transcript.show_messages([*conversation(), message(201, "user", "More"), message(202, "assistant", "", "writing")])
    before = time.perf_counter()
    transcript.append(202, text[:begun])
    application.processEvents()
    first = 1000 * (time.perf_counter() - before)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        application.processEvents()
        time.sleep(0.001)
    costs = []
    for at in range(begun, len(text), _PIECE):
        before = time.perf_counter()
        transcript.append(202, text[at : at + _PIECE])
        application.processEvents()
        costs.append(time.perf_counter() - before)
        time.sleep(0.002)
    show(f"{name} (its first part at once: {first:.0f} ms)", costs)


def main() -> None:
    application = app.make_application(sys.argv[:1])
    sys.setswitchinterval(app.SWITCH_INTERVAL)
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
    costs = []
    before = time.perf_counter()
    transcript.show_messages(conversation())
    costs.append(time.perf_counter() - before)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        before = time.perf_counter()
        QApplication.processEvents()
        costs.append(time.perf_counter() - before)
        time.sleep(0.001)
    show("open 200 messages, each turn of the event loop", costs)
    print("  below 200 messages, the end of 100,000 characters:")
    names = sys.argv[1:] or _LONG
    for name in names:
        stream(application, transcript, name, _LONG[name][:100_000])


if __name__ == "__main__":
    main()
