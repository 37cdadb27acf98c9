"""Reads the settings of a training run from a TOML file and assignments. Knows no model and no data.

A value comes from the defaults, then the file, then `--set key=value`. The files of the original project, flat or under
`[mlx_grpo]`, are read as they are.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from engine import config, errors, places
from engine.errors import UserError
from engine.grpo.settings import TrainConfig

BUILT_IN = ("starter", "smoke_test", "prod", "nanochat_grpo", "nanochat_d32", "smollm2_format")
"""The names of the files that come with the program; the first one is taken where none is named."""

RUN = "config.toml"
"""The file of a run's settings, in its folder."""
_VARIABLE = "MLX_GRPO_CONFIG"
_TABLE = "mlx_grpo"
# A run's file states every setting: one without the first or the last of them was cut.
_ENDS = ("model_name", "columns")


def load(path: str | None, assignments: Sequence[str]) -> TrainConfig:
    """The settings of a run.

    Args:
        path: a TOML file or the name of a built-in one; None takes `$MLX_GRPO_CONFIG`, else the built-in starter.
        assignments: `key=value` each, which win over the file. A list may be given as texts with commas between them,
            and nothing after `=` takes back a value that may be absent.

    Raises:
        UserError: the file cannot be read or is not TOML; a key is unknown; a value is out of bounds.
    """
    return _build(_read(find(path)), assignments)


def of_run(folder: Path, assignments: Sequence[str] = ()) -> TrainConfig:
    """The settings of the run in a folder, with assignments as in `load`.

    Raises:
        UserError: its file is damaged or cannot be read; an assignment is at fault.
    """
    file = folder / RUN
    try:
        values = tomllib.loads(file.read_text("utf-8-sig"))
        missing = [name for name in _ENDS if name not in values]
        reason = f"The setting {missing[0]} is not in it" if missing else ""
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        reason = str(error)
    except OSError as error:
        raise errors.explain(error) from error
    if reason:
        raise UserError(
            "The settings of the run in {folder} are damaged.",
            "{file}: {reason}.",
            "Correct that file or restore it from a backup; what was trained is in the checkpoints.",
            folder=folder,
            file=file,
            reason=reason,
        )
    return _build(values, assignments)


def names(assignments: Iterable[str]) -> set[str]:
    """The settings that assignments give a value."""
    return {re.split(r"[.=]", assignment, maxsplit=1)[0].strip() for assignment in assignments}


def find(path: str | None) -> Path:
    """The file that `load` reads for this name; it need not exist."""
    name = path or os.environ.get(_VARIABLE) or BUILT_IN[0]
    file = places.expand(name)
    short = name.removeprefix("configs/").removesuffix(".toml")
    if short in BUILT_IN and not file.is_file():
        return built_in(short)
    return file


def built_in(name: str) -> Path:
    """The file of this name that comes with the program."""
    return places.configs_folder() / f"{name}.toml"


def to_toml(settings: TrainConfig) -> str:
    """Every setting that has a value, as the text of a file that `load` reads."""
    import tomli_w

    return tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True))


def to_assignments(settings: TrainConfig) -> list[str]:
    """What turns the built-in starter's settings into these, as `load` takes them."""
    base = config.build(TrainConfig, _read(built_in(BUILT_IN[0]))).model_dump(mode="json")
    values = settings.model_dump(mode="json")
    return [f"{key}={_inline(value)}" for key, value in values.items() if value != base[key]]


def _build(values: dict[str, Any], assignments: Sequence[str]) -> TrainConfig:
    for assignment in assignments:
        values = _assign(values, assignment)
    return config.build(TrainConfig, values)


def _read(file: Path) -> dict[str, Any]:
    try:
        # With a line end, a fault in the last line is reported by its number.
        document = tomllib.loads(file.read_text("utf-8-sig") + "\n")
    except FileNotFoundError as error:
        near = difflib.get_close_matches(file.stem, BUILT_IN, 1)
        raise UserError(
            "There is no training configuration {path}.",
            "The file does not exist.",
            "Did you mean {nearest}?" if near else "Give a TOML file, or one that comes with the program: {known}.",
            path=file,
            nearest=near[0] if near else "",
            known=", ".join(BUILT_IN),
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            "The training configuration {path} is not a TOML file.",
            "{reason}.",
            "Correct that line: a setting is written key = value, once, and text stands in quotes.",
            path=file,
            reason=error,
        ) from error
    except OSError as error:
        raise errors.explain(error) from error
    if _TABLE not in document:
        return document
    values = document.pop(_TABLE)
    if not isinstance(values, dict) or document:
        raise UserError(
            "The training configuration {path} has the table [{table}] and settings outside it: {keys}.",
            "A file with that table holds all its settings there.",
            "Move them under [{table}], or take that line out.",
            path=file,
            table=_TABLE,
            keys=", ".join(document) or _TABLE,
        )
    return values


def _assign(values: dict[str, Any], assignment: str) -> dict[str, Any]:
    """One assignment, whose bare text is what the setting's type makes of it."""
    assigned = config.assign(values, assignment)
    key, text = (part.strip() for part in assignment.split("=", 1))
    field = TrainConfig.model_fields.get(key)
    if field is None:
        return assigned
    if field.annotation is str and not isinstance(assigned[key], str):
        assigned[key] = text
    elif get_origin(field.annotation) is tuple and not isinstance(assigned[key], list):
        assigned[key] = [part.strip() for part in str(assigned[key]).split(",") if part.strip()]
    elif not text and type(None) in get_args(field.annotation):
        assigned[key] = None
    return assigned


def _inline(value: Any) -> str:
    """A TOML value in one line; nothing for None."""
    import tomli_w

    if value is None:
        return ""
    if isinstance(value, dict):
        pairs = (tomli_w.dumps({key: each}).strip() for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    return tomli_w.dumps({"value": value}).removeprefix("value = ").strip()
