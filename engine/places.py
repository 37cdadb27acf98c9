"""Where the program keeps its files. Knows no format and creates nothing until asked.

`$MLX_GRPO_HOME` puts everything under one folder: for tests, and for a person who wants it on another disk.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from engine.errors import UserError

_APP = "MLX-GRPO"


def _place(system_folder: str, name: str) -> Path:
    home = os.environ.get("MLX_GRPO_HOME")
    if not home:
        return Path(system_folder) / name
    try:
        return expand(home) / name
    except UserError:
        return Path(home) / name  # errors are written there, so it must not be one itself


def expand(name: str) -> Path:
    """A path that a person wrote, with `~` replaced.

    Raises:
        UserError: it begins with the home folder of nobody here, or holds what no path can.
    """
    if "\0" in name:
        raise UserError(
            "The path {path} cannot be used.",
            "It holds a NUL character, which no path can.",
            "Take that character out.",
            path=repr(name),
        )
    if not name.startswith("~"):
        return Path(name)  # pathlib itself would take ./~ for ~
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise UserError(
            "There is no home folder {home} on this computer.",
            "The path {path} begins with it.",
            "Write the whole path. A folder that is called so is named ./{path}",
            home=Path(name).parts[0],
            path=name,
        ) from error


def settings_file() -> Path:
    """The one TOML file of settings."""
    return _place(platformdirs.user_config_dir(_APP, appauthor=False), "settings.toml")


def conversations_file() -> Path:
    """The SQLite file of all conversations."""
    return _place(platformdirs.user_data_dir(_APP, appauthor=False), "conversations.sqlite3")


def models_folder() -> Path:
    """Where models that were converted here live."""
    return _place(platformdirs.user_data_dir(_APP, appauthor=False), "Models")


def runs_folder() -> Path:
    """Where training runs live."""
    return _place(platformdirs.user_data_dir(_APP, appauthor=False), "Runs")


def batches_folder() -> Path:
    """Where the answers of batches go that were given no file."""
    return _place(platformdirs.user_data_dir(_APP, appauthor=False), "Batches")


def unfinished_folder() -> Path:
    """Notes on folders that are being made, for the case that the program dies."""
    return _place(platformdirs.user_data_dir(_APP, appauthor=False), "Unfinished")


def log_file() -> Path:
    """What the program noted about its own errors."""
    return _place(platformdirs.user_log_dir(_APP, appauthor=False), "mlx-grpo.log")


def configs_folder() -> Path:
    """The lists and run settings that come with the program."""
    import configs

    return Path(configs.__path__[0])


def starter_folder() -> Path:
    """The demonstration model that comes with the program."""
    import resources

    return Path(resources.__path__[0]) / "starter"
