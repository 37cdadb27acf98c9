"""Puts right the rotary embeddings of a model built by mlx_lm. Knows the configuration and no weights."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlx.nn.layers.base import Module


def parameters_of(text: Any, layer: int) -> Mapping[str, Any]:
    """The rotary parameters of one layer, by transformers' configuration of the language model; {} where none are."""
    parameters = getattr(text, "rope_parameters", None) or {}
    types = getattr(text, "layer_types", None)
    if types and layer < len(types) and any(isinstance(value, dict) for value in parameters.values()):
        parameters = parameters.get(types[layer]) or {}
    return parameters if "rope_theta" in parameters else {}


def switches(text: Any) -> bool:
    """Whether the model rotates long texts in another way than short ones (longrope)."""
    count = getattr(text, "num_hidden_layers", 0)
    return any(parameters_of(text, layer).get("rope_type") == "longrope" for layer in range(count))


def correct(model: Any, text: Any) -> None:
    """Give every attention of the model the rotary embedding that transformers gives it.

    Args:
        model: as built by mlx_lm's class; changed in place. `model.layers` are its decoder layers.
        text: transformers' configuration of the language model.
    """
    for index, layer in enumerate(model.layers):
        parameters = parameters_of(text, index)
        if not parameters or parameters.get("alpha"):
            continue  # Hunyuan's fixed alpha is mlx_lm's own
        for _, module in layer.named_modules():
            rope = module.get("rope")
            if rope is not None and (better := _better(rope, parameters, text)) is not None:
                module.rope = better


def _rotates_parts(text: Any) -> bool:
    """Whether transformers' class for this configuration reads `partial_rotary_factor` where nothing is scaled."""
    configuration = Path(inspect.getfile(type(text)))
    model = configuration.with_name(configuration.name.replace("configuration_", "modeling_"))
    # Not imported: that would take torch.
    return model.is_file() and "partial_rotary_factor" in model.read_text("utf-8")


def _better(rope: Any, parameters: Mapping[str, Any], text: Any) -> Module | None:
    """The layer to put in place of `rope`; None where that one is right or not a rotary embedding."""
    from mlx.nn.layers.positional_encoding import RoPE

    from engine.architectures.rope import KINDS, Rope

    dims = rope.__dict__.get("dims", rope.__dict__.get("dim"))
    if dims is None and hasattr(rope, "_freqs"):
        dims = 2 * rope._freqs.shape[0]
    if dims is None:
        return None
    # DeepSeek-V2's own class keeps no such attribute: its pairs are neighbours.
    traditional = rope.__dict__.get("traditional", type(rope).__name__.startswith("Deepseek"))
    # DeepSeek-V3 and its kin can store halves instead; an indexer's own rotation is mlx_lm's.
    if traditional and getattr(text, "rope_interleave", None) is False:
        traditional = False
    kind, base = parameters.get("rope_type", "default"), parameters["rope_theta"]
    if parameters.get("partial_rotary_factor") and (kind in KINDS or (kind == "default" and _rotates_parts(text))):
        head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        dims = int(head * parameters["partial_rotary_factor"])
    if kind in KINDS:
        return Rope(dims, traditional, parameters, text.max_position_embeddings)
    if kind != "default" or not isinstance(rope, RoPE):
        return None
    right = (rope.dims, rope.base, rope.scale, rope.traditional) == (dims, base, 1.0, traditional)
    return None if right else RoPE(dims, traditional=traditional, base=base)
