"""Refuses settings that change what is computed and that the model's class ignores. Reads no weights."""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

from engine.errors import UserError

# Settings of transformers that some class of mlx_lm does not read. Shapes, training and what `corrections`, `mends`
# and `linears` put right are not among them.
_COMPUTING = (
    "attn_logit_softcapping",
    "attn_temperature_tuning",
    "clip_qkv",
    "final_logit_softcapping",
    "full_attn_alpha_factor",
    "full_attn_beta_factor",
    "kda_lower_bound",
    "kda_safe_gate",
    "layer_norm_epsilon",
    "linear_attn_alpha_factor",
    "linear_attn_beta_factor",
    "mlp_alpha_factor",
    "mlp_beta_factor",
    "moe_apply_router_weight_on_input",
    "qk_layernorm",
    "rms_norm_eps",
    "swiglu_alpha",
    "swiglu_limit",
    "time_step_limit",
    "use_bidirectional_attention",
)
# Settings that a class reads and yet computes in one way only, with the value that is right.
_ONLY: dict[str, dict[str, Any]] = {
    "falcon_h1": {"attention_bias": False, "mlp_bias": False, "mamba_proj_bias": False, "projectors_bias": False},
    "gpt_bigcode": {"multi_query": True, "scale_attn_weights": True},
}


def require_computed(model_class: type[Any], text: Any) -> None:
    """Refuse what the class would compute otherwise than transformers does.

    Args:
        model_class: the class that is to compute the model.
        text: transformers' configuration of the language model.

    Raises:
        UserError: a setting differs from its default, and the class computes the default.
    """
    usual = type(text)()
    source = _source(model_class)
    expected = {key: getattr(usual, key) for key in _COMPUTING if hasattr(usual, key) and not _reads(source, key)}
    for key, value in (expected | _ONLY.get(text.model_type, {})).items():
        found = getattr(text, key)
        if found != value and not (isinstance(found, tuple | list) and list(found) == list(value)):
            raise UserError(
                "This {model_type} model needs {key} = {found}, which this program cannot compute.",
                "The class for this architecture always computes with {value}; the answers would be wrong.",
                "Choose another model, or update the program when a newer mlx-lm supports this one.",
                model_type=text.model_type,
                key=key,
                found=found,
                value=value,
            )


def _source(model_class: type[Any]) -> str:
    """The source of the class's module, of those it inherits from and of those whose classes it uses."""
    modules = {kind.__module__ for kind in model_class.__mro__}
    used = {getattr(value, "__module__", None) for name in modules for value in vars(sys.modules[name]).values()}
    names = {name for name in modules | used if isinstance(name, str) and name != __name__}
    ours = (name for name in names if name.startswith(("mlx_lm.models.", "engine.architectures.")))
    return "".join(inspect.getsource(sys.modules[name]) for name in sorted(ours))


def _reads(source: str, key: str) -> bool:
    return re.search(rf"\.{key}\b", source) is not None
