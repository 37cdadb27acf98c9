"""A Hugging Face folder's tokenizer, chat template and stop tokens: what they are, and their way into a model folder.

Knows no weights. Code that comes with a tokenizer is neither run nor copied, unless the person allowed it.
"""

from __future__ import annotations

import difflib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from engine import library
from engine.errors import UserError

_KEPT = (
    "tokenizer.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt",
    "tekken.json", "*.tiktoken", "*.model", "chat_template.jinja", "additional_chat_templates/*.jinja",
)  # fmt: skip
_GENERIC = "PreTrainedTokenizerFast"
_CLOSE = 5  # names offered for one that is unknown


def describe(folder: Path) -> str:
    """The form of a folder's tokenizer, told by its files.

    "tokenizer.json", "sentencepiece", "vocabulary and merges", "tiktoken", "tekken", "word pieces", or "" for none.
    """
    if (folder / "tokenizer.json").is_file():
        return "tokenizer.json"
    models = [path for path in sorted(folder.glob("*.model")) if path.is_file()]
    if models and not all(map(_is_tiktoken, models)):
        return "sentencepiece"
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        return "vocabulary and merges"
    if models or any(folder.glob("*.tiktoken")):
        return "tiktoken"
    if (folder / "tekken.json").is_file():
        return "tekken"
    return "word pieces" if (folder / "vocab.txt").is_file() else ""


def has_chat_template(folder: Path) -> bool:
    """Whether the folder says how a conversation is written for the model.

    Raises:
        UserError: a file that may hold it is damaged.
    """
    return bool(_chat_templates(folder, _read(folder / "tokenizer_config.json")))


def save(source: Path, output: Path, *, eos_token: str = "", trust_remote_code: bool = False) -> dict[str, Any]:
    """Write the tokenizer, chat template and stop tokens of the folder `source` into the folder `output`.

    There is a tokenizer.json afterwards, whatever the form was, whose ids were compared with the source's; only a
    tokenizer that consists of code, and may be run, stays as it is.

    Args:
        eos_token: the token that ends an answer, instead of the model's own.
        trust_remote_code: Python code of the source may be run and copied.

    Returns:
        what config.json must say about the stop tokens: {"eos_token_id": ...}, or {} where it says so already.

    Raises:
        UserError: there is no tokenizer, it is damaged, cannot be converted, is code, or has no such token.
    """
    model_config = library.read_config(source)
    config, generation = _read(source / "tokenizer_config.json"), _read(source / "generation_config.json")
    special = _read(source / "special_tokens_map.json")
    _read(source / "added_tokens.json")
    form = describe(source)
    templates = _chat_templates(source, config)
    code = form != "tokenizer.json" and _is_code(config, model_config)
    if code and not trust_remote_code:
        raise _only_code(source, config)
    if not form and not code:
        raise UserError(
            "{name} has no tokenizer.",
            "There is no tokenizer.json, tokenizer.model, or vocab.json with merges.txt in {folder}.",
            "Get these files from where the model came and put them beside its weights.",
            name=library.display_name(source),
            folder=source,
        )
    output.mkdir(parents=True, exist_ok=True)
    _copy(source, output, (*_KEPT, "*.py") if code else _KEPT)
    if not code:
        config = _without_code(config)
        _write(output / "tokenizer_config.json", config)
        if form == "tokenizer.json":
            _check(output / "tokenizer.json")
        else:
            from engine.convert import tokenizer_forms

            made = tokenizer_forms.to_tokenizer_json(output, form, model_config)
            config = made | config | {"tokenizer_class": made.get("tokenizer_class", _GENERIC)}
    _write_templates(output, config, templates)
    stops = _stop_tokens(model_config, generation)
    if eos_token:
        stops = _token_id(output, config, eos_token)
        config["eos_token"] = eos_token
        generation["eos_token_id"] = stops
        if special:
            _write(output / "special_tokens_map.json", special | {"eos_token": eos_token})
    _write(output / "tokenizer_config.json", config)
    if generation:
        _write(output / "generation_config.json", generation)
    return {} if stops is None or stops == model_config.get("eos_token_id") else {"eos_token_id": stops}


def _stop_tokens(model_config: dict[str, Any], generation: dict[str, Any]) -> Any:
    """The ids at which the source stops: transformers asks these three, in this order."""
    text = model_config.get("text_config")
    for place in (generation, model_config, text if isinstance(text, dict) else {}):
        if place.get("eos_token_id") is not None:
            return place["eos_token_id"]
    return None


def _token_id(folder: Path, config: dict[str, Any], token: str) -> int:
    """The id of a token.

    Raises:
        UserError: there is none of this name; lists those that come close.
    """
    known: dict[str, int] = {}
    if (folder / "tokenizer.json").is_file():
        from tokenizers import Tokenizer

        known = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab(with_added_tokens=True)
    added = config.get("added_tokens_decoder")
    for number, entry in (added if isinstance(added, dict) else {}).items():
        if str(number).isdecimal():
            known.setdefault(str(entry.get("content") if isinstance(entry, dict) else entry), int(number))
    if token in known:
        return known[token]
    marked = [name for name in known if name.startswith(("<", "[")) and len(name) > 2]
    close = difflib.get_close_matches(token, marked, _CLOSE, 0.4) or marked[:_CLOSE]
    raise UserError(
        "The tokenizer knows no token {token}.",
        "An answer can only end at a token of its vocabulary. The closest are: {close}",
        "Give one of these, or leave the end-of-text token out to keep the model's own.",
        token=token,
        close=", ".join(close) or "none",
    )


def _chat_templates(folder: Path, config: dict[str, Any]) -> dict[str, str]:
    """Every chat template by its name, from the place that transformers prefers."""
    found = {path.stem: _text(path) for path in sorted(folder.glob("additional_chat_templates/*.jinja"))}
    if (folder / "chat_template.jinja").is_file():
        found["default"] = _text(folder / "chat_template.jinja")
    older = folder / "chat_template.json"
    for file, place in ((folder / "tokenizer_config.json", config), (older, _read(older))):
        stated = place.get("chat_template")
        if found or not stated:
            continue
        listed = stated if isinstance(stated, list) else [{"name": "default", "template": stated}]
        entries = [entry for entry in listed if isinstance(entry, dict) and {"name", "template"} <= entry.keys()]
        found = {entry["name"]: entry["template"] for entry in entries}
        # Each becomes a file of that name.
        if not all(isinstance(word, str) for pair in found.items() for word in pair) or any(
            Path(word).name != word for word in found
        ):
            raise _damaged(file, "A chat template in it is no text, or has a name that no file can have.")
    return found


def _write_templates(folder: Path, config: dict[str, Any], templates: dict[str, str]) -> None:
    """State the templates in the file that newer programs read and in the setting that older ones read."""
    if not templates:
        return
    if set(templates) == {"default"}:
        config["chat_template"] = templates["default"]
    else:
        config["chat_template"] = [{"name": name, "template": text} for name, text in templates.items()]
    for name, text in templates.items():
        file = folder / ("chat_template.jinja" if name == "default" else f"additional_chat_templates/{name}.jinja")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")


def _is_code(config: dict[str, Any], model_config: dict[str, Any]) -> bool:
    """Whether a tokenizer without tokenizer.json consists of code that transformers has no class of its own for."""
    if not config.get("auto_map"):
        return False
    from engine import backend

    backend.hide_torch()
    from transformers.models.auto.tokenization_auto import MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS

    return model_config.get("model_type") not in MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS


def _only_code(source: Path, config: dict[str, Any]) -> UserError:
    code = sorted(path.name for path in source.glob("*.py")) or [str(config["auto_map"])]
    return UserError(
        "The tokenizer of {name} is a program.",
        "It has no tokenizer.json; it consists of Python code that could do anything on this computer: {files}",
        "If you trust its authors, allow the code with --trust-remote-code. Safer: look for a repository of the same "
        "model that has a tokenizer.json.",
        name=library.display_name(source),
        files=", ".join(code),
    )


def _without_code(config: dict[str, Any]) -> dict[str, Any]:
    """A tokenizer_config that asks for no code, in words that transformers 4 and 5 know."""
    config = dict(config)
    mapped = config.pop("auto_map", None)
    kind = str(config.get("tokenizer_class") or "")
    if kind == "TokenizersBackend" or (mapped and kind.removesuffix("Fast") in str(mapped)):
        config["tokenizer_class"] = _GENERIC
    extra = config.get("extra_special_tokens")
    if isinstance(extra, list) and "additional_special_tokens" not in config:
        config["additional_special_tokens"] = config.pop("extra_special_tokens")
    return config


def _check(path: Path) -> None:
    """Refuse a tokenizer.json that cannot be read."""
    from tokenizers import Tokenizer

    try:
        Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more exact
        raise _damaged(path, error) from error


def _is_tiktoken(path: Path) -> bool:
    """Whether a .model file is a list of base64 words with ranks instead of a sentencepiece model."""
    with path.open("rb") as file:
        words = file.readline(200).split()
    return len(words) == 2 and words[1].isdigit()


def _copy(source: Path, output: Path, patterns: Iterable[str]) -> None:
    for pattern in patterns:
        for path in source.glob(pattern):
            if path.is_file():
                target = output / path.relative_to(source)
                target.parent.mkdir(exist_ok=True)
                shutil.copyfile(path, target)


def _read(path: Path) -> dict[str, Any]:
    """The object in a JSON file; {} where there is no such file."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error) from error
    if not isinstance(content, dict):
        raise _damaged(path, "It does not hold a JSON object.")
    return content


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, reason: object) -> UserError:
    return UserError(
        "{file} is damaged.",
        "{reason}",
        "Get this file again from where the model came.",
        file=path.name,
        reason=" ".join(str(reason).split())[:200],
    )


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
