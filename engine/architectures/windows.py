"""Puts right the sliding windows of a model built by mlx_lm. Knows the configuration and no weights."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from engine.errors import UserError

if TYPE_CHECKING:
    import mlx.core as mx

# Types whose window, where there is one, is every layer's: their transformers classes read no layer_types.
_EVERY_LAYER = ("mistral", "ministral3", "mixtral", "phi3", "phimoe", "qwen3_moe", "starcoder2")
# Types whose class of ours leaves the mask to the layers in any case.
_ALWAYS = ("gemma2", "gemma3_text")
# Types whose mlx_lm layer computes right with any window: nothing in it but the mask depends on it.
CORRECTED = (
    *_EVERY_LAYER,
    *_ALWAYS,
    "cohere2",
    "cwm",
    "dots1",
    "mimo_v2_flash",
    "ministral",
    "qwen2",
    "qwen2_moe",
    "qwen3",
    "smollm3",
)


class Windowed:
    """Goes before the class of a decoder layer: the layer makes the mask of its own window."""

    window: int | None
    signature: inspect.Signature
    array_masks: bool

    def __call__(self, *args: Any, **kwargs: Any) -> mx.array:
        from mlx_lm.models.base import create_attention_mask

        given = self.signature.bind(self, *args, **kwargs)
        given.arguments["mask"] = create_attention_mask(
            args[0], given.arguments.get("cache"), window_size=self.window, return_array=self.array_masks
        )
        return super().__call__(*given.args[1:], **given.kwargs)  # type: ignore[misc, no-any-return]


def windows_of(text: Any) -> list[int | None] | None:
    """The window of each layer in tokens (the query's own included), as transformers reads the configuration.

    None in the list is attention to everything before; None instead of the list, that nothing is said about windows.
    """
    window = getattr(text, "sliding_window", None) or None
    types = getattr(text, "layer_types", None)
    if text.model_type in _EVERY_LAYER:
        limited = window if getattr(text, "use_sliding_window", True) else None
        return [limited] * int(text.num_hidden_layers)
    if not types or not set(types) <= {"sliding_attention", "full_attention"}:
        return None
    return [window if kind == "sliding_attention" else None for kind in types]


def arguments(text: Any) -> dict[str, Any]:
    """What mlx_lm's class for this type must be told so that its own windows come out as configured."""
    if text.model_type != "exaone4":
        return {}
    # Its pattern is a word of L(ocal) and G(lobal), repeated; one as long as the model says any arrangement.
    letters = ["L" if kind == "sliding_attention" else "G" for kind in text.layer_types]
    return {"sliding_window_pattern": "".join(letters) if text.sliding_window else None}


def correct(model: Any, text: Any) -> None:
    """Give every layer of the model the window that transformers gives it.

    Args:
        model: as built by mlx_lm's class; changed in place. Where its windows are not the configured ones its layers
            are made to mask by theirs, and its caches to keep as much as they need.
        text: transformers' configuration of the language model.

    Raises:
        UserError: the windows differ, and mlx_lm's class for this type cannot be corrected.
    """
    from mlx_lm.models.cache import make_prompt_cache

    if text.model_type == "llama4_text":
        _check_llama4(text)
    wanted = windows_of(text)
    if wanted is None:
        return
    caches = make_prompt_cache(model)
    computed = [getattr(cache, "max_size", None) for cache in caches]
    # Layers that share another's keys have no cache of their own.
    if wanted[: len(computed)] == computed and text.model_type not in _ALWAYS:
        return
    if text.model_type not in CORRECTED:
        raise _refusal(text, wanted, computed)
    for layer, window in zip(model.layers, wanted, strict=True):
        kind = type(layer)
        own = {
            "window": window,
            "signature": inspect.signature(kind.__call__),
            "array_masks": text.model_type == "gemma2",
        }
        layer.__class__ = type(kind.__name__, (Windowed, kind), own | {"__module__": kind.__module__})
        if text.model_type == "cohere2":  # its windowed layers are those that know positions
            layer.self_attn.use_sliding_window = window is not None
    model.make_cache = functools.partial(_caches, wanted)


def _check_llama4(text: Any) -> None:
    """Refuse chunked layers that are not, or not rotated, where mlx_lm's class has them: three of every four."""
    wanted = [kind == "chunked_attention" for kind in text.layer_types]
    computed = [(index + 1) % 4 != 0 for index in range(len(wanted))]
    if wanted != computed or [bool(rotated) for rotated in text.no_rope_layers] != computed:
        raise _refusal(text, text.layer_types, "chunks in three of every four layers, and rotation in those alone")


def _refusal(text: Any, wanted: object, computed: object) -> UserError:
    return UserError(
        "The attention windows of this {model_type} model cannot be computed.",
        "Layer by layer its config.json asks for {wanted}, and the class for this architecture computes {computed}. "
        "Texts longer than the window would come out wrong.",
        "Choose another model, or update the program when a newer mlx-lm supports this one.",
        model_type=text.model_type,
        wanted=wanted,
        computed=computed,
    )


def _caches(windows: list[int | None]) -> list[Any]:
    from mlx_lm.models.cache import KVCache, RotatingKVCache

    return [KVCache() if window is None else RotatingKVCache(max_size=window) for window in windows]
