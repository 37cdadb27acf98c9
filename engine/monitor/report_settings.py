"""The parts of a report that say how a run was set up and by what: settings, changes, checkpoints, versions.

Knows tables, and neither curves nor samples.
"""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.grpo.settings import TrainConfig
from engine.monitor.report_page import at_home, folded, paragraph, table
from engine.monitor.report_story import Story

_OF_THE_PLACE = ("output_dir", "run_name")  # where a run lies says nothing of what it does
_CHARACTERS = 4000  # of a value at most
_ROWS = 100  # of a table at most


def settings(story: Story) -> Iterator[str]:
    """What differs from the defaults, and folded away all of it."""
    config = story.config
    if config is None:
        yield paragraph(f"The settings cannot be shown. {at_home(story.problem)}", "muted")
        return
    default, values = TrainConfig().model_dump(), config.model_dump()
    heads = ("Setting", "Value", "Default")
    rows = {
        name: (f"{TrainConfig.model_fields[name].title} ({name})", _value(value), _value(default[name]))
        for name, value in values.items()
    }
    differ = [row for name, row in rows.items() if values[name] != default[name] and name not in _OF_THE_PLACE]
    yield table(heads, differ) or paragraph("All settings have their defaults.", "muted")
    yield folded(f"All {len(rows)} settings", table(heads, list(rows.values())))


def changes(story: Story) -> str:
    """What a person changed while it trained, the last hundred."""
    last = story.changes[-_ROWS:]
    rows = [(f"after step {one.step:,}", one.name, f"{one.before:g}", f"{one.after:g}") for one in last]
    return table(("When", "Setting", "From", "To"), rows, figures=2)


def checkpoints(story: Story) -> str:
    """Those that are on the disk."""
    folder = story.folder / "checkpoints"
    there = sorted({one.step for one in story.checkpoints if (folder / Path(one.folder).name).is_dir()})
    best = max((one.step for one in story.checkpoints if one.best), default=None)
    said = [f"step {step:,}" + (" (the best so far)" if step == best else "") for step in there[-_ROWS:]]
    return paragraph(f"Kept on the disk: {', '.join(said)}.") if said else ""


def origin(story: Story) -> str:
    """What wrote the page, and what it could not read."""
    versions = ", ".join(f"{name} {_version(name)}" for name in ("mlx", "mlx-lm", "transformers"))
    said = (
        f"Written on {date(time.time())} by MLX-GRPO {_version('mlx-grpo-app')} with {versions} and Python "
        f"{platform.python_version()} on {platform.system()} {platform.machine()}. "
        "The run itself may have been trained with other versions."
    )
    if story.lost:
        lines = "1 line of its record was" if story.lost == 1 else f"{story.lost:,} lines of its record were"
        said += f" {lines} not understood and not counted here."
    return paragraph(said, "note")


def date(seconds: float) -> str:
    """A point in time, given in seconds since 1970, in this computer's time; "" for none."""
    if not seconds:
        return ""
    local = time.localtime(seconds)
    return f"{local.tm_mday} {time.strftime('%B %Y, %H:%M', local)}"


def _value(value: Any) -> str:
    match value:
        case None:
            return "not set"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case tuple() | list():
            return ", ".join(map(_value, value)) or "none"
        case dict():
            return ", ".join(f"{key} = {each}" for key, each in value.items()) or "none"
    said = at_home(str(value))
    return (said if len(said) <= _CHARACTERS else f"{said[:_CHARACTERS]} …") or "empty"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "of an unknown version"
