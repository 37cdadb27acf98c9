"""Puts LoRA and DoRA adapters on a model, and merges them into its weights. Knows no training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UserError, in_short

if TYPE_CHECKING:
    from mlx.nn.layers.base import Module


def put_on(model: Module, adapter: Path) -> Module:
    """The model with the adapter of a folder (adapter_config.json, adapters.safetensors) on it.

    Raises:
        UserError: it is no adapter, or one of another model.
    """
    from mlx_lm.utils import load_adapters

    if "peft_type" in _settings(adapter):
        raise UserError(
            "The adapter {adapter} was made by PEFT and cannot be put on an MLX model.",
            "Its weights have other names and shapes than those of adapters trained with MLX.",
            "Merge it into its model with PEFT first (merge_and_unload), then convert the result.",
            adapter=adapter,
        )
    try:
        model = load_adapters(model, str(adapter))
    except Exception as error:  # other people's files go through other people's code
        raise UserError(
            "The adapter {adapter} cannot be put on this model.",
            "{reason}",
            "Give a folder with adapter_config.json and adapters.safetensors that was trained from this model.",
            adapter=adapter,
            reason=in_short(error),
        ) from error
    _require_complete(model, adapter)
    model.eval()
    return model


def _settings(adapter: Path) -> dict[str, Any]:
    try:
        content = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # mlx_lm says what is wrong with it
    return content if isinstance(content, dict) else {}


def _require_complete(model: Module, adapter: Path) -> None:
    """Refuse an adapter that lacks weights: they would stay as at the start of a training, without any effect."""
    import mlx.core as mx
    from mlx.utils import tree_flatten

    leaves: Any = tree_flatten(model.parameters())  # type: ignore[no-untyped-call]
    there: Any = mx.load(str(adapter / "adapters.safetensors"))
    missing = [name for name, _ in leaves if name.endswith((".lora_a", ".lora_b")) and name not in there]
    if missing:
        raise UserError(
            "The adapter {adapter} is incomplete.",
            "Of the weights that its adapter_config.json promises, {number} are missing, such as {missing}.",
            "Get the adapter again, or the adapter_config.json that belongs to it.",
            adapter=adapter,
            number=len(missing),
            missing=missing[0],
        )


def merge(model: Module, adapter: Path, *, dequantize: bool = False) -> None:
    """Merge the adapter of a folder into the weights of the model, which stay unevaluated.

    A quantised layer is quantised again with the change in it, or with `dequantize` left whole.

    Raises:
        UserError: as `put_on`.
    """
    from mlx.utils import tree_unflatten

    adapted: Any = put_on(model, adapter)
    merged = [
        (name, module.fuse(dequantize=dequantize))
        for name, module in adapted.named_modules()
        if hasattr(module, "fuse")
    ]
    if not merged and _settings(adapter).get("fine_tune_type") != "full":
        raise UserError(
            "The adapter {adapter} changes nothing in this model.",
            "No layer of the model took it.",
            "Give the adapter that was trained from this model.",
            adapter=adapter,
        )
    adapted.update_modules(tree_unflatten(merged))
