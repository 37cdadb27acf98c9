"""The words in which mlx_lm's classes ask for what a configuration of transformers says otherwise. Reads no weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Words = dict[str, Callable[[Any], Any]]


def _head_dim(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _part(config: Any) -> float:
    return float(config.rope_parameters.get("partial_rotary_factor") or 1.0)


def _global_head_dim(config: Any) -> int:
    """The width of a head in layers that attend to everything."""
    said = config.to_dict()
    own = (values["head_dim"] for values in (said.get("per_layer_config") or {}).values() if "head_dim" in values)
    return int(next(own, said["head_dim"]))


def _pattern(config: Any) -> int:
    """Every how many layers one attends to everything; the number of layers where no such number says it."""
    kinds = config.layer_types
    for every in range(1, len(kinds) + 1):
        if all((kind == "full_attention") == ((index + 1) % every == 0) for index, kind in enumerate(kinds)):
            return every
    return len(kinds)


def _dense_first(config: Any) -> int:
    """How many layers come before the first with experts."""
    kinds = list(config.mlp_layer_types)
    return kinds.index("sparse") if "sparse" in kinds else len(kinds)


def _global_heads(config: Any) -> int | None:
    """How many heads of keys there are in layers that attend to everything, where that differs."""
    own = (config.to_dict().get("per_layer_config") or {}).values()
    return next((values["num_key_value_heads"] for values in own if "num_key_value_heads" in values), None)


def _letters(config: Any) -> str | None:
    if "sliding_attention" not in config.layer_types:
        return None
    return "".join("L" if kind == "sliding_attention" else "G" for kind in config.layer_types)


def _hybrid(config: Any) -> list[str]:
    older = {"linear_attention": "mamba", "full_attention": "attention"}
    return [older.get(kind, kind) for kind in config.layer_types]


def _scaling(config: Any) -> dict[str, Any]:
    """DeepSeek-V2's class needs a scaling; one by 1 changes nothing."""
    given = {key: value for key, value in config.rope_parameters.items() if key != "rope_theta"}
    if given.get("rope_type", "default") != "default":
        return given | {"type": given["rope_type"]}
    return {"type": "yarn", "rope_type": "yarn", "factor": 1.0, "mscale_all_dim": 0}


def _factors(config: Any) -> dict[str, Any]:
    """MiniCPM3's class needs longrope; factors of 1 change nothing."""
    given = {key: value for key, value in config.rope_parameters.items() if key != "rope_theta"}
    if given.get("rope_type", "default") != "default":
        return given | {"type": given["rope_type"]}
    ones = [1.0] * (config.qk_rope_head_dim // 2)
    same = {"short_factor": ones, "long_factor": ones, "factor": 1.0}
    return {"type": "longrope", "original_max_position_embeddings": config.max_position_embeddings, **same}


# Of some model types, the keys that the class needs, from transformers' configuration object.
_WORDS: dict[str, Words] = {
    "apertus": {"mlp_bias": lambda _: False, "post_norm": lambda _: False, "qk_norm": lambda _: True},
    "cohere2": {"sliding_window_pattern": _pattern},
    "deepseek_v2": {"rope_scaling": _scaling},
    "exaone4": {
        "head_dim": _head_dim,
        "sliding_window_pattern": _letters,
        "layer_types": lambda config: list(config.layer_types),  # transformers cannot read letters alone
    },
    "exaone_moe": {
        "head_dim": _head_dim,
        "is_moe_layer": lambda config: [kind == "sparse" for kind in config.mlp_layer_types],
    },
    "gemma3": {"vocab_size": lambda config: config.text_config.vocab_size},
    "gemma3_text": {"sliding_window_pattern": _pattern},
    "gemma4": {"vocab_size": lambda config: config.text_config.vocab_size},
    "gemma4_text": {"global_head_dim": _global_head_dim, "num_global_key_value_heads": _global_heads},
    "glm4_moe_lite": {"first_k_dense_replace": _dense_first},
    "glm_moe_dsa": {
        "first_k_dense_replace": _dense_first,
        "moe_layer_freq": lambda _: 1,
        "scoring_func": lambda _: "sigmoid",
        "topk_method": lambda _: "noaux_tc",
    },
    "gpt2": {"n_ctx": lambda config: config.n_positions},
    "gpt_bigcode": {"n_inner": lambda config: config.n_inner or 4 * config.n_embd},
    "gpt_neox": {"rotary_emb_base": lambda config: config.rope_parameters["rope_theta"], "rotary_pct": _part},
    "granitemoehybrid": {
        "layer_types": _hybrid,
        "position_embedding_type": lambda config: config.position_embedding_type or "nope",
    },
    "lfm2": {"block_dim": lambda config: config.hidden_size, "block_ff_dim": lambda config: config.intermediate_size},
    "longcat_flash": {
        "attention_method": lambda _: "MLA",
        "zero_expert_type": lambda _: "identity",
        "mla_scale_q_lora": lambda _: True,
        "mla_scale_kv_lora": lambda _: True,
    },
    "mamba2": {"intermediate_size": lambda config: int(config.expand * config.hidden_size)},
    # Tied, the class would not scale the logits; untied, with the embedding as its matrix, it does.
    "minicpm3": {"rope_scaling": _factors, "tie_word_embeddings": lambda _: False},
    "minimax_m2": {
        "shared_intermediate_size": lambda _: 0,
        "rotary_dim": lambda config: int(_head_dim(config) * _part(config)),
    },
    "olmo": {"rms_norm_eps": lambda _: 1e-5},
    "qwen3_5_moe_text": {"full_attention_interval": _pattern},
    "qwen3_5_text": {"full_attention_interval": _pattern},
    "qwen3_next": {"full_attention_interval": _pattern},
    # transformers' class has no dense layers, whatever the configuration says.
    "qwen3_vl_moe_text": {"num_experts": lambda config: config.num_experts, "norm_topk_prob": lambda _: True},
    "solar_open": {"partial_rotary_factor": _part, "first_k_dense_replace": lambda _: 0},
}


def words(described: Any) -> dict[str, Any]:
    """The keys that mlx_lm's class for this configuration asks for under names of its own.

    Args:
        described: transformers' configuration object.
    """
    return {key: value(described) for key, value in _WORDS.get(described.model_type, {}).items()}
