"""How a run stands, in words, an icon and a colour. Knows no widget."""

from __future__ import annotations

from PySide6.QtCore import QDate, QDateTime, QLocale

from engine.run_events import RunFound, RunStatus
from gui.text import number, tr

_STATUS = {
    "training": ("Training", "run-training", "link"),
    "paused": ("Paused", "run-stopped", "link"),
    "finished": ("Finished", "run-finished", "good"),
    "target reached": ("Accuracy reached", "run-finished", "good"),
    "no progress": ("No more progress", "run-level", "muted"),
    "reward fell": ("Reward fell", "run-fell", "warning"),
    "stopped": ("Stopped", "run-stopped", "muted"),
    "failed": ("Failed", "run-unreadable", "error"),
    "interrupted": ("Interrupted", "run-interrupted", "warning"),
    "unreadable": ("Cannot be read", "run-unreadable", "error"),
}
_PARTIAL: tuple[RunStatus, ...] = ("training", "paused", "stopped", "failed", "interrupted", "unreadable")
RESUMABLE: tuple[RunStatus, ...] = ("stopped", "failed", "interrupted")
"""How a run stands that can go on."""
LIVE: tuple[RunStatus, ...] = ("training", "paused")
"""How a run stands that a process has in its hands."""


def status(of: RunStatus) -> str:
    """How a run stands, in a word or two."""
    return tr(_STATUS[of][0])


def icon(of: RunStatus) -> tuple[str, str]:
    """The name of the icon, and that of its colour in the theme."""
    return _STATUS[of][1:]


def standing(run: RunFound) -> str:
    """How a run stands, and how far it came."""
    if not run.steps:
        return status(run.status)
    if run.status in _PARTIAL:
        done = tr("step {step} of {steps}", step=number(run.step), steps=number(run.steps))
    else:
        done = tr("1 step") if run.step == 1 else tr("{count} steps", count=number(run.step))
    return f"{status(run.status)} · {done}"


def results(run: RunFound) -> list[str]:
    """The held-out accuracy and the last reward, as far as there are any."""
    parts = []
    before, now = run.accuracy_before, run.accuracy
    if before is not None and now is not None:
        parts.append(tr("{before} → {now}\u00a0% right", before=number(100 * before), now=number(100 * now)))
    elif (share := before if now is None else now) is not None:
        parts.append(tr("{share}\u00a0% right", share=number(100 * share)))
    if run.reward is not None:
        parts.append(tr("reward {reward}", reward=number(run.reward, 2)))
    return parts


def aloud(run: RunFound) -> str:
    """All that a row of the list shows, for screen readers."""
    parts = [run.name, standing(run), ", ".join(results(run)).replace("→", tr("to")), ", ".join(run.tags)]
    return ". ".join(part for part in (*parts, *map(tr, run.problem.splitlines())) if part)


def moment(seconds: float) -> str:
    """When something was, in short: the time today, the day this week, else the date."""
    when = QDateTime.fromSecsSinceEpoch(int(seconds))
    days = when.date().daysTo(QDate.currentDate())
    if days == 0:
        return QLocale().toString(when.time(), QLocale.FormatType.ShortFormat)
    if 0 < days < 7:
        return QLocale().toString(when.date(), "ddd")
    same_year = when.date().year() == QDate.currentDate().year()
    return QLocale().toString(when.date(), "d MMM" if same_year else "MMM yyyy")


def date(seconds: float) -> str:
    """When something was, with its day and time."""
    return QLocale().toString(QDateTime.fromSecsSinceEpoch(int(seconds)), QLocale.FormatType.ShortFormat)


def percent(share: float | None, decimals: int = 1) -> str:
    """A share of the whole; "–" where there is none."""
    return "–" if share is None else f"{number(100 * share, decimals)}\u00a0%"
