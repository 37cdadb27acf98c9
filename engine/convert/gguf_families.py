"""What is particular to each family of models in the configuration of a .gguf file. Reads no file and no weights.

Each maker gets the header and what all families share, and returns what its own configuration states besides. What the
keys mean is in gguf-py's constants.py; where a file is silent, what llama.cpp's src/models/*.cpp assumes is stated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.convert.gguf_header import Header
from engine.convert.gguf_values import short, uniform, unsupported

# Layers of the largest Gemma 2 and Gemma 3, which scale attention by the width per head, not by the head's own.
_LARGE_GEMMA = {"gemma2": 46, "gemma3": 62}


def _renamed(config: dict[str, Any], **names: str) -> dict[str, Any]:
    """Values of the common configuration under the names this architecture's own uses."""
    return {new: config[old] for new, old in names.items()}


def _biases(header: Header) -> dict[str, Any]:
    return {
        "attention_bias": "blk.0.attn_q.bias" in header.tensors,
        "mlp_bias": "blk.0.ffn_up.bias" in header.tensors,
    }


def _llama(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    if header.get("expert_count"):
        return {"model_type": "mixtral", "hidden_act": "silu", "sliding_window": None} | {
            "num_local_experts": header.get("expert_count"),
            "num_experts_per_tok": uniform(header, "expert_used_count"),
        }
    return {"model_type": "llama", "hidden_act": "silu", **_biases(header)}


def _smollm3(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    layers = config["num_hidden_layers"]
    rotated = [int((layer + 1) % 4 != 0) for layer in range(layers)]
    return _llama(header, config) | {"model_type": "smollm3", "no_rope_layer_interval": 4, "no_rope_layers": rotated}


def _granite(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    head = config["head_dim"]
    return _llama(header, config) | {
        "model_type": "granite",
        "attention_multiplier": short(header.get("attention.scale", head**-0.5)),
        "embedding_multiplier": short(header.get("embedding_scale", 1.0)),
        "residual_multiplier": short(header.get("residual_scale", 1.0)),
        "logits_scaling": short(header.get("logit_scale", 1.0)),
    }


def _qwen(model_type: str) -> Callable[[Header, dict[str, Any]], dict[str, Any]]:
    def make(header: Header, config: dict[str, Any]) -> dict[str, Any]:
        made = {"model_type": model_type, "hidden_act": "silu", "use_sliding_window": False, **_biases(header)}
        if "moe" not in model_type:
            return made
        if model_type == "qwen2_moe":
            shared = header.tensors.get("blk.0.ffn_gate_shexp.weight")
            made["shared_expert_intermediate_size"] = header.get(
                "expert_shared_feed_forward_length", shared.shape[0] if shared else 0
            )
        experts = header.tensors.get("blk.0.ffn_gate_exps.weight")
        return made | {
            "num_experts": uniform(header, "expert_count"),
            "num_experts_per_tok": uniform(header, "expert_used_count"),
            "moe_intermediate_size": header.get("expert_feed_forward_length", experts.shape[1] if experts else 0),
            "norm_topk_prob": model_type == "qwen3_moe",
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
        }

    return make


def _olmoe(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    return {"model_type": "olmoe", "hidden_act": "silu", "norm_topk_prob": False, **_biases(header)} | {
        "num_experts": uniform(header, "expert_count"),
        "num_experts_per_tok": uniform(header, "expert_used_count"),
    }


def _gemma(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    made = {
        "model_type": {"gemma3": "gemma3_text"}.get(header.architecture, header.architecture),
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_act": "gelu_pytorch_tanh",
        "attention_bias": False,
    }
    if header.architecture == "gemma":
        return made
    large = config["num_hidden_layers"] == _LARGE_GEMMA[header.architecture]
    width = config["hidden_size"] // config["num_attention_heads"] if large else config["head_dim"]
    made |= {"query_pre_attn_scalar": width, "sliding_window": header.get("attention.sliding_window", 4096)}
    if header.architecture == "gemma2":
        caps = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}
        return made | {key: short(header.get(key, default)) for key, default in caps.items()}
    if header.get("final_logit_softcapping"):
        raise unsupported(header, "limits its logits, which Gemma 3 does not")
    window = header.get("attention.sliding_window", 0) or config["max_position_embeddings"]
    return made | {
        "rope_theta": short(header.get("rope.freq_base", 1_000_000.0)),
        "rope_local_base_freq": short(header.get("rope.freq_base_swa", 10_000.0)),
        "sliding_window": window,
        **_windows(header, config, 6),
    }


def _windows(header: Header, config: dict[str, Any], every: int) -> dict[str, Any]:
    """Which layers see a window only: all but every so-many-th."""
    stated = header.get("attention.sliding_window_pattern")
    layers = config["num_hidden_layers"]
    every = stated if isinstance(stated, int) and stated else every
    local = [bool((layer + 1) % every) for layer in range(layers)]
    if isinstance(stated, list) and [bool(x) for x in stated] != local:
        raise unsupported(header, "alternates between windowed and full attention in an unusual pattern")
    kinds = ["sliding_attention" if x else "full_attention" for x in local]
    return {"sliding_window_pattern": every, "layer_types": kinds}


def _phi3(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    window = header.get("attention.sliding_window") or None
    original = header.get("rope.scaling.original_context_length") or config["max_position_embeddings"]
    return {
        "model_type": "phi3",
        "hidden_act": "silu",
        "sliding_window": window,
        "original_max_position_embeddings": original,
        "pad_token_id": None,
    }


def _phi2(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    names = _renamed(config, layer_norm_eps="rms_norm_eps")
    return {"model_type": "phi", "hidden_act": "gelu_new", "qk_layernorm": False, **names}


def _starcoder2(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    window = header.get("attention.sliding_window") or None
    return {
        "model_type": "starcoder2",
        "hidden_act": "gelu_pytorch_tanh",
        "use_bias": "blk.0.attn_q.bias" in header.tensors,
        "sliding_window": window,
        **_renamed(config, norm_epsilon="rms_norm_eps"),
    }


def _stablelm(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "model_type": "stablelm",
        "hidden_act": "silu",
        "use_qkv_bias": "blk.0.attn_q.bias" in header.tensors,
        "qk_layernorm": "blk.0.attn_q_norm.weight" in header.tensors,
        "use_parallel_residual": "blk.0.ffn_norm.weight" not in header.tensors,
        **_renamed(config, layer_norm_eps="rms_norm_eps"),
    }


def _gpt2(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    names = {
        "n_ctx": "max_position_embeddings",
        "n_positions": "max_position_embeddings",
        "n_embd": "hidden_size",
        "n_head": "num_attention_heads",
        "n_layer": "num_hidden_layers",
        "n_inner": "intermediate_size",
        "layer_norm_epsilon": "rms_norm_eps",
    }
    return {"model_type": "gpt2", "activation_function": "gelu_new", **_renamed(config, **names)}


def _gpt_neox(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "model_type": "gpt_neox",
        "hidden_act": "gelu",
        "use_parallel_residual": header.get("use_parallel_residual", True),
        **_renamed(
            config, layer_norm_eps="rms_norm_eps", rotary_emb_base="rope_theta", rotary_pct="partial_rotary_factor"
        ),
    }


def _cohere(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    made = {
        "model_type": "cohere" if header.architecture == "command-r" else "cohere2",
        "hidden_act": "silu",
        "logit_scale": short(header.get("logit_scale", 1.0)),
        "use_qk_norm": "blk.0.attn_q_norm.weight" in header.tensors,
        "attention_bias": False,
        **_renamed(config, layer_norm_eps="rms_norm_eps"),
    }
    if header.architecture == "cohere2":
        made |= {"sliding_window": header.get("attention.sliding_window", 4096), **_windows(header, config, 4)}
    return made


def _olmo2(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    made = {"model_type": "olmo2", "hidden_act": "silu", **_biases(header)}
    window = header.get("attention.sliding_window")
    return made | ({"model_type": "olmo3", "sliding_window": window, **_windows(header, config, 4)} if window else {})


def _exaone4(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"model_type": "exaone4", "hidden_act": "silu", "sliding_window": None}
    made |= {"sliding_window_pattern": None, "rope_scaling": config.get("rope_scaling")}
    made |= {"layer_types": ["full_attention"] * config["num_hidden_layers"]}
    window = header.get("attention.sliding_window")
    if window:
        made |= {"sliding_window": window, **_windows(header, config, 4), "sliding_window_pattern": "LLLG"}
    return made


def _glm4(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    if header.get("nextn_predict_layers") or header.get("rope.dimension_sections"):
        raise unsupported(header, "is a vision model or predicts several tokens at once")
    return {"model_type": "glm4", "hidden_act": "silu", "attention_bias": "blk.0.attn_q.bias" in header.tensors}


def _seed_oss(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    out = "blk.0.attn_output.bias" in header.tensors
    return {"model_type": "seed_oss", "hidden_act": "silu", "attention_out_bias": out, **_biases(header)}


def _gpt_oss(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    kinds = ["full_attention" if layer % 2 else "sliding_attention" for layer in range(config["num_hidden_layers"])]
    made = {
        "model_type": "gpt_oss",
        "hidden_act": "silu",
        "attention_bias": True,
        "sliding_window": uniform(header, "attention.sliding_window"),
        "layer_types": kinds,
        "num_local_experts": uniform(header, "expert_count"),
        "num_experts_per_tok": uniform(header, "expert_used_count"),
        "intermediate_size": uniform(header, "expert_feed_forward_length", config["intermediate_size"]),
    }
    scaling = config.get("rope_scaling")
    return made | ({"rope_scaling": scaling | {"truncate": False}} if scaling else {})


def _ernie(header: Header, config: dict[str, Any]) -> dict[str, Any]:
    return {"model_type": "ernie4_5", "hidden_act": "silu", "use_bias": "blk.0.attn_q.bias" in header.tensors}


MAKERS: dict[str, Callable[[Header, dict[str, Any]], dict[str, Any]]] = {
    "llama": _llama,
    "smollm3": _smollm3,
    "granite": _granite,
    "qwen2": _qwen("qwen2"),
    "qwen3": _qwen("qwen3"),
    "qwen2moe": _qwen("qwen2_moe"),
    "qwen3moe": _qwen("qwen3_moe"),
    "olmoe": _olmoe,
    "gemma": _gemma,
    "gemma2": _gemma,
    "gemma3": _gemma,
    "phi2": _phi2,
    "phi3": _phi3,
    "starcoder2": _starcoder2,
    "stablelm": _stablelm,
    "gpt2": _gpt2,
    "gptneox": _gpt_neox,
    "command-r": _cohere,
    "cohere2": _cohere,
    "olmo2": _olmo2,
    "exaone4": _exaone4,
    "glm4": _glm4,
    "seed_oss": _seed_oss,
    "ernie4_5": _ernie,
    "gpt-oss": _gpt_oss,
}
