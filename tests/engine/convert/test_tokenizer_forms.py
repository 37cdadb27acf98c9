"""Tokenizers without tokenizer.json: what is made of them has the ids of the library that trained them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from tokenizers import Tokenizer

from engine.convert import tokenizer_files, tokenizer_forms
from engine.convert.tokenizer_forms import HARD_TEXT
from tests.engine.convert.tokenizer_probe import assert_streams, loaded, plain, refusal, saved
from tests.support import tiny_tokenizers as tiny


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


LLAMA_CONFIG = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize(
    ("flags", "model_type", "config"),
    [
        (tiny.LLAMA, "llama", LLAMA_CONFIG),
        (tiny.LLAMA, "llama", LLAMA_CONFIG | {"legacy": False}),
        (tiny.LLAMA, "llama", None),
        (tiny.LLAMA, "mistral", LLAMA_CONFIG),
        (tiny.LLAMA, "phi3", LLAMA_CONFIG),
        (tiny.LLAMA, "internlm2", {"auto_map": {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]}}),
        (tiny.LLAMA | {"normalization_rule_name": "nmt_nfkc"}, "llama", LLAMA_CONFIG),
        (tiny.LLAMA | {"remove_extra_whitespaces": True}, "llama", LLAMA_CONFIG),
        (tiny.GEMMA, "gemma2", {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True}),
        (tiny.GEMMA, "gemma", None),
        (tiny.T5, "llama", None),
        (tiny.UNIGRAM, "llama", LLAMA_CONFIG),
        (tiny.UNIGRAM, "unheard_of", None),
    ],
)
def test_sentencepiece_becomes_a_tokenizer_json_with_its_ids(
    source: Path, flags: dict[str, Any], model_type: str, config: dict[str, Any] | None
) -> None:
    tiny.write_folder(source, model_type, config)
    tiny.write_sentencepiece(source / "tokenizer.model", **flags)
    assert tokenizer_files.describe(source) == "sentencepiece"
    output = saved(source)
    judge = sentencepiece.SentencePieceProcessor(model_file=str(source / "tokenizer.model"))
    tokenizer, file = loaded(output), Tokenizer.from_file(str(output / "tokenizer.json"))
    for text in (HARD_TEXT, *tiny.CORPUS, "a", ""):
        assert plain(tokenizer, text) == file.encode(text, add_special_tokens=False).ids == judge.encode(text)
    assert (output / "tokenizer.model").read_bytes() == (source / "tokenizer.model").read_bytes()
    assert tokenizer.eos_token_id == judge.eos_id() in tokenizer.eos_token_ids
    assert tokenizer.encode("a") == [judge.bos_id()] * bool(config and config.get("add_bos_token")) + judge.encode("a")
    assert file.encode("a").ids == tokenizer.encode("a")
    assert plain(tokenizer, judge.id_to_piece(judge.eos_id())) == [judge.eos_id()]
    if flags.get("byte_fallback"):
        assert tokenizer.decode(plain(tokenizer)) == judge.decode(judge.encode(HARD_TEXT))
        assert_streams(tokenizer)


@pytest.mark.parametrize(
    ("model_type", "config"),
    [
        ("gpt2", {"tokenizer_class": "GPT2Tokenizer"}),
        ("gpt2", None),
        ("gpt_bigcode", {"tokenizer_class": "GPT2TokenizerFast"}),
        ("stablelm", None),
        ("qwen2", {"tokenizer_class": "Qwen2Tokenizer"}),
        ("unheard_of", None),
    ],
)
def test_vocabulary_and_merges_become_a_tokenizer_json(
    source: Path, model_type: str, config: dict[str, Any] | None
) -> None:
    tiny.write_folder(source, model_type, config)
    tokenizer = tiny.byte_level()
    tokenizer.model.save(str(source))
    assert tokenizer_files.describe(source) == "vocabulary and merges"
    after = loaded(saved(source))
    # Qwen splits numbers into digits and composes characters first; the rest is the same.
    texts = tiny.CORPUS[2:5] if model_type == "qwen2" else (HARD_TEXT, *tiny.CORPUS)
    for text in texts:
        assert plain(after, text) == tokenizer.encode(text).ids
        assert after.decode(plain(after, text)) == text
    assert_streams(after)


ADDED = {"<|im_start|>": 420, "<|im_end|>": 421}


def added_with_flags(folder: Path) -> None:
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    decoder = {str(number): {"content": token} | flags for token, number in ADDED.items()}
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"added_tokens_decoder": decoder}))


def added_in_a_file(folder: Path) -> None:
    (folder / "added_tokens.json").write_text(json.dumps(ADDED))


@pytest.mark.parametrize("add", [added_with_flags, added_in_a_file])
@pytest.mark.parametrize("model_type", ["llama", "mistral"])
def test_added_tokens_keep_their_ids(source: Path, add: Callable[[Path], None], model_type: str) -> None:
    tiny.write_folder(source, model_type, LLAMA_CONFIG | {"chat_template": tiny.TEMPLATE})
    tiny.write_sentencepiece(source / "tokenizer.model", **tiny.LLAMA)
    add(source)
    output = saved(source)
    for tokenizer in (loaded(output), Tokenizer.from_file(str(output / "tokenizer.json"))):
        ids = tokenizer.encode("<|im_start|>Hello<|im_end|>", add_special_tokens=False)
        ids = ids if isinstance(ids, list) else ids.ids
        assert (ids[0], ids[-1]) == (420, 421)
        assert max(ids[1:-1]) < 420


def test_tekken_becomes_a_tokenizer_json_with_its_ids(source: Path) -> None:
    tiny.write_folder(source, "mistral")
    judge = tiny.write_tekken(source / "tekken.json")
    assert tokenizer_files.describe(source) == "tekken"
    after = loaded(saved(source))
    for text in (HARD_TEXT, *tiny.CORPUS):
        assert plain(after, text) == judge(text)
    assert_streams(after)


def test_a_vocabulary_that_is_not_of_bytes_is_not_taken_for_one(source: Path) -> None:
    tiny.write_folder(source, "gpt2")
    tiny.with_spaces_marked().model.save(str(source))
    assert "vocabulary and merges" in refusal(source).why


def test_a_damaged_sentencepiece_model_is_named(source: Path) -> None:
    tiny.write_folder(source, "llama", LLAMA_CONFIG)
    (source / "tokenizer.model").write_bytes(b"\x0a\xff nonsense")
    assert "tokenizer.model" in refusal(source).why


def test_a_class_that_numbers_pieces_otherwise_is_refused(source: Path) -> None:
    tiny.write_folder(source, "xglm", {"tokenizer_class": "XGLMTokenizer"})
    tiny.write_sentencepiece(source / "sentencepiece.bpe.model", **tiny.UNIGRAM)
    assert "other numbers" in refusal(source).why


def test_a_conversion_that_changes_ids_is_refused(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.write_folder(source, "llama", LLAMA_CONFIG)
    tiny.write_sentencepiece(source / "tokenizer.model", **(tiny.LLAMA | {"treat_whitespace_as_suffix": True}))
    assert "same ids" in refusal(source).why
    assert not (source.parent / "output" / "tokenizer.json").exists()
    monkeypatch.setattr(tokenizer_forms, "_difference", lambda *_, **__: "")
    assert saved(source)  # the comparison is what refused it
