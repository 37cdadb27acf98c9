"""What a config.json means for loading: is the model supported, rotary settings, number format. Reads no weights."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from engine import backend
from engine.errors import UserError
from engine.library import ModelFiles

_WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}


def check_supported(files: ModelFiles) -> None:
    """Refuse a model whose architecture is not there, before anything of it is read.

    Raises:
        UserError: names the nearest architecture that is there.
    """
    import mlx_lm.models
    from mlx_lm.utils import MODEL_REMAPPING

    known = {path.stem for path in Path(mlx_lm.models.__path__[0]).glob("*.py")} | set(MODEL_REMAPPING)
    if files.model_type in known:
        return
    near = difflib.get_close_matches(files.model_type, sorted(known), 1)
    raise UserError(
        "{name} is of a kind this program cannot run: {model_type}.",
        "Neither MLX-GRPO nor the installed mlx-lm has this architecture; the nearest it has is {nearest}."
        if near
        else "Neither MLX-GRPO nor the installed mlx-lm has this architecture.",
        "Choose another model, or update the program when a newer mlx-lm supports it.",
        name=files.name,
        model_type=files.model_type,
        nearest=near[0] if near else "",
    )


def rotary_settings(config: dict[str, Any]) -> dict[str, Any]:
    """The rotary keys that mlx_lm's classes read, from the `rope_parameters` that transformers 5 writes instead.

    Without them mlx_lm's llama, qwen2 and others take base 10000 in silence: fluent, and wrong.
    """
    parameters = config.get("rope_parameters")
    if not isinstance(parameters, dict) or "rope_theta" not in parameters or "rope_theta" in config:
        return {}
    settings: dict[str, Any] = {"rope_theta": parameters["rope_theta"]}
    scaling = {key: value for key, value in parameters.items() if key != "rope_theta"}
    if scaling.get("rope_type", "default") != "default" and not config.get("rope_scaling"):
        settings["rope_scaling"] = scaling
    return settings


def computing_type(precision: str, config: dict[str, Any]) -> Any:
    """The type to compute in, or None to keep the stored one."""
    import mlx.core as mx

    if precision == "auto":
        quantized = "quantization" in config
        precision = "stored" if quantized or backend.has_gpu() else "float32"
    if precision == "stored":
        return None
    if precision not in _WIDTHS:
        raise UserError(
            "{precision} is not a number format models compute in.",
            "",
            "Choose float32, bfloat16 or float16.",
            precision=precision,
        )
    return getattr(mx, precision)


def growth(dtype: Any, config: dict[str, Any]) -> float:
    """How much larger the weights become in this type than they are on disk."""
    stored = str(config.get("dtype") or config.get("torch_dtype") or "")
    if dtype is None or "quantization" in config or stored not in _WIDTHS:
        return 1.0
    return float(dtype.size) / _WIDTHS[stored]
