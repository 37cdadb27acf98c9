"""tokenizer.json gives the ids that tiktoken gives, on any text; a pickle that carries code is never run."""

from __future__ import annotations

import base64
import functools
import itertools
import os
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.convert.tiktoken_files import TiktokenEncoding, build, read_pickle, read_ranks
from engine.errors import UserError

# Written out from nanochat/tokenizer.py's description: one or two digits a token, otherwise as GPT-4.
NANOCHAT = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
SPECIALS = (
    "<|bos|> <|user_start|> <|user_end|> <|assistant_start|> <|assistant_end|> "
    "<|python_start|> <|python_end|> <|output_start|> <|output_end|>"
).split()
TEXT = (
    "The quick brown fox jumps over the lazy dog. It's 1234 o'clock, isn't it? I'll say we've 99 red balloons.\n\n"
    "def add(a, b):\n    return a + b\n\nGrüße aus Köln: äöü ß é. Привет мир. 日本語 🎉🎉 the the there then them\n"
) * 3


@functools.cache
def trained(size: int = 340, pattern: str = NANOCHAT) -> dict[bytes, int]:
    """Ranks of a byte-pair encoding trained on TEXT, the most frequent pair first."""
    import regex

    ranks = {bytes([byte]): byte for byte in range(256)}
    words = [[bytes([byte]) for byte in word.encode()] for word in regex.findall(pattern, TEXT)]
    while len(ranks) < size:
        counts: dict[tuple[bytes, bytes], int] = {}
        for word in words:
            for pair in itertools.pairwise(word):
                counts[pair] = counts.get(pair, 0) + 1
        best = max(counts, key=lambda pair: (counts[pair], pair))
        ranks[best[0] + best[1]] = len(ranks)
        for word in words:
            place = 0
            while place < len(word) - 1:
                if (word[place], word[place + 1]) == best:
                    word[place : place + 2] = [best[0] + best[1]]
                place += 1
    return ranks


def nanochat_encoding(size: int = 340) -> tiktoken.Encoding:
    """What nanochat's tok_train pickles."""
    ranks = trained(size)
    specials = {name: len(ranks) + number for number, name in enumerate(SPECIALS)}
    return tiktoken.Encoding("rustbpe", pat_str=NANOCHAT, mergeable_ranks=ranks, special_tokens=specials)


def write_pickle(path: Path, size: int = 340) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(nanochat_encoding(size)))
    return path


@functools.cache
def both() -> tuple[tiktoken.Encoding, Any]:
    encoding = nanochat_encoding()
    data = TiktokenEncoding(NANOCHAT, trained(), dict(encoding._special_tokens))
    return encoding, build(data)


PIECES = st.sampled_from(
    [
        *" \n\r\t\0'ſ½²٣৪𝟘aA1290.,!ßé中文한🎉",
        "\u200d",
        "\u0301",
        "'S",
        "'ll",
        "'RE",
        "\r\n",
        "   ",
        "<|bos|>",
        "the",
        "ing",
        "𑯰",
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_any_text_gets_tiktokens_ids(text: str) -> None:
    encoding, tokenizer = both()
    tokenizer.encode_special_tokens = True
    ids = encoding.encode_ordinary(text)
    assert tokenizer.encode(text, add_special_tokens=False).ids == ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.data())
def test_a_vocabulary_that_no_training_would_give_works_too(seed: int, data: st.DataObject) -> None:
    source = random.Random(seed)
    tokens: set[bytes] = set()
    while len(tokens) < 25:
        tokens.add(bytes(source.choices(b"ab ", k=source.randint(2, 5))))
    ordered = sorted(tokens)
    source.shuffle(ordered)
    ranks = {bytes([byte]): byte for byte in range(256)} | {token: 256 + place for place, token in enumerate(ordered)}
    pattern = data.draw(st.sampled_from([r"\S+|\s+", r"[ab]+", r"[\s\S]+"]))
    encoding = TiktokenEncoding(pattern, ranks, {"<|end|>": 400})
    tokenizer, ordinary = build(encoding), encoding.open().encode_ordinary
    for text in data.draw(st.lists(st.text("ab c", max_size=40), min_size=5, max_size=10)):
        assert tokenizer.encode(text, add_special_tokens=False).ids == ordinary(text)
    assert tokenizer.token_to_id("<|end|>") == 400
    assert tokenizer.get_vocab_size() == encoding.size == 401


def test_every_character_is_split_alike() -> None:
    pattern = r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+"
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"a" + bytes([byte]): 256 + byte for byte in range(256)}
    encoding = TiktokenEncoding(pattern, ranks, {})
    tokenizer, ordinary = build(encoding), encoding.open().encode_ordinary
    characters = [chr(number) for number in range(0x30000) if not 0xD800 <= number <= 0xDFFF]
    for start in range(0, len(characters), 8192):
        text = "a".join(characters[start : start + 8192])
        assert tokenizer.encode(text, add_special_tokens=False).ids == ordinary(text)


def test_a_pickle_comes_back_as_data(tmp_path: Path) -> None:
    found = read_pickle(write_pickle(tmp_path / "tokenizer.pkl"))
    assert found.ranks == trained()
    assert found.pattern == NANOCHAT
    assert found.specials == {name: 340 + number for number, name in enumerate(SPECIALS)}
    assert found.size == 349


class Code:
    """What an attacker would put into a pickle."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("place", ["alone", "inside the state"])
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_code_in_a_pickle_is_named_and_never_run(tmp_path: Path, place: str, protocol: int) -> None:
    proof = tmp_path / "proof"
    code = Code(os.mkdir, str(proof))
    encoding = nanochat_encoding()
    if place == "inside the state":
        encoding._special_tokens = {"<|bos|>": code}
    path = tmp_path / "tokenizer.pkl"
    path.write_bytes(pickle.dumps(code if place == "alone" else encoding, protocol=protocol))
    with pytest.raises(UserError, match="dangerous") as caught:
        read_pickle(path)
    assert "mkdir" in caught.value.why
    assert str(path) in caught.value.what
    assert not proof.exists()


def test_calling_the_encodings_own_methods_is_code_too(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.pkl"
    path.write_bytes(b"ctiktoken.core\nEncoding.__init__\n.")
    with pytest.raises(UserError, match="dangerous"):
        read_pickle(path)


def _state(**changes: object) -> object:
    encoding = nanochat_encoding()
    for name, value in changes.items():
        setattr(encoding, name, value)
    return encoding


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps({"a": 1}),
        pickle.dumps(nanochat_encoding())[:-200],
        pickle.dumps(_state(_mergeable_ranks={b"a": 0})),
        pickle.dumps(_state(_mergeable_ranks={byte: byte for byte in range(256)})),
        pickle.dumps(_state(_special_tokens={"<|bos|>": 3})),
        pickle.dumps(_state(_special_tokens={"<|bos|>": 2**40})),
        pickle.dumps(_state(_pat_str=None)),
        pickle.dumps(_state(_pat_str="(unclosed")),
    ],
)
def test_damaged_files_are_refused_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.pkl"
    path.write_bytes(content)
    with pytest.raises(UserError):
        build(read_pickle(path))


def test_a_pickle_that_only_names_an_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.pkl"
    path.write_bytes(b"ctiktoken.core\nEncoding\n)\x81Vcl100k_base\nb.")
    with pytest.raises(UserError, match="cl100k_base"):
        read_pickle(path)


def test_a_file_of_ranks_is_read_and_a_damaged_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.tiktoken"
    lines = [f"{base64.b64encode(token).decode()} {rank}" for token, rank in trained().items()]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    found = read_ranks(path, NANOCHAT, {"<|end|>": 340})
    assert found == TiktokenEncoding(NANOCHAT, trained(), {"<|end|>": 340})
    path.write_text("\n".join(lines)[:-3], "utf-8")
    with pytest.raises(UserError, match="damaged"):
        read_ranks(path, NANOCHAT, {})
