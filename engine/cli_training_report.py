"""The events of a training run as lines for a terminal. Knows no job and prints nothing itself."""

from __future__ import annotations

import shlex

from engine.events import Event
from engine.memory import in_words
from engine.training_events import (
    CheckpointSaved,
    Evaluated,
    SettingChanged,
    StepFinished,
    TrainingFinished,
    TrainingPlanned,
    TrainingStarted,
    TrainingStopped,
)

_KINDS = {
    "auto": "all weights, or adapters on a quantised model",
    "full": "all weights",
    "lora": "LoRA adapters",
    "dora": "DoRA adapters",
}
_REASONS = {
    "finished": "all steps are done",
    "target reached": "the wanted accuracy is reached",
    "no progress": "the accuracy did not rise any more",
    "reward fell": "the mean reward fell far below its best",
}
_WHEN = {
    "before": "Before training",
    "during": "Evaluation",
    "quick": "Quick look",
    "after": "After training",
}


def remark(event: Event) -> str | None:
    """What is said of a training event, on standard error."""
    match event:
        case TrainingPlanned():
            return _plan(event)
        case TrainingStarted():
            return _started(event)
        case StepFinished():
            return _step(event)
        case Evaluated():
            return _evaluation(event)
        case SettingChanged() | CheckpointSaved() | TrainingFinished() | TrainingStopped():
            return _kept(event)
    return None


def stopped(run: str, saved: str) -> str:
    """What is said of a run that was stopped: up to where it is saved, if at all, and how to go on."""
    if not run:
        return "The run was stopped before its first step. Nothing of it is kept."
    said = f"The run was stopped and is saved up to {saved}." if saved else "The run was stopped before its first step."
    return f"{said} Go on with: mlx-grpo train --resume {shlex.quote(run)}"


def _plan(event: TrainingPlanned) -> str:
    steps = f"{event.steps:,} of {event.prompts_per_step} prompts with {event.generations} completions each"
    rows = [
        ("Model", event.model),
        ("Trained", _KINDS.get(event.train_type, event.train_type)),
        ("Data", _data(event)),
        ("Steps", steps if event.steps else "as many as the data set has, once it is here"),
    ]
    if event.parameters:
        share = event.trainable / event.parameters
        parts = [
            ("weights", event.weights),
            ("optimiser", event.optimizer),
            ("key-value cache", event.kv_cache),
            ("activations", event.activations),
        ]
        rows[1] = (
            "Trained",
            f"{rows[1][1]}: {_millions(event.trainable)} of {_millions(event.parameters)} parameters ({share:.1%})",
        )
        rows.append(("Memory", f"about {in_words(event.peak)} at most, {in_words(event.available)} can be used"))
        rows += [("", f"{name} {in_words(count)}") for name, count in parts]
        rows.append(("Fits", "yes" if event.fits else "NO"))
        if event.suggestion:
            settings = " ".join(f"--set {assignment}" for assignment in event.suggestion)
            rows.append(("", f"this would: {settings}"))
    else:
        rows.append(("Memory", "no forecast: the model is not on this computer"))
    time = f"up to about {_duration(event.seconds_per_step)} a step"
    if event.steps:
        time += f", {_duration(event.seconds_per_step * event.steps)} in all without evaluations"
    time += "; less where completions end early"
    rows.append(("Time", time if event.seconds_per_step else "no forecast"))
    return _table(rows)


def _started(event: TrainingStarted) -> str:
    kind = _KINDS.get(event.train_type, event.train_type)
    steps = f"{event.steps:,} steps" + (f", going on after {event.step:,}" if event.resumed else "")
    trained = f"{event.model}, {kind}, {_millions(event.trainable)} parameters, {steps}"
    return _table([("Training", trained), ("Run", event.run)])


def _step(event: StepFinished) -> str:
    width = len(str(event.steps))
    seconds = event.rollout_seconds + event.reward_seconds + event.update_seconds
    parts = [
        f"step {event.step:>{width}}/{event.steps}",
        f"reward {event.reward:.3f} ±{event.reward_spread:.3f}",
        *(f"{name} {mean:.3f}" for name, mean, _ in event.rewards if len(event.rewards) > 1 or mean != event.reward),
        f"length {event.mean_length:.1f}" + (f" ({event.cut_short:.0%} cut)" if event.cut_short else ""),
        f"KL {event.kl:.4f}" if event.kl is not None else "",
        f"flat groups {event.flat_groups:.0%}" if event.flat_groups else "",
        f"loss {event.loss:+.4f}",
        f"{event.tokens / seconds:,.0f} tokens/s" if seconds > 0 else "",
        f"{seconds:.1f} s",
    ]
    return "  ".join(part for part in parts if part)


def _evaluation(event: Evaluated) -> str:
    parts = [
        f"accuracy {event.accuracy:.1%} (95 % interval {event.low:.1%} to {event.high:.1%}, {event.rows} rows)",
        f"format {event.format_rate:.1%}",
        f"reward {event.mean_reward:.3f}",
        f"length {event.mean_length:.1f}" + (f" ({event.cut_short:.0%} cut)" if event.cut_short else ""),
    ]
    if event.sampled_accuracy is not None:
        parts.append(f"sampled {event.sampled_accuracy:.1%}")
    parts += [f"pass@{k} {share:.1%}" for k, share in event.pass_at_k or ()]
    step = f" at step {event.step:,}" if event.when in {"during", "quick"} else ""
    # A model that is evaluated by itself has no training before or after it.
    when = _WHEN["during" if event.when == "after" and not event.step else event.when]
    return f"{when}{step}: {', '.join(parts)}, {event.seconds:.1f} s"


def _kept(event: SettingChanged | CheckpointSaved | TrainingFinished | TrainingStopped) -> str:
    if isinstance(event, TrainingStopped):
        return stopped(event.run, f"step {event.step:,}" if event.step else "")
    if isinstance(event, SettingChanged):
        return f"Changed after step {event.step:,}: {event.name} from {event.before:g} to {event.after:g}"
    if isinstance(event, CheckpointSaved):
        return f"Saved{' (the best so far)' if event.best else ''}: {event.folder}"
    reason = _REASONS.get(event.reason, event.reason)
    rows = [("Finished", f"{reason}: step {event.step:,} of {event.steps:,}, {_duration(event.elapsed)}")]
    if event.accuracy_before is not None and event.accuracy_after is not None:
        rows.append(("Accuracy", f"{event.accuracy_before:.1%} before, {event.accuracy_after:.1%} after"))
    rows += [("Run", event.run), ("Model", event.model)]
    if event.fused:
        rows.append(("Merged", event.fused))
    return _table(rows)


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"{name:<11} {text}" for name, text in rows)


def _data(event: TrainingPlanned) -> str:
    if event.rows < 0:
        return "not counted"
    held_out = f"{event.held_out:,} held out" if event.held_out >= 0 else "held-out rows not counted"
    return f"{event.rows:,} rows to learn from, {held_out}"


def _millions(count: int) -> str:
    return f"{count / 1e6:,.2f} million"


def _duration(seconds: float) -> str:
    """A time as a person says it: two units at most."""
    if seconds < 1:
        return f"{seconds:.2g} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"
