"""Puts a model's weights into fewer bits, back into full precision, or into another type, all lazily. Knows no file."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.assemble import Assembled
from engine.convert.settings import ConversionSettings
from engine.errors import UserError

if TYPE_CHECKING:
    from mlx.nn.layers.base import Module

# What a quantisation predicate may answer: no, yes as the rest, or yes with parameters of its own.
_Answer = bool | dict[str, Any]
_Predicate = Callable[[str, Any], _Answer]


def transform(assembled: Assembled, settings: ConversionSettings) -> Assembled:
    """Cast, dequantise and quantise as the settings say; the given model is changed in place and evaluates nothing.

    Raises:
        UserError: as `quantise` and `dequantise`.
    """
    # Before the rest too: what is dequantised or quantised takes the type of its scales.
    assembled = cast(assembled, settings.dtype)
    if settings.dequantize:
        return cast(dequantise(assembled), settings.dtype)
    return quantise(assembled, settings) if settings.quantize else assembled


def quantise(assembled: Assembled, settings: ConversionSettings) -> Assembled:
    """Quantise the model in place, lazily; one that is quantised already is dequantised first.

    A layer that the model's class wants in more bits, or whole, stays so in mixed recipes too. `whole_layers` tells
    which layers stay whole.

    Raises:
        UserError: no layer can be quantised in groups of this size, or the recipe does not fit the architecture.
    """
    from mlx_lm.utils import quantize_model

    if is_quantised(assembled.model):
        assembled = cast(dequantise(assembled), settings.dtype)
    model = assembled.model
    rows = {module.weight.shape[-1] for _, module in _quantisable(model)}
    if not any(row % settings.weight_group == 0 for row in rows):
        raise UserError(
            "Nothing in this model can be quantised in groups of {group}.",
            "The rows of its weights hold {rows} numbers, and none of these is a multiple of {group}.",
            "Choose a smaller group size, or leave the model unquantised.",
            group=settings.weight_group,
            rows=", ".join(map(str, sorted(rows))) or "no",
        )
    # It prints the bits per weight, which the events say in their own words.
    with contextlib.redirect_stdout(io.StringIO()):
        model, config = quantize_model(
            model,
            assembled.config,
            settings.weight_group,
            settings.weight_bits,
            mode=settings.mode,
            quant_predicate=_predicate(model, assembled.config, settings),
        )
    return Assembled(model, config, assembled.left_out)


def dequantise(assembled: Assembled) -> Assembled:
    """Turn quantised layers back into whole ones in place, lazily, in the type of their scales.

    Those of mxfp4, mxfp8 and nvfp4, whose scales have no such type, come out in bfloat16, which holds them exactly.

    Raises:
        UserError: a layer is quantised in a way that cannot be undone.
    """
    import mlx.core as mx
    from mlx.utils import tree_unflatten
    from mlx_lm.models.mla import MultiLinear, QuantizedMultiLinear
    from mlx_lm.utils import dequantize_model

    model = assembled.model
    multiple = []  # the one kind that mlx_lm's function does not know
    for name, module in model.named_modules():  # type: ignore[no-untyped-call]
        if getattr(module, "global_scale", None) is not None:
            raise _undoable(name)
        if isinstance(module, QuantizedMultiLinear):
            weight = mx.dequantize(
                module.weight, module.scales, module.biases, module.group_size, module.bits, module.mode
            )
            heads, outputs, inputs = weight.shape
            layer = MultiLinear(inputs, outputs, heads)
            layer.weight = weight
            multiple.append((name, layer))
    if multiple:
        model.update_modules(tree_unflatten(multiple))
    model = dequantize_model(model)
    for name, module in model.named_modules():
        if "weight" in module and not mx.issubdtype(module.weight.dtype, mx.floating):
            raise _undoable(name)
    config = {
        key: value for key, value in assembled.config.items() if key not in ("quantization", "quantization_config")
    }
    return Assembled(model, config, assembled.left_out)


def cast(assembled: Assembled, dtype: str) -> Assembled:
    """Put the model's numbers into this type in place, lazily, except those its class keeps as they are.

    Args:
        dtype: "float16", "bfloat16" or "float32"; "stored" changes nothing.
    """
    import mlx.core as mx
    from mlx.utils import tree_map_with_path

    if dtype == "stored":
        return assembled
    target = getattr(mx, dtype)
    model = assembled.model
    wanted: Callable[[str], bool] = getattr(model, "cast_predicate", lambda _: True)

    def converted(path: str, array: mx.array) -> mx.array:
        return array.astype(target) if wanted(path) and mx.issubdtype(array.dtype, mx.floating) else array

    model.update(tree_map_with_path(converted, model.parameters()))  # type: ignore[no-untyped-call]
    config = assembled.config | {"dtype": dtype, "torch_dtype": dtype}
    if isinstance(config.get("text_config"), dict):
        config["text_config"] = config["text_config"] | {"dtype": dtype, "torch_dtype": dtype}
    return Assembled(model, config, assembled.left_out)


def is_quantised(model: Module) -> bool:
    """Whether any layer of the model is quantised."""
    return any("scales" in module for module in model.modules())  # type: ignore[no-untyped-call]


def whole_layers(model: Module) -> tuple[str, ...]:
    """The layers of a quantised model that stay whole: their rows do not divide into groups, or its class says so."""
    return tuple(name for name, _ in _quantisable(model)) if is_quantised(model) else ()


def _quantisable(model: Module) -> list[tuple[str, Any]]:
    modules = model.named_modules()  # type: ignore[no-untyped-call]
    return [(name, module) for name, module in modules if hasattr(module, "to_quantized") and "weight" in module]


def _predicate(model: Any, config: dict[str, Any], settings: ConversionSettings) -> _Predicate:
    """What each layer gets: what the model's class says, else what the recipe says, in groups that divide its rows."""
    by_class: _Predicate = getattr(model, "quant_predicate", None) or (lambda _path, _module: True)
    by_recipe = _recipe(model, config, settings)

    def answer(path: str, module: Any) -> _Answer:
        said = by_class(path, module)
        if said is True:
            said = by_recipe(path, module)
        row = module.weight.shape[-1]
        if isinstance(said, dict) and row % said["group_size"]:
            # The class names a group of 64; a narrower row takes the next smaller, or what the rest takes.
            return said | {"group_size": 32} if row % 32 == 0 else True
        return said

    return answer


def _recipe(model: Any, config: dict[str, Any], settings: ConversionSettings) -> _Predicate:
    from mlx_lm.convert import mixed_quant_predicate_builder

    if not settings.recipe:
        return lambda _path, _module: True
    misfit = UserError(
        "The recipe {recipe} does not fit a {model_type} model.",
        "It picks layers by names (v_proj, down_proj) that this architecture does not have, or has elsewhere.",
        "Choose a number of bits instead of a recipe.",
        recipe=settings.recipe,
        model_type=config.get("model_type", ""),
    )
    try:
        predicate: _Predicate = mixed_quant_predicate_builder(settings.recipe, model, settings.weight_group)
    except (ValueError, AttributeError) as error:
        raise misfit from error

    def answer(path: str, module: Any) -> _Answer:
        try:
            return predicate(path, module)
        except ValueError as error:
            raise misfit from error

    return answer


def _undoable(layer: str) -> UserError:
    return UserError(
        "The quantisation of this model cannot be undone.",
        "The layer {layer} is stored in a form that cannot be turned back into full precision here.",
        "Convert the unquantised original instead.",
        layer=layer,
    )
