"""Which model class computes a configuration: ours where mlx_lm's lacks something, else mlx_lm's. Reads no weights."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

from engine.errors import UserError

# Model types whose class is ours, with the module here that holds its Model and ModelArgs.
OURS: dict[str, str] = {"ministral": "ministral", "olmo": "olmo", "nanochat": "nanochat", "nanochat_gpt": "nanochat"}
# mlx_lm's module ends the whole program where a package of its own is missing, even if asked for a tokenizer only.
sys.modules.setdefault("mlx_lm.models.olmo", None)  # type: ignore[arg-type]
# Model types that differ from one of mlx_lm's only in what `corrections` puts right.
_SAME = {
    "cwm": "llama",
    "gemma3n_text": "gemma3n",
    "llama4_text": "llama4",
    "qwen3_5_moe_text": "qwen3_5_moe",
    "qwen3_5_text": "qwen3_5",
}


def classes(config: dict[str, Any]) -> tuple[type[Any], type[Any]]:
    """The Model and ModelArgs classes for a configuration.

    Raises:
        UserError: neither we nor mlx_lm have this model type; names the nearest that is there.
    """
    from mlx_lm.utils import _get_classes

    from engine.architectures.corrections import corrected

    model_type = config["model_type"]
    module = OURS.get(model_type)
    if module is not None:
        ours = importlib.import_module(f"engine.architectures.{module}")
        return corrected(ours.Model, ours.ModelArgs, config)
    try:
        model, arguments = _get_classes(config | {"model_type": _SAME.get(model_type, model_type)})
    except (ValueError, AttributeError) as error:  # some modules there hold no model
        raise _unknown(config["model_type"]) from error
    return corrected(model, arguments, config)


def fields(config: dict[str, Any]) -> frozenset[str] | None:
    """The keys that the class for a configuration takes; None where there is no class."""
    try:
        _, arguments = classes(config)
    except (UserError, KeyError):
        return None
    return frozenset(inspect.signature(arguments).parameters)


def _unknown(model_type: str) -> UserError:
    import mlx_lm.models
    from mlx_lm.utils import MODEL_REMAPPING

    known = {path.stem for path in Path(mlx_lm.models.__path__[0]).glob("*.py")} | set(MODEL_REMAPPING) | set(OURS)
    near = difflib.get_close_matches(model_type, sorted(known), 1)
    return UserError(
        "This model is of a kind this program cannot run: {model_type}.",
        "Neither MLX-GRPO nor the installed mlx-lm has this architecture; the nearest it has is {nearest}."
        if near
        else "Neither MLX-GRPO nor the installed mlx-lm has this architecture.",
        "Choose another model, or update the program when a newer mlx-lm supports it.",
        model_type=model_type,
        nearest=near[0] if near else "",
    )
