"""Named bundles of system prompt, sampling and model: those that come with the program, and the person's own.

Knows files, no conversation. One TOML file a preset: `configs/presets/` comes with the program, and `presets/` beside
the settings is the person's; there a preset of the same name wins.
"""

from __future__ import annotations

import itertools
import logging
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from engine import config, places
from engine.config import Sampling
from engine.errors import UserError, explain


class Preset(BaseModel):
    """What a conversation begins with."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    name: str = Field("", max_length=60, title="Name", description="What the preset is called.")
    description: str = Field("", title="Description", description="What it is good for, in a sentence.")
    system_prompt: str = Field(
        "",
        title="System prompt",
        description="What the model is told about how to answer.",
        json_schema_extra={"multiline": True},
    )
    model: str = Field("", title="Model", description="The model to load with it; empty keeps the one in use.")
    sampling: Sampling = Field(Sampling(), title="Sampling", description="How the next token is chosen.")


def all_presets() -> list[Preset]:
    """Those that come with the program and the person's own, by their names. A file that cannot be read is left out."""
    found = {preset.name: preset for folder in (_shipped(), _own()) for _, preset in _in_folder(folder)}
    return sorted(found.values(), key=lambda preset: preset.name.casefold())


def own_names() -> set[str]:
    """The names of the person's own, which may be changed and deleted."""
    return {preset.name for _, preset in _in_folder(_own())}


def save(preset: Preset) -> None:
    """Keep a preset among the person's own, in the place of one of the same name.

    Raises:
        UserError: it has no name, or the file cannot be written.
    """
    if not preset.name.strip():
        raise UserError("The preset cannot be saved.", "It has no name.", "Give it one.")
    try:
        config.write(preset, _file_of(preset.name))
    except OSError as error:
        raise explain(error) from error


def delete(name: str) -> None:
    """Forget one of the person's own.

    Raises:
        UserError: there is none of this name, or its file cannot be deleted.
    """
    path = _file_of(name)
    try:
        path.unlink()
    except FileNotFoundError as error:
        raise UserError(
            "There is no preset {name} to delete.",
            "It was deleted already, or comes with the program.",
            "Choose one of your own.",
            name=name,
        ) from error
    except OSError as error:
        raise explain(error) from error


def _shipped() -> Path:
    return places.configs_folder() / "presets"


def _own() -> Path:
    return places.settings_file().parent / "presets"


def _in_folder(folder: Path) -> list[tuple[Path, Preset]]:
    found = []
    for path in sorted(folder.glob("*.toml")):
        try:
            preset = config.read(Preset, path)
        except UserError as error:
            # It is the person's work and stays as it is; the others are of use without it.
            logging.getLogger(__name__).warning("%s %s", path, error)
            continue
        found.append((path, preset if preset.name else preset.model_copy(update={"name": path.stem})))
    return found


def _file_of(name: str) -> Path:
    """The file of a preset of the person's, or the one that a new one gets: names hold what file names cannot."""
    for path, preset in _in_folder(_own()):
        if preset.name == name:
            return path
    stem = re.sub(r"[^\w-]+", "-", name).strip("-").lower()[:40] or "preset"
    numbered = (f"{stem}-{number}" if number else stem for number in itertools.count())
    return next(path for each in numbered if not (path := _own() / f"{each}.toml").exists())
