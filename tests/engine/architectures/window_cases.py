"""Tiny models with windows, rotary scaling and activations, as arguments of configuration classes. Computes nothing."""

from __future__ import annotations

from typing import Any

BASE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 64,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
WINDOW = 8
_MIXED = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
_MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
_ROUTED = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "first_k_dense_replace": 1}
GEMMA = {"sliding_window": WINDOW, "head_dim": 8, "query_pre_attn_scalar": 8}
_LATTER = {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 2}

WINDOWS: dict[str, dict[str, Any]] = {
    "mistral": {"class": "MistralConfig", "sliding_window": WINDOW},
    "ministral3": {"class": "Ministral3Config", "sliding_window": WINDOW, "head_dim": 8},
    "mixtral": {"class": "MixtralConfig", "sliding_window": WINDOW, "num_local_experts": 4, "head_dim": 8},
    "phi3": {"class": "Phi3Config", "sliding_window": WINDOW},
    "phimoe": {
        "class": "PhimoeConfig",
        "sliding_window": WINDOW,
        "num_local_experts": 4,
        "attention_bias": True,
        "lm_head_bias": True,
    },
    "starcoder2": {"class": "Starcoder2Config", "sliding_window": WINDOW},
    "gemma2": {"class": "Gemma2Config"} | GEMMA,
    "gemma2 mixed, no caps": {
        "class": "Gemma2Config",
        "layer_types": _MIXED,
        "attn_logit_softcapping": None,
        "final_logit_softcapping": None,
    }
    | GEMMA,
    "gemma3 of four layers": {"class": "Gemma3TextConfig"} | GEMMA,
    "gemma3 mixed": {"class": "Gemma3TextConfig", "layer_types": _MIXED} | GEMMA,
    "qwen2": {"class": "Qwen2Config"} | _LATTER,
    "qwen2 mixed": {"class": "Qwen2Config", "layer_types": _MIXED} | _LATTER,
    "qwen2 switched off": {"class": "Qwen2Config"} | _LATTER | {"use_sliding_window": False},
    "qwen2_moe": {"class": "Qwen2MoeConfig", "shared_expert_intermediate_size": 24} | _MOE | _LATTER,
    "qwen3": {"class": "Qwen3Config", "head_dim": 8} | _LATTER,
    "qwen3_moe": {"class": "Qwen3MoeConfig", "head_dim": 8} | _MOE | _LATTER,
    "dots1": {"class": "Dots1Config", "n_shared_experts": 1, "n_group": 1, "topk_group": 1} | _ROUTED | _LATTER,
    "smollm3": {"class": "SmolLM3Config"} | _LATTER,
    "cohere2": {"class": "Cohere2Config", "sliding_window": WINDOW, "head_dim": 8},
    "cohere2 mixed": {"class": "Cohere2Config", "sliding_window": WINDOW, "head_dim": 8, "layer_types": _MIXED},
    "cwm": {"class": "CwmConfig", "sliding_window": WINDOW, "head_dim": 8},
    "exaone4 mixed": {"class": "Exaone4Config", "sliding_window": WINDOW, "head_dim": 8, "layer_types": _MIXED},
    "olmo3 mixed": {"class": "Olmo3Config", "sliding_window": WINDOW, "layer_types": _MIXED},
    "gpt_oss mixed": {
        "class": "GptOssConfig",
        "sliding_window": WINDOW,
        "head_dim": 8,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "layer_types": _MIXED,
    },
    "recurrent_gemma": {
        "class": "RecurrentGemmaConfig",
        "attention_window_size": WINDOW,
        "head_dim": 8,
        "lru_width": 32,
        "num_hidden_layers": 3,
        "num_key_value_heads": 1,
    },
}

_YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
_FACTORS = {"short_factor": [1.0, 1.1, 1.2, 1.3], "long_factor": [2.0, 2.5, 3.0, 3.5]}
_KINDS: dict[str, dict[str, Any]] = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    },
    "yarn": _YARN,
    "yarn betas": _YARN | {"beta_fast": 8.0, "beta_slow": 0.5},
    "yarn attention factor": _YARN | {"attention_factor": 1.3},
    "yarn not truncated": _YARN | {"truncate": False, "beta_fast": 8.0},
    "yarn scales": _YARN | {"mscale": 0.7, "mscale_all_dim": 1.3},
    "dynamic": {"rope_type": "dynamic", "factor": 4.0},
}
# A class of mlx_lm that reads scaling, one that ignores it, one that refuses it, one with half the head rotated.
_ROTATED: dict[str, dict[str, Any]] = {
    "llama": {"class": "LlamaConfig"},
    "cohere": {"class": "CohereConfig"},
    "qwen2_moe": {"class": "Qwen2MoeConfig", "shared_expert_intermediate_size": 24} | _MOE,
    "glm": {"class": "GlmConfig", "head_dim": 8, "partial_rotary_factor": 0.5},
}
ROTATIONS = {
    f"{model} {kind}": settings
    | {"rope_parameters": {"rope_theta": 100.0} | scaling}
    | ({"max_position_embeddings": 16} if kind == "dynamic" else {})
    for model, settings in _ROTATED.items()
    for kind, scaling in _KINDS.items()
    if model in ("llama", "cohere") or kind in ("yarn betas", "dynamic")
}
LONGROPE: dict[str, Any] = {
    "max_position_embeddings": 64,
    "original_max_position_embeddings": 16,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "original_max_position_embeddings": 16,
    }
    | _FACTORS,
}
OTHERS: dict[str, dict[str, Any]] = {
    "olmo3, a base for each kind of layer": {
        "class": "Olmo3Config",
        "sliding_window": WINDOW,
        "layer_types": _MIXED,
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            "full_attention": {"rope_type": "yarn", "rope_theta": 1000.0} | _YARN,
        },
    },
    "deepseek_v3, halves": {
        "class": "DeepseekV3Config",
        "num_key_value_heads": 4,
        "q_lora_rank": 16,
        "kv_lora_rank": 8,
        "qk_nope_head_dim": 8,
        "qk_rope_head_dim": 8,
        "v_head_dim": 8,
        "n_group": 1,
        "topk_group": 1,
        "rope_interleave": False,
    }
    | _ROUTED,
    "llama, gelu": {"class": "LlamaConfig", "hidden_act": "gelu"},
    "gpt2, relu": {"class": "GPT2Config", "activation_function": "relu", "n_embd": 32, "n_layer": 2, "n_head": 4},
    "gemma": {"class": "GemmaConfig", "head_dim": 8},
    "starcoder2": {"class": "Starcoder2Config"},
    "gpt_neox": {"class": "GPTNeoXConfig", "intermediate_size": 128},
    # 34 is what the root of this width becomes in bfloat16, and off by 2 in 1000.
    "gemma3, a scale that bfloat16 lacks": {"class": "Gemma3TextConfig", "hidden_size": 1152, "num_hidden_layers": 1}
    | GEMMA,
}
