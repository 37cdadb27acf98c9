"""Small buttons of a message. Knows the theme, not what they act on."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QSize, Qt, QTimer
from PySide6.QtGui import QGuiApplication, QPaintEvent
from PySide6.QtWidgets import QToolButton, QWidget

from gui import theme
from gui.text import tr

_SAID = 1500  # milliseconds for which "Copied" stands


class IconButton(QToolButton):
    """A quiet button with an icon, and with a word where it gets one.

    While not `revealed` it is seen only under the mouse or the focus.
    """

    def __init__(self, parent: QWidget, icon: str, words: str, *, named: bool = False) -> None:
        super().__init__(parent)
        self._icon, self._named, self._revealed = "", named, True
        self._colours: theme.Colours | None = None
        self.setProperty("role", "quiet")
        self.setIconSize(QSize(16, 16))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        if named:
            self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.show_as(icon, words)

    def show_as(self, icon: str, words: str) -> None:
        """Change the icon and what the button is called."""
        self._icon = icon
        self.setText(words if self._named else "")
        self.setToolTip("" if self._named else words)
        self.setAccessibleName(words)
        self._colours = None
        self.restyle()

    def restyle(self) -> None:
        """Take the icon in the colours in force."""
        colours = theme.current().colours
        if colours is not self._colours:
            self._colours = colours
            self.setIcon(theme.icon(self._icon, colours.muted))

    @property
    def seen(self) -> bool:
        """Whether the button is painted."""
        return self._revealed or self.hasFocus()

    def reveal(self, revealed: bool) -> None:
        """Be seen, or be seen only when it is needed."""
        if revealed != self._revealed:
            self._revealed = revealed
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Nothing, while it is not to be seen; Tab still finds it."""
        if self.seen:
            super().paintEvent(event)

    def event(self, event: QEvent) -> bool:
        """Follow the focus."""
        if event.type() in (QEvent.Type.FocusIn, QEvent.Type.FocusOut):
            self.update()
        return super().event(event)


class CopyButton(IconButton):
    """Copies a text and says so for a moment."""

    def __init__(self, parent: QWidget, words: str, text: Callable[[], str], *, named: bool = False) -> None:
        super().__init__(parent, "copy", words, named=named)
        self._words, self._source = words, text
        self._timer = QTimer(self, singleShot=True, interval=_SAID)
        self._timer.timeout.connect(lambda: self.show_as("copy", self._words))
        self.clicked.connect(self._copy)

    @property
    def seen(self) -> bool:
        """Whether the button is painted: what it says is, too."""
        return super().seen or self._timer.isActive()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._source())
        self._timer.start()
        self.show_as("check", tr("Copied"))
