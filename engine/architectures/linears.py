"""Fits linear layers to a checkpoint: biases it has or lacks, the width of an MLP. Knows no architecture."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import mlx.core as mx

_SUFFIX = ".bias"
_WIDTHS = ("intermediate_size", "shared_intermediate_size", "n_inner")


def fit(model: Any, weights: dict[str, mx.array], config: dict[str, Any]) -> None:
    """Match the linear layers of a fresh model to those of its weights, where a configuration allows both.

    mlx_lm's classes fix for many layers whether they have a bias, where transformers has a setting. A bias that is
    there can only be added. One that is not there is taken away if no layer of the model has it and the configuration
    turns some bias off; else it counts as missing. Some classes fix the width of feed-forward layers too.

    Args:
        model: as its class built it, before quantisation; changed in place.
        weights: under the names of the model.
        config: the content of config.json.
    """
    import mlx.core as mx
    from mlx.nn.layers.convolution import Conv1d
    from mlx.nn.layers.linear import Linear

    turned_off = any(value is False for key, value in config.items() if "bias" in key)
    widths = {width for key in _WIDTHS if isinstance(width := config.get(key), int)}
    kinds = {_kind(name) for name in weights}
    for path, module in model.named_modules():
        if not isinstance(module, Linear | Conv1d) or f"{path}.weight" not in weights:
            continue
        shape = _shape(path, weights, config)
        if isinstance(module, Linear) and _differ_by_width(shape, module.weight.shape, widths):
            module.weight = mx.zeros(shape)
            if "bias" in module:
                module.bias = mx.zeros(shape[:1])
        name = path + _SUFFIX
        if "bias" not in module and name in weights and tuple(weights[name].shape) == shape[:1]:
            module.bias = mx.zeros(shape[:1])
        elif "bias" in module and turned_off and _kind(name) not in kinds:
            module.pop("bias")


def _shape(path: str, weights: dict[str, mx.array], config: dict[str, Any]) -> tuple[int, ...]:
    """The shape of a layer's weights, before they were packed if they are quantised."""
    shape, scales = tuple(weights[f"{path}.weight"].shape), weights.get(f"{path}.scales")
    common = config.get("quantization")
    if scales is None or not isinstance(common, dict):
        return shape
    own = common[path] if isinstance(common.get(path), dict) else common
    return (*shape[:-1], scales.shape[-1] * own["group_size"])


def _differ_by_width(found: tuple[int, ...], built: tuple[int, ...], widths: set[int]) -> bool:
    differing = [length for length, other in zip(found, built, strict=False) if length != other]
    return len(found) == len(built) and len(differing) == 1 and differing[0] in widths


def _kind(name: str) -> str:
    """The name without the numbers of its layer and expert."""
    return re.sub(r"\.\d+\.", ".N.", name)
