"""A tokenizer that went through a .gguf file gives the ids it gave before, whatever the text."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from engine.convert import gguf
from engine.convert.settings import ConversionSettings
from engine.errors import UserError
from tests.engine.convert.gguf_files import tiny_llama

TEXTS = [
    "",
    " ",
    "Hello, world! It's 2024; we'RE paying 3.14159 or 1234567 dollars.",
    "a  b   c    d     e\t\tf\n\n\n  g \n h\r\n",
    "  leading and trailing  ",
    "naïve café, nai\u0308ve cafe\u0301",
    "巴黎是法国的首都。東京 서울 Привет мир שלום नमस्ते",
    "👩‍👩‍👧 🇫🇷 🤖 \u200b\u00a0\ufeff x\x00y\x7f",
    "def f(x):\n    return x**2  # comment\n\tif a!=b: ...",
    "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>hm</think>",
    "CamelCaseXMLHttp ÄÖÜßẞ ΑΒΓ'LL don't DON'T",
    "½ ² ① ৩ ۱۲۳ 12½",
]
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# As the models' own tokenizer.json have it: patterns, single digits, GPT-2's pattern, NFC, words taken whole.
ORIGINALS: dict[str, tuple[list[str], bool, bool, bool, bool]] = {
    "gpt-2": ([], False, True, False, False),
    "olmo": ([], False, True, True, False),
    "smollm": ([], True, True, False, False),
    "starcoder": ([], True, True, False, False),
    "refact": ([], True, True, False, False),
    "command-r": ([], True, True, True, False),
    "llama-bpe": ([LLAMA3], False, False, False, True),
    "smaug-bpe": ([LLAMA3], False, False, False, False),
    "glm4": ([LLAMA3], False, False, False, False),
    "qwen2": ([QWEN2], False, False, True, False),
    "deepseek-r1-qwen": ([QWEN2], False, False, False, False),
    "tekken": ([TEKKEN], False, False, False, True),
}


def original(name: str) -> Tokenizer:
    patterns, digits, gpt2, composed, whole = ORIGINALS[name]
    tokenizer = Tokenizer(models.BPE(ignore_merges=whole))
    if composed:
        tokenizer.normalizer = normalizers.NFC()
    steps: list[Any] = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    if digits:
        steps.append(pre_tokenizers.Digits(individual_digits=True))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=gpt2))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        show_progress=False,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(TEXTS * 3 + ["the quick brown fox 12 12 12 2024 2024"] * 5, trainer)
    tokenizer.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    return tokenizer


def byte_level_keys(tokenizer: Tokenizer, name: str) -> dict[str, Any]:
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    kinds = [3 if token in SPECIALS else 4 if "think" in token and "<" in token else 1 for token in tokens]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": name,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": [merge if isinstance(merge, str) else " ".join(merge) for merge in merges],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }


def converted(
    tmp_path: Path, keys: dict[str, Any], settings: dict[str, Any] | None = None
) -> tuple[Path, dict[str, Any]]:
    source = gguf.examine(tiny_llama(tmp_path / "model.gguf", keys=keys))
    folder = tmp_path / "out"
    config = gguf.save_tokenizer(source, folder, ConversionSettings(**settings or {}))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"} | source.config | config))
    return folder, source.config | config


@pytest.mark.parametrize("name", ORIGINALS)
def test_byte_level_ids_stay_the_same(name: str, tmp_path: Path) -> None:
    from mlx_lm.utils import load_tokenizer

    known = original(name)
    keys = byte_level_keys(known, name) | {"tokenizer.ggml.add_bos_token": False}
    folder, _ = converted(tmp_path, keys)
    ours = load_tokenizer(folder)
    for text in TEXTS:
        ids = ours.encode(text)
        assert ids == known.encode(text).ids, text
        assert ours.decode(ids) == known.decode(ids, skip_special_tokens=False)
        detokenizer = ours.detokenizer
        for number in ids:
            detokenizer.add_token(number)
        detokenizer.finalize()
        # mlx_lm's takes away spaces at the beginning, and misreads the byte 0.
        assert detokenizer.text.lstrip(" ").replace("Ā", "\x00") == ours.decode(ids).lstrip(" ")


def test_a_text_begins_as_the_file_says(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    for begins in (True, False, None):
        keys = byte_level_keys(original("llama-bpe"), "llama-bpe")
        keys |= {} if begins is None else {"tokenizer.ggml.add_bos_token": begins}
        folder, _ = converted(tmp_path, keys)
        ids = AutoTokenizer.from_pretrained(folder).encode("Hello")
        assert (ids[0] == 1) == (begins is not False)


def user_defined(prefix: bool) -> tuple[str, ...]:
    """As in Llama 2 and in Gemma, where runs of spaces are pieces and no space is put in front of a text."""
    return ("<start>", "<end>") if prefix else ("<start>", "<end>", "▁▁", "▁▁▁", "\n")


def trained(add_dummy_prefix: bool) -> Any:
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text for text in TEXTS if "\x00" not in text] * 4),
        model_writer=model,
        model_type="bpe",
        vocab_size=560,
        byte_fallback=True,
        character_coverage=0.99,
        add_dummy_prefix=add_dummy_prefix,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        user_defined_symbols=list(user_defined(add_dummy_prefix)),
        minloglevel=2,
    )
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


def sentencepiece_keys(known: Any, add_dummy_prefix: bool) -> dict[str, Any]:
    pieces = range(known.get_piece_size())
    whole = user_defined(add_dummy_prefix)
    kinds = [
        2 if known.is_unknown(i)
        else 3 if known.is_control(i)
        else 6 if known.is_byte(i)
        else 4 if known.id_to_piece(i) in whole
        else 1
        for i in pieces
    ]  # fmt: skip
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [known.id_to_piece(i) for i in pieces],
        "tokenizer.ggml.scores": [known.get_score(i) for i in pieces],
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.add_space_prefix": add_dummy_prefix,
    }


@pytest.mark.parametrize("prefix", [False, True])
def test_sentencepiece_ids_stay_the_same(prefix: bool, tmp_path: Path) -> None:
    from mlx_lm.utils import load_tokenizer

    known = trained(prefix)
    folder, config = converted(tmp_path, sentencepiece_keys(known, prefix))
    assert config["eos_token_id"] == [2]
    ours = load_tokenizer(folder)
    for text in TEXTS:
        ids = ours.encode(text)
        assert ids == [1, *known.encode(text)], text
        assert ours.decode(ids[1:]) == text
    detokenizer = ours.detokenizer
    for number in ours.encode("It's 巴黎 👩")[1:]:
        detokenizer.add_token(number)
    detokenizer.finalize()
    assert detokenizer.text == "It's 巴黎 👩"


def test_every_stop_token_and_the_template_are_written(tmp_path: Path) -> None:
    template = "{% for message in messages %}<|im_start|>{{ message.content }}<|im_end|>{% endfor %}"
    keys = byte_level_keys(original("qwen2"), "qwen2") | {"tokenizer.chat_template": template}
    folder, config = converted(tmp_path, keys)
    assert config["eos_token_id"] == [2, 0]
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation == {"bos_token_id": 1, "eos_token_id": [2, 0]}
    assert (folder / "chat_template.jinja").read_text() == template
    from mlx_lm.utils import load_tokenizer

    ours = load_tokenizer(folder)
    ids = ours.apply_chat_template([{"role": "user", "content": "hi"}])
    assert (ids[0], ids[-1]) == (1, 2)


def test_stated_ends_of_turns_come_first(tmp_path: Path) -> None:
    keys = byte_level_keys(original("qwen2"), "qwen2")
    keys |= {"tokenizer.ggml.eos_token_id": 7, "tokenizer.ggml.eot_token_id": 8, "tokenizer.ggml.eom_token_id": 9}
    assert converted(tmp_path, keys)[1]["eos_token_id"] == [7, 8, 9, 2, 0]


def test_the_person_may_name_the_end(tmp_path: Path) -> None:
    keys = byte_level_keys(original("qwen2"), "qwen2")
    folder, config = converted(tmp_path, keys, {"eos_token": "<|im_start|>"})
    assert config["eos_token_id"] == 1
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == 1
    with pytest.raises(UserError, match="im_strat") as caught:
        converted(tmp_path, keys, {"eos_token": "<|im_strat|>"})
    assert "<|im_start|>" in caught.value.why


@pytest.mark.parametrize(("name", "words"), [("unheard-of", "unheard-of"), ("", "does not say")])
def test_a_guessed_way_to_cut_text_is_announced(name: str, words: str, tmp_path: Path) -> None:
    keys = byte_level_keys(original("gpt-2"), name)
    source = gguf.examine(tiny_llama(tmp_path / "model.gguf", keys=keys))
    assert any(words in warning for warning in source.warnings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tokenizer.ggml.model": "rwkv"}, "rwkv"),
        ({"tokenizer.ggml.merges": ["zz yy"]}, "zz|merge"),
        ({"tokenizer.ggml.token_type": [1, 1]}, "lengths"),
        ({"tokenizer.ggml.tokens": []}, "form"),
    ],
)
def test_unreadable_tokenizers_are_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    keys = byte_level_keys(original("gpt-2"), "gpt-2") | changes
    keys = {key: value for key, value in keys.items() if value != []}
    with pytest.raises(UserError) as caught:
        converted(tmp_path, keys)
    assert any(word in f"{caught.value.what} {caught.value.why}" for word in words.split("|")), caught.value.why


def test_pieces_that_are_no_text_keep_their_numbers(tmp_path: Path) -> None:
    keys = byte_level_keys(original("gpt-2"), "gpt-2")
    count = len(keys["tokenizer.ggml.tokens"])
    keys["tokenizer.ggml.tokens"] += ["", "a", b"\xff".decode("latin-1"), "last"]
    keys["tokenizer.ggml.token_type"] += [5, 5, 5, 4]
    folder, _ = converted(tmp_path, keys)
    loaded = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert loaded.token_to_id("last") == count + 3
    assert loaded.encode("last").ids == [count + 3]
