"""Says where a text was said in any conversation, with the words around it. Knows the store, no view."""

from __future__ import annotations

from collections.abc import Iterator

from engine.chat.conversations import Conversations
from engine.chat.requests import SearchConversations
from engine.chat_events import MessageFound

_BEFORE, _AFTER = 60, 120  # characters of a message shown around what was found in it


def find(request: SearchConversations) -> Iterator[MessageFound]:
    """Every ended message that contains the text, newest first."""
    with Conversations(request.database) as store:
        titles: dict[int, str] = {}
        for message in store.search(request.text, request.limit):
            if message.conversation not in titles:
                titles[message.conversation] = store.get(message.conversation).title
            start, length = place(message.text, request.text)
            first = max(0, start - _BEFORE)
            yield MessageFound(
                message.conversation,
                message.id,
                titles[message.conversation],
                message.role,
                message.text[first : start + length + _AFTER],
                start - first,
                length,
                message.created,
            )


def place(text: str, wanted: str) -> tuple[int, int]:
    """Where `wanted` stands in a text in any letter case, as start and length; (0, 0) where it does not.

    Folding can make a text longer (ß becomes ss), so the place in the folded text is counted back.
    """
    folded, needle = text.casefold(), wanted.casefold()
    at = folded.find(needle)
    if at < 0 or not needle:
        return 0, 0
    if len(folded) == len(text):
        return at, len(needle)
    lengths = [len(sign.casefold()) for sign in text]
    reached, start, end = 0, 0, len(text)
    for number, length in enumerate(lengths):
        if reached <= at:
            start = number
        reached += length
        if reached >= at + len(needle):
            end = number + 1
            break
    return start, end - start
