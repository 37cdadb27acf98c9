"""Every architecture a .gguf file may hold computes what transformers computes with the weights it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from engine.assemble import assemble
from engine.convert import gguf
from engine.convert.source import Source
from tests.engine.convert import gguf_files
from tests.support.torch_child import TorchChild, torch_child

LAYERS = 2
SIZES: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
GPT2_SIZES = {"vocab_size": 96, "n_embd": 64, "n_layer": LAYERS, "n_head": 4, "n_positions": 256}
NONE = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64}
YARN_KEYS = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
LINEAR_KEYS = {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}
LONG = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 8, "long_factor": [1.5] * 8}
LONG["original_max_position_embeddings"] = 64
EVERY_OTHER = ["sliding_attention", "full_attention"]


@dataclass(frozen=True)
class Case:
    """A transformers class, its configuration besides `SIZES`, and what llama.cpp's converter adds and does."""

    architecture: str
    config: str
    changes: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    permute: bool = False
    plus_one: str = ""
    transpose: str = ""
    sizes: dict[str, Any] = field(default_factory=lambda: SIZES)
    name: str = ""


MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "norm_topk_prob": True}
QWEN2_MOE = MOE | {"norm_topk_prob": False, "shared_expert_intermediate_size": 64, "decoder_sparse_step": 1}
GEMMA2 = {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 8, "layer_types": EVERY_OTHER}
GEMMA2_KEYS = {"attention.sliding_window": 8}
GEMMA2_CAPS = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}
SCALES = {"attention_multiplier": 0.3, "embedding_multiplier": 3.0, "residual_multiplier": 0.5, "logits_scaling": 2.0}
GRANITE_KEYS = {"attention.scale": 0.3, "embedding_scale": 3.0, "residual_scale": 0.5, "logit_scale": 2.0}
FOUR = {"num_hidden_layers": 4, "layer_types": ["sliding_attention"] * 3 + ["full_attention"], "sliding_window": 8}
COHERE2 = FOUR | {"logit_scale": 0.5, "head_dim": 16}

GPT_OSS = {"head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8} | {
    "rope_parameters": YARN | {"truncate": False, "beta_fast": 32.0, "beta_slow": 1.0},
    "layer_types": EVERY_OTHER,
}

CASES = [
    Case("llama", "LlamaConfig", {"tie_word_embeddings": True}, permute=True),
    Case("llama", "LlamaConfig", {"rope_parameters": LLAMA3, "head_dim": 32}, permute=True, name="llama3"),
    Case("llama", "MistralConfig", {"sliding_window": None, "head_dim": 32}, permute=True, name="mistral"),
    Case("llama", "LlamaConfig", {"attention_bias": True, "mlp_bias": True}, permute=True, name="llama-bias"),
    Case("llama", "MixtralConfig", {"num_local_experts": 4, "sliding_window": None}, permute=True, name="mixtral"),
    Case("smollm3", "SmolLM3Config", {"num_hidden_layers": 5, "use_sliding_window": False}, permute=True),
    Case("granite", "GraniteConfig", SCALES, GRANITE_KEYS, permute=True),
    Case("qwen2", "Qwen2Config"),
    Case("qwen2", "Qwen2Config", {"rope_parameters": YARN}, YARN_KEYS, name="qwen2-yarn"),
    Case("llama", "LlamaConfig", {"rope_parameters": LINEAR}, LINEAR_KEYS, permute=True, name="llama-linear"),
    Case("qwen3", "Qwen3Config", {"head_dim": 32, "tie_word_embeddings": True}),
    Case("qwen2moe", "Qwen2MoeConfig", QWEN2_MOE, {"expert_shared_feed_forward_length": 64}),
    Case("qwen3moe", "Qwen3MoeConfig", MOE | {"head_dim": 16}, {"expert_feed_forward_length": 32}),
    Case("olmoe", "OlmoeConfig", {"num_experts": 4, "num_experts_per_tok": 2}),
    Case("gemma", "GemmaConfig", {"head_dim": 16}, plus_one="norm.weight"),
    Case("gemma2", "Gemma2Config", GEMMA2, GEMMA2_KEYS | GEMMA2_CAPS, plus_one="norm.weight"),
    Case(
        "gemma3",
        "Gemma3TextConfig",
        GEMMA2 | {"num_hidden_layers": 6, "layer_types": ["sliding_attention"] * 5 + ["full_attention"]},
        GEMMA2_KEYS | {"rope.freq_base": 1_000_000.0},
        plus_one="norm.weight",
    ),
    Case("phi2", "PhiConfig", {"partial_rotary_factor": 0.5, "num_key_value_heads": 4}, {"rope.dimension_count": 8}),
    Case("phi3", "Phi3Config", {"sliding_window": 16}, {"attention.sliding_window": 16}),
    Case(
        "phi3",
        "Phi3Config",
        {"rope_parameters": LONG, "original_max_position_embeddings": 64},
        {"rope.scaling.original_context_length": 64, "rope.scaling.attn_factor": (1 + 2 / 6) ** 0.5},
        name="phi3-long",
    ),
    Case("starcoder2", "Starcoder2Config", {"sliding_window": None}),
    Case("stablelm", "StableLmConfig", {"use_qkv_bias": True}, {"rope.dimension_count": 4}),
    Case(
        "stablelm",
        "StableLmConfig",
        {"qk_layernorm": True, "use_parallel_residual": True, "partial_rotary_factor": 0.25},
        {"rope.dimension_count": 4},
        name="stablelm-12b",
    ),
    Case("gpt2", "GPT2Config", NONE, transpose="attn_qkv.weight|attn_output.weight|ffn_.*weight", sizes=GPT2_SIZES),
    Case("gptneox", "GPTNeoXConfig", {"intermediate_size": 256}, {"rope.dimension_count": 4}),
    Case("command-r", "CohereConfig", {"use_qk_norm": True, "logit_scale": 0.5}, {"logit_scale": 0.5}),
    Case("cohere2", "Cohere2Config", COHERE2, {"attention.sliding_window": 8, "logit_scale": 0.5}),
    Case("olmo2", "Olmo2Config", {}),
    Case("exaone4", "Exaone4Config", {"sliding_window": None, "head_dim": 16, "layer_types": ["full_attention"] * 2}),
    Case("exaone4", "Exaone4Config", FOUR | {"head_dim": 16}, {"attention.sliding_window": 8}, name="exaone4-windows"),
    Case(
        "olmo2",
        "Olmo3Config",
        FOUR,
        {"attention.sliding_window": 8, "attention.sliding_window_pattern": [True] * 3 + [False]},
        name="olmo3",
    ),
    Case("glm4", "Glm4Config", {"head_dim": 16, "attention_bias": True}, {"rope.dimension_count": 8}),
    Case("seed_oss", "SeedOssConfig", {"head_dim": 16}),
    Case("gpt-oss", "GptOssConfig", GPT_OSS, {"attention.sliding_window": 8} | YARN_KEYS),
    Case("ernie4_5", "Ernie4_5Config", {"head_dim": 16}),
]


@pytest.fixture(scope="module")
def torch() -> Iterator[TorchChild]:
    with torch_child() as child:
        yield child


def make(case: Case, torch: TorchChild, folder: Path, **options: Any) -> Path:
    """The case's model as a Hugging Face folder `hf` and as a .gguf file, whose path it returns."""
    hugging_face = torch.make(folder / "hf", {"class": case.config, **case.sizes, **case.changes})
    keys = gguf_files.basic_keys(hugging_face)
    source = gguf_files.from_hugging_face(hugging_face)
    if case.architecture == "gpt-oss":
        source = dict(pair for name, array in source.items() for pair in apart(name, array))
    tensors = gguf_files.renamed(source, case.architecture, keys["block_count"])
    if case.permute:
        heads = keys["attention.head_count"]
        tensors = gguf_files.permuted(tensors, heads, keys.get("attention.head_count_kv", heads))
    if case.plus_one:
        tensors = gguf_files.changed(tensors, case.plus_one, lambda array: array + 1)
    if case.transpose:
        tensors = gguf_files.changed(tensors, case.transpose, lambda array: array.T)
    if case.architecture == "gptneox":
        heads = keys["attention.head_count"]
        tensors = gguf_files.changed(
            tensors,
            "attn_qkv",
            lambda array: array.reshape(heads, 3, -1, *array.shape[1:]).swapaxes(0, 1).reshape(array.shape),
        )
    rotary = case.changes.get("rope_parameters", {})
    if rotary.get("rope_type") == "llama3":
        tensors["rope_freqs.weight"] = llama3_factors(rotary, case.changes["head_dim"])
    for length in ("short", "long"):
        if f"{length}_factor" in rotary:
            tensors[f"rope_factors_{length}.weight"] = np.array(rotary[f"{length}_factor"])
    return gguf_files.write(folder / "model.gguf", case.architecture, keys | case.keys, tensors, **options)


def apart(name: str, array: Any) -> Iterator[tuple[str, Any]]:
    """The tensors of gpt-oss with gate and up no longer interleaved (conversion/gpt_oss.py)."""
    stem = name.removesuffix("_bias")
    suffix = ".bias" if stem != name else ".weight"
    if name.endswith("sinks"):
        yield f"{name}.weight", array
    elif "gate_up_proj" in name:
        for offset, role in enumerate(("gate_proj", "up_proj")):
            half = array[..., offset::2]
            yield stem.replace("gate_up_proj", role) + suffix, half if suffix == ".bias" else half.swapaxes(1, 2)
    elif "experts.down_proj" in name:
        yield stem + suffix, array if suffix == ".bias" else array.swapaxes(1, 2)
    else:
        yield name, array


def llama3_factors(settings: dict[str, Any], head_size: int) -> Any:
    """The factors that conversion/llama.py writes (`generate_extra_tensors`)."""
    wavelengths = 2 * np.pi * settings["rope_theta"] ** (np.arange(0, head_size, 2) / head_size)
    low, high = settings["low_freq_factor"], settings["high_freq_factor"]
    original = settings["original_max_position_embeddings"]
    smooth = (original / wavelengths - low) / (high - low)
    between = 1 / ((1 - smooth) / settings["factor"] + smooth)
    return np.where(
        wavelengths < original / high, 1, np.where(wavelengths > original / low, settings["factor"], between)
    )


def read(path: Path, scratch: Path) -> tuple[Source, dict[str, mx.array]]:
    source = gguf.examine(path)
    steps = gguf.weights(source, scratch)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return source, end.value


def logits(path: Path, ids: list[list[int]]) -> Any:
    source, weights = read(path, path.parent)
    assembled = assemble(source.config, weights)
    assembled.model.set_dtype(mx.float32)
    return np.array(assembled.model(mx.array(ids)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name or case.architecture)
def test_computes_what_transformers_computes(case: Case, torch: TorchChild, tmp_path: Path) -> None:
    path = make(case, torch, tmp_path)
    long = "factor" in str(case.changes)
    ids = np.random.default_rng(0).integers(0, 96, (2, 90 if long else 24)).tolist()
    theirs = torch.logits(tmp_path / "hf", ids)
    ours = logits(path, ids)
    assert np.abs(ours - theirs).max() / np.abs(theirs).max() < 1e-4
