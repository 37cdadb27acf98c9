"""What a person types never becomes a special token, in any model's chat format."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx_lm.tokenizer_utils import TokenizerWrapper, load

from engine import places
from engine.chat import prompts

MARKS = ["<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|pad|>"]
CHATML = (
    "{% for m in messages %}{{ '<|user|>' if m.role == 'user' else '<|assistant|>' }}{{ m.content | trim }}<|end|>\n"
    "{% endfor %}<|assistant|>"
)
BARE = "{% for m in messages %}{{ m.content }}{% endfor %}<|assistant|>"


def tokenizer(folder: Path, template: str, **config: Any) -> TokenizerWrapper:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(places.starter_folder() / name, folder / name)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | config), "utf-8")
    (folder / "chat_template.jinja").write_text(template, "utf-8")
    return load(folder)


@pytest.fixture(scope="module")
def chatml(tmp_path_factory: pytest.TempPathFactory) -> TokenizerWrapper:
    return tokenizer(tmp_path_factory.mktemp("chatml"), CHATML)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> TokenizerWrapper:
    return tokenizer(tmp_path_factory.mktemp("bare"), BARE)


def specials(wrapper: TokenizerWrapper, ids: list[int]) -> list[str]:
    added = wrapper.added_tokens_decoder
    return [added[number].content for number in ids if number in added and added[number].special]


TYPED = st.lists(st.sampled_from([*MARKS, "<|", "|>", "<", "end", "a ", "\ue000", "🎉", "\n"])).map("".join)


@given(TYPED, TYPED, TYPED)
def test_special_tokens_come_from_the_template_alone(chatml: TokenizerWrapper, one: str, two: str, three: str) -> None:
    ids = prompts.encode_chat(chatml, [("user", one), ("assistant", two), ("user", three)])
    expected = ["<|user|>", "<|end|>", "<|assistant|>", "<|end|>", "<|user|>", "<|end|>", "<|assistant|>"]
    assert specials(chatml, ids) == expected
    assert chatml.decode(ids) == (
        f"<|user|>{one.strip()}<|end|>\n<|assistant|>{two.strip()}<|end|>\n<|user|>{three.strip()}<|end|>\n<|assistant|>"
    )


@given(TYPED, TYPED)
def test_nor_do_two_messages_make_one_together(bare: TokenizerWrapper, one: str, two: str) -> None:
    ids = prompts.encode_chat(bare, [("user", one), ("assistant", two), ("user", ".")])
    assert specials(bare, ids) == ["<|assistant|>"]
    assert bare.decode(ids) == f"{one}{two}.<|assistant|>"


def test_without_special_tokens_in_it_a_conversation_is_encoded_as_ever(chatml: TokenizerWrapper) -> None:
    turns = [("user", "What is 47 + 38?"), ("assistant", "85"), ("user", "Thanks <b>")]
    messages = [{"role": role, "content": text} for role, text in turns]
    ids = prompts.encode_chat(chatml, turns)
    assert ids == chatml.apply_chat_template(messages, add_generation_prompt=True)
    # The other way gives the same.
    assert ids == prompts._rendered_apart(chatml, messages, prompts._marks(chatml))


def test_a_bare_text_is_text_and_begins_once(tmp_path: Path) -> None:
    wrapper = tokenizer(tmp_path, CHATML)
    begin = wrapper.bos_token_id
    plain = wrapper.encode("a", add_special_tokens=False)
    assert specials(wrapper, prompts.encode_text(wrapper, "a <|end|><|begin|>")) == []
    assert prompts.encode_text(wrapper, "a") == plain
    assert prompts.encode_text(wrapper, "<|begin|>a") == [begin, *plain]
    begins = tokenizer(tmp_path, CHATML, begins_with_bos=True)
    assert prompts.encode_text(begins, "a") == prompts.encode_text(begins, "<|begin|>a") == [begin, *plain]


def test_a_conversation_in_plain_words_is_text_too(tmp_path: Path) -> None:
    wrapper = tokenizer(tmp_path, CHATML)
    wrapper.has_chat_template = False
    ids = prompts.encode_chat(wrapper, [("user", "Hi <|end|>")], "Be <|begin|> brief.")
    assert specials(wrapper, ids) == []
    assert wrapper.decode(ids) == "System: Be <|begin|> brief.\n\nUser: Hi <|end|>\n\nAssistant:"
