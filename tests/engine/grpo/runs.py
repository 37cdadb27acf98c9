"""Tiny runs to test with. Knows the trainer, tests nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.events import Event
from engine.grpo import trainer
from engine.grpo.settings import TrainConfig
from engine.training_events import TrainingFinished

TINY: dict[str, Any] = {
    "model_name": "starter",
    "precision": "float32",
    "train_type": "full",
    "dataset": "arithmetic",
    "system_prompt": "",
    "completion_prefill": "",
    "max_prompt_length": 64,
    "rewards": ["accuracy", "strict_format"],
    "reward_weights": [1.0, 0.4],
    "batch_size": 4,
    "gradient_accumulation_steps": 1,
    "num_generations": 4,
    "max_new_tokens": 32,
    "learning_rate": 1e-3,
    "max_grad_norm": 1.0,
    "max_steps": 4,
    "eval_steps": 2,
    "eval_samples": 20,
    "save_steps": 2,
}


def tiny(folder: Path, name: str = "run", **changes: Any) -> TrainConfig:
    return TrainConfig(**TINY | {"output_dir": str(folder), "run_name": name} | changes)


def run(config: TrainConfig) -> list[Event]:
    return list(trainer.train(config))


def last(events: list[Event]) -> TrainingFinished:
    assert isinstance(events[-1], TrainingFinished)
    return events[-1]


def only(events: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def returned(events: Any) -> Any:
    """What a generator of events returns at its end."""
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value


def rows(folder: Path, pairs: list[tuple[str, str]]) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in pairs), "utf-8")
    return file


def reward_file(folder: Path, body: str) -> dict[str, Any]:
    file = folder / "judge.py"
    file.write_text(f"def judge(completions, **columns):\n{body}\n", "utf-8")
    return {"rewards": ["judge"], "reward_weights": [], "reward_file": str(file)}
