"""Folders of runs to test with: trained ones, killed ones, copied ones, and many of them. Tests nothing."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.grpo import config_file
from engine.grpo.settings import TrainConfig
from tests.engine.grpo.runs import run, tiny

ROOT = Path(__file__).parents[3]


def trained(runs: Path, name: str = "run", **changes: Any) -> Path:
    """The folder of a run that was trained to its end just now."""
    run(tiny(runs, name, **changes))
    return runs / name


@contextlib.contextmanager
def training(runs: Path, name: str = "live", **changes: Any) -> Iterator[Path]:
    """A run that another process trains, which is killed at the end without a chance to tidy up."""
    runs.mkdir(parents=True, exist_ok=True)
    config = runs / f"{name}.toml"
    config.write_text(
        config_file.to_toml(tiny(runs, name, **{"max_steps": 100000, "eval_steps": 0} | changes)), "utf-8"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "mlx_grpo", "train", "--config", str(config), "--json"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and steps(runs / name) < 2:
            time.sleep(0.02)
        assert process.poll() is None
        yield runs / name
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def steps(folder: Path) -> int:
    """How many steps stand in a run's record."""
    try:
        return (folder / "events.jsonl").read_bytes().count(b'"step_finished"')
    except FileNotFoundError:
        return 0


def copied(folder: Path, target: Path, age: float = 3600) -> Path:
    """A copy without the lock, as from another machine, last written to this many seconds ago."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns(".lock"))
    for path in target.rglob("*"):
        os.utime(path, (time.time() - age,) * 2)
    return target


def written(folder: Path, *events: dict[str, Any], age: float = 3600, **changes: Any) -> Path:
    """A run's folder of settings and these lines, last written to this many seconds ago."""
    folder.mkdir(parents=True)
    settings = TrainConfig(**tiny(folder.parent, folder.name, **changes).model_dump())
    (folder / "config.toml").write_text(config_file.to_toml(settings), "utf-8")
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), "utf-8")
    for path in folder.iterdir():
        os.utime(path, (time.time() - age,) * 2)
    return folder


def started(steps: int = 100, **more: Any) -> dict[str, Any]:
    base = {"run": "", "model": "starter", "train_type": "full", "trainable": 1, "step": 0, "resumed": False}
    return {"event": "training_started", "steps": steps} | base | more


def step(number: int, steps: int = 100, reward: float = 0.5, **more: Any) -> dict[str, Any]:
    return {"event": "step_finished", "step": number, "steps": steps, "reward": reward} | more


def evaluated(accuracy: float, number: int = 0, when: str = "during") -> dict[str, Any]:
    return {"event": "evaluated", "when": when, "step": number, "accuracy": accuracy}
