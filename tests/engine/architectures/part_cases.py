"""Tiny models that see too, of which the language model is compared. Computes nothing."""

from __future__ import annotations

from typing import Any

from tests.engine.architectures.configurations import BASE, EXPERTS, YARN, rope

_SEEING: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
_QWEN_SEEING = {"depth": 1, "hidden_size": 16, "out_hidden_size": 32, "intermediate_size": 32, "num_heads": 2}
_QWEN_TOKENS = {"image_token_id": 90, "video_token_id": 91, "vision_start_token_id": 92, "vision_end_token_id": 93}
_STATES = {
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "num_hidden_layers": 4,
    "head_dim": 8,
}
_LONG = rope(
    1e6, "yarn", llama_4_scaling_beta=0.1, mscale=1.0, mscale_all_dim=1.0, beta_fast=32.0, beta_slow=1.0, **YARN
)


def _parts(name: str, text: dict[str, Any], seeing: dict[str, Any], **values: Any) -> dict[str, Any]:
    config = {"class": f"{name}Config", "model_class": "AutoModelForImageTextToText"}
    return config | {"text_config": BASE | text, "vision_config": seeing} | values


def _qwen(name: str, text: dict[str, Any], **seeing: Any) -> dict[str, Any]:
    return _parts(name, text, _QWEN_SEEING | seeing, **_QWEN_TOKENS)


PARTS: dict[str, dict[str, Any]] = {
    "gemma3": _parts(
        "Gemma3",
        {"head_dim": 8, "sliding_window": 8, "num_hidden_layers": 6},
        _SEEING,
        mm_tokens_per_image=4,
        image_token_index=90,
        boi_token_index=91,
        eoi_token_index=92,
    ),
    "gemma4": _parts(
        "Gemma4",
        {
            "head_dim": 8,
            "global_head_dim": 16,
            "sliding_window": 8,
            "num_hidden_layers": 6,
            "vocab_size_per_layer_input": 96,
            "hidden_size_per_layer_input": 8,
        },
        _SEEING | {"head_dim": 8, "global_head_dim": 8, "num_key_value_heads": 2},
        image_token_id=90,
        audio_config=None,
    ),
    "mistral3": _parts(
        "Mistral3",
        {"model_type": "mistral", "head_dim": 8, "sliding_window": None, "rope_parameters": rope(1e6)},
        _SEEING | {"model_type": "pixtral"},
        image_token_index=90,
    ),
    "mistral3 ministral3": _parts(
        "Mistral3",
        {"model_type": "ministral3", "head_dim": 8, "rope_parameters": _LONG},
        _SEEING | {"model_type": "pixtral"},
        image_token_index=90,
    ),
    "llama4": _parts(
        "Llama4",
        {
            "head_dim": 8,
            "intermediate_size_mlp": 48,
            "interleave_moe_layer_step": 2,
            "num_local_experts": 4,
            "num_experts_per_tok": 1,
            "num_hidden_layers": 4,
            "attention_chunk_size": 64,
        },
        _SEEING | {"vision_output_dim": 32, "projector_input_dim": 16, "projector_output_dim": 16},
        image_token_index=90,
    ),
    "qwen2_vl": _parts(
        "Qwen2VL",
        {"rope_parameters": rope(1e6, mrope_section=[1, 1, 2])},
        {"depth": 1, "embed_dim": 16, "hidden_size": 32, "num_heads": 2},
        **_QWEN_TOKENS,
    ),
    "qwen2_5_vl": _qwen("Qwen2_5_VL", {"rope_parameters": rope(1e6, mrope_section=[1, 1, 2])}),
    "qwen3_vl": _qwen(
        "Qwen3VL", {"head_dim": 8, "rope_parameters": rope(1e6, mrope_section=[2, 1, 1])}, deepstack_visual_indexes=[0]
    ),
    "qwen3_vl_moe": _qwen(
        "Qwen3VLMoe",
        EXPERTS | {"head_dim": 8, "rope_parameters": rope(1e6, mrope_section=[2, 1, 1])},
        deepstack_visual_indexes=[0],
    ),
    "qwen3_5 seeing": _qwen("Qwen3_5", _STATES),
    "qwen3_5_moe seeing": _qwen("Qwen3_5Moe", _STATES | EXPERTS | {"shared_expert_intermediate_size": 24}),
    "llava": _parts(
        "Llava",
        {"model_type": "mistral", "head_dim": 8, "sliding_window": None},
        _SEEING | {"model_type": "clip_vision_model"},
        image_token_index=90,
    ),
}
