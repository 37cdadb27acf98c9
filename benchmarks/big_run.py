"""Writes the folder of a run of any length, as training would have left it. Knows no trainer and no view.

Run: python -m benchmarks.big_run [FOLDER [STEPS [ROLLOUTS]]]
(default: 100,000 steps with 1,000,000 rollouts, in a temporary folder that goes again)
"""

from __future__ import annotations

import json
import math
import random
import sys
import tempfile
import time
from pathlib import Path

from engine.events import to_json
from engine.grpo import config_file
from engine.grpo.settings import TrainConfig
from engine.training_events import CheckpointSaved, Evaluated, StepFinished, TrainingFinished, TrainingStarted

_PROMPTS = 2  # a step
_EVALUATIONS, _CHECKPOINTS = 200, 100  # a run
_LINES = 20_000  # written at once


def write(folder: Path, steps: int, rollouts: int, *, finished: bool = True) -> None:
    """Write config.toml, events.jsonl and samples.jsonl of a run.

    Args:
        folder: made where it is not there; files in it are replaced.
        steps: how many the run has done.
        rollouts: how many completions it wrote in all, as many in each step.
        finished: whether the record ends with the run's end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    each = max(2 * _PROMPTS, rollouts // steps)
    config = TrainConfig(
        model_name="starter",
        run_name=folder.name,
        max_steps=steps,
        completion_prefill="",
        rewards=("accuracy", "strict_format"),
        reward_weights=(1.0, 0.4),
        num_generations=each // _PROMPTS,
        batch_size=each,
        gradient_accumulation_steps=1,
    )
    (folder / config_file.RUN).write_text(config_file.to_toml(config), "utf-8")
    _write_events(folder, steps, each, finished=finished)
    _write_samples(folder / "samples.jsonl", steps, each)


def figures(step: int, steps: int, completions: int, chance: random.Random) -> StepFinished:
    """What a step of a run that learns says."""
    learned = 1.0 - math.exp(-4.0 * step / steps)
    reward = 0.2 + learned + chance.gauss(0.0, 0.08)
    length = 90.0 + 60.0 * learned + chance.gauss(0.0, 6.0)
    return StepFinished(
        step=step,
        steps=steps,
        epoch=step / 1000,
        loss=chance.gauss(0.0, 0.02),
        reward=reward,
        reward_spread=abs(chance.gauss(0.3 * (1.0 - 0.6 * learned), 0.05)),
        rewards=(("accuracy", reward * 0.7, 0.4), ("strict_format", min(0.5, reward * 0.4), 0.1)),
        flat_groups=min(1.0, 0.5 * learned),
        replaced=0,
        kl=abs(chance.gauss(0.05 * learned, 0.01)),
        entropy=0.6 - 0.3 * learned,
        ratio=1.0 + abs(chance.gauss(0.0, 0.1)),
        clipped_low=0.01,
        clipped_high=0.02,
        gradient_norm=abs(chance.gauss(0.5, 0.1)),
        learning_rate=1e-5,
        completions=completions,
        tokens=int(length * completions),
        mean_length=length,
        shortest=int(length / 2),
        longest=int(length * 2),
        cut_short=0.05 * (1.0 - learned),
        rollout_seconds=0.8,
        reward_seconds=0.01,
        update_seconds=0.5,
        elapsed=1.31 * step,
        peak_memory=1_200_000_000,
        rows=(2 * step, 2 * step + 1),
    )


def _write_events(folder: Path, steps: int, completions: int, *, finished: bool) -> None:
    chance = random.Random(7)  # noqa: S311  # the same files each time
    evaluations, checkpoints = max(1, steps // _EVALUATIONS), max(1, steps // _CHECKPOINTS)
    with (folder / "events.jsonl").open("w", encoding="utf-8") as record:
        record.write(to_json(TrainingStarted(str(folder), "starter", "lora", 188_864, 0, steps, False)) + "\n")
        record.write(to_json(_evaluated(0, steps)) + "\n")
        for step in range(1, steps + 1):
            record.write(to_json(figures(step, steps, completions, chance)) + "\n")
            if step % evaluations == 0:
                record.write(to_json(_evaluated(step, steps)) + "\n")
            if step % checkpoints == 0:
                record.write(to_json(CheckpointSaved(step, str(folder / "checkpoints" / f"{step:08}"))) + "\n")
        if finished:
            accuracies = _evaluated(0, steps).accuracy, _evaluated(steps, steps).accuracy
            end = TrainingFinished(str(folder), str(folder / "model"), "", steps, steps, "finished", *accuracies, 1.31)
            record.write(to_json(end) + "\n")


def _evaluated(step: int, steps: int) -> Evaluated:
    accuracy = 0.15 + 0.7 * (1.0 - math.exp(-4.0 * step / steps))
    when = "before" if step == 0 else "after" if step == steps else "during"
    low, high = accuracy - 0.05, accuracy + 0.05
    return Evaluated(when, step, 400, accuracy, low, high, 0.9, accuracy * 1.2, 80.0, 0.02, 12.0, 1.31 * step)


def _write_samples(file: Path, steps: int, each: int) -> None:
    chance = random.Random(11)  # noqa: S311
    size = each // _PROMPTS
    with file.open("w", encoding="utf-8") as samples:
        lines: list[str] = []
        for step in range(1, steps + 1):
            for _ in range(_PROMPTS):
                lines += _group(step, size, chance)
            if len(lines) > _LINES:
                samples.write("".join(lines))
                lines = []
        samples.write("".join(lines))


def _group(step: int, size: int, chance: random.Random) -> list[str]:
    left, right = chance.randrange(10, 100), chance.randrange(10, 100)
    prompt, answer = json.dumps(_WORDS[step % len(_WORDS)].format(left, right), ensure_ascii=False), left + right
    row, lines = chance.randrange(8000), []
    for number in range(size):
        found = answer if chance.random() < 0.5 else answer + chance.randrange(-9, 10)
        good, cut = found == answer, chance.random() < 0.02
        thought = _THOUGHTS[chance.randrange(len(_THOUGHTS))].format(left, right, found)
        text = f"<reasoning>{thought}" + ("" if cut else f"</reasoning>\\n<answer>{found}</answer>")
        good &= not cut
        lines.append(
            f'{{"step": {step}, "row": {row}, "completion": {number}, "prompt": {prompt}, "answer": "{answer}", '
            f'"text": "{text}", "rewards": {{"accuracy": {float(good)}, "strict_format": {0.0 if cut else 0.5}}}, '
            f'"reward": {good + (0.0 if cut else 0.2)}, "advantage": {1.0 if good else -1.0}, '
            f'"tokens": {len(text) // 3}, "stop_reason": "{"length" if cut else "end"}", "left_out": false}}\n'
        )
    return lines


_WORDS = (
    "What is {} + {}?",
    "Mara has {} shells and finds {} more at the beach. How many shells does she have now?",
    "A train carries {} people, and {} people get on at the next stop. How many people are on the train?",
    "小明有{}个苹果，妈妈又给了他{}个。他现在一共有多少个苹果？",
)
# Already escaped as JSON is.
_THOUGHTS = (
    "I add {0} and {1}. First the tens, then the ones; together they make {2}.",
    "{0} + {1}\\n= {1} + {0}\\n= {2}. The order does not matter, so I check it once more: {2}.",
    'Let me think step by step. We begin with {0}. Then {1} come on top of it. That is \\"{2}\\" altogether.',
    "Counting on from {0} by {1} I reach {2}, which is a little more than I guessed at first, yet it holds.",
    "先把十位相加，再把个位相加。{0} + {1} = {2}。",
)


def main() -> None:
    folder, *sizes = sys.argv[1:] or [""]
    steps = int(sizes[0]) if sizes else 100_000
    rollouts = int(sizes[1]) if len(sizes) > 1 else 10 * steps
    with tempfile.TemporaryDirectory() as aside:
        run = Path(folder or aside)
        began = time.perf_counter()
        write(run, steps, rollouts)
        size = sum(file.stat().st_size for file in run.iterdir())
        print(
            f"  {steps:,} steps, {rollouts:,} completions: {size / 1e6:.0f} MB in {time.perf_counter() - began:.1f} s"
        )


if __name__ == "__main__":
    main()
