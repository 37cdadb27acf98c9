"""What one line of a message says: fences, tags, list items, tables. Knows no other line and no widget."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

_TAG = re.compile(r"<(/?)(think|thinking|reasoning|answer)>")
MOST_TAGS = 50
_TAG_BEGINNING = re.compile(r"</?[a-z]*\Z")
_TAGS = [f"<{slash}{name}>" for slash in ("", "/") for name in ("think", "thinking", "reasoning", "answer")]
_FENCE = re.compile(
    r"(?P<mark>[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+)?(?P<indent>[ \t]*)(?P<fence>`{3,}(?=[^`]*\Z)|~{3,})(?P<info>.*)\Z"
)
_TABLE_RULE = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?\Z")
_LIST_ITEM = re.compile(r"(?:[-*+]|\d{1,9}[.)])[ \t]+\S")
# The beginning of a line that may still become a rule, a fence, a list mark or the underline of a heading.
_MARKUP_ONLY = re.compile(r"(?:[-=*+_~#>|` \t]*|[ \t]*(?:\d{1,9}[.)]?[ \t]*|`{3,}[^`]*|~{3,}.*))\Z")


@dataclass(frozen=True, slots=True)
class Fence:
    """The line that opened a block of code; `mark` is that of a list item it stood in."""

    character: str
    length: int
    indent: int
    mark: str = ""
    language: str = ""

    def closed_by(self, line: str) -> bool:
        """Whether the code ends with this line."""
        mark = line.strip()
        if len(mark) < self.length or mark.strip(self.character):
            return False
        return len(line) - len(line.lstrip()) <= self.indent + 3


def opening_fence(line: str) -> Fence | None:
    """The block of code that the line opens."""
    match = _FENCE.match(line) if "```" in line or "~~~" in line else None
    if match is None:
        return None
    mark, words = match["mark"] or "", match["info"].split()
    indent = len((mark + match["indent"]).expandtabs(4))
    language = words[0].strip("{}.").lower() if words else ""
    return Fence(match["fence"][0], len(match["fence"]), indent, mark.strip(), language)


def may_be_markup(line: str) -> bool:
    """Whether an unfinished line holds nothing but what may become the mark of a block."""
    return bool(_MARKUP_ONLY.match(line))


def is_list_item(line: str) -> bool:
    """Whether an item of a list begins here, not indented."""
    return bool(_LIST_ITEM.match(line))


def is_table_rule(line: str) -> bool:
    """Whether it is the line between a table's head and its rows."""
    return bool(_TABLE_RULE.match(line.strip()))


def without_tag_beginning(line: str) -> str:
    """An unfinished line without what may become a tag at its end."""
    beginning = _TAG_BEGINNING.search(line)
    if beginning and any(tag.startswith(beginning[0]) for tag in _TAGS):
        return line[: beginning.start()]
    return line


def dedented(line: str, columns: int) -> str:
    """The line without its first `columns` of white space, as far as it has any."""
    start = column = 0
    while column < columns and line[start : start + 1] in (" ", "\t"):
        column += 4 if line[start] == "\t" else 1
        start += 1
    return line[start:]


def tags(line: str) -> Iterator[re.Match[str]]:
    """The first tags of a line that do not stand in inline code; so many in one line are no longer meant as tags."""
    if "<" not in line:
        return iter(())
    spans = _code_spans(line) if "`" in line else iter(())
    return itertools.islice(_outside(_TAG.finditer(line), spans), MOST_TAGS)


def _outside(found: Iterator[re.Match[str]], spans: Iterator[tuple[int, int]]) -> Iterator[re.Match[str]]:
    """What was found outside of the spans; both come in order."""
    span = next(spans, None)
    for each in found:
        while span is not None and span[1] <= each.start():
            span = next(spans, None)
        if span is None or each.start() < span[0]:
            yield each


def _code_spans(line: str) -> Iterator[tuple[int, int]]:
    """Begin and end of each stretch between two runs of as many backticks."""
    runs = [match.span() for match in re.finditer("`+", line)]
    at = 0
    while at < len(runs):
        start, end = runs[at]
        close = next((i for i in range(at + 1, len(runs)) if runs[i][1] - runs[i][0] == end - start), None)
        if close is not None:
            yield start, runs[close][1]
            at = close
        at += 1
