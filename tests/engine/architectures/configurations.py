"""Writes the configurations of tiny transformers models in few words. Computes nothing."""

from __future__ import annotations

from typing import Any

BASE: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
LOCAL = {"num_local_experts": 4, "num_experts_per_tok": 2}


def of(name: str, without: str = "", **values: Any) -> dict[str, Any]:
    """A configuration named after its class, the basic values under it."""
    base = {key: value for key, value in BASE.items() if key not in without.split()}
    return {"class": f"{name}Config", **base, **values}


def rope(theta: float = 10000.0, kind: str = "default", **values: Any) -> dict[str, Any]:
    return {"rope_type": kind, "rope_theta": theta, **values}


YARN = {"factor": 4.0, "original_max_position_embeddings": 16}
GPT2 = {
    "vocab_size": 96,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
MLA = {
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
    "n_shared_experts": 1,
}
GROUPS = {"n_group": 2, "topk_group": 1}
