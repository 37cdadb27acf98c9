"""Writes .gguf files as llama.cpp's converter does, from tiny transformers models. Knows nothing of how they are read.

The names of the tensors come from the library `gguf`'s own table, what is done to them from its converter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np

Arrays = dict[str, np.ndarray[Any, Any]]
_UNPREFIXED = re.compile(r"^(gpt_neox|transformer|model)\.")


def write(
    path: Path,
    architecture: str,
    keys: dict[str, Any],
    tensors: Arrays,
    kind: str = "F32",
    kinds: dict[str, str] | None = None,
    split: int = 0,
) -> Path:
    """A .gguf file of these tensors, matrices as `kind` (or `kinds` by name), `keys` being the architecture's.

    With `split` it is split into parts of so many tensors, and the path is that of the first.
    """
    writer = gguf.GGUFWriter(path, architecture, split_max_tensors=split)
    for key, value in keys.items():
        _add(
            writer,
            key if "." in key and key.split(".")[0] in ("tokenizer", "general") else f"{architecture}.{key}",
            value,
        )
    for name, array in tensors.items():
        own = (kinds or {}).get(name, kind if array.ndim > 1 and "ffn_gate_inp" not in name else "F32")
        quantized = gguf.GGMLQuantizationType[own]
        writer.add_tensor(name, gguf.quantize(array.astype(np.float32), quantized), raw_dtype=quantized)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return next(iter(sorted(path.parent.glob(f"{path.stem}-00001-of-*.gguf"))), path)


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


def from_hugging_face(folder: Path) -> Arrays:
    """A model folder's tensors as float32."""
    from safetensors.numpy import load_file

    return {name: array.astype(np.float32) for name, array in load_file(folder / "model.safetensors").items()}


def basic_keys(folder: Path) -> dict[str, Any]:
    """What llama.cpp's converter writes for every model, from its config.json."""
    config = json.loads((folder / "config.json").read_text())

    def first(*names: str, default: Any = None) -> Any:
        return next((config[name] for name in names if config.get(name) is not None), default)

    rotary = config.get("rope_parameters") or {}
    keys = {
        "block_count": first("num_hidden_layers", "n_layer"),
        "context_length": first("max_position_embeddings", "n_positions"),
        "embedding_length": first("hidden_size", "n_embd"),
        "feed_forward_length": first("intermediate_size", default=4 * first("hidden_size", "n_embd")),
        "attention.head_count": first("num_attention_heads", "n_head"),
        "attention.head_count_kv": first("num_key_value_heads"),
        "attention.key_length": first("head_dim"),
        "attention.value_length": first("head_dim"),
        "attention.layer_norm_rms_epsilon": first("rms_norm_eps"),
        "attention.layer_norm_epsilon": first("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"),
        "rope.freq_base": rotary.get("full_attention", rotary).get("rope_theta"),
        "expert_count": first("num_local_experts", "num_experts"),
        "expert_used_count": first("num_experts_per_tok"),
    }
    return {key: value for key, value in keys.items() if value is not None}


def renamed(tensors: Arrays, architecture: str, layers: int) -> Arrays:
    """The tensors under llama.cpp's names, experts stacked."""
    number = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}[architecture]
    table = gguf.get_tensor_name_map(number, layers)
    stacked: dict[str, list[Any]] = {}
    found: Arrays = {}
    for name, array in sorted(tensors.items(), key=lambda item: [int(x) for x in re.findall(r"\d+", item[0])]):
        expert = re.sub(r"experts\.\d+\.", "experts.", re.sub(r"norms\.\d+\.", "", name))
        target = table.get_name(expert, (".weight", ".bias"))
        assert target, name
        if expert == name:
            found[target] = array
        else:
            stacked.setdefault(target, []).append(array)
    return found | {name: np.stack(arrays) for name, arrays in stacked.items()}


def permuted(tensors: Arrays, heads: int, key_heads: int) -> Arrays:
    """Rows of query and key in the order of ggml's other rotary convention (conversion/llama.py, `permute`)."""

    def permute(array: Any, count: int) -> Any:
        return (
            array.reshape(count, 2, array.shape[0] // count // 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)
        )

    counts = {"attn_q": heads, "attn_k": key_heads}
    roles = {name: name.split(".")[2] if name.startswith("blk.") else "" for name in tensors}
    return {
        name: permute(array, counts[roles[name]]) if roles[name] in counts else array for name, array in tensors.items()
    }


def changed(tensors: Arrays, pattern: str, change: Callable[[Any], Any]) -> Arrays:
    """The tensors with those whose name matches changed."""
    return {name: change(array) if re.search(pattern, name) else array for name, array in tensors.items()}


def tiny_llama(path: Path, *, keys: dict[str, Any] | None = None, extra: Arrays | None = None, **options: Any) -> Path:
    """A Llama of one layer with random weights whose rows are long enough for every format; no tokenizer by itself."""
    numbers = np.random.default_rng(0)
    shapes = {
        "token_embd": (300, 256),
        "blk.0.attn_q": (256, 256),
        "blk.0.attn_k": (128, 256),
        "blk.0.attn_v": (128, 256),
        "blk.0.attn_output": (256, 256),
        "blk.0.ffn_gate": (256, 256),
        "blk.0.ffn_up": (256, 256),
        "blk.0.ffn_down": (256, 256),
    }
    tensors: Arrays = {f"{name}.weight": numbers.normal(0, 0.05, shape) for name, shape in shapes.items()}
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        tensors[f"{name}.weight"] = 1 + numbers.integers(-8, 8, 256) / 64
    sizes = {
        "block_count": 1,
        "context_length": 128,
        "embedding_length": 256,
        "feed_forward_length": 256,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.freq_base": 10000.0,
    }
    return write(path, "llama", sizes | (keys or {}), tensors | (extra or {}), **options)
