"""Steps and samples of a run to write into files, and what is read of them. Tests nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks import big_run
from engine.events import Event, to_json
from engine.training_events import StepFinished

SAMPLE: dict[str, Any] = {
    "step": 1,
    "row": 7,
    "completion": 0,
    "prompt": "What is 2 + 2?",
    "answer": "4",
    "text": "<reasoning>2 + 2</reasoning><answer>4</answer>",
    "rewards": {"accuracy": 1.0, "strict_format": 0.5},
    "reward": 1.2,
    "advantage": 0.7,
    "tokens": 9,
    "stop_reason": "end",
    "left_out": False,
}


def step(number: int, **changes: Any) -> StepFinished:
    return replace(big_run.figures(number, 100, 8, random.Random(number)), **changes)


def lines(events: Iterable[Event]) -> bytes:
    return b"".join(to_json(event).encode("utf-8", "backslashreplace") + b"\n" for event in events)


def write_events(folder: Path, *events: Event) -> Path:
    """Add events to the record of a run."""
    folder.mkdir(exist_ok=True)
    file = folder / "events.jsonl"
    with file.open("ab") as record:
        record.write(lines(events))
    return file


def sample_line(**changes: Any) -> bytes:
    return json.dumps(SAMPLE | changes, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def write_samples(folder: Path, *written: bytes) -> Path:
    """Make this the file of completions of a run."""
    folder.mkdir(exist_ok=True)
    file = folder / "samples.jsonl"
    file.write_bytes(b"".join(written))
    return file


def many_steps(steps: Iterable[int], groups: int = 2, size: int = 3) -> list[bytes]:
    """Lines of some steps, each with groups of completions whose text names them."""
    return [
        sample_line(step=number, row=10 * number + group, completion=place, text=f"s{number} g{group} c{place}")
        for number in steps
        for group in range(groups)
        for place in range(size)
    ]
