"""How a run stands, in words: its state, its progress, what its figures say and what is wrong. Knows no widget."""

from __future__ import annotations

import math

from engine.training_events import TrainingFailed, TrainingFinished, TrainingStopped
from gui.text import duration, number, tr
from gui.train.record import Record
from gui.train.training import Training

_STATES = {
    "waiting": "Waits for another run to end",
    "starting": "Starting",
    "training": "Training",
    "paused": "Paused",
    "stopping": "Stopping and saving",
}
_ENDS = {
    "finished": "Finished",
    "target reached": "Finished: the accuracy to reach was reached",
    "no progress": "Ended early: the held-out accuracy did not rise any more",
    "reward fell": "Ended early: the reward fell",
}
_RECENT = 20  # steps whose time tells how long the rest will take


def state(record: Record, training: Training | None) -> str:
    """How it stands, in a few words."""
    if training is not None and training.running:
        return tr(_STATES[training.state])
    # An end comes before the lock is given back.
    match record.ending:
        case TrainingFinished():
            return tr(_ENDS[record.ending.reason])
        case TrainingStopped():
            return tr("Stopped and saved")
        case TrainingFailed():
            return tr("Failed")
    if record.live:
        return tr("Training in another process")
    return tr("Interrupted") if record.loaded and not record.missing else ""


def progress(record: Record, training: Training | None) -> str:
    """How far it is, and how long it will take."""
    if not record.steps:
        return ""
    words = [tr("step {step} of {steps}", step=number(record.step), steps=number(record.steps))]
    seconds = seconds_left(record)
    if (training is not None and training.state == "training") or (training is None and record.live):
        if seconds is not None and seconds >= 1:
            words.append(tr("about {time} left", time=duration(seconds)))
    elif len(record) and math.isfinite(elapsed := float(record.column("elapsed")[-1])):
        words.append(duration(elapsed))
    return " · ".join(words)


def seconds_left(record: Record) -> float | None:
    """What the steps that are left will take at the pace of the last ones; None where that cannot be told."""
    elapsed = record.column("elapsed")[-_RECENT - 1 :]
    numbers = record.column("step")[-_RECENT - 1 :]
    if len(elapsed) < 2 or numbers[-1] <= numbers[0]:
        return None
    pace = (elapsed[-1] - elapsed[0]) / (numbers[-1] - numbers[0])
    left = float(pace * (record.steps - record.step))
    return left if math.isfinite(left) and left >= 0 else None


def results(record: Record) -> str:
    """Reward and accuracy as they are now."""
    words = []
    if len(record) and math.isfinite(reward := float(record.column("reward")[-1])):
        words.append(tr("reward {reward}", reward=number(reward, 2)))
    judged = [one for one in record.evaluations if one.when != "quick"]
    if judged:
        now, before = judged[-1], judged[0]
        accuracy = tr("held-out accuracy {now} %", now=number(100 * now.accuracy, 1))
        if now is not before and before.when == "before":
            accuracy += tr(" ({before} % before)", before=number(100 * before.accuracy, 1))
        words.append(accuracy)
    return " · ".join(words)


def doing(training: Training | None) -> str:
    """What it does just now."""
    said = training.progress if training is not None and training.state in ("starting", "training") else None
    if said is None:
        return ""
    share = f" {number(100 * said.done / said.total)} %" if said.total else ""
    return f"{tr(said.what)}{share}…"


def problems(record: Record) -> tuple[str, ...]:
    """What is not as it should be, each with what it means."""
    found = []
    if record.missing and not record.live:
        found.append(tr("This folder has no record (events.jsonl), so there is nothing to show."))
    if record.torn and not record.live:
        found.append(
            tr("The last line of the record is cut off: the process died while writing it. Nothing before it is lost.")
        )
    if record.unknown:
        one = tr("One line of the record was not understood, probably because a newer version of the program wrote it.")
        many = tr(
            "{count} lines of the record were not understood, probably because a newer version of the program wrote "
            "them.",
            count=number(record.unknown),
        )
        found.append((one if record.unknown == 1 else many) + " " + tr("All other figures are shown."))
    if record.loaded and not record.live and not record.missing and record.ending is None:
        found.append(interrupted(record))
    return tuple(found)


def interrupted(record: Record) -> str:
    """What an interrupted run has kept."""
    if record.checkpoints:
        return tr(
            "The process of this run ended before the run did. It can go on from step {step}.",
            step=number(record.checkpoints[-1].step),
        )
    return tr("The process of this run ended before its first checkpoint. Resuming begins it anew.")


def newest_model(record: Record) -> str:
    """The folder of what the run trained last: its model, or its newest checkpoint; "" where there is none."""
    if isinstance(record.ending, TrainingFinished):
        return f"{record.folder}/model"
    # The checkpoint that a stop leaves is not in the record.
    stopped = record.ending.step if isinstance(record.ending, TrainingStopped) else 0
    newest = max((saved.step for saved in record.checkpoints), default=0)
    return checkpoint(record.folder, max(newest, stopped)) if newest or stopped else ""


def checkpoint(folder: str, step: int) -> str:
    """The folder of a run's checkpoint after this many steps, wherever the run lies by now."""
    return f"{folder}/checkpoints/{step:06}"
