"""Tiny mixtures of experts, as arguments of their configuration classes. Computes nothing."""

from __future__ import annotations

from typing import Any

from tests.engine.architectures.configurations import EXPERTS, GROUPS, LOCAL, MLA, YARN, of, rope

EXPERT: dict[str, dict[str, Any]] = {
    "qwen2_moe": of("Qwen2Moe", shared_expert_intermediate_size=24, **EXPERTS),
    "qwen2_moe dense layer": of("Qwen2Moe", shared_expert_intermediate_size=24, mlp_only_layers=[0], **EXPERTS),
    "qwen2_moe norm": of("Qwen2Moe", shared_expert_intermediate_size=24, norm_topk_prob=True, **EXPERTS),
    "qwen3_moe": of("Qwen3Moe", head_dim=8, **EXPERTS),
    "qwen3_moe norm": of("Qwen3Moe", head_dim=8, norm_topk_prob=True, **EXPERTS),
    "phimoe": of("Phimoe", **LOCAL),
    "olmoe": of("Olmoe", num_experts=4, num_experts_per_tok=2),
    "olmoe norm": of("Olmoe", num_experts=4, num_experts_per_tok=2, norm_topk_prob=True),
    "granitemoe": of("GraniteMoe", logits_scaling=2.0, **LOCAL),
    "mixtral": of("Mixtral", sliding_window=None, **LOCAL),
    "mixtral window": of("Mixtral", sliding_window=8, **LOCAL),
    "deepseek_v2": of("DeepseekV2", **MLA, **GROUPS, topk_method="group_limited_greedy"),
    "deepseek_v2 lite": of("DeepseekV2", **(MLA | {"q_lora_rank": None}), topk_method="greedy"),
    "deepseek_v2 yarn": of(
        "DeepseekV2",
        **MLA,
        **GROUPS,
        rope_parameters=rope(kind="yarn", mscale=0.7, mscale_all_dim=0.7, **YARN),
    ),
    "deepseek_v3": of("DeepseekV3", **MLA, **GROUPS),
    "deepseek_v3 yarn": of(
        "DeepseekV3",
        **MLA,
        **GROUPS,
        rope_parameters=rope(kind="yarn", mscale=1.0, mscale_all_dim=1.0, **YARN),
    ),
    "glm4_moe": of("Glm4Moe", head_dim=8, n_routed_experts=4, first_k_dense_replace=1, use_qk_norm=True, **EXPERTS),
    "glm4_moe_lite": of("Glm4MoeLite", **MLA),
    "glm4_moe_lite layer types": of("Glm4MoeLite", **(MLA | {"first_k_dense_replace": 2})),
    "glm_moe_dsa": of("GlmMoeDsa", **MLA, n_group=1, topk_group=1, index_n_heads=2, index_head_dim=16, index_topk=64),
    "exaone_moe": of(
        "ExaoneMoe", sliding_window=8, num_hidden_layers=4, first_k_dense_replace=1, num_shared_experts=1, **EXPERTS
    ),
    "ernie4_5_moe": of(
        "Ernie4_5_Moe",
        moe_num_experts=4,
        moe_k=2,
        moe_intermediate_size=16,
        moe_num_shared_experts=1,
        moe_layer_start_index=1,
        moe_layer_end_index=1,
    ),
    "minimax_m2": of("MiniMaxM2", head_dim=8, **LOCAL),
    "gpt_oss": of("GptOss", head_dim=8, sliding_window=8, **LOCAL),
    "llama4_text": of(
        "Llama4Text",
        head_dim=8,
        intermediate_size_mlp=48,
        interleave_moe_layer_step=2,
        num_local_experts=4,
        num_experts_per_tok=1,
        num_hidden_layers=4,
        attention_chunk_size=64,
    ),
    "dots1": of(
        "Dots1",
        n_routed_experts=4,
        n_shared_experts=1,
        first_k_dense_replace=1,
        n_group=1,
        topk_group=1,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
    ),
    "afmoe": of("Afmoe", head_dim=8, num_hidden_layers=4, num_dense_layers=1, sliding_window=8, **EXPERTS),
    "solar_open": of("SolarOpen", head_dim=8, n_routed_experts=4, **EXPERTS),
    "gpt_oss tied": of("GptOss", head_dim=8, sliding_window=8, tie_word_embeddings=True, **LOCAL),
    "deepseek_v3 plain": of(
        "DeepseekV3", **(MLA | {"q_lora_rank": None}), n_group=1, topk_group=1, norm_topk_prob=False
    ),
    "deepseek_v3 halves": of("DeepseekV3", **MLA, **GROUPS, rope_interleave=False),
    "glm4_moe plain": of(
        "Glm4Moe", head_dim=8, n_routed_experts=4, first_k_dense_replace=0, use_qk_norm=False, **EXPERTS
    ),
    "deepseek_v32": of("DeepseekV32", **MLA, **GROUPS, index_n_heads=2, index_head_dim=16, index_topk=64),
    "qwen3_moe dense": of("Qwen3Moe", head_dim=8, mlp_only_layers=[0], decoder_sparse_step=1, **EXPERTS),
    "ernie moe interval": of(
        "Ernie4_5_Moe",
        num_hidden_layers=4,
        moe_num_experts=4,
        moe_k=2,
        moe_intermediate_size=16,
        moe_num_shared_experts=2,
        moe_layer_start_index=1,
        moe_layer_interval=2,
        moe_layer_end_index=3,
    ),
    "llama4 chunk": of(
        "Llama4Text",
        head_dim=8,
        intermediate_size_mlp=48,
        interleave_moe_layer_step=1,
        num_local_experts=4,
        num_hidden_layers=4,
        attention_chunk_size=16,
        attn_temperature_tuning=True,
        floor_scale=8,
    ),
    "glm4_moe groups": of(
        "Glm4Moe", head_dim=8, n_group=2, topk_group=1, attention_bias=True, **(EXPERTS | {"n_routed_experts": 8})
    ),
}
