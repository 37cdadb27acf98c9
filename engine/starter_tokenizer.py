"""Makes the starter model's tokenizer and chat template. Knows neither the model nor the task.

A small byte-level BPE: any text encodes and decodes without loss, and a digit is always one token.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VOCABULARY_SIZE: Final = 448
CONTEXT_LENGTH: Final = 1024

PAD: Final = "<|pad|>"
BEGIN: Final = "<|begin|>"
END: Final = "<|end|>"
ROLES: Final = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
SPECIAL_TOKENS: Final = (PAD, BEGIN, END, *ROLES.values())
# Ordinary tokens, so that decoding shows them.
TAGS: Final = ("<reasoning>", "</reasoning>", "<answer>", "</answer>")

# All special tokens begin with "<|": a space within it keeps typed text from ever becoming one.
CHAT_TEMPLATE: Final = """\
{{- bos_token }}
{%- for message in messages %}
{%- set role = message['role'] if message['role'] in ['system', 'assistant'] else 'user' %}
{{- '<|' + role + '|>' + (message['content'] | trim | replace('<|', '< |')) + eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|assistant|>' }}
{%- endif %}
"""


def render(messages: Sequence[tuple[str, str]]) -> str:
    """A conversation of (role, text) pairs as the model reads it; the chat template does the same in Jinja."""
    turns = (f"{ROLES[role]}{text.strip().replace('<|', '< |')}{END}" for role, text in messages)
    return BEGIN + "".join(turns)


def build(texts: Iterable[str]) -> Tokenizer:
    """A tokenizer whose merges are the most frequent ones of `texts`."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    # For a bare ByteLevel decoder mlx_lm streams through a class that drops a leading space and garbles a NUL.
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel()])
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(TAGS),
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in TAGS])
    return tokenizer


def write(tokenizer: Tokenizer, folder: Path) -> None:
    """Write the tokenizer and its chat template as transformers and mlx_lm read them."""
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": END,
        "pad_token": PAD,
        "model_max_length": CONTEXT_LENGTH,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, "utf-8")
