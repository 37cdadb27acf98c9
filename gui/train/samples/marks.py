"""Divides a completion into reasoning, answer and the tags around them. Knows texts, no widget."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from engine.run_events import SampleRead

Kind = Literal["plain", "prefill", "tag", "loose tag", "reasoning", "answer", "right", "wrong", "same", "other", "rest"]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a text and what it is: inside a pair of tags, a tag, or neither."""

    kind: Kind
    text: str


_TAGS = 2000  # at most; a model that writes nothing but tags is told apart no further
_TAG = re.compile(r"<(/?)(reasoning|think|thinking|answer)>")
# Qt keeps some signs for itself; controls cannot be seen, and some of them turn the line around.
_SHOWN = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}
_TURNING = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_SHOWN |= dict.fromkeys([*range(0x80, 0xA0), *_TURNING, 0xFDD0, 0xFDD1, 0xFFFC, *range(0xD800, 0xE000)], 0xFFFD)
_SHOWN |= {0x7F: 0x2421, 0x2028: 0x0A, 0x2029: 0x0A}


def parts(sample: SampleRead) -> list[Part]:
    """The completion in parts, what was put before it included; together they are all of it.

    A tag is paired with the next one of its name that closes it. An answer whose closing tag is missing runs to the
    end, as the rewards see it. Reasoning that the completion did not open itself began with the prompt.
    """
    text = sample.prefill + sample.text
    found: list[Part] = []
    place = 0
    for start, end, kind in _spans(text, _answer_kind(sample)):
        _add(found, "plain", text[place:start])
        _add(found, kind, text[start:end])
        place = end
    _add(found, "plain", text[place:])
    return _with_prefill(found, len(sample.prefill))


def displayable(text: str) -> str:
    """The text with signs that can be seen for those that cannot; as long as it was."""
    return text.translate(_SHOWN)


def one_line(text: str, length: int = 240) -> str:
    """The beginning of a text in one line."""
    short = " ".join(text[: 4 * length].split())[:length]
    return displayable(short)


def gist(text: str) -> str:
    """The beginning of a completion in one line, without its tags."""
    return one_line(_TAG.sub(" ", text[:960]))


def _answer_kind(sample: SampleRead) -> Kind:
    return "answer" if sample.right is None else "right" if sample.right else "wrong"


def _spans(text: str, answer: Kind) -> list[tuple[int, int, Kind]]:
    """Where tags and what they enclose begin and end, in order, without what is plain."""
    spans: list[tuple[int, int, Kind]] = []
    tags = list(islice(_TAG.finditer(text), _TAGS))
    # The last answer is the one that counts.
    last = max((number for number, tag in enumerate(tags) if tag[2] == "answer" and not tag[1]), default=-1)
    number = 0
    while number < len(tags):
        tag = tags[number]
        following = tags[number + 1] if number + 1 < len(tags) else None
        paired = following is not None and bool(following[1]) and following[2] == tag[2]
        kind: Kind = "reasoning" if tag[2] != "answer" else answer if number == last else "answer"
        if tag[1]:
            if number == 0 and tag[2] != "answer":
                spans += [(0, tag.start(), kind), (tag.start(), tag.end(), "tag")]
            else:
                spans.append((tag.start(), tag.end(), "loose tag"))
        elif paired and following is not None:
            spans += [(tag.start(), tag.end(), "tag"), (tag.end(), following.start(), kind)]
            spans.append((following.start(), following.end(), "tag"))
            number += 1
        else:
            spans.append((tag.start(), tag.end(), "loose tag"))
            if number == last:
                spans.append((tag.end(), following.start() if following else len(text), kind))
        number += 1
    return spans


def _add(found: list[Part], kind: Kind, text: str) -> None:
    if text:
        found.append(Part(kind, text))


def _with_prefill(found: list[Part], length: int) -> list[Part]:
    """The same parts, of which the first `length` characters are those that were put before the completion."""
    made: list[Part] = []
    begun = ""
    for part in found:
        before = max(0, min(length, len(part.text)))
        begun += part.text[:before]
        _add(made, part.kind, part.text[before:])
        length -= before
    return [Part("prefill", begun), *made] if begun else made
