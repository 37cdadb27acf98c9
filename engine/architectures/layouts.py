"""Undoes what makes checkpoints of one architecture differ: prefixes, buffers, tied heads. Knows no model class."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from engine.errors import UserError

if TYPE_CHECKING:
    import mlx.core as mx

# What torch registers beside the weights and every class computes anew.
_BUFFERS = re.compile(
    r"(rotary_emb|rotary_pos_emb|rope)\.(inv_freq|\w*_inv_freq|cos_cached|sin_cached|freqs|freqs_cis)$"
    r"|\.(attn|attention|self_attn|self_attention)\.masked_bias$"
    r"|(^|\.)(inv_freq|freqs_cis|embed_positions|position_ids|rotary_embed\.inv_freq)$"
)
# A causal mask of GPT-2's kin has this name too, but also a bias vector of others: only more than two axes tell.
_MASK = re.compile(r"\.(attn|attention)\.bias$")
# The parts of a checkpoint that see, hear or guess ahead, which a language model leaves out.
OTHER_SENSES = re.compile(
    r"(^|\.)(vision_tower|vision_model|vision_embed_tokens|visual|multi_modal_projector|mm_projector|embed_vision"
    r"|audio_tower|audio_model|audio_encoder|embed_audio|mtp|model_visual|sound_encoder|image_newline)(\.|$)"
)
# What other packings need to make numbers of their weights.
PACKING = re.compile(r"\.(weight_scale(_inv|_2)?|weight_packed|qweight|qzeros|scales|absmax|SCB|quant_state\.\w+)$")
_HEADS = re.compile(r"^(?!.*\.\d+\.)(.*\.)?(lm_head|embed_out|output|head)\.weight$")
_OUTPUTS = re.compile(_HEADS.pattern.replace("weight$", "(weight|bias)$"))
_EMBEDDINGS = re.compile(
    r"(^|\.)(embed_tokens|wte|embed_in|word_embeddings|tok_embeddings|embeddings|embedding)\.weight$"
)
# What wrappers and base models add to or take from the names.
_WRAPPERS = re.compile(r"^((_orig_mod|module|base_model\.model)\.)+")
_STRIPPED = ("transformer.", "language_model.", "model.")
_ADDED = ("model.", "transformer.", "gpt_neox.", "backbone.", "language_model.model.")
# The language model of a checkpoint that had more parts, under its own names.
_INSERTED = ((r"^", "language_model."), (r"^model\.", "model.language_model."))


def unwrapped(name: str) -> str:
    """The name of a weight without what compiling, parallel training and adapters put before it."""
    return _WRAPPERS.sub("", name)


def without_buffers(weights: dict[str, mx.array]) -> tuple[dict[str, mx.array], list[str]]:
    """The weights that a model learns, and the names of what it computes anew."""
    buffers = [
        name for name, array in weights.items() if _BUFFERS.search(name) or (_MASK.search(name) and array.ndim > 2)
    ]
    return {name: array for name, array in weights.items() if name not in set(buffers)}, buffers


def head(names: Iterable[str]) -> str:
    """The name of the output matrix, "" where there is none."""
    return next((name for name in names if _HEADS.search(name)), "")


def is_copy(weights: dict[str, mx.array]) -> bool:
    """Whether the output matrix equals the embedding; evaluates both."""
    import mlx.core as mx

    embeddings = (name for name in weights if _EMBEDDINGS.search(name) and not OTHER_SENSES.search(name))
    embedding, found = next(embeddings, ""), head(weights)
    return bool(found and embedding and mx.array_equal(weights[found], weights[embedding]).item())


def with_own_head(config: dict[str, Any], weights: dict[str, mx.array]) -> dict[str, Any]:
    """The configuration with `tie_word_embeddings` as the tensors show it, where they do.

    As transformers 5 does: a head that differs from the embedding is used even where the configuration calls it tied.
    """
    nested = config.get("text_config")
    parts = [config, nested] if isinstance(nested, dict) else [config]
    tied = next((part["tie_word_embeddings"] for part in parts if part.get("tie_word_embeddings") is not None), None)
    found = head(weights)
    if tied is None or (tied and found and not is_copy(weights)):
        tied = not found
    said = {"tie_word_embeddings": tied}
    return config | said | ({"text_config": parts[1] | said} if len(parts) > 1 else {})


def fitted(
    weights: dict[str, mx.array],
    sanitizer: Callable[[dict[str, mx.array]], dict[str, mx.array]],
    places: Callable[[], dict[str, mx.array]],
    *,
    tied: bool,
) -> dict[str, mx.array]:
    """The weights under the names of the class: as its own sanitizer makes them, wrapper prefixes undone if need be.

    Args:
        weights: by their names in the checkpoint.
        sanitizer: the class's own.
        places: gives what the model has a place for; a sanitizer may change it.
        tied: the embedding stands for an output matrix that the class wants and the checkpoint lacks.
    """
    nearest: tuple[int, dict[str, mx.array]] | None = None
    failure: Exception | None = None
    for renamed in _renamings(weights):
        try:
            found = sanitizer(renamed)
        except (LookupError, ValueError) as error:  # a sanitizer trips over names that are not those of its class
            failure = failure or error
            continue
        if tied:
            found = _with_tied_head(found, places())
        missing = len(places().keys() - found.keys())
        if missing == 0:
            return found
        if nearest is None or missing < nearest[0]:
            nearest = missing, found
    if nearest is None:
        raise failure or LookupError("there are no weights")
    return nearest[1]


def _with_tied_head(fitted: dict[str, mx.array], places: dict[str, mx.array]) -> dict[str, mx.array]:
    """The weights of a tied model, the embedding standing for the output matrix where the class wants one."""
    wanted = head(places)
    embedding = next((name for name in fitted if _EMBEDDINGS.search(name)), "")
    if not wanted or wanted in fitted or not embedding:
        return fitted
    return fitted | {wanted: fitted[embedding]}


def _renamings(weights: dict[str, mx.array]) -> Iterable[dict[str, mx.array]]:
    yield dict(weights)
    for prefix in _STRIPPED:
        if any(name.startswith(prefix) for name in weights):
            yield {name.removeprefix(prefix): array for name, array in weights.items()}
    for prefix in _ADDED:
        yield {name if _OUTPUTS.search(name) else prefix + name: array for name, array in weights.items()}
    for pattern, replacement in _INSERTED:
        yield {re.sub(pattern, replacement, name): array for name, array in weights.items()}


def dropped(weights: dict[str, mx.array], fitted: dict[str, mx.array]) -> list[str]:
    """The tensors that the class's own sanitizer dropped, as far as their names tell; refuses to lose a real head."""
    gone = [name for name in weights if OTHER_SENSES.search(name) and name not in fitted]
    found = head(weights)
    elsewhere = (array for name, array in fitted.items() if not _EMBEDDINGS.search(name))
    if found and not head(fitted) and not any(array is weights[found] for array in elsewhere):
        _require_copy(found, weights)
        gone.append(found)
    return gone


def unexplained(extra: list[str], arrays: dict[str, mx.array], source: dict[str, mx.array]) -> list[str]:
    """Which of the tensors that found no place are neither a copy of the embedding nor a part for other senses."""
    found = head(extra)
    if found:
        _require_copy(found, source)
    return [name for name in extra if name != found and not OTHER_SENSES.search(name)]


def name_in(weights: dict[str, mx.array], name: str, array: mx.array) -> str:
    """What a tensor of the model, given by name and array, is called in the checkpoint, as far as that can be told."""
    end = name.split(".")[-2:]
    return next((other for other, same in weights.items() if same is array and other.split(".")[-2:] == end), name)


def _require_copy(name: str, weights: dict[str, mx.array]) -> None:
    if not is_copy(weights):
        raise UserError(
            "This model has an output matrix of its own, {name}, and the class for its kind has no place for it.",
            "The class uses the embedding instead, which here holds other values: the answers would be wrong.",
            "Choose another model, or update the program when a newer mlx-lm supports it.",
            name=name,
        )
