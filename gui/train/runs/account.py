"""What is to be said of one run: how it stands, what is odd about it, what changed meanwhile. Knows no widget."""

from __future__ import annotations

import math

from engine.run_events import RunFound
from gui.fields import Facts
from gui.text import duration, number, parameters, tr
from gui.train.record import Record
from gui.train.runs import words
from gui.train.runs.settings_table import facts, shown

_ENDS = {
    "finished": ("It is finished: all of its {steps} steps are done.", ""),
    "target reached": ("It reached the accuracy it was to reach.", "This took {step} of {steps} steps."),
    "no progress": (
        "It ended because it got no better.",
        "After {step} of {steps} steps it did not answer more of the held-out questions right any more.",
    ),
    "reward fell": (
        "It ended because its reward fell.",
        "After {step} of {steps} steps its mean reward was far below its best.",
    ),
    "stopped": ("It was stopped after {step} of {steps} steps.", "It can go on from there."),
    "failed": ("An error ended it after {step} of {steps} steps.", "It can go on from its last checkpoint."),
    "unreadable": ("What it recorded cannot be read.", ""),
}
_TRAINED = {
    "full": "all weights",
    "lora": "adapters (lora)",
    "dora": "adapters (dora)",
}


def standing(run: RunFound, here: bool) -> tuple[str, str]:
    """How a run stands, in one sentence, and what is to be said besides; `here`: it trains in this window."""
    counted = {"step": number(run.step), "steps": number(run.steps)}
    if run.status == "training":
        said = tr("It trains: {step} of {steps} steps are done.", **counted) if run.steps else tr("It begins to train.")
        return said, "" if here else tr("Another process trains it, and it is followed here as it goes.")
    if run.status == "paused":
        return tr("It is paused after {step} of {steps} steps.", **counted), tr("Its model stays in memory.")
    if run.status == "interrupted":
        if not run.steps:
            return tr("It ended before it trained."), tr("Its process crashed or was killed. It can begin anew.")
        why = tr("Its process crashed or was killed, or the computer went off.")
        step = number(run.checkpoints[-1]) if run.checkpoints else ""
        on = tr("It can go on from its last checkpoint, of step {step}.", step=step)
        anew = tr("It saved no checkpoint yet, so it would begin anew.")
        said = tr("It ended unexpectedly after {step} of {steps} steps.", **counted)
        return said, f"{why} {on if run.checkpoints else anew}"
    said, more = _ENDS[run.status]
    return tr(said, **counted), tr(more, **counted) if more else ""


def success(run: RunFound) -> str:
    """What became of the held-out questions; "" where nobody asked them."""
    before, now = run.accuracy_before, run.accuracy
    if before is not None and now is not None:
        return tr(
            "It answered {before} of the held-out questions right before the training, and {now} at the latest test.",
            before=words.percent(before),
            now=words.percent(now),
        )
    if (share := before if now is None else now) is not None:
        return tr("It answered {share} of the held-out questions right.", share=words.percent(share))
    return ""


def oddities(run: RunFound | None) -> tuple[str, ...]:
    """What the list of runs found to be wrong with its files."""
    return tuple(tr(sentence) for sentence in run.problem.splitlines()) if run is not None else ()


def trained(record: Record | None) -> str:
    """What part of the model is trained; "" where the record does not say."""
    if record is None or not record.starts:
        return ""
    start = record.starts[-1]
    kind = tr(_TRAINED.get(start.train_type, start.train_type))
    return tr("{kind}: {count} numbers", kind=kind, count=parameters(start.trainable))


def time_taken(record: Record | None) -> str:
    """How long it trained, without evaluations and pauses; "" where nothing was trained."""
    if record is None or not len(record):
        return ""
    elapsed = float(record.column("elapsed")[-1])
    return "" if math.isnan(elapsed) else duration(elapsed)


def happened(record: Record | None) -> list[tuple[str, str]]:
    """What a person changed while it trained, and what the run had to say: when, and what."""
    if record is None:
        return []
    changes = [
        (
            tr("After step {step}", step=number(change.step)),
            tr(
                "{setting}: {before} → {after}",
                setting=_title(change.name),
                before=shown(change.name, change.before),
                after=shown(change.name, change.after),
            ),
        )
        for change in record.changes
    ]
    return changes + [("", tr(note)) for note in dict.fromkeys(record.notes)]


def _title(name: str) -> str:
    told: Facts = facts(name)
    return told.title
