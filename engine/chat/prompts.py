"""Turns a conversation into the token ids a model reads. Knows a tokenizer, no weights.

Special tokens come from the chat template alone: what a person typed is text, even where it spells one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import UserError

if TYPE_CHECKING:
    from mlx_lm.tokenizer_utils import TokenizerWrapper

    from engine.chat.messages import Attachment

# What the original project used for models without a chat template.
_PLAIN = {"system": "System: {}\n\n", "user": "User: {}\n\n", "assistant": "Assistant: {}\n\n"}
PLAIN_STOPS = ("\nUser:",)


def with_attachments(text: str, attachments: Sequence[Attachment]) -> str:
    """A message with the files that go with it, each named and in a fence that nothing in it can close."""
    parts = []
    for file in attachments:
        longest = max((len(run) for run in re.findall("`+", file.text)), default=0)
        fence = "`" * max(3, longest + 1)
        name = " ".join(file.name.split())
        parts.append(f"{name}:\n{fence}\n{file.text.rstrip()}\n{fence}")
    return "\n\n".join([*parts, text] if text.strip() else parts)


def encode_text(tokenizer: TokenizerWrapper, text: str) -> list[int]:
    """The ids of a bare text, with the beginning mark that belongs before it; one that stands there already counts."""
    _require_text(text)
    begin = tokenizer.bos_token
    begins = begin is not None and text.startswith(begin)
    ids = _ordinary(tokenizer, text.removeprefix(begin) if begins else text, add_special_tokens=not begins)
    if begins or getattr(tokenizer, "init_kwargs", {}).get("begins_with_bos"):
        ids.insert(0, tokenizer.bos_token_id)
    return ids


def encode_chat(tokenizer: TokenizerWrapper, turns: Sequence[tuple[str, str]], system: str = "") -> list[int]:
    """The ids of a conversation, ready for the assistant's next turn.

    Args:
        turns: pairs of role ("user", "assistant") and text, oldest first.
        system: what the model is told about how to answer; "" for none.

    Raises:
        UserError: the model's chat template refuses the conversation.
    """
    _require_text(system, *(text for _, text in turns))
    messages = [{"role": role, "content": text} for role, text in turns]
    if not tokenizer.has_chat_template:
        told = [{"role": "system", "content": system}] if system else []
        text = "".join(_PLAIN[message["role"]].format(message["content"]) for message in told + messages)
        return encode_text(tokenizer, text + "Assistant:")
    if not system:
        return _render(tokenizer, messages)
    try:
        return _render(tokenizer, [{"role": "system", "content": system}, *messages])
    except UserError:
        # Some templates know no system role; their own habit is to put it before the first question.
        first = {"role": "user", "content": f"{system}\n\n{messages[0]['content']}"}
        return _render(tokenizer, [first, *messages[1:]])


def _render(tokenizer: TokenizerWrapper, messages: list[dict[str, str]]) -> list[int]:
    marks = _marks(tokenizer)
    # Together, since a template may put one right behind the other.
    typed = "".join(message["content"] for message in messages)
    try:
        ids: Any = (
            _rendered_apart(tokenizer, messages, marks)
            if any(mark in typed for mark in marks)
            else tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True)
        )
    except Exception as error:  # a template is a program of other people
        raise UserError(
            "This model's chat template cannot show the conversation.",
            "{reason}",
            "Start a new conversation, leave the system prompt empty, or get the model again: it may be damaged.",
            reason=str(error) or type(error).__name__,
        ) from error
    if not ids:
        raise UserError(
            "This model's chat template shows nothing of the conversation.",
            "It was rendered, and no text came of it.",
            "Get the model again: its chat_template is damaged.",
        )
    return list(ids)


def _marks(tokenizer: TokenizerWrapper) -> dict[str, Any]:
    """The tokenizer's special tokens by how they are spelled."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return {token.content: token for token in added.values() if token.special and token.content}


def _rendered_apart(tokenizer: TokenizerWrapper, messages: list[dict[str, str]], marks: dict[str, Any]) -> list[int]:
    """The ids of a rendered conversation in which people spell special tokens; those stay text.

    A letter that nobody typed breaks each of them while the template works. What then still spells one comes from the
    template; the rest is encoded as text, without that letter.
    """
    contents = "".join(message["content"] for message in messages)
    breaker = next(letter for letter in map(chr, range(0xE000, 0xF8FF)) if letter not in contents)
    # After every first letter: no part of what was typed can begin one, whatever the template puts behind it.
    first = re.compile("|".join({re.escape(mark[0]) for mark in marks}))
    broken = [{**message, "content": first.sub(rf"\g<0>{breaker}", message["content"])} for message in messages]
    text: str = tokenizer.apply_chat_template(broken, add_generation_prompt=True, tokenize=False)
    any_mark = "|".join(re.escape(mark) for mark in sorted(marks, key=len, reverse=True))
    ids: list[int] = []
    previous = None
    for place, piece in enumerate(re.split(f"({any_mark})", text)):
        if place % 2:
            ids.append(tokenizer.convert_tokens_to_ids(piece))
            previous = marks[piece]
            continue
        plain = piece.replace(breaker, "")
        plain = plain.lstrip() if previous is not None and previous.rstrip else plain
        ids += _ordinary(tokenizer, plain, add_special_tokens=False) if plain else []
    return ids


def _ordinary(tokenizer: TokenizerWrapper, text: str, *, add_special_tokens: bool) -> list[int]:
    """The ids of a text, whatever it spells."""
    return list(tokenizer.encode(text, add_special_tokens=add_special_tokens, split_special_tokens=True))


def _require_text(*texts: str) -> None:
    """Refuse what came from bytes that are no text."""
    for text in texts:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise UserError(
                "The message is not text.",
                "It holds bytes that are not UTF-8.",
                "Save it as UTF-8 and try again.",
            ) from error
