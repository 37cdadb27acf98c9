"""Named bundles of system prompt, sampling and model: those that come with the program, and the person's own.

Knows files, no conversation. One TOML file a preset: `configs/presets/` comes with the program, and `presets/` beside
the settings is the person's; there a preset of the same name wins.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from engine.config import Sampling


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
