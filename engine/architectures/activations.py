"""Puts right the activation functions of a model built by mlx_lm. Knows the configuration and no weights.

mlx_lm writes one activation into each class; a configuration may name another, and for some classes mlx_lm's is not
what the configuration names by default (exact and tanh-approximated GELU taken for each other).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.errors import UserError

if TYPE_CHECKING:
    import mlx.core as mx

_TANH = ("gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_python_tanh", "gelu_accurate")
# What mlx_lm's classes compute where it is not SiLU.
_COMPUTED = {
    "apertus": "xielu",
    "bitnet": "relu2",
    "gemma": "gelu",
    "gemma2": "tanh",
    "gemma3_text": "tanh",
    "gemma3n_text": "tanh",
    "gemma4_text": "tanh",
    "gpt2": "tanh",
    "gpt_bigcode": "gelu",
    "gpt_neox": "tanh",
    "gptj": "tanh",
    "nanochat": "relu2",
    "nemotron": "relu2",
    "phi": "tanh",
    "recurrent_gemma": "tanh",
    "starcoder2": "gelu",
}
# The names of the matrices of an MLP: into the hidden layer, and out of it; a gate goes before where there is one.
_MATRICES = (
    ("gate_proj", "up_proj", "down_proj"),
    ("c_fc", "c_proj"),
    ("dense_h_to_4h", "dense_4h_to_h"),
    ("fc1", "fc2"),
    ("fc_in", "fc_out"),
    ("up_proj", "down_proj"),
)


class Activated:
    """Goes before the class of an MLP: computes it with another activation."""

    activation: Callable[[mx.array], mx.array]
    matrices: tuple[str, ...]

    def __call__(self, x: mx.array) -> mx.array:
        *inward, outward = (getattr(self, name) for name in self.matrices)
        hidden = type(self).activation(inward[0](x))
        result: mx.array = outward(hidden * inward[1](x) if len(inward) > 1 else hidden)
        return result


def correct(model: Any, text: Any) -> None:
    """Give every MLP of the model the activation that transformers gives it.

    Args:
        model: as built by mlx_lm's class; changed in place.
        text: transformers' configuration of the language model.

    Raises:
        UserError: the configuration names an activation that mlx_lm's class does not compute and we cannot put in.
    """
    names = ("hidden_activation", "hidden_act", "activation_function")
    named = next((value for name in names if isinstance(value := getattr(text, name, None), str)), None)
    if named is None:
        return
    wanted = {"swish": "silu"}.get(named, "tanh" if named in _TANH else named)
    if wanted == _COMPUTED.get(text.model_type, "silu"):
        return
    function = _function(wanted)
    for layer in model.layers:
        module = layer.get("mlp")
        matrices = next((names for names in _MATRICES if module is not None and all(n in module for n in names)), None)
        if function is None or matrices is None or "act_fn" in module:
            raise UserError(
                "The activation {named} of this {model_type} model cannot be computed.",
                "The class for this architecture has another built in, and with it the model would write nonsense.",
                "Choose another model, or update the program when a newer mlx-lm supports this one.",
                named=named,
                model_type=text.model_type,
            )
        kind = type(module)
        own = {"activation": staticmethod(function), "matrices": matrices, "__module__": kind.__module__}
        module.__class__ = type(kind.__name__, (Activated, kind), own)


def _function(name: str) -> Callable[[mx.array], mx.array] | None:
    from mlx.nn.layers import activations

    known: dict[str, Callable[[mx.array], mx.array]] = {
        "silu": activations.silu,
        "gelu": activations.gelu,
        "tanh": activations.gelu_approx,
        "relu": activations.relu,
        "relu2": activations.relu2,
    }
    return known.get(name)
