"""How long it takes to list runs: at first, again with nothing changed, and while some of them train.

500 runs of 600 steps each are written to a temporary folder.
Run: python -m benchmarks.run_list [RUNS]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from engine.grpo import config_file
from engine.grpo.settings import TrainConfig
from engine.monitor import runs

_REWARDS = [["accuracy", 0.7, 0.2], ["strict_format", 0.5, 0.1]]


def _write(folder: Path, seed: int) -> None:
    folder.mkdir()
    (folder / "config.toml").write_text(config_file.to_toml(TrainConfig(model_name="starter", seed=seed)))
    for step in (50, 100):
        (folder / "checkpoints" / f"{step:06}").mkdir(parents=True)
    lines = [json.dumps({"event": "training_started", "model": "starter", "step": 0, "steps": 600})]
    for step in range(1, 601):
        figures = {f"figure_{number}": step / (number + 1) for number in range(24)}
        event = {"event": "step_finished", "step": step, "steps": 600, "reward": step / 600, "rewards": _REWARDS}
        lines.append(json.dumps(event | figures | {"rows": list(range(16))}))
        if step % 50 == 0:
            lines.append(json.dumps({"event": "evaluated", "when": "during", "step": step, "accuracy": step / 700}))
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n")


def _list(folder: Path, name: str) -> None:
    start = time.perf_counter()
    count = len(list(runs.found([str(folder)])))
    print(f"  {name:40} {1000 * (time.perf_counter() - start):7.1f} ms   ({count} runs)")


def main(count: int) -> None:
    """Print the times."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for number in range(count):
            _write(folder / f"run-{number}", number)
        _list(folder, "the first time")
        _list(folder, "again")
        for number in range(4):
            with (folder / f"run-{number}" / "events.jsonl").open("a") as file:
                file.write(json.dumps({"event": "step_finished", "step": 601, "steps": 602}) + "\n")
        _list(folder, "again, four of them went on")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
