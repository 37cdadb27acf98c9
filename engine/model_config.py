"""What a config.json means for loading: one that every class reads right, number format. Reads no weights."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from engine import architectures, backend, library
from engine.architectures.words import words
from engine.errors import UserError

_WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}
# Where the language model of a checkpoint with several parts is described.
_NESTED = ("text_config", "llm_config", "language_config")
# What `rotary_settings` alone says.
_ROTARY = ("rope_scaling", "rope_parameters")

# What nothing else checks: a word here is found out by no class before it computes.
_NUMBERS = (
    "rope_theta",
    "rms_norm_eps",
    "layer_norm_eps",
    "norm_eps",
    "hidden_size",
    "vocab_size",
    "num_hidden_layers",
)


def read(folder: Path) -> dict[str, Any]:
    """The configuration of a model folder: config.json, what generation ends with, and how it was quantised elsewhere.

    Raises:
        UserError: config.json is missing or damaged.
    """
    config = library.read_config(folder)
    _require_sound(config)
    if ends := _beside(folder / "generation_config.json").get("eos_token_id"):
        config["eos_token_id"] = ends
    if "quantization_config" not in config and (quantization := _beside(folder / "hf_quant_config.json")):
        config["quantization_config"] = quantization
    return config


def _require_sound(config: dict[str, Any]) -> None:
    """Refuse values that no class checks and that would fail, or compute something else, much later."""
    text = config.get("text_config")
    for part in (config, text if isinstance(text, dict) else {}):
        kinds = {
            "model_type": (str,),
            "architectures": (str, list, type(None)),
            "eos_token_id": (int, list, type(None)),
            **dict.fromkeys(_NUMBERS, (int, float, type(None))),
        }
        for key, kind in kinds.items():
            value = part.get(key)
            if value is not None and (not isinstance(value, kind) or _is_nan(value)):
                raise UserError(
                    "The config.json of this model is damaged: {key} cannot be {value}.",
                    "It should be {expected}.",
                    "Get config.json again from where the model came.",
                    key=key,
                    value=json.dumps(value)[:100],
                    expected={str: "a word", int: "a number"}.get(kind[0], "a list"),
                )


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _beside(path: Path) -> dict[str, Any]:
    """An optional file beside config.json; {} where there is none or it says nothing."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UserError(
            "{path} is damaged.",
            "{reason}",
            "Get this file again from where the model came, or delete it: the model works without it.",
            path=path,
            reason=error,
        ) from error
    return content if isinstance(content, dict) else {}


def as_transformers(config: dict[str, Any]) -> Any:
    """The transformers configuration object, which holds every default and derived value; None for types it lacks.

    Raises:
        UserError: transformers knows the type and cannot read the values.
    """
    from transformers import CONFIG_MAPPING

    model_type = config.get("model_type")
    if model_type not in CONFIG_MAPPING:
        return None
    # Quantisation is mlx_lm's business, and transformers wants packages for it.
    described = {key: value for key, value in config.items() if key not in ("quantization", "quantization_config")}
    if "text_config" not in CONFIG_MAPPING[model_type].sub_configs:
        described.pop("text_config", None)
    try:
        found = CONFIG_MAPPING[model_type].from_dict(_untagged(described))
    except Exception as error:  # other people's files go through other people's code
        raise UserError(
            "The config.json of this model is not as one of the kind {model_type} should be.",
            "{reason}",
            "Get config.json again from where the model came.",
            model_type=model_type,
            reason=" ".join(str(error).split())[:300] or type(error).__name__,
        ) from error
    text = found.get_text_config(decoder=True)
    if text.to_dict().get("per_layer_config"):
        # Who reads a value that differs between layers gets the one of most layers.
        text.allow_global_per_layer_attribute_access = True
    return found


def _untagged(value: Any) -> Any:
    """A copy with the numbers that JSON lacks, which transformers 5 writes as {"__float__": "Infinity"}."""
    if isinstance(value, dict):
        if set(value) == {"__float__"}:
            return float(value["__float__"])
        return {key: _untagged(inner) for key, inner in value.items()}
    return [_untagged(inner) for inner in value] if isinstance(value, list) else value


def normalised(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with everything said in the words that every version of mlx_lm reads.

    transformers 5 writes rotary settings as `rope_parameters`, which many classes of mlx_lm ignore, and transformers
    leaves out what equals its default, where mlx_lm's default may differ.

    Raises:
        UserError: a value is none that this kind of model can have.
    """
    return _normalised(config, as_transformers(config))


def _normalised(config: dict[str, Any], described: Any) -> dict[str, Any]:
    result = dict(config)
    for name in _NESTED:
        if isinstance(config.get(name), dict):
            inner = getattr(described, name, None)
            result[name] = _normalised(
                config[name], inner if hasattr(inner, "to_dict") else as_transformers(config[name])
            )
    fields = architectures.fields(config)
    # A class for a checkpoint of several parts, of which this is the language model alone.
    inner = fields is not None and "text_config" in fields and "text_config" not in config
    fields = None if inner else fields
    if described is not None:
        for key in described.to_dict() if fields is None else fields:
            given = key in _ROTARY or isinstance(getattr(type(described), key, None), property)
            value = None if given else getattr(described, key, None)
            if result.get(key) is None and isinstance(value, bool | int | float | str | list | dict):
                result[key] = value
    rotary = rotary_settings(getattr(described, "rope_parameters", None) or config.get("rope_parameters"))
    result |= {key: value for key, value in rotary.items() if fields is None or key in fields or key in config}
    if described is not None:
        result |= words(described)
    if inner:
        result["text_config"] = {key: value for key, value in result.items() if key != "text_config"}
    if stored := config.get("dtype") or config.get("torch_dtype"):
        result["dtype"] = result["torch_dtype"] = stored
    return result


def rotary_settings(parameters: Any) -> dict[str, Any]:
    """The rotary keys that mlx_lm's classes read, from the `rope_parameters` that transformers 5 writes instead.

    Without them mlx_lm's llama, qwen2 and others take base 10000 in silence: fluent, and wrong. Parameters of several
    kinds of layers become those of the full attention, and `rope_local_base_freq` for the sliding one.
    """
    if not isinstance(parameters, dict) or not parameters:
        return {}
    settings: dict[str, Any] = {"rope_parameters": parameters}
    main, local = parameters, None
    if "rope_theta" not in parameters and any(isinstance(value, dict) for value in parameters.values()):
        main, local = parameters.get("full_attention") or {}, parameters.get("sliding_attention")
    if local:
        settings["rope_local_base_freq"] = local["rope_theta"]
    for key in ("rope_theta", "partial_rotary_factor"):
        if main.get(key) is not None:
            settings[key] = main[key]
    kind = main.get("rope_type") or main.get("type") or "default"
    if kind == "default":
        return settings | {"rope_scaling": None}
    scaling = {key: value for key, value in main.items() if key != "rope_theta" and value is not None}
    return settings | {"rope_scaling": scaling | {"type": kind, "rope_type": kind}}


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
