"""Writes nanochat's tokenizer as tokenizer.json with its chat format. Knows no weights, and where no file lies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.convert import tiktoken_files
from engine.errors import UserError

# nanochat/tokenizer.py, SPECIAL_TOKENS.
SPECIALS = (
    "<|bos|>",
    "<|user_start|>",
    "<|user_end|>",
    "<|assistant_start|>",
    "<|assistant_end|>",
    "<|python_start|>",
    "<|python_end|>",
    "<|output_start|>",
    "<|output_end|>",
)
BEGIN, END = "<|bos|>", "<|assistant_end|>"

# nanochat/tokenizer.py, render_conversation. What was typed goes through `typed`, which puts a space into any mark, so
# that it is none in programs that encode the finished text at once.
CHAT_TEMPLATE = """\
{%- macro typed(text) -%}
{%- set kept = namespace(text=text) -%}
{%- for mark in MARKS -%}
{%- set kept.text = kept.text | replace(mark, '< ' + mark[1:]) -%}
{%- endfor -%}
{{- kept.text -}}
{%- endmacro -%}
{%- set turns = messages -%}
{%- set told = '' -%}
{%- if messages and messages[0]['role'] == 'system' -%}
{%- if messages | length < 2 or messages[1]['role'] != 'user' -%}
{{- raise_exception('A user message must follow the system message.') -}}
{%- endif -%}
{%- set told = messages[0]['content'] + '\\n\\n' -%}
{%- set turns = messages[1:] -%}
{%- endif -%}
{{- '<|bos|>' -}}
{%- for message in turns -%}
{%- if message['role'] == 'user' -%}
{{- '<|user_start|>' + typed((told if loop.first else '') + message['content']) + '<|user_end|>' -}}
{%- elif message['role'] == 'assistant' -%}
{{- '<|assistant_start|>' -}}
{%- if message['content'] is string -%}
{{- typed(message['content']) -}}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'python' -%}
{{- '<|python_start|>' + typed(part['text']) + '<|python_end|>' -}}
{%- elif part['type'] == 'python_output' -%}
{{- '<|output_start|>' + typed(part['text']) + '<|output_end|>' -}}
{%- else -%}
{{- typed(part['text']) -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|assistant_end|>' -}}
{%- else -%}
{{- raise_exception('nanochat knows the roles system, user and assistant.') -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|assistant_start|>' -}}
{%- endif -%}
""".replace("MARKS", repr(list(SPECIALS)))


@dataclass(frozen=True, slots=True)
class Facts:
    """How many ids a tokenizer has, and those of its special tokens."""

    size: int
    specials: dict[str, int]

    def stops(self, eos_token: str = "") -> list[int]:
        """The ids that end an answer."""
        return [self.specials[eos_token or END], self.specials[BEGIN]]


def examine(path: Path) -> Facts:
    """What a tokenizer.pkl or tokenizer.json holds.

    Raises:
        UserError: it is damaged, carries code, or lacks nanochat's special tokens.
    """
    if path.suffix == ".pkl":
        encoding = tiktoken_files.read_pickle(path)
        size, specials = encoding.size, encoding.specials
    else:
        size, specials = _read_json(path)
    missing = [name for name in SPECIALS if name not in specials]
    if missing:
        raise UserError(
            "{file} is not a tokenizer of nanochat's.",
            "It lacks these special tokens: {missing}",
            "Give the tokenizer that the model was trained with.",
            file=path,
            missing=", ".join(missing),
        )
    return Facts(size, specials)


def save(path: Path, output: Path, *, context: int, eos_token: str = "") -> dict[str, Any]:
    """Write tokenizer.json, tokenizer_config.json, chat_template.jinja and generation_config.json.

    Args:
        path: the tokenizer.pkl or tokenizer.json.
        context: the tokens the model attends to.
        eos_token: the special token that ends an answer; "" for nanochat's own.

    Returns:
        the keys of config.json that follow.

    Raises:
        UserError: the tokenizer is damaged or not nanochat's, or `eos_token` is none of its special tokens.
    """
    facts = examine(path)
    if eos_token and eos_token not in facts.specials:
        raise UserError(
            "This tokenizer has no special token {token}.",
            "It has: {known}",
            "Name one of these, or leave the end-of-text token empty.",
            token=eos_token,
            known=", ".join(facts.specials),
        )
    if path.suffix == ".pkl":
        tiktoken_files.build(tiktoken_files.read_pickle(path)).save(str(output / "tokenizer.json"))
    else:
        (output / "tokenizer.json").write_bytes(path.read_bytes())
    ids = {"bos_token_id": facts.specials[BEGIN], "eos_token_id": facts.stops(eos_token)}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BEGIN,
        "eos_token": eos_token or END,
        "pad_token": END,
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        # Read by our own encode_text: nanochat begins every document with it, and encodes plain text without.
        "begins_with_bos": True,
    }
    (output / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    (output / "generation_config.json").write_text(json.dumps(ids, indent=2) + "\n", "utf-8")
    (output / "chat_template.jinja").write_text(CHAT_TEMPLATE, "utf-8")
    return ids


def _read_json(path: Path) -> tuple[int, dict[str, int]]:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the binding raises a bare Exception
        raise UserError(
            "The tokenizer file {file} is damaged.",
            "{reason}",
            "Get this file again from where the model came.",
            file=path,
            reason=error,
        ) from error
    added = tokenizer.get_added_tokens_decoder()
    return tokenizer.get_vocab_size(), {token.content: number for number, token in added.items() if token.special}
