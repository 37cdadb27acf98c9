"""The one door for messages to the person: errors and short news, shown at the top of the window. Knows no page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.errors import UserError, explain
from engine.events import Failed
from gui import theme
from gui.text import tr

_NEWS_MILLISECONDS = 6000
_TOP = 60


@dataclass(frozen=True)
class News:
    """A short piece of news, perhaps with one thing to do about it."""

    text: str
    action: str = ""
    act: Callable[[], object] | None = None


class Notices(QObject):
    """Messages on their way to whichever window shows them."""

    said = Signal(object)
    withdrawn = Signal()

    def withdraw(self) -> None:
        """Take away what is shown, because it no longer holds."""
        self.withdrawn.emit()

    def error(self, error: Failed | UserError | Exception) -> None:
        """Show what happened, why, and what to do."""
        if not isinstance(error, Failed):
            words = explain(error)
            what, why, remedy = (tr(template, **words.values) for template in words.templates)
            error = Failed(what, why, remedy, words.fault)
        self.said.emit(error)

    def tell(self, text: str, action: str = "", act: Callable[[], object] | None = None) -> None:
        """Show a short piece of news for a few seconds, with a button `action` that calls `act`."""
        self.said.emit(News(text, action, act))


class NoticeBar(QFrame):
    """Shows one message at a time over the content; the newest wins."""

    def __init__(self, notices: Notices, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("notice")
        self.setAccessibleName(tr("Message"))
        self._icon = QLabel()
        self._what = QLabel(wordWrap=True)
        self._what.setProperty("role", "strong")
        self._why = QLabel(wordWrap=True)
        for label in (self._what, self._why):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._details = QPlainTextEdit(readOnly=True)
        self._details.setAccessibleName(tr("Details"))
        self._details.setMaximumHeight(160)
        self._details.setFont(theme.code_font(theme.CAPTION))
        self._more = QPushButton(tr("Details"))
        self._more.setCheckable(True)
        self._more.toggled.connect(self._show_details)
        self._action = QPushButton()
        self._action.setAccessibleName(tr("Act on this message"))
        self._action.clicked.connect(self._act)
        self._news = News("")
        self._close = close = QToolButton()
        close.setAccessibleName(tr("Close this message"))
        close.setToolTip(tr("Close"))
        close.clicked.connect(self.hide)
        words = QVBoxLayout()
        words.setSpacing(2)
        for widget in (self._what, self._why, self._details):
            words.addWidget(widget)
        self._ground = parent
        self._row = row = QHBoxLayout(self)
        row.setContentsMargins(theme.MEDIUM, theme.SMALL, theme.SMALL, theme.SMALL)
        row.setSpacing(theme.SMALL)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addLayout(words, 1)
        row.addWidget(self._action, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._more, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(close, 0, Qt.AlignmentFlag.AlignVCenter)
        self._timer = QTimer(self, singleShot=True, interval=_NEWS_MILLISECONDS)
        self._timer.timeout.connect(self.hide)
        self._failed = False
        notices.said.connect(self._show)
        notices.withdrawn.connect(self.hide)
        theme.current().changed.connect(self._restyle)
        self._restyle()
        self.hide()

    def text(self) -> str:
        """What is shown now, for tests and screen readers."""
        return "\n".join(label.text() for label in (self._what, self._why) if label.text())

    def _show(self, message: Failed | News) -> None:
        self._timer.stop()
        self._more.setChecked(False)
        self._details.hide()
        failure = message if isinstance(message, Failed) else None
        self._news = message if isinstance(message, News) else News("")
        if failure is None:
            self._timer.start()
        self._what.setText(failure.what if failure else self._news.text)
        self._why.setText(" ".join(part for part in (failure.why, failure.remedy) if part) if failure else "")
        self._why.setVisible(bool(self._why.text()))
        self._details.setPlainText(failure.details if failure else "")
        self._more.setVisible(bool(self._details.toPlainText()))
        self._action.setText(self._news.action)
        self._action.setAccessibleName(self._news.action or tr("Act on this message"))
        self._action.setVisible(bool(self._news.action))
        self._failed = failure is not None
        self.setProperty("role", "error" if self._failed else "card")
        self.style().unpolish(self)
        self.style().polish(self)
        self._restyle()
        self.place()
        self.show()
        self.raise_()
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, self.text()))

    def _restyle(self) -> None:
        colours = theme.current().colours
        name, colour = ("warning", colours.error) if self._failed else ("check", colours.good)
        self._icon.setPixmap(theme.icon(name, colour).pixmap(20, 20))
        self._close.setIcon(theme.icon("close"))

    def _act(self) -> None:
        self.hide()
        if self._news.act is not None:
            self._news.act()

    def _show_details(self, shown: bool) -> None:
        self._details.setVisible(shown)
        self.place()

    def place(self) -> None:
        """Sit centred near the top of the parent, below the strip that names the model."""
        room = self._ground.width()
        width = min(room - 2 * theme.LARGE, 640)
        self.setFixedWidth(width)
        self._row.activate()
        self.setFixedHeight(self._row.totalHeightForWidth(width) + theme.TINY)
        self.move((room - width) // 2, _TOP)
