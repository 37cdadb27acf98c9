"""What a .gguf file says about rotary positions, in a Hugging Face config's words. Knows no weights but the factors.

Meanings follow llama.cpp (`ggml_rope_ext`, `conversion/llama.py`, `conversion/phi.py`) and, on the other side,
transformers' `modeling_rope_utils.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from engine.convert.gguf_header import Header
from engine.convert.gguf_values import short
from engine.errors import UserError

_CLOSE = 1e-3
# A difference in a frequency grows with the position, to a turn of its own in a long context.
_SAME_FREQUENCY = 2e-5


def rotary_settings(header: Header, dimensions: int) -> dict[str, Any]:
    """`rope_theta` and, where positions are scaled, `rope_scaling`, as transformers 4 writes them.

    Args:
        dimensions: how many numbers of a head are rotated.

    Raises:
        UserError: the scaling is of a kind no configuration can state.
    """
    settings: dict[str, Any] = {"rope_theta": short(header.get("rope.freq_base", 10000.0))}
    scaling = _scaling(header, dimensions, settings["rope_theta"])
    return settings | ({"rope_scaling": scaling} if scaling else {})


def floats(header: Header, name: str) -> list[float]:
    """The numbers of a small float32 tensor, or none where there is no such tensor."""
    import numpy as np

    tensor = header.tensors.get(name)
    if tensor is None or tensor.kind != "F32":
        return []
    return [float(x) for x in np.fromfile(tensor.file, "<f4", math.prod(tensor.shape), offset=tensor.offset)]


def _scaling(header: Header, dimensions: int, base: float) -> dict[str, Any]:
    if "rope_factors_long.weight" in header.tensors:
        return _long(header)
    if "rope_freqs.weight" in header.tensors:
        factors = floats(header, "rope_freqs.weight")
        return llama3_scaling(factors, dimensions, base) if any(abs(x - 1) > _CLOSE for x in factors) else {}
    before_types = header.get("rope.scale_linear", 0.0)
    kind = header.get("rope.scaling.type", "linear" if before_types else "none")
    factor = short(header.get("rope.scaling.factor", before_types))
    if kind == "none" or factor in (0, 1):
        return {}
    if kind == "linear":
        return {"rope_type": "linear", "type": "linear", "factor": factor}
    if kind == "yarn":
        return _yarn(header, factor)
    raise _unknown(header, str(kind))


def _yarn(header: Header, factor: float) -> dict[str, Any]:
    unusual = ("attn_factor", "yarn_attn_factor", "yarn_ext_factor", "yarn_log_multiplier")
    if any(abs(header.get(f"rope.scaling.{key}", 1.0) - 1) > _CLOSE for key in unusual):
        raise _unknown(header, "yarn with factors of its own")
    scaling = {"rope_type": "yarn", "type": "yarn", "factor": factor}
    scaling["original_max_position_embeddings"] = header.get("rope.scaling.original_context_length", 0)
    for name in ("beta_fast", "beta_slow"):
        value = header.get(f"rope.scaling.yarn_{name}")
        if value is not None:
            scaling[name] = short(value)
    if not scaling["original_max_position_embeddings"]:
        raise _unknown(header, "yarn without the original context length")
    return scaling


def _long(header: Header) -> dict[str, Any]:
    """Phi-3's scaling; its attention factor is one that readers compute themselves, so it is only checked here."""
    original = header.get("rope.scaling.original_context_length", 0)
    context = header.get("context_length", 0)
    stated = header.get("rope.scaling.attn_factor", 0.0)
    ratio = context / original if original else 0.0
    expected = math.sqrt(1 + math.log(ratio) / math.log(original)) if ratio > 1 else 1.0
    if not ratio or (stated and abs(stated - expected) > _CLOSE):
        raise _unknown(header, "longrope with an attention factor of its own")
    factors = {
        f"{length}_factor": [short(x) for x in floats(header, f"rope_factors_{length}.weight")]
        for length in ("long", "short")
    }
    return {"rope_type": "longrope", "type": "longrope", **factors}


def llama3_scaling(factors: Sequence[float], dimensions: int, base: float) -> dict[str, Any]:
    """The settings of Llama 3's scaling from the factors by which it slows each frequency down.

    The factors are 1 for fast frequencies, the full factor for slow ones, and between them 1 / ((1 - s) / factor + s)
    with s linear in the frequency. Low and high bounds only matter relative to the original context, so the low one is
    taken as 1, as in every published model.

    Args:
        factors: one for each pair of rotated numbers, from the fastest to the slowest.

    Raises:
        UserError: no settings give these factors.
    """
    full = max(factors)
    turns = [base ** (-2 * i / dimensions) / (2 * math.pi) for i in range(len(factors))]
    between = [
        (turn, (1 / factor - 1 / full) / (1 - 1 / full))
        for turn, factor in zip(turns, factors, strict=True)
        if 1 + _CLOSE < factor < full * (1 - _CLOSE)
    ]
    candidates = [(4.0, float(2**power)) for power in range(17, 4, -1)]
    if len(between) == 1:
        ((turn, share),) = between
        candidates.insert(0, (4.0, float(round((share * 3 + 1) / turn))))
    if len(between) > 1:
        (first, high), (last, low) = between[0], between[-1]
        slope = (high - low) / (first - last)
        start = low - slope * last
        if start < 0:
            bound = 1 - 1 / start
            candidates.insert(0, (round(bound, 3), float(round(slope * (bound - 1)))))
    for bound, context in candidates:
        scaling = {
            "rope_type": "llama3",
            "type": "llama3",
            "factor": short(full),
            "low_freq_factor": 1.0,
            "high_freq_factor": bound,
            "original_max_position_embeddings": int(context),
        }
        if all(
            abs(_llama3_factor(turn, full, bound, context) / factor - 1) < _SAME_FREQUENCY
            for turn, factor in zip(turns, factors, strict=True)
        ):
            return scaling
    raise UserError(
        "The rotary positions of this file are scaled in a way no configuration can state.",
        "Its factors are not those of Llama 3's formula.",
        "Choose the model as a Hugging Face folder.",
    )


def _llama3_factor(turn: float, full: float, bound: float, context: float) -> float:
    """By how much one frequency (in turns per token) is slowed down, as transformers computes it from its settings."""
    position = turn * context
    if position > bound:
        return 1.0
    if position < 1:
        return full
    share = (position - 1) / (bound - 1)
    return 1 / ((1 - share) / full + share)


def _unknown(header: Header, kind: str) -> UserError:
    return UserError(
        "{name} scales rotary positions in a way that is not known here: {kind}.",
        "Reading it all the same would give a model that writes nonsense beyond a few sentences.",
        "Choose the model as a Hugging Face folder.",
        name=header.files[0].name,
        kind=kind,
    )
