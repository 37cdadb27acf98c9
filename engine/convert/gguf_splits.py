"""How byte-level tokenizers cut text into words before merging, by .gguf files' names for it. Knows no vocabulary.

A file states a name only (`tokenizer.ggml.pre`). The names and patterns are those of llama.cpp's src/llama-vocab.cpp,
in the form that the models' own tokenizer.json has where that is given there; several patterns apply one after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.convert.gguf_header import Header


@dataclass(frozen=True, slots=True)
class Split:
    """One way to cut text: patterns to cut at, GPT-2's own after them or not, and what else differs.

    `whole`: a word that is in the vocabulary is taken as it is, without merging. `composed`: text is put into Unicode
    form NFC first. `begins`: a text begins with the begin-of-text token unless the file says otherwise.
    """

    patterns: tuple[str, ...] = ()
    gpt2: bool = False
    digits: bool = False
    whole: bool = False
    composed: bool = False
    begins: bool = False

    def pre_tokenizer(self) -> Any:
        """The same as a pre-tokenizer of the library `tokenizers`."""
        from tokenizers import Regex, pre_tokenizers

        steps: list[Any] = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in self.patterns]
        if self.digits:
            steps.append(pre_tokenizers.Digits(individual_digits=True))
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=self.gpt2))
        return pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]


_CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_LLAMA3 = rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_SIGNS}|{_REST}"
_QWEN2 = rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_SIGNS}|{_REST}"
_QWEN35 = (
    rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_REST}"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{{end}}|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{{end}}"
    rf"|\p{{N}}{{digits}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_REST}"
)
_TEKKEN = _CASED.replace("{end}", "").replace("{digits}", "")
_GPT4O = _CASED.replace("{end}", f"{_CONTRACTION}?").replace("{digits}", "{1,3}")
_BAILING = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
_SEED = (
    rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_HAN = "[一-龥\u0800-一가-\ud7ff]+"
# Letters of scripts with upper and lower case.
_CASED_LETTERS = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼ"
    "\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿ"
    "ﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)
_DEEPSEEK_LLM = (
    "[\r\n]", rf"\s?[{_CASED_LETTERS}]+", r"\s?[!-/:-~！-／：-～‘-‟\u3000-。]+", r"\s+$", _HAN, r"\p{N}+",
)  # fmt: skip
_DEEPSEEK_CODER = ("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _HAN, r"\p{N}")
_DEEPSEEK_V3_WORDS = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_REST}"
)
_DEEPSEEK_V3 = (
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    _DEEPSEEK_V3_WORDS,
)
_BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"

_BY_NAMES: tuple[tuple[str, Split], ...] = (
    ("gpt-2 phi-2 exaone4 jais trillion a.x-4.0 mellum gigachat granite-docling", Split(gpt2=True)),
    ("olmo mpt", Split(gpt2=True, composed=True)),
    ("smollm starcoder refact codeshell exaone minerva-7b mellum2", Split(gpt2=True, digits=True)),
    ("command-r", Split(gpt2=True, digits=True, composed=True)),
    ("llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2", Split((_LLAMA3,), whole=True, begins=True)),
    ("dbrx smaug-bpe glm4 chatglm-bpe", Split((_LLAMA3,))),
    ("qwen2", Split((_QWEN2,), composed=True)),
    ("deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2", Split((_QWEN2,))),
    ("qwen35", Split((_QWEN35,), composed=True)),
    ("tekken", Split((_TEKKEN,), whole=True, begins=True)),
    ("gpt-4o llama4 kanana2 minimax-m2", Split((_GPT4O,))),
    ("deepseek-llm", Split(_DEEPSEEK_LLM)),
    ("deepseek-coder", Split(_DEEPSEEK_CODER)),
    ("deepseek-v3 hunyuan-dense joyai-llm", Split(_DEEPSEEK_V3)),
    ("bailingmoe bailingmoe2 llada-moe", Split((_BAILING,))),
    ("seed-coder", Split((_SEED,))),
    ("poro-chat bloom gpt3-finnish", Split((_BLOOM,))),
    ("viking", Split((_BLOOM, r"\p{N}"))),
)
_SPLITS = {name: split for names, split in _BY_NAMES for name in names.split()}
# For files from before the names were stated.
_BY_ARCHITECTURE = {
    "qwen2": "qwen2", "qwen2moe": "qwen2", "qwen3": "qwen2", "qwen3moe": "qwen2", "llama": "llama-bpe",
    "command-r": "command-r", "cohere2": "command-r", "starcoder2": "starcoder", "glm4": "glm4", "granite": "refact",
}  # fmt: skip
_STATED = "tokenizer.ggml.pre"


def of(header: Header) -> tuple[Split, str]:
    """How this file's tokenizer cuts text, and a sentence for the person where that had to be guessed (else "")."""
    name = str(header.metadata.get(_STATED, ""))
    if name in _SPLITS:
        return _SPLITS[name], ""
    guess = _BY_ARCHITECTURE.get(header.architecture, "gpt-2")
    if name in ("", "default"):
        told = "The file does not say how its tokenizer cuts text into words"
    else:
        told = f"The way its tokenizer cuts text into words, {name}, is not known here"
    return _SPLITS[guess], f"{told}; that of {guess} is used. Some texts may become other tokens than in training."
