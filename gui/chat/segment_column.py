"""A column of the views of a message's segments, kept in step while they arrive. Knows no message."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

from gui.chat import code_view, prose_view, rich_text
from gui.chat.column import Column, Entry, Piece
from gui.chat.segments import Kind, Segment

_FOLDED = 28


class SegmentView(Piece, Protocol):
    """A piece that shows a segment."""

    def set_segment(self, segment: Segment) -> None:
        """Show another state of the segment."""


class SegmentColumn(Column):
    """The views of segments below one another."""

    def __init__(self, makers: Mapping[Kind, Callable[[], SegmentView]], paragraph: int = rich_text.PARAGRAPH) -> None:
        """`makers` make the views, `paragraph` is the distance between two of them."""
        super().__init__()
        self._makers = makers
        self._paragraph = paragraph
        self._segments: list[Segment] = []

    def set_segments(self, segments: Sequence[Segment]) -> None:
        """Show these segments; views of those that did not change are left alone."""
        for number, segment in enumerate(segments):
            old = self._segments[number] if number < len(self._segments) else None
            if old is segment or old == segment:
                continue
            if old is not None and old.kind == segment.kind:
                self._update(self.entries[number], segment)
            else:
                for entry in self.entries[number:]:
                    entry.drop()
                del self.entries[number:], self._segments[number:]
                self.entries.append(self._entry(segment))
            self._segments[number : number + 1] = [segment]
        for entry in self.entries[len(segments) :]:
            entry.drop()
        del self.entries[len(segments) :], self._segments[len(segments) :]

    def _entry(self, segment: Segment) -> Entry:
        def make() -> SegmentView:
            view = self._makers[segment.kind]()
            view.set_segment(segment)
            return view

        return Entry(make, _guess(segment), self._gap(segment))

    def _update(self, entry: Entry, segment: Segment) -> None:
        fresh = self._entry(segment)
        entry.make, entry.guess, entry.measured = fresh.make, fresh.guess, 0
        if entry.piece is not None:
            cast(SegmentView, entry.piece).set_segment(segment)

    def _gap(self, segment: Segment) -> int:
        if segment.joined:
            return min(self._paragraph, rich_text.ITEM)
        above = rich_text.distance_above(segment.text) if segment.kind == "prose" else 0
        return max(self._paragraph, above if self._paragraph else 0)


def _guess(segment: Segment) -> Callable[[int], int]:
    if segment.kind == "prose":
        return prose_view.guess_height(segment.text)
    height = code_view.guess_height(segment.text) if segment.kind == "code" else _FOLDED
    return lambda _: height
