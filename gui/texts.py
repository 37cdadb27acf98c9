"""The text fields of a form: a line, several lines, and a list of texts as chips. Knows no setting."""

from __future__ import annotations

import html
import re
from itertools import pairwise

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QFocusEvent, QHideEvent, QKeyEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QLineEdit, QPlainTextEdit, QPushButton, QSizePolicy, QWidget

from gui import theme
from gui.drawing import draw_field
from gui.text import tr

_PAUSE = 400  # milliseconds without a key after which a text counts as written
_NAMED = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPE = re.compile(r"\\(?:[\\nrt]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})")


def escaped(text: str) -> str:
    """A text in one visible line: a line break becomes `\\n`, a backslash two of them."""
    return "".join(
        _NAMED.get(sign) or (sign if sign.isprintable() else sign.encode("unicode_escape").decode()) for sign in text
    )


def unescaped(text: str) -> str:
    """The text that was meant by what `escaped` shows, or a person types."""
    return _ESCAPE.sub(lambda match: match[0].encode("ascii").decode("unicode_escape"), text)


class TextLine(QLineEdit):
    """One line of text; it counts as written when typing pauses."""

    written = Signal(str)

    def __init__(self, placeholder: str = "") -> None:
        super().__init__()
        self.setPlaceholderText(placeholder)
        self._pause = QTimer(self, singleShot=True, interval=_PAUSE)
        self._pause.timeout.connect(self._tell)
        self.textEdited.connect(self._wait)
        self.editingFinished.connect(self.flush)

    def set_text(self, text: str) -> None:
        """Show a text; emits nothing."""
        self._pause.stop()
        self.setText(text)
        self.setCursorPosition(0)

    def flush(self) -> None:
        """Do not wait for the pause."""
        if self._pause.isActive():
            self._tell()

    def hideEvent(self, event: QHideEvent) -> None:
        """What was typed before the page went is not lost."""
        self.flush()
        super().hideEvent(event)

    def _wait(self, _: str) -> None:
        self._pause.start()

    def _tell(self) -> None:
        self._pause.stop()
        self.written.emit(self.text())


class TextArea(QPlainTextEdit):
    """Several lines of text; they count as written when typing pauses."""

    written = Signal(str)

    def __init__(self, placeholder: str = "", lines: int = 4) -> None:
        super().__init__()
        self.setPlaceholderText(placeholder)
        self.setTabChangesFocus(True)
        self.document().setDocumentMargin(2)  # the text begins where it does in a line
        self.setFixedHeight(self.fontMetrics().lineSpacing() * lines + 18)
        self._pause = QTimer(self, singleShot=True, interval=_PAUSE)
        self._pause.timeout.connect(self._tell)
        self.textChanged.connect(self._pause.start)

    def set_text(self, text: str) -> None:
        """Show a text; emits nothing."""
        self.setPlainText(text)
        self._pause.stop()

    def flush(self) -> None:
        """Do not wait for the pause."""
        if self._pause.isActive():
            self._tell()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Leaving the field ends the text."""
        self.flush()
        super().focusOutEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        """What was typed before the page went is not lost."""
        self.flush()
        super().hideEvent(event)

    def _tell(self) -> None:
        self._pause.stop()
        self.written.emit(self.toPlainText())


class Chips(QWidget):
    """A field that holds several texts: Return closes one, a click or Delete on a chip takes it away."""

    edited = Signal(object)  # tuple[str, ...]

    def __init__(self, placeholder: str) -> None:
        super().__init__()
        self._texts: tuple[str, ...] = ()
        self._chips: list[_Chip] = []
        self.line = QLineEdit(self)
        self.line.setProperty("role", "bare")
        self._placeholder = placeholder
        self.line.installEventFilter(self)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.set_texts(())

    def set_texts(self, texts: tuple[str, ...]) -> None:
        """Show these texts; emits nothing."""
        for chip in self._chips:
            chip.hide()
            chip.deleteLater()
        self._texts = texts
        self._chips = [_Chip(text, self) for text in texts]
        for place, chip in enumerate(self._chips):
            chip.clicked.connect(lambda _=False, place=place: self._remove(place))
            chip.show()
        self.line.setPlaceholderText("" if texts else self._placeholder)
        for first, second in pairwise([self.line, *self._chips]):
            QWidget.setTabOrder(first, second)
        self._arrange()

    def flush(self) -> None:
        """Close the text that is being typed."""
        text = unescaped(self.line.text())
        if not text.strip(" "):
            return
        self.line.clear()
        if text not in self._texts:
            self._become((*self._texts, text))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The keys of the line that concern the chips, and its focus, which is the field's."""
        if event.type() in (QEvent.Type.FocusIn, QEvent.Type.FocusOut):
            self.update()
        if event.type() == QEvent.Type.FocusOut:
            self.flush()
        elif isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.line.text():
                self.flush()
                return True
            if event.key() == Qt.Key.Key_Backspace and not self.line.text() and self._texts:
                last = self._texts[-1]
                self._become(self._texts[:-1])
                self.line.setText(escaped(last))
                return True
        return super().eventFilter(watched, event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Flow anew."""
        self._arrange()
        super().resizeEvent(event)

    def sizeHint(self) -> QSize:
        """As high as the rows need."""
        return QSize(160, self.height())

    def paintEvent(self, _: QPaintEvent) -> None:
        """The ground and the border of a text field."""
        wrong = self.property("state") == "wrong"
        painter = QPainter(self)
        draw_field(painter, self.rect(), theme.current().colours, focused=self.line.hasFocus(), wrong=wrong)

    def _remove(self, place: int) -> None:
        self._become(self._texts[:place] + self._texts[place + 1 :])
        self.line.setFocus()

    def _become(self, texts: tuple[str, ...]) -> None:
        self.set_texts(texts)
        self.edited.emit(texts)

    def _arrange(self) -> None:
        """Lay the chips in rows, and the line behind them; the field grows by rows."""
        inset, gap, row = 4, 4, 18
        place = QPoint(inset, inset)
        items: list[QWidget] = [*self._chips, self.line]
        for item in items:
            wanted = 60 if item is self.line else item.sizeHint().width()
            room = self.width() - 2 * inset
            if place.x() > inset and place.x() + wanted > inset + room:
                place = QPoint(inset, place.y() + row + gap)
            width = self.width() - inset - place.x() if item is self.line else min(wanted, room)
            item.setGeometry(QRect(place, QSize(max(width, 20), row)))
            place.setX(place.x() + width + gap)
        self.setFixedHeight(place.y() + row + inset)


class _Chip(QPushButton):
    def __init__(self, text: str, parent: QWidget) -> None:
        shown = escaped(text)
        before, inner, after = shown.partition(shown.strip(" ") or "\0")
        shown = "␣" * len(before) + inner + "␣" * len(after)  # a space at an end matters, and would not be seen
        short = shown if len(shown) <= 24 else shown[:23] + "…"
        super().__init__(f"{short}  ×".replace("&", "&&"), parent)
        self.setProperty("role", "token")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(tr("Remove {entry}", entry=shown))
        self.setToolTip(f"<qt>{html.escape(self.accessibleName())}</qt>")  # all of it, where the chip is cut

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Delete and Return do what a click does."""
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        else:
            super().keyPressEvent(event)
