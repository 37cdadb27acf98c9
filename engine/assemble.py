"""Puts weights into the model class of a configuration, saying what did not fit. Knows no file form."""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import architectures, model_config
from engine.architectures import layouts, linears, mends, names, settings
from engine.errors import UserError

if TYPE_CHECKING:
    import mlx.core as mx
    from mlx.nn.layers.base import Module

_SHOWN = 5


@dataclass(slots=True)
class Assembled:
    """A model with lazily read weights, the configuration it was built from, and the tensors that were left out."""

    model: Module
    config: dict[str, Any]
    left_out: tuple[str, ...] = ()


def assemble(
    config: dict[str, Any], weights: dict[str, mx.array], *, strict: bool = True, code: Path | None = None
) -> Assembled:
    """Build the model that a configuration describes and give it these weights.

    Buffers that are computed anew, copies of a tied head and the parts of other senses are left out in any case, and
    wrapper prefixes are undone. Nothing is evaluated but a head that should equal the embedding.

    Args:
        config: the content of a config.json as transformers 4 or 5 or mlx_lm writes it.
        weights: lazily read arrays by their names in the checkpoint.
        strict: refuse tensors the architecture does not know; else they are left out and listed.
        code: the folder whose `model_file` may be run, where the person trusts the model's own code.

    Returns:
        the model, the normalised configuration (with `quantization` where the weights are packed), and the names, as
        in `weights` or as in the model, of all tensors that were left out.

    Raises:
        UserError: the architecture is unknown, the configuration asks for something no class here computes, a weight
            is missing or misshapen, or (strict) one is unknown.
    """
    import mlx.core as mx
    from mlx_lm.utils import load_model

    model_class, arguments_class = _classes(config, code)
    unwrapped = {layouts.unwrapped(name): name for name in weights}
    weights = {name: weights[wrapped] for name, wrapped in unwrapped.items()}
    config = layouts.with_own_head(config, weights)
    tied = config.get("tie_word_embeddings") is True
    config = model_config.normalised(config)
    weights, buffers = layouts.without_buffers(names.readable(weights, config))
    described = model_config.as_transformers(config)
    text = described.get_text_config(decoder=True) if described is not None else None
    if text is not None:
        settings.require_computed(model_class, text)
    left_out = set(buffers)

    class Filled(model_class):  # type: ignore[misc, valid-type]
        """The class, fed with our weights instead of those that `load_model` finds beside config.json."""

        def __init__(self, arguments: Any) -> None:
            super().__init__(arguments)
            if described is not None:
                mends.mend(self, described, weights)

        def sanitize(self, _: dict[str, mx.array]) -> dict[str, mx.array]:
            sanitizer: Any = getattr(super(), "sanitize", dict)
            parts = [(module, dict(module)) for module in self.modules()]

            def attempt(renamed: dict[str, mx.array]) -> dict[str, mx.array]:
                # A sanitizer may take parts off the model, which the next attempt wants again.
                for module, content in parts:
                    dict.update(module, content)
                result: dict[str, mx.array] = sanitizer(renamed)
                return result

            fitted = layouts.fitted(weights, attempt, lambda: _places(self), tied=tied)
            left_out.update(layouts.dropped(weights, fitted))
            linears.fit(self, fitted, config if text is None else text.to_dict() | config)
            return fitted

        def load_weights(self, pairs: list[tuple[str, mx.array]], strict: bool = True) -> Any:
            arrays, extra = _matched(dict(pairs), _places(self), weights, strict=strict)
            left_out.update(extra)
            return super().load_weights(list(arrays.items()))

    written = {key: value for key, value in config.items() if key != "model_file"}
    with tempfile.TemporaryDirectory(prefix="mlx-grpo-") as folder:
        Path(folder, "config.json").write_text(json.dumps(written), "utf-8")
        mx.save_safetensors(str(Path(folder, "model.safetensors")), {})
        try:
            model, loaded = load_model(
                Path(folder), lazy=True, strict=strict, get_model_classes=lambda config: (Filled, arguments_class)
            )
        except UserError:
            raise
        except Exception as error:  # other people's files go through other people's code
            raise UserError(
                "This model cannot be loaded.",
                "{reason}",
                "Its files are damaged or not as config.json says. Get it again, or convert the original once more.",
                reason=_shortened(error),
            ) from error
    # From here on it is what it looks like: mlx_lm asks models for their class's module.
    model.__class__ = model_class
    # A class lives in a cycle; what it holds would stay in memory until that is collected.
    weights.clear()
    return Assembled(model, config | loaded, tuple(sorted(unwrapped.get(name, name) for name in left_out)))


def _classes(config: dict[str, Any], code: Path | None) -> tuple[type[Any], type[Any]]:
    """The classes for a configuration, those of the model's own code where it has some and the person trusts it."""
    own = config.get("model_file")
    if own is None:
        return architectures.classes(config)
    if code is None:
        raise UserError(
            "This model brings its own program code, {own}, and cannot be used without it.",
            "Such code can do anything on this computer, so it is not run unless you say so.",
            "If you trust where the model comes from, allow its code (--trust-remote-code).",
            own=own,
        )
    spec = importlib.util.spec_from_file_location("custom_model", code / own)
    if spec is None or spec.loader is None or not (code / own).is_file():
        raise UserError(
            "The model's own program code is missing: {own}",
            "config.json names it as model_file.",
            "Get the model again from where it came.",
            own=own,
        )
    module = importlib.util.module_from_spec(spec)
    # Its classes are asked for their module later.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.Model, module.ModelArgs


def _places(model: Any) -> dict[str, mx.array]:
    """What the model has a place for, each with an array of the shape and kind of number that belongs there."""
    from mlx.utils import tree_flatten

    leaves: Any = tree_flatten(model.parameters())
    return dict(leaves)


def _matched(
    arrays: dict[str, mx.array],
    places: dict[str, mx.array],
    source: dict[str, mx.array],
    *,
    strict: bool,
) -> tuple[dict[str, mx.array], list[str]]:
    """The arrays that the model has a place for, and the names of the others; refuses what does not fit."""
    missing = [name for name in places if name not in arrays]
    if missing:
        raise UserError(
            "Weights of this model are missing: {missing}",
            "Without them those parts would stay random and the model would write nonsense.",
            "Get the model again; one of its files is incomplete, or its config.json belongs to another model.",
            missing=_listed(missing),
        )
    for name, place in places.items():
        if arrays[name].shape != place.shape:
            raise UserError(
                "The weight {name} has the wrong shape.",
                "It is {found}, and by config.json it should be {expected}.",
                "Get the model again; its weights or its config.json belong to another model.",
                name=name,
                found=_size(arrays[name].shape),
                expected=_size(place.shape),
            )
    extra = [name for name in arrays if name not in places]
    _require_numbers(arrays, places, extra)
    unknown = layouts.unexplained(extra, arrays, source)
    if strict and unknown:
        raise UserError(
            "The checkpoint has weights that a model of this kind does not use: {unknown}",
            "Either config.json does not describe this model, or it has parts that would be lost.",
            "If you can do without them, load it relaxed (--relaxed): they are then left out and listed.",
            unknown=_listed(unknown),
        )
    found = {name: array for name, array in arrays.items() if name in places}
    return found, [layouts.name_in(source, name, arrays[name]) for name in extra]


def _require_numbers(arrays: dict[str, mx.array], places: dict[str, mx.array], extra: list[str]) -> None:
    """Refuse weights that are packed in a form which was not undone: as numbers they would mean something else."""
    import mlx.core as mx

    packed = [name for name in extra if layouts.PACKING.search(name)]
    packed += [
        name
        for name, place in places.items()
        if mx.issubdtype(place.dtype, mx.floating) and not mx.issubdtype(arrays[name].dtype, mx.floating)
    ]
    if packed:
        raise UserError(
            "The weights of this model are quantised in a form this program cannot read: {packed}",
            "They are packed numbers that need scales, and would be taken for weights as they stand.",
            "Get the model unquantised (bfloat16 or float16), and quantise it here.",
            packed=_listed(packed),
        )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def _size(shape: Iterable[int]) -> str:
    return " x ".join(str(length) for length in shape) or "a single number"


def _shortened(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    text = text if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: {text}"
    return text if len(text) <= 300 else text[:297] + "…"
