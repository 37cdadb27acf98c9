"""What each token adds, for every form of tokenizer: together they are the answer, and bytes are shown as bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mlx_lm.tokenizer_utils import (
    BPEStreamingDetokenizer,
    NaiveStreamingDetokenizer,
    SPMStreamingDetokenizer,
    TokenizerWrapper,
)
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from engine.chat.token_texts import TokenTexts
from engine.convert.tiktoken_files import TiktokenEncoding
from engine.tiktoken_tokenizer import TiktokenTokenizerWrapper
from tests.support import tiny_tokenizers

TEXTS = (
    "Hello world,  this is\n\n a test.",
    "日本語のテキスト 龘龘 naïve",
    "🙂🙃 a 👩‍👩‍👧 b",
    " begins and ends with spaces ",
)
FORMS = {
    "byte level": (tiny_tokenizers.byte_level, BPEStreamingDetokenizer),
    "byte level, naive": (tiny_tokenizers.byte_level, NaiveStreamingDetokenizer),
    "byte fallback": (tiny_tokenizers.with_spaces_marked, SPMStreamingDetokenizer),
    "byte fallback, naive": (tiny_tokenizers.with_spaces_marked, NaiveStreamingDetokenizer),
}


@pytest.fixture(params=FORMS, name="tokenizer")
def _tokenizer(request: pytest.FixtureRequest) -> TokenizerWrapper:
    make: Callable[[], Tokenizer]
    make, detokenizer = FORMS[request.param]
    return TokenizerWrapper(PreTrainedTokenizerFast(tokenizer_object=make()), detokenizer)


def streamed(tokenizer: TokenizerWrapper, ids: list[int]) -> str:
    """As an answer of these tokens is written."""
    detokenizer = tokenizer.detokenizer
    for token in ids:
        detokenizer.add_token(token)
    detokenizer.finalize()
    return str(detokenizer.text)


@pytest.mark.parametrize("text", TEXTS)
def test_all_tokens_together_are_the_answer(tokenizer: TokenizerWrapper, text: str) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False)
    texts = TokenTexts(tokenizer)
    pieces = [texts.take(token) for token in ids]
    assert "".join(pieces) == streamed(tokenizer, ids)


def test_a_token_in_its_own_place_adds_what_it_added(tokenizer: TokenizerWrapper) -> None:
    ids = tokenizer.encode("one two, three 日本 123", add_special_tokens=False)
    texts = TokenTexts(tokenizer)
    for token in ids:
        would = texts.would_add(token)
        assert texts.take(token) in (would, ""), would


def test_a_part_of_a_character_is_shown_as_its_bytes(tokenizer: TokenizerWrapper) -> None:
    ids = tokenizer.encode("🙂", add_special_tokens=False)[-4:]
    texts = TokenTexts(tokenizer)
    shown = []
    for token in ids:
        shown.append(texts.would_add(token))
        texts.take(token)
    assert shown == ["<0xF0>", "<0x9F>", "<0x99>", "🙂"]


def test_a_word_in_the_place_of_a_characters_end_is_that_word(tokenizer: TokenizerWrapper) -> None:
    first = tokenizer.encode("🙂", add_special_tokens=False)[-4]
    word = tokenizer.encode("he", add_special_tokens=False)[-1]
    texts = TokenTexts(tokenizer)
    assert texts.take(first) == ""
    assert texts.would_add(word).endswith("e")
    assert "\ufffd" not in texts.would_add(word)


def test_an_id_beyond_the_tokenizer_is_told_by_its_number(tokenizer: TokenizerWrapper) -> None:
    texts = TokenTexts(tokenizer)
    assert texts.would_add(100_000) == "<100000>"
    assert texts.take(100_000) == ""


def test_tiktokens_own_tokenizer_is_read_too() -> None:
    ranks = {bytes([byte]): byte for byte in range(256)}
    tokenizer = TokenizerWrapper(TiktokenTokenizerWrapper(TiktokenEncoding(r"(?s).", ranks, {"<|im_end|>": 256})))
    ids = tokenizer.encode("hello 🙂 there")
    texts = TokenTexts(tokenizer)
    assert texts.would_add(tokenizer.encode("🙂")[0]) == "<0xF0>"
    assert texts.would_add(256) == "<|im_end|>"
    assert "".join(map(texts.take, ids)) == "hello 🙂 there"
