"""Turns a conversation into the token ids a model reads. Knows a tokenizer, no weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.errors import UserError

if TYPE_CHECKING:
    from mlx_lm.tokenizer_utils import TokenizerWrapper

# What the original project used for models without a chat template.
_PLAIN = {"system": "System: {}\n\n", "user": "User: {}\n\n", "assistant": "Assistant: {}\n\n"}
PLAIN_STOPS = ("\nUser:",)


def encode_text(tokenizer: TokenizerWrapper, text: str) -> list[int]:
    """The ids of a bare text, with the beginning mark the tokenizer puts before it."""
    _require_text(text)
    begins = tokenizer.bos_token is not None and text.startswith(tokenizer.bos_token)
    return list(tokenizer.encode(text, add_special_tokens=not begins))


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
    try:
        ids: Any = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True)
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
