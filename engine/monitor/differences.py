"""Finds the words in which two texts differ. Knows no run.

The longest common sequence of words comes from whole rows of its table in one large number each (Hyyrö 2004,
"Bit-parallel LCS-length computation revisited"), so that texts which say one thing over and over cost no more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from engine.run_events import TextsCompared

# An ideograph is a word of its own; the spaces behind a word belong to it.
_IDEOGRAPH = "\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff"
_WORD = re.compile(rf"(?:[{_IDEOGRAPH}]|[^\W{_IDEOGRAPH}]+|[^\w\s]|(?=\s))\s*")
_MOST = 12_000

Parts = tuple[tuple[str, str], ...]


def of_texts(left: str, right: str) -> TextsCompared:
    """The parts in which two texts are the same and those in which they are not.

    What is behind the 12,000th word of a text, less the beginning and the end that both have, is not compared.
    """
    # Match by match, between which other threads get their turn.
    pair = [[match[0] for match in _WORD.finditer(text)] for text in (left, right)]
    keys = [[word.rstrip() for word in words] for words in pair]
    head = _common(*keys)
    tail = _common(*(list(reversed(words[head:])) for words in keys))
    middle = [words[head : len(words) - tail] for words in keys]
    same = alike(middle[0][:_MOST], middle[1][:_MOST])
    found = []
    for side, words in enumerate(pair):
        matched = {match[side] for match in same}
        kinds = ["same"] * head
        kinds += ["same" if place in matched else "other" for place in range(min(_MOST, len(middle[side])))]
        kinds += ["rest"] * (len(middle[side]) - _MOST)
        kinds += ["same"] * tail
        found.append(_parts(kinds, words))
    return TextsCompared(*found)


def alike(left: Sequence[str], right: Sequence[str]) -> list[tuple[int, int]]:
    """The places of a longest sequence that both have, in their order."""
    masks: dict[str, int] = {}
    for place, word in enumerate(left):
        masks[word] = masks.get(word, 0) | 1 << place
    every = (1 << len(left)) - 1
    row, rows = every, [every]
    for word in right:
        shared = row & masks.get(word, 0)
        row = ((row + shared) | (row - shared)) & every
        rows.append(row)
    found = []
    i, j = len(left), len(right)
    while i and j:
        if rows[j] >> (i - 1) & 1:
            i -= 1
            continue
        j -= 1
        if rows[j] >> (i - 1) & 1:
            i -= 1
            found.append((i, j))
    return found[::-1]


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    """How many words at the beginning of both are the same."""
    count = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        count += 1
    return count


def _parts(kinds: Sequence[str], words: Sequence[str]) -> Parts:
    grouped = groupby(zip(kinds, words, strict=True), key=lambda pair: pair[0])
    return tuple((kind, "".join(word for _, word in pairs)) for kind, pairs in grouped)
