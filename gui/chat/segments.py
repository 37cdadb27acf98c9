"""Splits a message's text into prose, code and reasoning while it arrives. Knows no widget and no Markdown beyond that.

The segments depend on the text alone, not on the pieces it came in; a segment that was settled is parsed no more.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Literal

from gui.chat.formulas import is_unfinished
from gui.chat.line_rules import (
    MOST_TAGS,
    Fence,
    dedented,
    is_list_item,
    is_table_rule,
    may_be_markup,
    opening_fence,
    tags,
    without_tag_beginning,
)

Kind = Literal["prose", "code", "reasoning"]

# Prose is cut at a block border beyond the first length, and beyond the second wherever a line ends.
_SOFT_LIMIT, _HARD_LIMIT = 2_000, 8_000
# Tables and quotes cost more: so that the last piece can be laid out anew for every frame, they are cut sooner.
_TABLE_LIMIT, _QUOTE_LIMIT = 1_200, 4_000
_MOST = 2_000  # segments; beyond them, marks and tags are ordinary text, and so they are beyond so many tags in a line


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a message that one view shows.

    `closed` says that its end was seen; `joined` that it goes on in the list or paragraph of the segment before.
    """

    kind: Kind
    text: str
    language: str = ""
    closed: bool = False
    joined: bool = False


@dataclass(slots=True)
class _State:
    """Where the parser stands. `restart` says that all segments before were replaced by the settled ones here."""

    kind: Kind = "prose"
    pieces: list[str] = field(default_factory=list)
    length: int = 0
    language: str = ""
    fence: Fence | None = None
    tag: str = ""
    in_answer: bool = False
    seen_tag: bool = False
    dedent: int = 0
    joined: bool = False
    after_blank: bool = True
    last_line: str = ""
    table_head: str = ""
    restart: bool = False
    settled: list[Segment] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.pieces.append(text)
        self.length += len(text)

    def settle(self) -> None:
        """End the open segment."""
        segment = self.open_segment(closed=True)
        if segment is not None:
            self.settled.append(segment)
        self.kind, self.pieces, self.length, self.language, self.fence = "prose", [], 0, "", None
        self.joined = False

    def open_segment(self, closed: bool = False) -> Segment | None:
        """The segment that is being read; None where there is nothing to show of it."""
        self.pieces = ["".join(self.pieces)]
        text = self.pieces[0]
        if self.kind == "code":
            return Segment("code", text.removesuffix("\n"), self.language, closed)
        if self.kind == "reasoning":
            # An empty `<think></think>` is what models write that were told not to think.
            return Segment("reasoning", text.strip(), closed=closed) if text.strip() or not closed else None
        return Segment("prose", text.strip("\n"), closed=closed, joined=self.joined) if text.strip() else None

    def copy(self) -> _State:
        """A state to try an unfinished line on."""
        self.pieces = ["".join(self.pieces)]
        twin = copy.copy(self)
        twin.pieces, twin.settled = list(self.pieces), []
        return twin


def plain_segments(text: str) -> list[Segment]:
    """The text as it is, in pieces that one view can show at ease: of whole lines, unless a line is endless."""
    pieces = [""]
    for number, line in enumerate(text.split("\n")):
        start = f"{pieces[-1]}\n" if number else ""
        if number and len(start) + len(line) < 2 * _SOFT_LIMIT:
            pieces[-1] = start + line
        else:
            parts = [line[at : at + _HARD_LIMIT] for at in range(0, len(line), _HARD_LIMIT)] or [""]
            pieces[len(pieces) if number else 0 :] = parts
    return [Segment("prose", piece, closed=True, joined=bool(number)) for number, piece in enumerate(pieces)]


class Splitter:
    """Takes a message's text in any pieces and gives its segments at any time."""

    def __init__(self, tags: bool = True) -> None:
        """Without `tags`, `<think>` and its like are ordinary text."""
        self._tags = tags
        self._state = _State()
        self._settled: list[Segment] = []
        self._before_tags: list[str] = []
        self._line = ""

    def feed(self, text: str) -> None:
        """Take the next piece of the text."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._read(self._state, line.removesuffix("\r"), whole=True)
            self._settled = self._all_settled(self._state)
            self._state.settled, self._state.restart = [], False
            if self._tags and not self._state.seen_tag:
                self._before_tags.append(line)

    def segments(self, final: bool = False) -> list[Segment]:
        """All segments so far.

        Until `final`, the last characters are withheld where what follows may give them another meaning.
        """
        state = self._state.copy()
        line = self._line if final else self._certain(self._line)
        if line:
            self._read(state, line.removesuffix("\r"), whole=False)
        rest = state.open_segment()
        return [*self._all_settled(state), *([rest] if rest else [])]

    def _all_settled(self, state: _State) -> list[Segment]:
        if state.restart:
            return state.settled
        if state is self._state:
            self._settled += state.settled
            return self._settled
        return self._settled + state.settled

    def _certain(self, line: str) -> str:
        """The part of an unfinished line whose meaning no later character changes."""
        state = self._state
        if state.fence is not None:
            return line if line.strip(f" \t{state.fence.character}") else ""
        if state.kind == "prose" and may_be_markup(line):
            return ""
        return without_tag_beginning(line) if self._tags else line

    def _read(self, state: _State, line: str, whole: bool) -> None:
        """Advance over one line; `whole` says that its end was seen."""
        end, rest, first, met = "\n" if whole else "", line, True, 0
        full = len(self._settled) + len(state.settled) >= _MOST
        while True:
            if state.kind == "code":
                _read_code(state, rest, end)
                return
            if state.kind == "reasoning":
                after = _read_reasoning(state, rest, end)
            elif not full and _open_code(state, rest):
                return
            else:
                after = self._read_tag(state, rest, whole) if self._tags and not full and met < MOST_TAGS else None
                met += 1
                if after is None:
                    _read_prose(state, rest, end, first)
            if after is None:
                return
            rest, first = after, False
            if state.kind == "prose" and not rest.strip():
                if state.length and not state.pieces[-1].endswith("\n"):
                    state.add(end)
                return

    def _read_tag(self, state: _State, line: str, whole: bool) -> str | None:
        """Act on the first tag of the line that is one; what stands after it, or None where there is no such tag."""
        for tag in tags(line):
            name = tag[2]
            alone = not line[: tag.start()].strip()
            if tag[1]:
                if name == "answer" and state.in_answer:
                    state.in_answer = False
                elif name.startswith("think") and alone and not state.seen_tag:
                    self._close_all(state)
                else:
                    continue
            elif alone or line.find(f"</{name}>", tag.end()) >= 0 or (whole and not line[tag.end() :].strip()):
                state.in_answer = state.in_answer or name == "answer"
            else:
                # In the middle of a line a tag is more often spoken of than used, unless it is closed there.
                continue
            state.seen_tag = True
            if not alone:
                state.add(line[: tag.start()])
            if not tag[1] and name != "answer":
                state.settle()
                state.kind, state.tag = "reasoning", name
            return line[tag.end() :]
        return None

    def _close_all(self, state: _State) -> None:
        """Make everything before it reasoning: some chat templates end in `<think>`, the answer has only its end."""
        state.settle()
        thought = "\n".join(self._before_tags).strip()
        state.settled = [Segment("reasoning", thought, closed=True)] if thought else []
        state.restart = True


def _read_code(state: _State, line: str, end: str) -> None:
    fence = state.fence or Fence("`", 3, 0)
    if fence.closed_by(line):
        state.settle()
        state.dedent, state.after_blank = fence.indent, True
    else:
        state.add(dedented(line, fence.indent) + end)


def _read_reasoning(state: _State, line: str, end: str) -> str | None:
    close = next((tag for tag in tags(line) if tag[1] and tag[2] == state.tag), None)
    if close is None:
        state.add(line + end)
        return None
    state.add(line[: close.start()])
    state.settle()
    return line[close.end() :]


def _open_code(state: _State, line: str) -> bool:
    fence = opening_fence(line)
    if fence is None:
        return False
    if fence.mark:
        state.add(f"{fence.mark}\n")
    state.settle()
    state.kind, state.language, state.fence = "code", fence.language, fence
    return True


def _read_prose(state: _State, line: str, end: str, first: bool) -> None:
    blank = not line.strip()
    if first and not blank:
        # What goes on in a list after a code block there would read as indented code on its own.
        if state.dedent and len(line) - len(line.lstrip()) < state.dedent:
            state.dedent = 0
            if state.length and not state.after_blank and is_list_item(line):
                # The next item of that list: on its own, a number other than 1 cannot follow text directly.
                state.add("\n")
        line = dedented(line, state.dedent)
        if "|" not in line:
            state.table_head = ""
        elif "|" in state.last_line and is_table_rule(line):
            state.table_head = f"{state.last_line}\n{line}\n"
        if _is_border(state, line):
            joined = not state.after_blank or is_list_item(line)
            state.settle()
            state.joined = joined
            # A long table is cut too, and its head repeated as on a new page.
            state.add(state.table_head)
    while len(line) > _HARD_LIMIT:
        cut = line.rfind(" ", _HARD_LIMIT // 2, _HARD_LIMIT) + 1 or _HARD_LIMIT
        if line.count("$", 0, cut) % 2:
            # Most likely in the middle of a formula.
            cut = line.rfind(" ", _HARD_LIMIT // 2, line.rfind("$", 0, cut)) + 1 or cut
        state.add(line[:cut])
        state.settle()
        state.joined, line = True, line[cut:]
    state.add(line + end)
    state.after_blank, state.last_line = blank, line
    if blank:
        state.table_head = ""


def _is_border(state: _State, line: str) -> bool:
    """Whether prose may be cut before this line without changing how it reads."""
    length = state.length
    if state.table_head and length >= _TABLE_LIMIT + len(state.table_head) and not is_table_rule(line):
        return True
    if length < _SOFT_LIMIT or length >= 2 * _HARD_LIMIT:
        return length > _SOFT_LIMIT
    if line[0].isspace() or (length < _HARD_LIMIT and is_unfinished("".join(state.pieces))):
        return False
    if state.after_blank or is_list_item(line):
        return True
    return length >= (_QUOTE_LIMIT if line[0] == ">" else _HARD_LIMIT) and line[0] != "|"
