"""Shows a message of the person: a bubble, what is attached above it, buttons beside it. Knows no conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QRectF, Qt
from PySide6.QtGui import QColor, QEnterEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from gui import theme
from gui.chat.attachment_view import open_attachment
from gui.chat.attachments import Chips
from gui.chat.buttons import CopyButton, IconButton
from gui.chat.column import Work
from gui.chat.message_view import BLEED, MessageView
from gui.chat.prose_view import ProseView
from gui.chat.segment_column import SegmentColumn
from gui.chat.segments import plain_segments
from gui.chat.switcher import Switcher
from gui.text import tr

if TYPE_CHECKING:
    from engine.chat.conversations import Message

_SHARE = 0.8  # of the column's width that a bubble may take
_PAD_X, _PAD_TOP, _PAD_BOTTOM, _ROUND = 15, 8, 11, 18  # a line of text stands low in its height
_CHIPS_GAP = 6


class UserView(MessageView):
    """A message of the person: a soft bubble at the right, its buttons seen under the mouse or the focus."""

    asks = True

    def __init__(self, parent: QWidget, message: Message) -> None:
        super().__init__(parent, message)
        self.column = SegmentColumn({"prose": lambda: ProseView(self, plain=True)}, paragraph=0)
        self.column.set_segments(plain_segments(message.text))
        self._chips = Chips(self, at_right=True)
        self._chips.show_attached(message.attachments)
        self._chips.opened.connect(lambda place: open_attachment(self, message.attachments[place]))
        self._chips.setVisible(bool(message.attachments))
        self._branch = IconButton(self, "branch", tr("Branch into a new conversation"))
        self._pencil = IconButton(self, "edit", tr("Edit"))
        self._copy = CopyButton(self, tr("Copy"), lambda: self.text)
        self._buttons = (self._branch, self._pencil, self._copy)
        self._branch.clicked.connect(lambda: self.wanted.emit("branch"))
        self._pencil.clicked.connect(self.edit)
        self._switcher = Switcher(self)
        self._switcher.chosen.connect(self.chosen)
        for hidden in self._buttons:
            hidden.reveal(False)
        self._bubble, self._natural = QRectF(), 0
        self._describe(tr("You"))

    @property
    def switcher(self) -> Switcher:
        """It stands below the bubble."""
        return self._switcher

    def set_busy(self, busy: bool) -> None:
        """Be changed by nobody, for a while."""
        super().set_busy(busy)
        self._pencil.setEnabled(not busy)
        self._switcher.set_busy(busy)

    def fit(self, width: int, top: int, bottom: int, work: Work) -> int:
        """Lay out the bubble, as wide as its text needs."""
        for part in (*self._buttons, self._switcher):
            part.restyle()
        for part in self._buttons:
            part.setVisible(self._editor is None)
        if self._editor is not None:
            self.column.hide()
            self._bubble = QRectF()
            above = self._place_chips(width - BLEED)
            above += _CHIPS_GAP if above else 0
            height = self._editor.height_for(width - 2 * BLEED)
            self._editor.setGeometry(BLEED, above, width - 2 * BLEED, height)
            return self._below(width - BLEED, above + height)
        width -= BLEED
        above = self._place_chips(width)
        if not self.text:
            self.column.hide()
            self._bubble = QRectF()
            self._place_buttons(self._chips.x() + self._chips.left, above + 4)
            return self._below(width, above)
        above += _CHIPS_GAP if above else 0
        full = room = round((width - BLEED) * _SHARE) - 2 * _PAD_X
        # Whole-width views of a narrow text reach out of the bubble at the right, where nothing of them is seen.
        left = width - _PAD_X - min(self._natural, room)
        end = self.column.fit(left, above + _PAD_TOP, room, top, bottom, work) + _PAD_BOTTOM
        views = [entry.widget for entry in self.column.entries]
        self._natural = max(view.natural_width() if isinstance(view, ProseView) else room for view in views)
        room = max(_ROUND, min(self._natural, room))
        if left != width - _PAD_X - room:
            self.column.fit(width - _PAD_X - room, above + _PAD_TOP, full, top, bottom, work)
        self._bubble = QRectF(width - room - 2 * _PAD_X, above, room + 2 * _PAD_X, end - above)
        self._place_buttons(width - room - 2 * _PAD_X, end)
        self.update()
        return self._below(width, end)

    def controls(self) -> list[QWidget]:
        """The text, the buttons beside it, and the way to its siblings."""
        if self._editor is not None:
            return self._editor.controls()
        return [*self._chips.controls(), *self.column.controls(), *self._buttons, *self._switcher.controls()]

    def enterEvent(self, event: QEnterEvent) -> None:
        """Show the buttons."""
        for button in self._buttons:
            button.reveal(True)
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        """Hide them again."""
        for button in self._buttons:
            button.reveal(False)
        super().leaveEvent(event)

    def paintEvent(self, _: QPaintEvent) -> None:
        """The bubble."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.current().colours.bubble))
        painter.drawRoundedRect(self._bubble, _ROUND, _ROUND)
        painter.end()
        self._paint_mark(self._bubble, _ROUND)

    def _place_chips(self, width: int) -> int:
        """Put what is attached on top; the height it takes."""
        if self._chips.isHidden():
            return 0
        room = round(width * _SHARE)
        height = self._chips.arrange(room)
        self._chips.setGeometry(width - room, 0, room, height)
        return height

    def _place_buttons(self, right: int, end: int) -> None:
        """Put the buttons left of the bubble, at its end."""
        left = right - theme.TINY
        for button in reversed(self._buttons):
            size = button.sizeHint()
            left -= size.width()
            button.setGeometry(left, end - size.height() - 6, size.width(), size.height())

    def _below(self, right: int, y: int) -> int:
        """Place what stands below the bubble; answers where it ends."""
        if self._switcher.isHidden():
            return y
        size = self._switcher.sizeHint()
        self._switcher.setGeometry(right - size.width(), y + 2, size.width(), size.height())
        return y + 2 + size.height()
