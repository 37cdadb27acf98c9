"""The child program that computes a checkpoint's logits with transformers, in float32. Knows no MLX and trusts no code.

It also chooses the prompts, since transformers fills in what a config.json leaves out.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.convert.child import Message, Say, serve

_SEED = 20_251_013
_SHORT = 8
_PLAIN = 48
# How far a prompt reaches beyond a threshold, and how far before it the decoding token by token begins.
_BEYOND = 24
_BEFORE = 8
# Of a long prompt, this many positions spread over it and as many at its end are compared.
_COMPARED = 32
# The most that one prompt may take: tokens x parameters (a minute on two cores), and bytes of scores or logits.
_MOST_WORK = 4e11
_MOST_BYTES = 2e9
_WINDOWS = ("sliding_window", "sliding_window_size", "window_size", "attention_window_size", "attention_chunk_size")
_CHUNKS = ("chunk_size", "mamba_chunk_size")
_LENGTHS = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length")


def main(request: Message, say: Say) -> Any:
    """Answer a request: load the model in `folder`, say its prompts, and save its logits in `scratch`.

    `config` is what the MLX model was built from, `parameters` its number of weights. Logits of prompt N are saved as
    N.npy, of shape (positions, vocabulary). The result is {"missing": names of weights without which the logits could
    not be computed} or {"unavailable": why there is nothing to compare with}.
    """
    import torch
    import transformers

    # One core stays with the MLX side, which computes meanwhile.
    torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))
    folder = request["folder"]
    try:
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        model_class = _class_for(config)
    except Exception as error:  # other people's files go through other people's code
        model_type = json.loads(Path(folder, "config.json").read_text("utf-8")).get("model_type")
        if model_type not in transformers.models.auto.configuration_auto.CONFIG_MAPPING_NAMES:
            return {"unavailable": f"transformers has no class for {model_type}."}
        return {"unavailable": f"transformers cannot use its config.json: {_first_line(error)}"}
    if model_class is None:
        return {"unavailable": f"transformers has no language model for {config.model_type}."}
    try:
        skipped: list[int] = []
        prompts = list(_prompts(config, request["config"], request["parameters"], skipped))
        say({"prompts": prompts, "skipped": skipped})
        model, report = model_class.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            attn_implementation="eager",
            output_loading_info=True,
            trust_remote_code=False,
            local_files_only=True,
        )
        missing = sorted(report["missing_keys"])
        _poison(model, missing)
        for number, prompt in enumerate(prompts):
            logits = _logits(model.eval(), prompt)
            if missing and not torch.isfinite(logits).all():
                return {"missing": missing}
            _save(logits, Path(request["scratch"], f"{number}.npy"))
    except Exception as error:  # other people's files go through other people's code
        return {"unavailable": f"transformers cannot compute it: {_first_line(error)}"}
    return {"missing": []}


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def _class_for(config: Any) -> Any:
    """The class of transformers that gives logits for this configuration; None where there is none."""
    import transformers

    for auto in (transformers.AutoModelForCausalLM, transformers.AutoModelForImageTextToText):
        if type(config) in auto._model_mapping:
            return auto
    named = (config.architectures or [""])[0]
    return getattr(transformers, named, None) if "ForConditionalGeneration" in named else None


def _poison(model: Any, missing: list[str]) -> None:
    """Make every weight that was not found undefined, so that logits which need it are seen to."""
    parameters = dict(model.named_parameters())
    for name in missing:
        if name in parameters and parameters[name].is_floating_point():
            parameters[name].data.fill_(float("nan"))


def _logits(model: Any, prompt: Message) -> Any:
    import torch

    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt["ids"]]), use_cache=False).logits
    return logits[0, prompt["positions"]].float()


def _save(logits: Any, path: Path) -> None:
    import numpy as np

    np.save(path, logits.numpy())


def _prompts(config: Any, assembled: dict[str, Any], parameters: int, skipped: list[int]) -> Iterator[Message]:
    """The prompts: a short one, and one beyond each thing that changes with the length, where that can be afforded.

    Each has `name`, `ids`, the `positions` to compare, the lengths of the `pieces` it is read in through the cache, and
    the `threshold` it goes beyond (0: none). Thresholds that would cost too much are put into `skipped`.
    """
    text = config.get_text_config().to_dict()
    nested = assembled.get("text_config")
    texts = [text, nested if isinstance(nested, dict) else assembled]
    heads = int(text.get("num_attention_heads") or text.get("n_head") or 1)
    vocabulary = min(value for key, value in text.items() if key.startswith("vocab_size") and _whole(value))
    allowed = sorted(set(range(vocabulary)) - set(_special(config.to_dict()) | _special(assembled)))
    limit = min((text[key] for key in _LENGTHS if _whole(text.get(key))), default=1 << 40)
    draw = random.Random(_SEED)  # noqa: S311  a fixed choice, no secret

    def prompt(name: str, length: int, pieces: list[int], threshold: int = 0) -> Message:
        return {
            "name": name,
            "ids": draw.choices(allowed or range(vocabulary), k=length),
            "positions": _positions(length),
            "pieces": pieces,
            "threshold": threshold,
        }

    def affordable(length: int) -> bool:
        # Scores are held about three times while they are computed, logits twice.
        largest = max(12 * heads * length**2, 8 * vocabulary * length)
        return length * parameters <= _MOST_WORK and largest <= _MOST_BYTES

    short = min(_SHORT, limit)
    yield prompt("short", short, [short - 3, 1, 1, 1] if short > 3 else [short])
    long = 0
    thresholds = _thresholds(texts)
    for name, threshold in sorted(thresholds, key=lambda pair: pair[1]):
        length = threshold + _BEYOND if name == "dynamic" else min(threshold + _BEYOND, limit)
        if length <= threshold:
            continue
        if not affordable(length):
            skipped.append(threshold)
            continue
        crossed = {(kind, at) for kind, at in thresholds if at < length}
        yield prompt(name, length, _pieces(length, threshold, crossed), threshold)
        long = max(long, length)
    if not long:
        length = min(_PLAIN, limit)
        single = min(_SHORT, length // 2)
        yield prompt("plain", length, [length - single, *[1] * single])


def _pieces(length: int, threshold: int, crossed: set[tuple[str, int]]) -> list[int]:
    """How a prompt is read through the cache: two pieces to before the threshold, then token by token beyond it."""
    if any(kind == "dynamic" for kind, _ in crossed):
        # Its frequencies change with every token, so that transformers too computes otherwise piece by piece.
        return [length]
    changed = max((at for kind, at in crossed if kind == "positions"), default=0)
    if changed:
        # What changes for all positions at once must have changed before the first of them is read.
        return [changed + 1, *[1] * (length - changed - 1)]
    first = max(2, threshold - _BEFORE)
    return [first - first // 3, first // 3, *[1] * (length - first)] if first > 2 else [1] * length


def _positions(length: int) -> list[int]:
    spread = range(0, length, max(1, length // _COMPARED))
    return sorted({*spread, *range(max(0, length - _COMPARED), length)})


def _thresholds(texts: list[dict[str, Any]]) -> set[tuple[str, int]]:
    """Lengths at which a model begins to compute otherwise: ("window" | "chunk" | "positions" | "dynamic", tokens)."""
    found = set()
    for text in texts:
        if text.get("use_sliding_window") is not False:
            found |= {("window", text[key]) for key in _WINDOWS if _whole(text.get(key))}
        found |= {("chunk", text[key]) for key in _CHUNKS if _whole(text.get(key))}
        for rotary in _tables(text.get("rope_parameters") or text.get("rope_scaling")):
            kind = rotary.get("rope_type") or rotary.get("type")
            original = rotary.get("original_max_position_embeddings") or text.get("original_max_position_embeddings")
            if kind in {"longrope", "su"} or "llama_4_scaling_beta" in rotary:
                found |= {("positions", original)} if _whole(original) else set()
            elif kind == "dynamic" and _whole(text.get("max_position_embeddings")):
                found.add(("dynamic", text["max_position_embeddings"]))
    return found


def _tables(value: Any) -> Iterator[dict[str, Any]]:
    """A table and the tables in it: rotary settings are stated once, or once for each kind of layer."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _tables(inner)


def _special(config: dict[str, Any]) -> set[int]:
    """The ids that a configuration names, which stand for an end, a picture or nothing at all."""
    found: set[int] = set()
    for table in _tables(config):
        for key, value in table.items():
            if str(key).endswith(("token_id", "token_index", "token_ids")):
                found |= {each for each in (value if isinstance(value, list) else [value]) if isinstance(each, int)}
    return found


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


if __name__ == "__main__":
    serve(main)
