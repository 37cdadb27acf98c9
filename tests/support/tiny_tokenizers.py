"""Tiny tokenizers of every form, trained in a moment and written as Hugging Face folders hold them. Tests nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sentencepiece
import tiktoken
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CORPUS = [
    "Hello world, this is a test of the tokenizer.",
    "The quick brown fox jumps over the lazy dog 12345 times!",
    "Größe und Übermaß, naïve café",
    "Привет мир, как дела?",
    "日本語のテキストです。こんにちは世界",
    "def f(x):\n    return x + 1",
    "one two three four five six seven eight nine ten",
    "https://example.com/path?query=1",
]
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# The flags of well-known models.
LLAMA = {"model_type": "bpe", "byte_fallback": True, "split_digits": True} | {
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "allow_whitespace_only_pieces": True,
}
GEMMA = LLAMA | {
    "add_dummy_prefix": False,
    "user_defined_symbols": ["<start_of_turn>", "<end_of_turn>", "▁▁"],
    "bos_piece": "<bos>",
    "eos_piece": "<eos>",
    "pad_id": 3,
}
T5 = {"model_type": "unigram", "hard_vocab_limit": False}
UNIGRAM = T5 | {"byte_fallback": True, "normalization_rule_name": "nfkc", "user_defined_symbols": ["<|im_end|>"]}


def write_folder(folder: Path, model_type: str, config: dict[str, Any] | None = None, **generation: Any) -> Path:
    """A model folder without weights; `config` is its tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type, "eos_token_id": 2}))
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    if generation:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


def write_sentencepiece(path: Path, **flags: Any) -> None:
    """A sentencepiece model trained with these flags."""
    corpus = path.with_suffix(".corpus")
    corpus.write_text("\n".join(CORPUS * 40), "utf-8")
    settings = {"vocab_size": 420, "minloglevel": 2, "input": str(corpus), "model_prefix": str(path.with_suffix(""))}
    sentencepiece.SentencePieceTrainer.train(**(settings | flags))
    corpus.unlink()
    path.with_suffix(".vocab").unlink()


def byte_level() -> Tokenizer:
    """A BPE over bytes, as GPT-2's and Llama 3's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False),
    )
    return tokenizer


def write_tekken(path: Path) -> Callable[[str], list[int]]:
    """Mistral's own file; returns what gives its ids."""
    pattern = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    words = [bytes([byte]) for byte in range(256)] + [b"he", b" t", b" the", b"12", "日本".encode()]
    ranks = {word: rank for rank, word in enumerate(words)}
    names = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
    special = [{"rank": rank, "token_str": name, "is_control": True} for rank, name in enumerate(names)]
    vocabulary = [
        {"rank": rank, "token_bytes": base64.b64encode(word).decode(), "token_str": None}
        for word, rank in ranks.items()
    ]
    config = {"pattern": pattern, "num_vocab_tokens": len(words), "version": "v3"} | {
        "default_vocab_size": len(words) + len(names),
        "default_num_special_tokens": len(names),
    }
    content = {"config": config, "vocab": vocabulary, "special_tokens": special}
    path.write_text(json.dumps(content))
    judge = tiktoken.Encoding("tiny", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return lambda text: [len(names) + rank for rank in judge.encode_ordinary(text)]


def with_spaces_marked() -> Tokenizer:
    """A BPE over characters with byte fallback, in the form transformers 4 converts Llama 2's into."""
    letters = sorted(set("".join(CORPUS)) - set(" \n"))
    pieces = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *letters, "he", "▁t", "▁the"]
    merges = [("h", "e"), ("▁", "t"), ("▁t", "he")]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token=SPECIAL[0], fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    back = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(back)
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def word_pieces() -> Tokenizer:
    """A WordPiece tokenizer, as BERT's."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=SPECIAL[0]))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False)
    )
    return tokenizer


def unigram() -> Tokenizer:
    """A Unigram tokenizer, as T5's."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.UnigramTrainer(vocab_size=200, special_tokens=SPECIAL, unk_token=SPECIAL[0], show_progress=False),
    )
    return tokenizer
