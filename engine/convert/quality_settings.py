"""Which settings are worth comparing with the chosen one. Knows the settings there are; no model."""

from __future__ import annotations

from typing import Any

from engine.convert.settings import RECIPES, ConversionSettings

_MOST = 6
# Beside each number of bits: smaller, larger, and one that is nearly exact.
_BITS = {2: (3, 4, 6, 8), 3: (2, 4, 6, 8), 4: (3, 5, 6, 8), 5: (4, 6, 8), 6: (4, 5, 8), 8: (4, 6)}
_GROUPS = {32: (64,), 64: (32, 128), 128: (64,)}
# Beside each format of the hardware makers: its kin, and the affine settings of about its size.
_MODES: dict[str, tuple[dict[str, Any], ...]] = {
    "mxfp4": ({"mode": "nvfp4"}, {"bits": 4}, {"bits": 4, "group_size": 32}, {"mode": "mxfp8"}, {"bits": 8}),
    "nvfp4": ({"mode": "mxfp4"}, {"bits": 4}, {"bits": 4, "group_size": 32}, {"mode": "mxfp8"}, {"bits": 8}),
    "mxfp8": ({"mode": "mxfp4"}, {"bits": 4}, {"bits": 6}, {"bits": 8}),
}


def compared(settings: ConversionSettings) -> list[ConversionSettings]:
    """The chosen setting, if it quantises, and its neighbours, from many bits to few; six at most."""
    if not settings.quantize:
        changes: list[dict[str, Any]] = [{"bits": 8}, {"bits": 4}]
    elif settings.mode != "affine":
        changes = [{"mode": settings.mode}, *_MODES[settings.mode]]
    else:
        changes = _recipes(settings) if settings.recipe else _bits(settings)
    made = [_changed(settings, change) for change in changes[:_MOST]]
    return sorted(made, key=_weight, reverse=True)


def _bits(settings: ConversionSettings) -> list[dict[str, Any]]:
    group = settings.group_size
    bits = [{"bits": bits, "group_size": group} for bits in (settings.weight_bits, *_BITS[settings.weight_bits])]
    groups = [{"bits": settings.weight_bits, "group_size": group} for group in _GROUPS[settings.weight_group]]
    return [*bits, *groups]


def _recipes(settings: ConversionSettings) -> list[dict[str, Any]]:
    """The recipe, its two numbers of bits for everything, and the recipes that share one of these."""
    own = RECIPES[settings.recipe]
    kin = [name for name, bits in RECIPES.items() if name != settings.recipe and set(bits) & set(own)]
    group = settings.group_size
    return [
        {"recipe": settings.recipe, "group_size": group},
        *({"bits": bits, "group_size": group} for bits in own),
        *({"recipe": name, "group_size": group} for name in kin),
    ]


def _changed(settings: ConversionSettings, change: dict[str, Any]) -> ConversionSettings:
    plain = {"quantize": True, "dequantize": False, "mode": "affine", "bits": None, "group_size": None, "recipe": ""}
    return ConversionSettings(**settings.model_dump() | plain | change)


def _weight(settings: ConversionSettings) -> tuple[float, int]:
    """What orders settings by size, roughly: bits (a recipe's few matrices count a fifth), then how many scales."""
    low, high = RECIPES.get(settings.recipe, (settings.weight_bits, settings.weight_bits))
    return low + (high - low) / 5, -settings.weight_group
