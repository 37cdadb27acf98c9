"""A model that has only tiktoken's files chats and streams like any other."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx_lm.tokenizer_utils import load

from engine import tiktoken_tokenizer
from engine.chat import prompts
from engine.convert import nanochat_tokenizer
from engine.convert.tiktoken_files import TiktokenEncoding
from engine.errors import UserError
from engine.tiktoken_tokenizer import TiktokenTokenizerWrapper
from tests.engine.convert.test_tiktoken_files import NANOCHAT, SPECIALS, nanochat_encoding, trained, write_pickle

TURNS = [("user", "Hi <|bos|>"), ("assistant", "Yes <|assistant_end|>"), ("user", "ok 🎉")]


@pytest.fixture(scope="module")
def pickled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pickle(tmp_path_factory.mktemp("tiktoken") / "tokenizer.pkl").parent


def test_it_chats_as_the_tokenizer_json_of_the_same_pickle(pickled: Path, tmp_path: Path) -> None:
    nanochat_tokenizer.save(pickled / "tokenizer.pkl", tmp_path, context=64)
    assert [tiktoken_tokenizer.recognise(folder) for folder in (pickled, tmp_path)] == [True, False]
    both = [tiktoken_tokenizer.wrapped(pickled), load(tmp_path, eos_token_ids=[344, 340])]
    ids = [prompts.encode_chat(tokenizer, TURNS, "Be brief.") for tokenizer in both]
    assert ids[0] == ids[1]
    assert [prompts.encode_text(tokenizer, "a <|bos|>") for tokenizer in both] == [
        [340, *nanochat_encoding().encode_ordinary("a <|bos|>")]
    ] * 2
    for name in ("eos_token", "eos_token_id", "bos_token", "bos_token_id", "pad_token_id", "eos_token_ids"):
        assert getattr(both[0], name) == getattr(both[1], name)
    assert both[0].get_vocab() == both[1].get_vocab()
    assert both[0].convert_ids_to_tokens([65, 340]) == both[1].convert_ids_to_tokens([65, 340])
    assert both[0].convert_tokens_to_ids("<|bos|>") == both[1].convert_tokens_to_ids("<|bos|>") == 340
    assert len(both[0]) == len(both[1]) == 349
    assert both[0].has_chat_template
    rendered = both[0].apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert rendered == "<|bos|><|user_start|>Hi<|user_end|>"


@given(st.text())
def test_text_comes_back_from_its_ids_and_from_the_stream(text: str) -> None:
    ranks = trained()
    specials = {name: len(ranks) + number for number, name in enumerate(SPECIALS)}
    tokenizer = TiktokenTokenizerWrapper(TiktokenEncoding(NANOCHAT, ranks, specials))
    ids = tokenizer.encode(text)
    assert ids == nanochat_encoding().encode_ordinary(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode([340, *ids, 344], skip_special_tokens=True) == text
    assert tokenizer.decode([340, *ids, 10**6]) == "<|bos|>" + text


def test_it_streams_characters_of_several_tokens(pickled: Path) -> None:
    detokenizer = tiktoken_tokenizer.wrapped(pickled).detokenizer
    pieces = []
    for token in nanochat_encoding().encode_ordinary(" ü中🎉\n\0x"):
        detokenizer.add_token(token)
        pieces.append(detokenizer.last_segment)
    detokenizer.finalize()
    assert "".join([*pieces, detokenizer.last_segment]) == " ü中🎉\n\0x"
    assert not any("\ufffd" in piece for piece in pieces)


def test_a_file_of_ranks_is_used_where_its_pattern_is_known(tmp_path: Path) -> None:
    lines = [f"{base64.b64encode(token).decode()} {rank}" for token, rank in trained().items()]
    (tmp_path / "qwen.tiktoken").write_text("\n".join(lines), "utf-8")
    assert tiktoken_tokenizer.recognise(tmp_path)
    tokenizer = tiktoken_tokenizer.wrapped(tmp_path)
    assert (tokenizer.eos_token, tokenizer.eos_token_id, tokenizer.bos_token_id) == ("<|im_end|>", 342, None)
    assert not tokenizer.has_chat_template
    text = tokenizer.decode(prompts.encode_chat(tokenizer, [("user", "Hi <|im_end|>")], "Be brief."))
    assert text == "System: Be brief.\n\nUser: Hi <|im_end|>\n\nAssistant:"
    assert 342 not in prompts.encode_chat(tokenizer, [("user", "Hi <|im_end|>")])
    (tmp_path / "qwen.tiktoken").rename(tmp_path / "other.tiktoken")
    assert not tiktoken_tokenizer.recognise(tmp_path)
    with pytest.raises(UserError, match="no tokenizer"):
        tiktoken_tokenizer.open_folder(tmp_path)


def test_a_folder_without_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tokenizer"):
        tiktoken_tokenizer.open_folder(tmp_path)
