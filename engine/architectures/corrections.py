"""Makes mlx_lm's classes compute the rotary embeddings and windows that transformers does. Knows no weights.

Many of mlx_lm's classes ignore a sliding window, an irregular pattern of windowed layers or a kind of rotary scaling,
in silence. What transformers would do is read from its configuration object, what mlx_lm does from the built model;
where they differ the layer is put right, or the model refused.
"""

from __future__ import annotations

from typing import Any

from engine.architectures import activations, gemma, rotary, windows
from engine.architectures.recomputing import Recomputing

# Types whose arguments class refuses kinds of rotary scaling that `rotary` puts in afterwards.
_PARTICULAR = ("nemotron", "phi3", "qwen2_moe")


def corrected(
    model_class: type[Any], arguments_class: type[Any], config: dict[str, Any]
) -> tuple[type[Any], type[Any]]:
    """The classes, with all that differs put right whenever a model is made of them.

    Args:
        model_class: the Model of a module of mlx_lm.
        arguments_class: its ModelArgs.
        config: the content of config.json. For model types that transformers lacks the classes come back as they are.

    Raises:
        UserError: transformers knows the type and cannot read the values; later, from the class: the configuration
            asks for something that neither mlx_lm's class nor our corrections compute.
    """
    from engine.model_config import as_transformers

    described = as_transformers(config)
    if described is None:
        return model_class, arguments_class
    # A language model alone may be described twice, for a class made for several parts.
    text = described if described.model_type.endswith("_text") else described.get_text_config(decoder=True)
    bases = (Recomputing, model_class) if rotary.switches(text) else (model_class,)

    class Corrected(*bases):  # type: ignore[misc]
        def __init__(self, arguments: Any) -> None:
            super().__init__(arguments)
            gemma.correct(self)
            rotary.correct(self, text)
            activations.correct(self, text)
            windows.correct(self, text)

    class Arguments(arguments_class):  # type: ignore[misc]
        @classmethod
        def from_dict(cls, params: dict[str, Any]) -> Any:
            left = ("rope_scaling",) if text.model_type in _PARTICULAR else ()
            left = (*left, "layer_types") if text.model_type in windows.CORRECTED else left
            params = {key: value for key, value in params.items() if key not in left}
            return super().from_dict(params | windows.arguments(text))

    # mlx_lm finds a model's tokenizer settings by its class's module.
    for ours, theirs in ((Corrected, model_class), (Arguments, arguments_class)):
        ours.__module__, ours.__qualname__, ours.__name__ = theirs.__module__, theirs.__qualname__, theirs.__name__
    return Corrected, Arguments
