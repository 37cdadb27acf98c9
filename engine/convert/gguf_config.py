"""The Hugging Face configuration of the model in a .gguf file. Knows its header only, no MLX and no transformers."""

from __future__ import annotations

from typing import Any

from engine.convert.gguf_families import MAKERS
from engine.convert.gguf_header import Header
from engine.convert.gguf_rope import rotary_settings
from engine.convert.gguf_values import lacking, short, uniform, unsupported
from engine.errors import UserError

_NORM_EPSILONS = ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon")
# Those whose model classes rotate a part of each head.
_PARTLY_ROTATED = ("phi2", "phi3", "stablelm", "gptneox", "glm4")


def hugging_face_config(header: Header) -> dict[str, Any]:
    """The content of a config.json.

    Raises:
        UserError: the architecture is unknown, or the file lacks or contradicts what a configuration needs.
    """
    maker = MAKERS.get(header.architecture)
    if maker is None:
        raise _unknown_architecture(header)
    if header.get("attention.causal") is False:
        raise unsupported(header, "attends to later tokens, as models for search and classification do")
    if header.get("attention.clamp_kqv"):
        raise unsupported(header, "limits the values inside its attention")
    config = _common(header)
    config.update(maker(header, config))
    _check(header, config)
    return config


def _common(header: Header) -> dict[str, Any]:
    embedding = header.tensors.get("token_embd.weight")
    if embedding is None or len(embedding.shape) != 2:
        raise lacking(header, "the weights token_embd.weight")
    hidden, heads = uniform(header, "embedding_length"), uniform(header, "attention.head_count")
    head_size = header.get("attention.key_length", hidden // max(heads, 1))
    if header.get("attention.value_length", head_size) != head_size:
        raise unsupported(header, "has keys and values of different widths")
    epsilon = next((header.get(key) for key in _NORM_EPSILONS if header.get(key) is not None), None)
    if epsilon is None:
        raise lacking(header, f"a value for {_NORM_EPSILONS[0]}")
    rotated = header.get("rope.dimension_count", head_size)
    return {
        "vocab_size": embedding.shape[0],
        "hidden_size": hidden,
        "num_hidden_layers": uniform(header, "block_count"),
        "intermediate_size": uniform(header, "feed_forward_length", header.get("expert_feed_forward_length")),
        "num_attention_heads": heads,
        "num_key_value_heads": uniform(header, "attention.head_count_kv", heads),
        "head_dim": head_size,
        "max_position_embeddings": uniform(header, "context_length"),
        "rms_norm_eps": short(epsilon),
        "tie_word_embeddings": "output.weight" not in header.tensors,
        "partial_rotary_factor": rotated / max(head_size, 1),
        **rotary_settings(header, rotated),
    }


def _check(header: Header, config: dict[str, Any]) -> None:
    """Refuse what would otherwise make a model of the wrong size or, worse, one that works wrongly."""
    counted = {name.split(".")[1] for name in header.tensors if name.startswith("blk.")}
    layers = config["num_hidden_layers"]
    if len(counted) != layers or any(str(layer) not in counted for layer in range(layers)):
        raise lacking(header, f"some of the {layers} layers it announces")
    if "output_norm.weight" not in header.tensors:
        raise lacking(header, "the weights output_norm.weight")
    if header.tensors["token_embd.weight"].shape[1] != config["hidden_size"]:
        raise lacking(header, "a word embedding of the width it announces")
    if config["hidden_size"] % config["num_attention_heads"] and header.get("attention.key_length") is None:
        raise lacking(header, "a possible number of attention heads")
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    for name, tensor in header.tensors.items():
        count = heads.get("".join(name.split(".")[2:3]))
        if count and tensor.shape[:1] != (count * config["head_dim"],):
            raise lacking(header, f"the rows of {name} that its attention heads need")
        if name.endswith(".attn_qkv.weight") and tensor.shape[0] % config["num_attention_heads"]:
            raise lacking(header, f"the rows of {name} that its attention heads need")
    if config["partial_rotary_factor"] != 1 and header.architecture not in _PARTLY_ROTATED:
        raise unsupported(header, "rotates a part of each head only")


def _unknown_architecture(header: Header) -> UserError:
    return UserError(
        "{name} holds a model of the kind {architecture}, which cannot be read from a GGUF file here.",
        "Known are {known}.",
        "Choose the same model as a Hugging Face folder.",
        name=header.files[0].name,
        architecture=header.architecture or "(not named)",
        known=", ".join(sorted(MAKERS)),
    )
