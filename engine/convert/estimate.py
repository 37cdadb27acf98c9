"""How large a conversion's result will be, and what it needs meanwhile, from a plan alone. Reads no file.

Pure and quick, so that a window can show the figures while the person tries settings. Sizes are in bytes.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping

from engine.conversion_events import ConversionPlanned
from engine.convert.settings import RECIPES, ConversionSettings
from engine.convert.source import TensorInfo

WIDTHS = {"float32": 4, "float16": 2, "bfloat16": 2}
# What Python, MLX and mlx_lm take before any weight is read.
_PROGRAM = 260 * 10**6
# A tensor is there as read, as computed and as written.
_COPIES = 3
_LAYER = re.compile(r"(?:layers|h|blocks|blk)\.(\d+)\.")
_PLAIN = re.compile(r"norm|conv|ln_|\bln\b|wpe|pos_emb|A_log|inv_freq|bias$")


def estimate(plan: ConversionPlanned, settings: ConversionSettings) -> ConversionPlanned:
    """The same plan with the figures that follow from these settings.

    Bits per weight are those of mlx_lm's formats: a group of weights shares a scale and, in affine mode, a bias in the
    number format of the model; in the others a scale of one byte.
    """
    result = _result(plan, settings)
    checked = plan.checked and settings.check != "never"
    return dataclasses.replace(
        plan,
        result_bytes=result,
        result_bits=round(8 * result / max(1, plan.parameters), 2),
        disk_needed=result + plan.scratch_bytes,
        checked=checked,
        peak_memory=_PROGRAM + _COPIES * plan.largest_tensor + (8 * plan.parameters if checked else 0),
    )


def _result(plan: ConversionPlanned, settings: ConversionSettings) -> int:
    quantized = plan.dtype not in WIDTHS and plan.dtype != "mixed"
    untouched = settings.dtype == "stored" and not settings.quantize and not (settings.dequantize and quantized)
    if untouched or (quantized and not settings.quantize and not settings.dequantize):
        # What MLX cannot read is rewritten first, some of it in more bits.
        return plan.scratch_bytes or plan.source_bytes
    width = WIDTHS.get(settings.dtype, plan.weight_bytes)
    if not settings.quantize:
        return int(plan.parameters * width)
    group = settings.weight_group
    overhead = 2 * width if settings.mode == "affine" else 1
    total = plan.other_weights * width
    for role, length, weights in plan.matrices:
        bits = RECIPES[settings.recipe][role != "other"] if settings.recipe else settings.weight_bits
        total += weights * (bits / 8 + overhead / group) if length % group == 0 else weights * width
    return int(total)


def matrices(tensors: Mapping[str, TensorInfo], layers: int) -> tuple[tuple[tuple[str, int, int], ...], int]:
    """The weights quantisation applies to, as `ConversionPlanned.matrices`, and the number of all others.

    The roles are those of mlx_lm/convert.py's mixed recipes: value and down projections of the first and last eighth
    of the layers and of every third between are sensitive.
    """
    counted: Counter[tuple[str, int]] = Counter()
    others = 0
    for name, tensor in tensors.items():
        if len(tensor.shape) < 2 or _PLAIN.search(name):
            others += tensor.elements
            continue
        counted[_role(name, layers), tensor.shape[-1]] += tensor.elements
    return tuple((role, length, weights) for (role, length), weights in counted.items()), others


def _role(name: str, layers: int) -> str:
    if "lm_head" in name:
        return "head"
    found = _LAYER.search(name)
    if not found or not re.search(r"v_proj|v_a_proj|v_b_proj|down_proj", name):
        return "other"
    index, eighth = int(found[1]), layers // 8
    more = index < eighth or index >= 7 * layers // 8 or (index - eighth) % 3 == 2
    return "sensitive" if more else "other"
