"""Draws what training runs learned, from their own records, for docs/training.md. Knows no model and no loss.

Three seeds of the starter's recipe, the same recipe with its rewards handed out to the wrong completions, which must
teach nothing, and the form of an answer taught to another model. Runs are the program's own command.

Run, from the root of the repository:
    python -m scripts.learning_curves --smollm2 FOLDER      train all, one after the other, and draw
    python -m scripts.learning_curves --from RUN RUN ...    draw the runs in these folders
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROOT = Path(__file__).parent.parent
_SEEDS = (0, 1, 2)
_REWARD_FILE = '''\
"""The rewards of the starter's recipe, handed out to the wrong completions."""

import random

from engine.grpo import reward_functions

_dice = random.Random(0)


def shuffled_accuracy(completions, answer, **columns):
    return _shuffled(reward_functions.accuracy(completions, answer=answer))


def shuffled_format(completions, **columns):
    return _shuffled(reward_functions.strict_format(completions))


def _shuffled(scores):
    return _dice.sample(scores, len(scores))
'''
_FORMAT_REWARDS = {"strict_format": "strict format", "soft_format": "soft format", "xml_count": "tags"}
_HIGHEST_FORMAT_REWARD = 0.5
_COLOURS = ("#1f6fb4", "#2a9d8f", "#7a5ea8")
_CONTROL_COLOUR = "#b3541e"
_SMOOTHED_STEPS = 10
_GOALS = (0.75, 0.85)


@dataclass(frozen=True, slots=True)
class Curve:
    """The record of one run: `evaluations` and `steps` as in its events.jsonl, in their order."""

    kind: Literal["starter", "shuffled", "format"]
    seed: int
    evaluations: list[dict[str, Any]]
    steps: list[dict[str, Any]]

    @property
    def label(self) -> str:
        """The run in a legend."""
        return "shuffled rewards" if self.kind == "shuffled" else f"seed {self.seed}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for and draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--from", nargs="+", type=Path, default=[], dest="runs", metavar="RUN", help="run folders")
    parser.add_argument("--smollm2", metavar="FOLDER", help="SmolLM2-135M-Instruct; left out where there is none")
    parser.add_argument("--output-dir", type=Path, default=_ROOT / "build" / "learning_curves", help="of the runs")
    parser.add_argument("--images", type=Path, default=_ROOT / "docs" / "images")
    chosen = parser.parse_args(arguments)
    curves = [read(run) for run in chosen.runs or _train(chosen.output_dir, chosen.smollm2)]
    for curve in curves:
        sys.stdout.write(summary(curve) + "\n")
    draw(curves, chosen.images)
    return 0


def read(run: Path) -> Curve:
    """The curve of the run in this folder; a last line that is still being written is left out."""
    config = tomllib.loads((run / "config.toml").read_text("utf-8"))
    lines = (run / "events.jsonl").read_text("utf-8").splitlines(keepends=True)
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    kind: Literal["starter", "shuffled", "format"] = "starter"
    if any(name.startswith("shuffled_") for name in config["rewards"]):
        kind = "shuffled"
    elif set(_FORMAT_REWARDS) <= set(config["rewards"]):
        kind = "format"
    evaluations = [event for event in events if event["event"] == "evaluated" and event["when"] != "quick"]
    return Curve(kind, config["seed"], evaluations, [event for event in events if event["event"] == "step_finished"])


def summary(curve: Curve) -> str:
    """One line: accuracy before and after, when it reached the goals, and the format rewards of a format run."""
    first, last = curve.evaluations[0], curve.evaluations[-1]
    name = curve.label if curve.kind == "shuffled" else f"{curve.kind} {curve.label}"
    said = [f"{name}: held-out accuracy {_interval(first)} -> {_interval(last)}"]
    for goal in _GOALS:
        reached = [event["step"] for event in curve.evaluations if event["accuracy"] >= goal][:1]
        said += [f"{goal:.0%} at step {step} after {seconds(curve, step):.0f} s" for step in reached]
    if curve.kind == "format":
        for name in _FORMAT_REWARDS:
            shares = format_shares(curve, name)
            said.append(f"{name} {shares[0]:.3f} -> {shares[-1]:.3f} of its maximum")
    said.append(f"{last['step']} steps in {seconds(curve, last['step']):.0f} s")
    return "; ".join(said)


def seconds(curve: Curve, step: int) -> float:
    """Wall time from the run's start to the end of the evaluation after this step, evaluations included."""
    judged: float = sum(event["seconds"] for event in curve.evaluations if event["step"] <= step)
    return judged + max((event["elapsed"] for event in curve.steps if event["step"] <= step), default=0.0)


def format_shares(curve: Curve, name: str) -> list[float]:
    """The mean of a format reward at each step, as a share of its maximum."""
    means = [mean for event in curve.steps for reward, mean, _ in event["rewards"] if reward == name]
    return [mean / _HIGHEST_FORMAT_REWARD for mean in means]


def moving_mean(values: Sequence[float], width: int) -> list[float]:
    """The mean of each value and the up to `width` - 1 before it."""
    windows = [values[max(0, end - width) : end] for end in range(1, len(values) + 1)]
    return [sum(window) / len(window) for window in windows]


def draw(curves: Sequence[Curve], folder: Path) -> None:
    """Write learning-starter.svg and learning-format.svg into a folder, each where there is a run for it."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    # The same bytes from the same runs.
    look = {"svg.hashsalt": "mlx-grpo", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    look |= {"axes.grid": True, "grid.color": "#e4e4e4", "axes.edgecolor": "#888888", "legend.frameon": False}
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(look):
        if starters := [curve for curve in curves if curve.kind != "format"]:
            figure, (accuracy, reward) = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
            _draw_starters(accuracy, reward, starters)
            figure.savefig(folder / "learning-starter.svg", metadata={"Date": None})
        if formats := [curve for curve in curves if curve.kind == "format"]:
            figure, axes = pyplot.subplots(figsize=(6, 3.2), layout="constrained")
            _draw_format(axes, formats[0])
            figure.savefig(folder / "learning-format.svg", metadata={"Date": None})
        pyplot.close("all")


def _draw_starters(accuracy: Axes, reward: Axes, curves: Sequence[Curve]) -> None:
    for number, curve in enumerate(sorted(curves, key=lambda curve: (curve.kind == "shuffled", curve.seed))):
        colour = _CONTROL_COLOUR if curve.kind == "shuffled" else _COLOURS[number % len(_COLOURS)]
        at = [event["step"] for event in curve.evaluations]
        low, high = ([100 * event[edge] for event in curve.evaluations] for edge in ("low", "high"))
        accuracy.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
        accuracy.plot(at, [100 * event["accuracy"] for event in curve.evaluations], color=colour, label=curve.label)
        means = moving_mean([event["reward"] for event in curve.steps], _SMOOTHED_STEPS)
        reward.plot([event["step"] for event in curve.steps], means, color=colour, label=curve.label)
    accuracy.set(title="Held-out accuracy, 95 % interval", xlabel="step", ylabel="%", ylim=(0, 100))
    reward.set(title=f"Reward, mean of {_SMOOTHED_STEPS} steps", xlabel="step", ylim=(0, 1.2))
    for axes in (accuracy, reward):
        axes.set_xlim(left=0)
    accuracy.legend(loc="center right")


def _draw_format(axes: Axes, curve: Curve) -> None:
    at = [event["step"] for event in curve.steps]
    for (name, label), colour in zip(_FORMAT_REWARDS.items(), _COLOURS, strict=True):
        shares = [100 * share for share in format_shares(curve, name)]
        axes.plot(at, shares, color=colour, label=label, marker=".", markersize=4)
    right = [100 * event["accuracy"] for event in curve.evaluations]
    axes.plot([event["step"] for event in curve.evaluations], right, "--", color="#777777", label="held-out accuracy")
    axes.set(title="Format rewards", xlabel="step", ylabel="% of the maximum", ylim=(0, 103))
    axes.set_xlim(left=0)
    axes.legend(loc="center right")


def _train(folder: Path, smollm2: str | None) -> list[Path]:
    """Train all runs one after the other; their folders."""
    folder.mkdir(parents=True, exist_ok=True)
    rewards = folder / "shuffled_rewards.py"
    rewards.write_text(_REWARD_FILE, "utf-8")
    wanted = {f"starter-seed-{seed}": ("starter", [f"seed={seed}"]) for seed in _SEEDS}
    shuffled = [f"reward_file={rewards}", "rewards=shuffled_accuracy,shuffled_format"]
    wanted["starter-shuffled"] = ("starter", ["seed=0", *shuffled])
    if smollm2:
        wanted["smollm2-format"] = ("smollm2_format", [f"model_name={smollm2}"])
    for name, (config, settings) in wanted.items():
        settings += [f"output_dir={folder}", f"run_name={name}"]
        told = [word for setting in settings for word in ("--set", setting)]
        command = [sys.executable, "-m", "engine.cli", "train", "--config", config, *told]
        subprocess.run(command, check=True, cwd=_ROOT, stdout=subprocess.DEVNULL)
    return [folder / name for name in wanted]


def _interval(event: dict[str, Any]) -> str:
    return f"{event['accuracy']:.1%} ({event['low']:.1%} to {event['high']:.1%})"


if __name__ == "__main__":
    sys.exit(main())
