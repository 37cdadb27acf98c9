"""What the wizard's pages are made of: a scrolled column with a footer, cards, errors, paths. Knows no conversion."""

from __future__ import annotations

import html

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from engine.events import Failed
from gui import theme
from gui.remedies import in_window, wants_download
from gui.text import tr

WIDTH = 680


def words(text: str = "", role: str = "", *, tip: str = "") -> QLabel:
    """A text that wraps and can be copied; never taken for markup."""
    label = QLabel(text, wordWrap=True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    if role:
        label.setProperty("role", role)
    if tip:
        label.setToolTip(f"<qt>{html.escape(tip)}</qt>")
    return label


def button(text: str, *, primary: bool = False) -> QPushButton:
    """A push button."""
    made = QPushButton(text, autoDefault=False)
    if primary:
        made.setProperty("role", "primary")
    return made


class Pane(QWidget):
    """One page of the wizard: a heading and contents that scroll, above a strip of buttons that stays."""

    def __init__(self, title: str = "") -> None:
        super().__init__()
        self.title = words(title, "title")
        column = QWidget()
        column.setMaximumWidth(WIDTH)
        self.rows = QVBoxLayout(column)
        self.rows.setContentsMargins(0, theme.LARGE, 0, theme.HUGE)
        self.rows.setSpacing(theme.LARGE)
        self.rows.addWidget(self.title)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setWidget(_centred(column))
        strip = QWidget()
        strip.setMaximumWidth(WIDTH)
        self.footer = QHBoxLayout(strip)
        self.footer.setContentsMargins(0, theme.MEDIUM, 0, theme.MEDIUM)
        self.footer.setSpacing(theme.SMALL)
        line = QFrame()
        line.setProperty("role", "line")
        line.setFixedHeight(1)
        page = QVBoxLayout(self)
        page.setContentsMargins(0, 0, 0, 0)
        page.setSpacing(0)
        page.addWidget(self.area, 1)
        page.addWidget(line)
        self._foot = _centred(strip)
        page.addWidget(self._foot)
        self.area.verticalScrollBar().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep the buttons in line with the contents, which a scroll bar makes narrower."""
        if event.type() in (QEvent.Type.Show, QEvent.Type.Hide, QEvent.Type.Resize):
            bar = self.area.verticalScrollBar()
            room = bar.width() if event.type() != QEvent.Type.Hide and bar.isVisible() else 0
            self._foot.setContentsMargins(0, 0, room, 0)
        return super().eventFilter(watched, event)


def _centred(inner: QWidget) -> QWidget:
    """In the middle of the width, with room at both sides."""
    outer = QWidget()
    row = QHBoxLayout(outer)
    row.setContentsMargins(theme.HUGE, 0, theme.HUGE, 0)
    row.addStretch()
    row.addWidget(inner, 1000)
    row.addStretch()
    return outer


class Card(QFrame):
    """A framed group of rows."""

    def __init__(self, role: str = "card") -> None:
        super().__init__()
        self.setProperty("role", role)
        self.rows = QVBoxLayout(self)
        self.rows.setContentsMargins(theme.LARGE, theme.MEDIUM, theme.LARGE, theme.MEDIUM)
        self.rows.setSpacing(theme.SMALL)


class FactsCard(Card):
    """Names and values in two columns."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(theme.LARGE)
        self._grid.setVerticalSpacing(theme.SMALL)
        self._grid.setColumnStretch(1, 1)
        self.rows.addLayout(self._grid)

    def clear(self) -> None:
        """Take all rows away."""
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()

    def add(self, name: str, value: str | QWidget, tip: str = "") -> None:
        """One more row; `tip` explains a technical word."""
        row = self._grid.rowCount()
        title = words(name, "muted", tip=tip)
        title.setWordWrap(False)
        shown = words(value, tip=tip) if isinstance(value, str) else value
        if isinstance(shown, QLabel):
            shown.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._grid.addWidget(title, row, 0, Qt.AlignmentFlag.AlignTop)
        self._grid.addWidget(shown, row, 1)

    def texts(self) -> dict[str, str]:
        """What the rows say, for tests and screen readers."""
        found = {}
        for row in range(self._grid.rowCount()):
            cells = [self._grid.itemAtPosition(row, column) for column in (0, 1)]
            labels = [cell.widget() for cell in cells if cell is not None]
            if len(labels) == 2 and isinstance(labels[0], QLabel) and isinstance(labels[1], QLabel):
                found[labels[0].text()] = labels[1].accessibleName() or labels[1].text()
        return found


class OneLine(QLabel):
    """A text in one line; of a long one as much is shown as there is room for, and all of it in the tooltip."""

    def __init__(self, role: str = "", elide: Qt.TextElideMode = Qt.TextElideMode.ElideRight) -> None:
        super().__init__()
        self._whole, self._elide = "", elide
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        if role:
            self.setProperty("role", role)

    def show_text(self, text: str) -> None:
        """Show another text."""
        if text != self._whole:
            self._whole = text
            self.setAccessibleName(text)
            self.updateGeometry()
        self._fit()

    def sizeHint(self) -> QSize:
        """All of the text."""
        return QSize(self.fontMetrics().horizontalAdvance(self._whole) + 2, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        """Hardly anything: it can be shortened."""
        return QSize(60, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.setText(self.fontMetrics().elidedText(self._whole, self._elide, max(60, self.width())))
        self.setToolTip(self._whole if self.text() != self._whole else "")


class PathLabel(OneLine):
    """A path in one line; a long one loses its middle, and tells all of itself in its tooltip."""

    def __init__(self, path: str = "", role: str = "") -> None:
        super().__init__(role, Qt.TextElideMode.ElideMiddle)
        self.set_path(path)

    def set_path(self, path: str) -> None:
        """Show another path."""
        self.show_text(path)


class WarningCard(Card):
    """Sentences a person should read before going on."""

    def __init__(self) -> None:
        super().__init__("hint")
        theme.current().changed.connect(self._restyle)
        self._icons: list[QLabel] = []
        self.sentences: tuple[str, ...] = ()
        self.hide()

    def show_sentences(self, sentences: tuple[str, ...]) -> None:
        """Show these; hidden where there are none."""
        if sentences != self.sentences:
            self.sentences, self._icons = sentences, []
            while (item := self.rows.takeAt(0)) is not None:
                if (widget := item.widget()) is not None:
                    widget.hide()
                    widget.deleteLater()
            for sentence in sentences:
                self.rows.addWidget(self._row(sentence))
            self._restyle()
        self.setVisible(bool(sentences))

    def _row(self, sentence: str) -> QWidget:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SMALL)
        mark = QLabel()
        self._icons.append(mark)
        row.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(words(in_window(sentence)), 1)
        return holder

    def _restyle(self) -> None:
        pixmap = theme.icon("warning", theme.current().colours.warning).pixmap(18, 18)
        for mark in self._icons:
            mark.setPixmap(pixmap)


class FailureCard(Card):
    """An error in its place: what happened, why, and what to do."""

    def __init__(self) -> None:
        super().__init__("error")
        self._what, self._why, self._remedy = words(role="strong"), words(), words()
        self._details = QPlainTextEdit(readOnly=True)
        self._details.setAccessibleName(tr("Details"))
        self._details.setFont(theme.code_font(theme.CAPTION))
        self._details.setMaximumHeight(180)
        for widget in (self._what, self._why, self._remedy, self._details):
            if isinstance(widget, QLabel):
                widget.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self.rows.addWidget(widget)

    def show_failure(self, failure: Failed) -> None:
        """Say this error; what only has to be downloaded is none."""
        self.setProperty("role", "hint" if wants_download(failure) else "error")
        self.style().unpolish(self)
        self.style().polish(self)
        for label, text in ((self._what, failure.what), (self._why, failure.why), (self._remedy, failure.remedy)):
            label.setText(in_window(text))
            label.setVisible(bool(text))
        self._details.setPlainText(failure.details)
        self._details.setVisible(bool(failure.details))

    def text(self) -> str:
        """What is shown, for tests and screen readers."""
        return "\n".join(label.text() for label in (self._what, self._why, self._remedy) if label.text())
