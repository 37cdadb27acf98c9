"""Renames and reshapes the tensors of checkpoints that mlx_lm's own classes do not read. Evaluates nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import mlx.core as mx

Weights = dict[str, "mx.array"]


def readable(weights: Weights, config: dict[str, Any]) -> Weights:
    """The weights under names that the sanitizer of their model's class reads."""
    change = _CHANGES.get(config["model_type"])
    return change(weights, config) if change else weights


def _gpt_oss(weights: Weights, _config: dict[str, Any]) -> Weights:
    """Experts that are not packed: (experts, in, out) with gate and up interleaved, as transformers computes them."""
    if not any(name.endswith(".experts.gate_up_proj") for name in weights):
        return weights
    result = {}
    for name, array in weights.items():
        stem, _, kind = name.rpartition(".experts.")
        if kind in ("gate_up_proj", "gate_up_proj_bias"):
            rows, end = (array, "bias") if kind.endswith("bias") else (array.swapaxes(1, 2), "weight")
            result[f"{stem}.experts.gate_proj.{end}"] = rows[:, ::2]
            result[f"{stem}.experts.up_proj.{end}"] = rows[:, 1::2]
        elif kind == "down_proj":
            result[f"{stem}.experts.down_proj.weight"] = array.swapaxes(1, 2)
        elif kind == "down_proj_bias":
            result[f"{stem}.experts.down_proj.bias"] = array
        else:
            result[name] = array
    return result


def _ernie(weights: Weights, _config: dict[str, Any]) -> Weights:
    """The bias of the router's choice, under a name that mlx_lm's sanitizer does not drop."""
    old = "moe_statics.e_score_correction_bias"
    return {
        name.replace(old, "choice_bias"): array.flatten() if old in name else array for name, array in weights.items()
    }


def _stacked(weights: Weights, _config: dict[str, Any]) -> Weights:
    """Experts stacked layer by layer, where mlx_lm's sanitizer looks at the first layer only and that one is dense."""
    import mlx.core as mx

    experts: dict[str, dict[int, mx.array]] = {}
    result = {}
    for name, array in weights.items():
        found = re.fullmatch(r"(.*\.mlp)\.experts\.(\d+)\.(\w+\.\w+)", name)
        if found is None:
            result[name] = array
        else:
            experts.setdefault(f"{found[1]}.switch_mlp.{found[3]}", {})[int(found[2])] = array
    return result | {name: mx.stack([found[index] for index in sorted(found)]) for name, found in experts.items()}


def _exact_norms(weights: Weights, _config: dict[str, Any]) -> Weights:
    """Norms in float32 where mlx_lm's sanitizer adds 1 to them, which 16 bits cannot hold."""
    import mlx.core as mx

    if not any(name.endswith("conv1d.weight") and array.shape[-1] != 1 for name, array in weights.items()):
        return weights
    added = re.compile(r"(\.input_layernorm|\.post_attention_layernorm|model\.norm|\.[qk]_norm)\.weight$")
    return {name: array.astype(mx.float32) if added.search(name) else array for name, array in weights.items()}


def _qwen_experts(weights: Weights, config: dict[str, Any]) -> Weights:
    return _stacked(_exact_norms(weights, config), config)


def _olmo_hybrid(weights: Weights, config: dict[str, Any]) -> Weights:
    """The norms of layers with a state are called otherwise in checkpoints than in either class."""
    weights = _split_anew(weights, config)
    renamed = {"attention_layer_norm": "input_layernorm", "feedforward_layer_norm": "post_attention_layernorm"}
    return {
        re.sub(r"(?<=\.)(attention|feedforward)_layer_norm(?=\.)", lambda found: renamed[found[0]], name): array
        for name, array in weights.items()
    }


def _split_anew(weights: Weights, config: dict[str, Any]) -> Weights:
    """OLMo-hybrid's three convolutions, which transformers 5 writes as equal thirds of all their channels."""
    import mlx.core as mx

    keys = config["linear_num_key_heads"] * config["linear_key_head_dim"]
    result = dict(weights)
    for name in weights:
        if name.endswith(".q_conv1d.weight"):
            names = [name.replace("q_conv1d", f"{part}_conv1d") for part in "qkv"]
            if all(other in weights for other in names):
                channels = mx.concatenate([weights[other] for other in names])
                result |= dict(zip(names, mx.split(channels, [keys, 2 * keys]), strict=True))
    return result


_NANOCHAT = (
    (r"^model\.embed_tokens\.", "transformer.wte."),
    (r"^model\.layers\.", "transformer.h."),
    (r"\.self_attn\.([qkv])_proj\.", r".attn.c_\1."),
    (r"\.self_attn\.o_proj\.", ".attn.c_proj."),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
)


def _nanochat(weights: Weights, _config: dict[str, Any]) -> Weights:
    """The names of transformers' port of nanochat become nanochat's own."""
    result = {}
    for name, array in weights.items():
        own = name
        for pattern, replacement in _NANOCHAT:
            own = re.sub(pattern, replacement, own)
        result[own] = array
    return result


def _falcon_h1(weights: Weights, config: dict[str, Any]) -> Weights:
    """Falcon-H1's multipliers of keys and values, which mlx_lm forgets when it folds the others into the weights.

    Its sanitizer changes arrays in place, so each is a new one here. Converted weights have them all already.
    """
    import mlx.core as mx

    convolution = next((array for name, array in weights.items() if name.endswith("conv1d.weight")), None)
    converted = convolution is not None and convolution.shape[-1] <= convolution.shape[1]
    factors = {"k_proj": config["key_multiplier"], "v_proj": config["attention_in_multiplier"]}
    result = {}
    for name, array in weights.items():
        if not converted and array.dtype in (mx.bfloat16, mx.float16):
            # A product with a multiplier has more digits than 16 bits hold.
            array = array.astype(mx.float32)  # noqa: PLW2901
        factor = 1.0 if converted else factors.get(name.split(".")[-2], 1.0)
        result[name] = array * factor if factor != 1 else mx.stop_gradient(array)
    return result


def _vision_experts(weights: Weights, config: dict[str, Any]) -> Weights:
    """Experts as (experts, out, in), as transformers 5 writes them; those on the Hub are (experts, in, out)."""
    text = config["text_config"]
    out_first = (text["hidden_size"], text["moe_intermediate_size"])
    turned = {
        name.removesuffix("down_proj")
        for name, array in weights.items()
        if name.endswith(".experts.down_proj") and tuple(array.shape[1:]) == out_first
    }
    matrices = {stem + end for stem in turned for end in ("down_proj", "gate_up_proj")}
    return {name: array.swapaxes(1, 2) if name in matrices else array for name, array in weights.items()}


_CHANGES: dict[str, Callable[[Weights, dict[str, Any]], Weights]] = {
    "ernie4_5_moe": _ernie,
    "falcon_h1": _falcon_h1,
    "gpt_oss": _gpt_oss,
    "nanochat": _nanochat,
    "olmo_hybrid": _olmo_hybrid,
    "qwen2_moe": _stacked,
    "qwen3_5": _exact_norms,
    "qwen3_5_moe": _qwen_experts,
    "qwen3_5_moe_text": _qwen_experts,
    "qwen3_5_text": _exact_norms,
    "qwen3_moe": _stacked,
    "qwen3_next": _exact_norms,
    "qwen3_vl_moe": _vision_experts,
}
