"""Every setting, stated once: type, default, bounds, unit and help. Knows no view and no model.

From these models come TOML files, `--set key=value`, the command line's options, the forms of the window and the
validation messages.
"""

from __future__ import annotations

import difflib
import os
import tempfile
import tomllib
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import UserError

M = TypeVar("M", bound=BaseModel)
WhenFull = Literal["stop", "drop oldest", "summarise"]
"""What happens to a conversation that is longer than the model reads."""


class Sampling(BaseModel):
    """How the next token is chosen. The defaults are those of the original project."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    temperature: float = Field(
        0.7,
        ge=0.0,
        le=2.0,
        title="Temperature",
        description="0 always takes the most likely token; higher values vary more.",
        json_schema_extra={"step": 0.05},
    )
    top_p: float = Field(
        0.95,
        gt=0.0,
        le=1.0,
        title="Top-p",
        description="Keep the most likely tokens that together reach this probability; 1 keeps all.",
        json_schema_extra={"step": 0.01},
    )
    top_k: int = Field(
        0,
        ge=0,
        le=1000,
        title="Top-k",
        description="Keep only this many of the most likely tokens; 0 keeps all.",
    )
    min_p: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        title="Min-p",
        description="Drop tokens less likely than this share of the most likely one; 0 drops none.",
        json_schema_extra={"step": 0.01},
    )
    repetition_penalty: float = Field(
        1.0,
        ge=1.0,
        le=2.0,
        title="Repetition penalty",
        description="Make tokens of the last 20 less likely to come again; 1 is off.",
        json_schema_extra={"step": 0.05},
    )
    max_tokens: int = Field(
        512,
        ge=1,
        le=131072,
        title="Maximum length",
        description="The answer ends after this many tokens at the latest.",
        json_schema_extra={"unit": "tokens"},
    )
    seed: int | None = Field(
        None,
        ge=0,
        le=2**31 - 1,
        title="Seed",
        description="The same seed, model and conversation give the same answer; empty takes a new one each time.",
        json_schema_extra={"empty": "Random"},
    )
    stop: tuple[str, ...] = Field(
        (),
        title="Stop strings",
        description="The answer ends where one of these texts appears; the text itself is left out.",
    )


class Settings(BaseModel):
    """What the program remembers between starts."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    appearance: Literal["system", "light", "dark"] = Field(
        "system",
        title="Appearance",
        description="Follow the system, or always light or dark.",
        json_schema_extra={"group": "Window"},
    )
    send_key: Literal["return", "command-return"] = Field(
        "return",
        title="Send messages with",
        description="The key that sends; the other one (or Shift-Return) starts a new line.",
        json_schema_extra={"group": "Window"},
    )
    model: str = Field(
        "starter",
        title="Model at start",
        description="A folder, a Hugging Face id, or an alias such as starter.",
        json_schema_extra={"group": "Models"},
    )
    precision: Literal["auto", "stored", "float32", "bfloat16", "float16"] = Field(
        "auto",
        title="Number format",
        description="The type weights are computed in; auto keeps the stored type on a GPU and takes float32 on a CPU.",
        json_schema_extra={"group": "Models"},
    )
    memory_limit: int = Field(
        0,
        ge=0,
        le=1 << 20,
        title="Memory limit",
        description="Refuse models that need more than this; 0 takes what the machine recommends.",
        json_schema_extra={"unit": "MiB", "group": "Models", "step": 1024},
    )
    system_prompt: str = Field(
        "",
        title="System prompt",
        description="What a new conversation tells the model about how to answer.",
        json_schema_extra={"group": "Chat", "multiline": True},
    )
    sampling: Sampling = Field(Sampling(), title="Sampling", json_schema_extra={"group": "Chat"})
    when_full: WhenFull = Field(
        "stop",
        title="Full context",
        description="Stop, leave the oldest turns out, or have the model summarise them; what is left out is shown.",
        json_schema_extra={"group": "Chat"},
    )
    kv_bits: Literal["full", "8", "4"] = Field(
        "full",
        title="KV cache precision",
        description="Bits per number of what is remembered of a text; fewer save memory and change answers a little.",
        json_schema_extra={"group": "Chat memory"},
    )
    kv_memory: int = Field(
        0,
        ge=0,
        le=1 << 20,
        title="KV cache memory",
        description="How much the KV caches of recent conversations may take; 0 takes a quarter of what there is.",
        json_schema_extra={"unit": "MiB", "group": "Chat memory", "step": 256},
    )
    kv_disk: int = Field(
        4096,
        ge=0,
        le=1 << 24,
        title="KV cache disk",
        description="KV caches kept on disk, so that a long conversation is not read again; 0 keeps none.",
        json_schema_extra={"unit": "MiB", "group": "Chat memory", "step": 1024},
    )
    speculative: bool = Field(
        False,
        title="Speculative decoding",
        description="A small draft model guesses ahead and the model checks: the same answers, faster where it pays.",
        json_schema_extra={"group": "Speed"},
    )
    draft_model: str = Field(
        "",
        title="Draft model",
        description="A small model with the same tokenizer; empty takes the smallest that fits on this computer.",
        json_schema_extra={"group": "Speed"},
    )
    run_folders: tuple[str, ...] = Field(
        (),
        title="Folders of runs",
        description="Where training runs are looked for besides the program's own folder; the list of runs keeps it.",
        json_schema_extra={"group": "Training"},
    )


class SuggestedModels(BaseModel):
    """The Hugging Face ids that the window suggests to begin with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: tuple[str, ...] = Field((), title="Models", description="Ids of models in MLX format.")


def read(model: type[M], path: Path) -> M:
    """The settings in a TOML file; a file that does not exist gives the defaults.

    Raises:
        UserError: the file is not TOML, or holds an unknown key or a value out of bounds.
    """
    try:
        values = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        values = {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UserError(
            "The settings file {path} cannot be read.",
            "{reason}",
            "Correct that line, or delete the file to start from the defaults.",
            path=path,
            reason=error,
        ) from error
    return build(model, values)


def build(model: type[M], values: dict[str, Any]) -> M:
    """A settings model from plain values.

    Raises:
        UserError: names the first key at fault, what it must be, and the nearest known key.
    """
    try:
        return model(**values)
    except ValidationError as error:
        raise _explain(model, error) from error


def assign(values: dict[str, Any], assignment: str) -> dict[str, Any]:
    """`values` with one `key=value` set, the value read as TOML where it is TOML and as text where not.

    A key with dots reaches into tables, as in TOML: `sampling.top_k=40`.

    Raises:
        UserError: there is no `=` in the assignment.
    """
    key, equals, text = assignment.partition("=")
    if not equals:
        raise UserError(
            "--set {assignment} has no value.",
            "A setting is given as key=value.",
            "Write for example --set temperature=0.5",
            assignment=assignment,
        )
    table, dot, inner = key.strip().partition(".")
    if dot:
        held = values.get(table)
        return values | {table: assign(held if isinstance(held, dict) else {}, f"{inner}={text}")}
    try:
        document = tomllib.loads(f"value = {text.strip()}")
        value = document["value"] if len(document) == 1 else text.strip()  # more than one line is a text
    except tomllib.TOMLDecodeError:
        value = {"yes": True, "on": True, "no": False, "off": False}.get(text.strip().lower(), text.strip())
    return values | {key.strip(): value}


def write(settings: BaseModel, path: Path) -> None:
    """Write the settings that differ from their defaults, to a temporary name first."""
    import tomli_w

    text = tomli_w.dumps(settings.model_dump(mode="json", exclude_defaults=True, exclude_none=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".partial")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _explain(model: type[BaseModel], error: ValidationError) -> UserError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
    if first["type"] == "extra_forbidden":
        holder = model
        for part in first["loc"][:-1]:
            annotation = holder.model_fields[str(part)].annotation
            holder = annotation if isinstance(annotation, type) else holder
        known = sorted(holder.model_fields)
        near = difflib.get_close_matches(str(first["loc"][-1]), known, 1)
        remedy = "Did you mean {nearest}?" if near else "Known settings: {known}."
        return UserError(
            "There is no setting {key}.",
            "",
            remedy,
            key=key,
            nearest=near[0] if near else "",
            known=", ".join(known),
        )
    if not key:
        return UserError(
            "These settings do not go together.", "{reason}.", "Change one of them.", reason=_reason(first["msg"])
        )
    return UserError(
        "The setting {key} cannot be {value!r}.",
        "{reason}.",
        "Choose another value.",
        key=key,
        value=first["input"],
        reason=_reason(first["msg"]),
    )


def _reason(message: str) -> str:
    plain = message.removeprefix("Value error, ")
    return plain[:1].upper() + plain[1:]
