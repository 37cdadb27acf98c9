"""Which tensor of a .gguf file becomes which weight of a model, and what was done to its rows. Knows no bytes.

Names on the left are llama.cpp's (gguf-py/gguf/constants.py), those on the right are those of the MLX model class as it
saves itself, which are Hugging Face's except where MLX keeps experts stacked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.convert.gguf_header import GGUFTensor, Header

if TYPE_CHECKING:
    import numpy as np

_LAYER = re.compile(r"^blk\.(\d+)\.(.+)\.(weight|bias)$")
# Told in the configuration instead (gguf_rope), or computed anew by every reader.
_TOLD = re.compile(r"^(rope_freqs|rope_factors_long|rope_factors_short|blk\.\d+\.attn_rot_embd)\b")

_TOP = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_ATTENTION = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
}
_QK_NORMS = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
_GATED = {"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
_LLAMA = _ATTENTION | _GATED
_EXPERTS = {
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.switch_mlp.gate_proj",
    "ffn_up_exps": "mlp.switch_mlp.up_proj",
    "ffn_down_exps": "mlp.switch_mlp.down_proj",
}
_SHARED = {
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
    "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
    "ffn_up_shexp": "mlp.shared_expert.up_proj",
    "ffn_down_shexp": "mlp.shared_expert.down_proj",
}
_MIXTRAL = {key: name.replace("mlp.", "block_sparse_moe.", 1) for key, name in _EXPERTS.items()}
_POST_NORMS = {
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_GEMMA2 = _LLAMA | _POST_NORMS | {"ffn_norm": "pre_feedforward_layernorm"}
_FUSED = {"attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"}


@dataclass(frozen=True, slots=True)
class Layout:
    """How an architecture's tensors are named and ordered.

    `layer` maps a layer's tensors, `top` the others; `layers` precedes a layer's number. `permuted`: the rows of query
    and key are in the order of ggml's other rotary convention. `shift` is added to the weights of norms.
    """

    layer: dict[str, str]
    top: dict[str, str] = field(default_factory=lambda: dict(_TOP))
    layers: str = "model.layers"
    permuted: bool = False
    shift: float = 0.0


_GPT2 = Layout(
    {
        "attn_norm": "ln_1",
        "attn_qkv": "attn.c_attn",
        "attn_output": "attn.c_proj",
        "ffn_norm": "ln_2",
        "ffn_up": "mlp.c_fc",
        "ffn_down": "mlp.c_proj",
    },
    {"token_embd": "model.wte", "position_embd": "model.wpe", "output_norm": "model.ln_f"},
    "model.h",
)
_GPT_NEOX = Layout(
    {
        "attn_norm": "input_layernorm",
        "attn_qkv": "attention.query_key_value",
        "attn_output": "attention.dense",
        "ffn_norm": "post_attention_layernorm",
        "ffn_up": "mlp.dense_h_to_4h",
        "ffn_down": "mlp.dense_4h_to_h",
    },
    {"token_embd": "model.embed_in", "output_norm": "model.final_layer_norm", "output": "model.embed_out"},
    "model.h",
)
_PHI2 = Layout(
    _ATTENTION | {"attn_output": "self_attn.dense", "ffn_up": "mlp.fc1", "ffn_down": "mlp.fc2"},
    _TOP | {"output_norm": "model.final_layernorm"},
)
_GLM4 = (
    _LLAMA
    | {"ffn_up": "mlp.gate_up_proj"}
    | {"post_attention_norm": "post_self_attn_layernorm", "post_ffw_norm": "post_mlp_layernorm"}
)

_GPT_OSS = _ATTENTION | {
    "attn_sinks": "self_attn.sinks",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_gate_inp": "mlp.router",
    "ffn_gate_exps": "mlp.experts.gate_proj",
    "ffn_up_exps": "mlp.experts.up_proj",
    "ffn_down_exps": "mlp.experts.down_proj",
}

LAYOUTS: dict[str, Layout] = {
    "llama": Layout(_LLAMA | _MIXTRAL, permuted=True),
    "smollm3": Layout(_LLAMA, permuted=True),
    "granite": Layout(_LLAMA, permuted=True),
    "qwen2": Layout(_LLAMA),
    "qwen3": Layout(_LLAMA | _QK_NORMS),
    "qwen2moe": Layout(_ATTENTION | _EXPERTS | _SHARED),
    "qwen3moe": Layout(_LLAMA | _QK_NORMS | _EXPERTS),
    "olmoe": Layout(_ATTENTION | _QK_NORMS | _EXPERTS),
    "gemma": Layout(_LLAMA, shift=-1.0),
    "gemma2": Layout(_GEMMA2, shift=-1.0),
    "gemma3": Layout(_GEMMA2 | _QK_NORMS, shift=-1.0),
    "phi2": _PHI2,
    "phi3": Layout(_LLAMA | _FUSED),
    "starcoder2": Layout(_ATTENTION | {"ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"}),
    "stablelm": Layout(_LLAMA | {"attn_q_norm": "self_attn.q_layernorm", "attn_k_norm": "self_attn.k_layernorm"}),
    "gpt2": _GPT2,
    "gptneox": _GPT_NEOX,
    "command-r": Layout(_LLAMA | _QK_NORMS),
    "cohere2": Layout(_LLAMA),
    "olmo2": Layout(_LLAMA | _QK_NORMS | _POST_NORMS),
    "exaone4": Layout(_LLAMA | _QK_NORMS | _POST_NORMS),
    "glm4": Layout(_GLM4),
    "seed_oss": Layout(_LLAMA | {"post_attention_norm": "post_attention_layernorm"}),
    "ernie4_5": Layout(_LLAMA),
    "gpt-oss": Layout(_GPT_OSS),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One weight to be: its name, its shape, and the rows of a tensor it is made of (all, in their order, where None).

    Rows are those of the tensor seen as a matrix, its last axis being the columns; a vector has rows of one number.
    """

    name: str
    shape: tuple[int, ...]
    tensor: GGUFTensor
    rows: np.ndarray[Any, Any] | None = None
    shift: float = 0.0


def parts(header: Header, config: dict[str, Any]) -> Iterator[Part]:
    """The weights that a file's tensors become, in the file's order.

    A tensor that the architecture does not have keeps its name, for the model to refuse or leave out.
    """
    layout = LAYOUTS[header.architecture]
    for tensor in header.tensors.values():
        if _TOLD.match(tensor.name):
            continue
        name, role = _renamed(tensor.name, layout)
        shift = layout.shift if name.endswith("norm.weight") else 0.0
        yield from _parts(tensor, name, role, shift, layout, config)


def _renamed(name: str, layout: Layout) -> tuple[str, str]:
    """The weight's name and the tensor's role in a layer ("" outside); both are empty-handed for unknown ones."""
    match = _LAYER.match(name)
    if match is None:
        stem, _, suffix = name.rpartition(".")
        return (f"{layout.top[stem]}.{suffix}" if stem in layout.top else name), ""
    number, role, suffix = match.groups()
    return (f"{layout.layers}.{number}.{layout.layer[role]}.{suffix}" if role in layout.layer else name), role


def _parts(
    tensor: GGUFTensor, name: str, role: str, shift: float, layout: Layout, config: dict[str, Any]
) -> Iterator[Part]:
    import numpy as np

    if layout.permuted and role in ("attn_q", "attn_k"):
        heads = config["num_attention_heads" if role == "attn_q" else "num_key_value_heads"]
        yield Part(name, tensor.shape, tensor, _rotary_rows(tensor.shape[0], heads), shift)
    elif layout is _GPT_NEOX and role == "attn_qkv":
        rows = np.arange(tensor.shape[0]).reshape(3, config["num_attention_heads"], -1).swapaxes(0, 1).reshape(-1)
        yield Part(name, tensor.shape, tensor, rows, shift)
    elif layout is _PHI2 and role == "attn_qkv":
        third = tensor.shape[0] // 3
        for index, letter in enumerate("qkv"):
            rows = np.arange(index * third, (index + 1) * third)
            target = name.replace("blk", "model.layers", 1).replace(role, f"self_attn.{letter}_proj")
            yield Part(target, (third, *tensor.shape[1:]), tensor, rows, shift)
    elif config["model_type"] == "stablelm" and role in ("attn_q_norm", "attn_k_norm") and len(tensor.shape) == 2:
        for head in range(tensor.shape[0]):
            target = name.replace("layernorm.", f"layernorm.norms.{head}.")
            yield Part(target, tensor.shape[1:], tensor, np.array([head]), shift)
    elif role == "attn_sinks":
        yield Part(name.removesuffix(".weight"), tensor.shape, tensor, None, shift)
    elif role == "ffn_gate_inp_shexp" and len(tensor.shape) == 1:
        yield Part(name, (1, *tensor.shape), tensor, None, shift)
    else:
        yield Part(name, tensor.shape, tensor, None, shift)


def _rotary_rows(rows: int, heads: int) -> Any:
    """Hugging Face's order of the rows of query or key: ggml keeps the pair (i, i + half) of a head side by side."""
    import numpy as np

    return np.arange(rows).reshape(heads, rows // heads // 2, 2).swapaxes(1, 2).reshape(-1)
