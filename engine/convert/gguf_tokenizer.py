"""Builds a standard tokenizer from a .gguf file's vocabulary. Knows two forms of it: byte-level and sentencepiece.

The rules are those of llama.cpp's src/llama-vocab.cpp; the result is a tokenizer.json that says the same.
"""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.convert import gguf_splits
from engine.convert.gguf_header import Header
from engine.errors import UserError, in_short

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer

TEMPLATE = "tokenizer.chat_template"
_KEY = "tokenizer.ggml."
_BYTE_LEVEL, _SENTENCEPIECE = "gpt2", "llama"
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4
_SPACE = "▁"
# The file's names of the special tokens, and what sentencepiece vocabularies have where it names none.
_SPECIAL = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
_SENTENCEPIECE_IDS = {"bos": 1, "eos": 2, "unk": 0}
# Tokens that end an answer in every model that has them; files rarely name them all.
_ENDINGS = (
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>",
    "<EOT>", "<|end_of_text|>", "<|END_OF_TURN_TOKEN|>", "<｜end▁of▁sentence｜>",
)  # fmt: skip
# Phi-3's tokens swallow the white space behind them, all but these.
_KEEPS_SPACE = ("<unk>", "<s>", "<|endoftext|>")


def is_known(header: Header) -> bool:
    """Whether the file holds a tokenizer of a form that can be read."""
    return header.metadata.get(f"{_KEY}model") in (_BYTE_LEVEL, _SENTENCEPIECE) and bool(_tokens(header))


def warnings(header: Header) -> list[str]:
    """Sentences on what is uncertain about the tokenizer."""
    if not is_known(header):
        return ["It holds no tokenizer that can be read, so the result could not be used for text."]
    guessed = gguf_splits.of(header)[1] if header.metadata[f"{_KEY}model"] == _BYTE_LEVEL else ""
    return [guessed] if guessed else []


def special_ids(header: Header) -> dict[str, Any]:
    """The ids of special tokens as config.json states them, every token that ends an answer among them."""
    ids = _ids(header)
    stops = _stops(header, ids)
    found = {f"{name}_token_id": ids[name] for name in ("bos", "pad") if name in ids}
    return found | ({"eos_token_id": stops} if stops else {})


def save(header: Header, output: Path, eos_token: str = "") -> dict[str, Any]:
    """Write tokenizer.json, tokenizer_config.json, generation_config.json and, where there is one, the chat template.

    Args:
        eos_token: the token that ends an answer, instead of the model's own.

    Returns:
        what config.json must say besides: {"eos_token_id": ...} where `eos_token` was given.

    Raises:
        UserError: there is no tokenizer, it cannot be read, or it has no such token.
    """
    if not is_known(header):
        raise _unreadable(header, "its form is {form}", form=header.metadata.get(f"{_KEY}model", "not stated"))
    vocabulary, added = _vocabulary(header)
    ids = special_ids(header)
    names = {f"{name}_token": _tokens(header)[number] for name, number in _ids(header).items()}
    if eos_token:
        ids["eos_token_id"] = _id_of(eos_token, vocabulary, added)
        names["eos_token"] = eos_token
    tokenizer = build(header)
    output.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(output / "tokenizer.json"))
    config: dict[str, Any] = {
        # Not the architecture's own class: transformers 5 would build that one anew, by its own rules.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": header.get("context_length", 0),
        **names,
    }
    template = header.metadata.get(TEMPLATE)
    if template:
        config["chat_template"] = template
        (output / "chat_template.jinja").write_text(template, "utf-8")
    for name, content in (("tokenizer_config.json", config), ("generation_config.json", ids)):
        (output / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return {"eos_token_id": ids["eos_token_id"]} if eos_token else {}


def build(header: Header) -> Tokenizer:
    """The tokenizer that a file describes.

    Raises:
        UserError: its parts contradict each other.
    """
    try:
        byte_level = header.metadata[f"{_KEY}model"] == _BYTE_LEVEL
        tokenizer = _byte_level(header) if byte_level else _sentencepiece(header)
        _add_tokens(header, tokenizer)
        _surround(header, tokenizer)
    except UserError:
        raise
    except Exception as error:  # the library raises nothing more exact
        raise _unreadable(header, "{error}", error=in_short(error)) from error
    return tokenizer


def _byte_level(header: Header) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers

    split, _ = gguf_splits.of(header)
    vocabulary, _ = _vocabulary(header)
    # A space parts the two halves; it may itself begin the first.
    cut = ((merge, merge.find(" ", 1)) for merge in header.metadata.get(f"{_KEY}merges", []))
    merges = [(merge[:at], merge[at + 1 :]) for merge, at in cut]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=split.whole))
    if split.composed:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = split.pre_tokenizer()
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _sentencepiece(header: Header) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers

    vocabulary, _ = _vocabulary(header)
    ids, tokens = _ids(header), _tokens(header)
    unknown = tokens[ids["unk"]] if "unk" in ids else None
    model = models.BPE(
        vocabulary, _merges(header), unk_token=unknown, fuse_unk=True, byte_fallback="<0x00>" in vocabulary
    )
    tokenizer = Tokenizer(model)
    steps: list[Any] = [normalizers.Replace(" ", _SPACE)]
    undo: list[Any] = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if header.metadata.get(f"{_KEY}add_space_prefix", True):
        steps.insert(0, normalizers.Prepend(_SPACE))
        undo.append(decoders.Strip(" ", 1, 0))
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.decoder = decoders.Sequence(undo)
    return tokenizer


def _merges(header: Header) -> list[tuple[str, str]]:
    """The pairs of pieces that become one, best first: sentencepiece merges where the result scores best."""
    kinds = _kinds(header)
    scores = header.metadata.get(f"{_KEY}scores") or [-float(i) for i in range(len(kinds))]
    known = {
        token: (score, number)
        for number, (token, kind, score) in enumerate(zip(_tokens(header), kinds, scores, strict=True))
        if kind == _NORMAL
    }
    found = []
    for token, (score, number) in known.items():
        for at in range(1, len(token)):
            first, second = token[:at], token[at:]
            if first in known and second in known:
                found.append((-score, number, known[first][1], known[second][1], first, second))
    return [(first, second) for *_, first, second in sorted(found)]


def _vocabulary(header: Header) -> tuple[dict[str, int], list[AddedToken]]:
    """Every piece with its id, and those that are found in a text before it is cut, by the file's types of tokens."""
    from tokenizers import AddedToken

    sentencepiece = header.metadata[f"{_KEY}model"] == _SENTENCEPIECE
    swallows = sentencepiece and header.architecture == "phi3"
    vocabulary: dict[str, int] = {}
    added = []
    for number, (token, kind) in enumerate(zip(_tokens(header), _kinds(header), strict=True)):
        # Text is searched for these as it is, where a space is a space.
        piece = token.replace(_SPACE, " ") if sentencepiece and kind == _USER_DEFINED else token
        if not piece or piece in vocabulary:
            piece = f"[UNUSED_{number}]"
        vocabulary[piece] = number
        if kind in (_CONTROL, _USER_DEFINED) or (kind == _UNKNOWN and sentencepiece):
            special = kind != _USER_DEFINED
            rstrip = swallows and piece not in _KEEPS_SPACE
            added.append(AddedToken(piece, special=special, normalized=False, rstrip=rstrip))
    return vocabulary, added


def _add_tokens(header: Header, tokenizer: Tokenizer) -> None:
    _, added = _vocabulary(header)
    tokenizer.add_special_tokens([token for token in added if token.special])
    tokenizer.add_tokens([token for token in added if not token.special])


def _surround(header: Header, tokenizer: Tokenizer) -> None:
    """Put the tokens in place that a text begins and ends with."""
    from tokenizers import processors

    sentencepiece = header.metadata[f"{_KEY}model"] == _SENTENCEPIECE
    begins = sentencepiece or gguf_splits.of(header)[0].begins
    ids, tokens = _ids(header), _tokens(header)
    around = {
        name: tokens[ids[name]]
        for name, default in (("bos", begins), ("eos", False))
        if name in ids and header.metadata.get(f"{_KEY}add_{name}_token", default)
    }
    if not around:
        return
    first, last = (around.get(name, "") for name in ("bos", "eos"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[piece for piece in (first, "$A", last) if piece],
        pair=[piece for piece in (first, "$A", last, first and f"{first}:1", "$B:1", last and f"{last}:1") if piece],
        special_tokens=[(token, ids[name]) for name, token in around.items()],
    )


def _tokens(header: Header) -> list[str]:
    found = header.metadata.get(f"{_KEY}tokens")
    return found if isinstance(found, list) else []


def _kinds(header: Header) -> list[int]:
    """The type of each token; a file that states none has normal ones only."""
    tokens = _tokens(header)
    kinds = header.metadata.get(f"{_KEY}token_type") or [_NORMAL] * len(tokens)
    if not isinstance(kinds, list) or len(kinds) != len(tokens):
        raise _unreadable(header, "its lists have different lengths")
    return kinds


def _ids(header: Header) -> dict[str, int]:
    """The ids of the special tokens, by their short names."""
    defaults = _SENTENCEPIECE_IDS if header.metadata.get(f"{_KEY}model") == _SENTENCEPIECE else {}
    stated = {name: header.metadata.get(f"{_KEY}{key}_token_id", defaults.get(name)) for name, key in _SPECIAL.items()}
    count = len(_tokens(header))
    return {name: number for name, number in stated.items() if isinstance(number, int) and 0 <= number < count}


def _stops(header: Header, ids: dict[str, int]) -> list[int]:
    """The ids that end an answer, the file's own end-of-text token first."""
    tokens = _tokens(header)
    named = [ids.get("eos"), *(header.metadata.get(f"{_KEY}{name}_token_id") for name in ("eot", "eom"))]
    stops = [number for number in named if isinstance(number, int) and 0 <= number < len(tokens)]
    numbers = {token: number for number, token in enumerate(tokens) if token in _ENDINGS}
    kinds = _kinds(header)
    stops += [
        numbers[token] for token in _ENDINGS if token in numbers and kinds[numbers[token]] in (_CONTROL, _USER_DEFINED)
    ]
    # In gpt-oss an answer has parts, and this one ends a part.
    part = numbers.get("<|end|>") if {"<|return|>", "<|call|>"} <= set(numbers) else None
    return [number for number in dict.fromkeys(stops) if number != part]


def _id_of(token: str, vocabulary: dict[str, int], added: list[AddedToken]) -> int:
    if token in vocabulary:
        return vocabulary[token]
    names = [piece.content for piece in added]
    close = difflib.get_close_matches(token, names, 5, 0.4) or names[:5]
    raise UserError(
        "The tokenizer knows no token {token}.",
        "An answer can only end at a token of its vocabulary. The closest are: {close}",
        "Give one of these, or leave the end-of-text token out to keep the model's own.",
        token=token,
        close=", ".join(close) or "none",
    )


def _unreadable(header: Header, reason: str, **values: Any) -> UserError:
    return UserError(
        "The tokenizer in {name} cannot be read.",
        f"It is damaged or of an unknown form: {reason}.",
        "Choose the model as a Hugging Face folder, or another file of it.",
        name=header.files[0].name,
        **values,
    )
