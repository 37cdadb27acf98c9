"""Saves a tokenizer and opens it as the programs do that will read it. Tests nothing by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mlx_lm.tokenizer_utils import TokenizerWrapper
from mlx_lm.utils import load_config, load_tokenizer

from engine import library
from engine.convert import tokenizer_files
from engine.convert.tokenizer_forms import HARD_TEXT
from engine.errors import UserError


def saved(source: Path, **arguments: Any) -> Path:
    """The folder that `save` writes, with the config.json a conversion would write there."""
    output = source.parent / "output"
    changes = tokenizer_files.save(source, output, **arguments)
    (output / "config.json").write_text(json.dumps(library.read_config(source) | changes))
    return output


def loaded(folder: Path) -> TokenizerWrapper:
    """As our session and mlx_lm open it."""
    return load_tokenizer(folder, {"trust_remote_code": False}, eos_token_ids=load_config(folder).get("eos_token_id"))


def plain(tokenizer: Any, text: str = HARD_TEXT) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


def assert_streams(tokenizer: TokenizerWrapper) -> None:
    """Token by token comes what decoding at once gives."""
    ids = plain(tokenizer)
    detokenizer = tokenizer.detokenizer
    text = ""
    for token in ids:
        detokenizer.add_token(token)
        text += detokenizer.last_segment
    detokenizer.finalize()
    assert text + detokenizer.last_segment == tokenizer.decode(ids)


def refusal(source: Path, **arguments: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        saved(source, **arguments)
    assert caught.value.what
    assert caught.value.why
    assert caught.value.remedy
    return caught.value
