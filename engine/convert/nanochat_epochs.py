"""Which of nanochat's five architectures a checkpoint has, told by its tensors. Knows no file and reads no weights.

The facts are those of nanochat/gpt.py (github.com/karpathy/nanochat), whose metadata do not state them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.convert.source import TensorInfo
from engine.errors import UserError

# mlx_lm has a class of the first name, and it computes the first epoch; of the second only we have one.
_FIRST, _LATER = "nanochat", "nanochat_gpt"
# What torch's rms_norm adds to the mean square: the distance of float32 from 1 upwards.
_EPSILON = 2.0**-23
_SMEAR_WIDTH = 24
_TYPES = ("float32", "bfloat16", "float16")
_COUNTS = ("sequence_len", "vocab_size", "n_layer", "n_head", "n_kv_head", "n_embd")
# Rows of a vocabulary are padded to a multiple of 64; a fork may take 128.
_PADDING = 128


@dataclass(frozen=True, slots=True)
class Epoch:
    """What the code of one time computed; `short` gives the short window for a context, both in tokens."""

    since: str
    rope_theta: float
    qk_scale: float
    short: Callable[[int], int]
    gate_width: int = 0
    gate_scale: float = 0.0
    softcap: float = 15.0


EPOCHS = {
    "A": Epoch("October 2025", 10_000.0, 1.0, lambda context: context // 2),
    "B": Epoch("11 January 2026", 10_000.0, 1.0, lambda context: context // 2),
    "C": Epoch("16 January 2026", 10_000.0, 1.0, lambda context: context // 2, 32, 2.0),
    "D": Epoch("9 March 2026", 100_000.0, 1.15, lambda context: _tiles(context, 3), 12, 3.0),
    "E": Epoch("14 March 2026", 100_000.0, 1.2, lambda context: _tiles(context, 4), 12, 3.0),
}


@dataclass(frozen=True, slots=True)
class Described:
    """The architecture of a checkpoint: its letter, its config.json, and what a person should know of the guesses."""

    epoch: str
    config: dict[str, Any]
    warnings: tuple[str, ...]


def check(metadata: Mapping[str, Any], file: Path) -> None:
    """Refuse metadata that describe no model; without a look at the tensors, which takes a second or two.

    Raises:
        UserError: a number is missing or no number, or they contradict each other.
    """
    for key in _COUNTS:
        value = metadata.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise _contradiction(file, f"Its metadata give {key} as {value!r}.")
    width, heads, key_heads = (metadata[key] for key in ("n_embd", "n_head", "n_kv_head"))
    if width % heads or heads % key_heads or width // heads % 2:
        raise _contradiction(file, "The width does not divide by the heads, or those by the key heads.")


def describe(
    metadata: Mapping[str, Any], tensors: Mapping[str, TensorInfo], overrides: Mapping[str, float], file: Path
) -> Described:
    """The configuration of a checkpoint.

    Args:
        metadata: `model_config` of its metadata.
        tensors: by name, without torch.compile's prefix.
        overrides: what the person states: rope_theta, softcap, qk_scale.
        file: where the tensors are, for the words of an error.

    Raises:
        UserError: the metadata lack something, or tensors are missing, misshapen or not known.
    """
    check(metadata, file)
    context, vocabulary, layers, heads, key_heads, width = (metadata[key] for key in _COUNTS)
    letter = _letter(tensors, file)
    epoch = EPOCHS[letter]
    hidden = tensors.get("transformer.h.0.mlp.c_fc.weight")
    values = [layer for layer in range(layers) if epoch.gate_width and layer % 2 == (layers - 1) % 2]
    config = {
        "model_type": _LATER,
        "architectures": ["GPT"],
        "nanochat_epoch": letter,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "head_dim": width // heads,
        "vocab_size": vocabulary,
        "intermediate_size": hidden.shape[0] if hidden is not None and hidden.shape else 4 * width,
        "max_position_embeddings": context,
        "rope_theta": overrides.get("rope_theta", epoch.rope_theta),
        "rms_norm_eps": _EPSILON,
        "final_logit_softcapping": overrides.get("softcap", epoch.softcap),
        "query_key_scale": overrides.get("qk_scale", epoch.qk_scale),
        "windows": _windows(metadata, epoch, letter, context, layers, file),
        "residual_lambdas": letter >= "B",
        "value_embedding_layers": values,
        "value_gate_width": epoch.gate_width,
        "value_gate_scale": epoch.gate_scale,
        "smear_width": _SMEAR_WIDTH if letter == "E" else 0,
        "backout_layer": layers // 2 if letter == "E" else None,
        "tie_word_embeddings": False,
    }
    if letter == "A" and (config["final_logit_softcapping"], config["query_key_scale"]) == (15.0, 1.0):
        config["model_type"] = _LATER if any(config["windows"]) else _FIRST
    _compare(config, tensors, file)
    config["torch_dtype"] = tensors["lm_head.weight"].dtype
    return Described(letter, config, tuple(_warnings(letter, metadata, overrides)))


def _letter(tensors: Mapping[str, TensorInfo], file: Path) -> str:
    """The letter of the epoch: each later one brought tensors, or shapes, that none before had."""
    if "smear_gate.weight" in tensors:
        return "E"
    gates = {info.shape[-1] for name, info in tensors.items() if name.endswith(".attn.ve_gate.weight") and info.shape}
    if gates:
        letters = {EPOCHS[letter].gate_width: letter for letter in "CD"}
        if len(gates) > 1 or not gates <= letters.keys():
            raise _unknown(file, f"The gates of its value embeddings read {sorted(gates)} channels, not 12 or 32.")
        return letters[gates.pop()]
    return "B" if "resid_lambdas" in tensors or "x0_lambdas" in tensors else "A"


def _windows(
    metadata: Mapping[str, Any], epoch: Epoch, letter: str, context: int, layers: int, file: Path
) -> list[int | None]:
    """How many positions before its own each layer sees: the pattern's letters in turn, the last layer long."""
    pattern = metadata.get("window_pattern")
    if pattern is None and letter == "A":
        return [None] * layers
    pattern = "L" if pattern is None else pattern
    if not isinstance(pattern, str) or not pattern or set(pattern.upper()) - {"S", "L"}:
        raise _contradiction(file, f"Its window_pattern is {pattern!r}, and only S and L are known.")
    sizes = {"L": context, "S": epoch.short(context)}
    turns = [sizes[pattern.upper()[layer % len(pattern)]] for layer in range(layers)]
    return [*turns[:-1], context]


def _tiles(context: int, share: int) -> int:
    """The share of a context, rounded up to the 128 tokens of a tile of FlashAttention 3."""
    return -(-context // share // 128) * 128


def _shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The tensors of this configuration; those whose first length is the vocabulary may have more rows."""
    width, hidden, rows = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    layers, key_heads = config["num_hidden_layers"], config["num_key_value_heads"]
    keys = key_heads * config["head_dim"]
    shapes: dict[str, tuple[int, ...]] = {"transformer.wte.weight": (rows, width), "lm_head.weight": (rows, width)}
    for layer in range(layers):
        prefix = f"transformer.h.{layer}"
        shapes |= {f"{prefix}.attn.{name}.weight": (width, width) for name in ("c_q", "c_proj")}
        shapes |= {f"{prefix}.attn.{name}.weight": (keys, width) for name in ("c_k", "c_v")}
        shapes |= {f"{prefix}.mlp.c_fc.weight": (hidden, width), f"{prefix}.mlp.c_proj.weight": (width, hidden)}
    for layer in config["value_embedding_layers"]:
        shapes[f"value_embeds.{layer}.weight"] = (rows, keys)
        shapes[f"transformer.h.{layer}.attn.ve_gate.weight"] = (key_heads, config["value_gate_width"])
    if config["residual_lambdas"]:
        shapes |= {"resid_lambdas": (layers,), "x0_lambdas": (layers,)}
    if config["smear_width"]:
        shapes["smear_gate.weight"] = (1, config["smear_width"])
        shapes |= {"smear_lambda": (1,), "backout_lambda": (1,)}
    return shapes


def has_vocabulary_rows(name: str) -> bool:
    """Whether a tensor has a row for each token, and so perhaps rows of padding."""
    return name in {"transformer.wte.weight", "lm_head.weight"} or name.startswith("value_embeds.")


def _compare(config: Mapping[str, Any], tensors: Mapping[str, TensorInfo], file: Path) -> None:
    """Refuse tensors that are missing, misshapen or not known."""
    shapes = _shapes(config)
    unknown = sorted(tensors.keys() - shapes.keys())
    if unknown:
        raise _unknown(file, f"It has tensors that no nanochat up to July 2026 has: {', '.join(unknown[:5])}.")
    missing = sorted(shapes.keys() - tensors.keys())
    if missing:
        raise UserError(
            "Tensors of {file} are missing: {missing}",
            "By its metadata and its other tensors it is a nanochat model since {since}, which has them.",
            "Get the checkpoint again; it is incomplete, or its metadata belong to another one.",
            file=file,
            missing=", ".join(missing[:5]),
            since=EPOCHS[config["nanochat_epoch"]].since,
        )
    for name, shape in shapes.items():
        found = tensors[name].shape
        padded = has_vocabulary_rows(name) and found[1:] == shape[1:] and 0 <= found[0] - shape[0] < _PADDING
        if found != shape and not padded:
            raise _contradiction(file, f"The tensor {name} has the shape {found} and should have {shape}.")
        if tensors[name].dtype not in _TYPES:
            raise _unknown(file, f"The tensor {name} holds {tensors[name].dtype}.")


def _warnings(letter: str, metadata: Mapping[str, Any], overrides: Mapping[str, float]) -> list[str]:
    found = []
    if letter == "C" and "softcap" not in overrides:
        found.append(
            "The logit softcap is taken as 15. nanochat used 20 from 2 to 9 March 2026, and the checkpoint does not "
            "say; if it was trained in that week, set the softcap to 20 (--softcap 20)."
        )
    if letter >= "C" and "window_pattern" not in metadata:
        found.append("The metadata name no window pattern; every layer sees the whole context, as nanochat does it.")
    extra = sorted(set(metadata) - {*_COUNTS, "window_pattern"})
    if extra:
        found.append(f"The metadata name what this program does not know and leaves aside: {', '.join(extra)}.")
    return found


def _unknown(file: Path, reason: str) -> UserError:
    return UserError(
        "{file} is a nanochat checkpoint of a kind this program does not know.",
        "{reason}",
        "Nothing is left out in silence: update the program when it knows this kind, or train without the change.",
        file=file,
        reason=reason,
    )


def _contradiction(file: Path, reason: str) -> UserError:
    return UserError(
        "The nanochat checkpoint {file} and its metadata do not fit together.",
        "{reason}",
        "Give the model_*.pt and the meta_*.json of the same run and step, or get both again.",
        file=file,
        reason=reason,
    )
