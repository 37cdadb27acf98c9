"""Completions as they are read. Tests nothing."""

from __future__ import annotations

from typing import Any

from engine.grpo import answers
from engine.run_events import SampleRead


def sample(text: str = "<answer>4</answer>", **changes: Any) -> SampleRead:
    prefill, answer = changes.get("prefill", ""), changes.setdefault("answer", "4")
    found = answers.extract(prefill + text)
    fields: dict[str, Any] = {
        "step": 1,
        "group": 0,
        "row": 3,
        "completion": 0,
        "prompt": "What is 2 + 2?",
        "text": text,
        "rewards": (("accuracy", 1.0), ("strict_format", 0.5)),
        "reward": 1.2,
        "advantage": 0.5,
        "tokens": 5,
        "stop_reason": "end",
        "found": found,
        "right": (found is not None and answers.same(found, answer)) if answer else None,
    }
    return SampleRead(**fields | changes)
