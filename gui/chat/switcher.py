"""Goes from a message to its alternatives: ‹ 2/3 ›. Knows their numbers, not what they say."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLabel, QWidget

from gui.chat.buttons import IconButton
from gui.text import number, tr

_HEIGHT, _BUTTON, _GAP = 26, 20, 2


class Switcher(QWidget):
    """Two arrows with the place among the siblings between them; away where there is but one."""

    chosen = Signal(int)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._siblings: Sequence[int] = ()
        self._place, self._busy = 0, False
        self._back = IconButton(self, "chevron-left", tr("Previous version"))
        self._on = IconButton(self, "chevron-right", tr("Next version"))
        self._label = QLabel(self, alignment=Qt.AlignmentFlag.AlignCenter)
        self._label.setProperty("role", "caption")
        for button, step in ((self._back, -1), (self._on, 1)):
            button.setProperty("role", "arrow")
            button.installEventFilter(self)
            button.clicked.connect(lambda _=False, step=step: self._go(step))
        self.hide()

    def show_siblings(self, siblings: Sequence[int], message: int) -> None:
        """Stand for a message among these."""
        self._siblings = siblings
        self._place = siblings.index(message) if message in siblings else 0
        count = len(siblings)
        self._label.setText(f"{number(self._place + 1)}/{number(count)}")
        words = tr("Version {place} of {count}", place=number(self._place + 1), count=number(count))
        self.setAccessibleName(words)
        self._label.setAccessibleName(words)
        self.setVisible(count > 1)
        self._update()
        self._arrange()

    def set_busy(self, busy: bool) -> None:
        """Whether an answer is under way: its branch stays in view."""
        self._busy = busy
        self._update()

    def controls(self) -> list[QWidget]:
        """The arrows, where they are shown."""
        return [] if self.isHidden() else [self._back, self._on]

    def restyle(self) -> None:
        """Take the colours in force."""
        self._back.restyle()
        self._on.restyle()

    def sizeHint(self) -> QSize:
        """Room for the arrows and the numbers."""
        return QSize(2 * (_BUTTON + _GAP) + self._words_width(), _HEIGHT)

    def take_focus(self) -> None:
        """Let the keyboard go on from here."""
        (self._on if self._on.isEnabled() else self._back).setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Alt with an arrow key goes there, while one of the arrows has the focus."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
            if step and event.modifiers() & Qt.KeyboardModifier.AltModifier:
                self._go(step)
                return True
        return super().eventFilter(watched, event)

    def _go(self, step: int) -> None:
        place = self._place + step
        if not self._busy and 0 <= place < len(self._siblings):
            self.chosen.emit(self._siblings[place])

    def _update(self) -> None:
        self._back.setEnabled(not self._busy and self._place > 0)
        self._on.setEnabled(not self._busy and self._place < len(self._siblings) - 1)

    def _words_width(self) -> int:
        return max(20, self._label.sizeHint().width())

    def _arrange(self) -> None:
        width, top = self._words_width(), (_HEIGHT - _BUTTON) // 2
        self._back.setGeometry(0, top, _BUTTON, _BUTTON)
        self._label.setGeometry(_BUTTON + _GAP, 0, width, _HEIGHT)
        self._on.setGeometry(_BUTTON + 2 * _GAP + width, top, _BUTTON, _BUTTON)
