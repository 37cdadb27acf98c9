"""Files on their way into the window: dropped on it, or opened with the program by the system. Knows no page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from PySide6.QtCore import QEvent, QMimeData, QObject, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QDropEvent, QFileOpenEvent, QPainter, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import QApplication, QMainWindow, QWidget

from gui import theme
from gui.text import tr

_HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
# owner/model, owner/model:Q4_K_M, owner/model/folder/file.gguf
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(?::[\w.-]+|/\S+\.gguf)?")
_HUB_PAGES = ("datasets", "spaces", "docs", "papers", "collections")
_ENTERING = (QEvent.Type.DragEnter, QEvent.Type.DragMove)


class Application(QApplication):
    """The application; keeps the files that the system asks it to open until somebody takes them."""

    file_came = Signal()

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        super().__init__(list(arguments))
        self._files: list[str] = []

    def take_files(self) -> list[str]:
        """The files that came since the last call."""
        files, self._files = self._files, []
        return files

    def event(self, event: QEvent) -> bool:
        """A file dropped on the program's icon comes as an event."""
        if isinstance(event, QFileOpenEvent) and event.file():
            self._files.append(event.file())
            self.file_came.emit()
            return True
        return super().event(event)


@dataclass(frozen=True)
class Taker:
    """A part of the window that wants some files for itself: which, what it does with them, and how it says so."""

    part: QWidget
    wants: Callable[[list[str]], bool]
    take: Callable[[list[str]], object]
    words: str
    icon: str


class Drops(QObject):
    """Takes files that are dropped anywhere on a window, over its text fields too; text stays theirs.

    What no part of the window wants for itself is `dropped`.
    """

    dropped = Signal(list)  # paths, or ids of the Hugging Face Hub

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.overlay = _Overlay(window)
        self._takers: list[Taker] = []
        window.setAcceptDrops(True)
        for field in window.findChildren(QWidget):
            if field.acceptDrops():
                field.installEventFilter(self)

    def offer(self, taker: Taker) -> None:
        """Let a part of the window have the files it wants where they are dropped on it; the first one offered wins."""
        self._takers.append(taker)

    def watch(self) -> None:
        """See every drag before the widget under it does; called once the window is on the screen."""
        handle = self._window.windowHandle()
        if handle is not None:
            handle.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kind = event.type()
        if kind in (*_ENTERING, QEvent.Type.Drop) and isinstance(event, QDropEvent):
            return bool(_files(event.mimeData())) and self.handle(event, watched)
        if kind == QEvent.Type.DragLeave:
            self.overlay.hide()
        return super().eventFilter(watched, event)

    def handle(self, event: QDropEvent, over: QObject | None = None) -> bool:
        """Take a drag or a drop of files or of something to convert; whether it did. `over`: whose event it is."""
        found = sources(event.mimeData())
        if not found or QApplication.activeModalWidget() is not None:
            event.ignore()
            return False
        event.setDropAction(Qt.DropAction.CopyAction)
        event.accept()
        taker = self._taker(event, over)
        if event.type() == QEvent.Type.Drop:
            self.overlay.hide()
            if taker is not None:
                taker.take(found)
            else:
                self.dropped.emit(found)
        elif taker is not None:
            self.overlay.cover(taker.words, taker.icon)
        else:
            self.overlay.cover(tr("Drop to convert"), "convert")
        return True

    def _taker(self, event: QDropEvent, over: QObject | None) -> Taker | None:
        place, files = event.position().toPoint(), _files(event.mimeData())
        if isinstance(over, QWidget):
            place = over.mapTo(self._window, place)
        for taker in self._takers if files else ():
            part = taker.part
            if part.isVisible() and part.rect().contains(part.mapFrom(self._window, place)) and taker.wants(files):
                return taker
        return None


def sources(data: QMimeData) -> list[str]:
    """What can be converted among what is dragged: files and folders, else pages and ids of the Hugging Face Hub."""
    if files := _files(data):
        return files
    texts = [url.toString() for url in data.urls()] if data.hasUrls() else [data.text()] if data.hasText() else []
    return [name for name in map(hub_name, texts) if name]


def hub_name(text: str) -> str:
    """The model meant by what a person pastes: an id, or the address of its page or of its .gguf file; "" for none."""
    text = text.strip()
    if "://" in text:
        parts = urlsplit(text)
        words = [word for word in unquote(parts.path).split("/") if word]
        if parts.netloc.lower() not in _HUB_HOSTS or len(words) < 2 or words[0] in _HUB_PAGES:
            return ""
        file = words[4:] if words[2:3] in (["blob"], ["resolve"]) and words[-1].endswith(".gguf") else []
        text = "/".join([*words[:2], *file])
    return text if _HUB_ID.fullmatch(text) else ""


def _files(data: QMimeData) -> list[str]:
    return [url.toLocalFile().rstrip("/") or "/" for url in data.urls() if url.isLocalFile()] if data.hasUrls() else []


def large_icon(name: str, colour: str) -> QPixmap:
    """An icon at twice its usual size: 40 pixels a side."""
    pixmap = theme.icon(name, colour).pixmap(QSize(20, 20), 3.0)
    pixmap.setDevicePixelRatio(pixmap.width() / 40)
    return pixmap


class _Overlay(QWidget):
    """Says, while something is dragged over the window, that it may be dropped here."""

    def __init__(self, window: QMainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._words, self._icon = "", "convert"
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def cover(self, words: str, icon: str) -> None:
        """Lie over all of the window and say what a drop does here."""
        if (words, icon) != (self._words, self._icon):
            self._words, self._icon = words, icon
            self.update()
        if self.isHidden():
            self.setGeometry(self._window.rect())
            self.show()
            self.raise_()

    def paintEvent(self, _: QPaintEvent) -> None:
        """A veil, a dashed frame and a sentence."""
        colours, painter = theme.current().colours, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        veil = QColor(colours.window)
        veil.setAlpha(242)
        painter.fillRect(self.rect(), veil)
        painter.setPen(QPen(QColor(colours.accent), 2, Qt.PenStyle.DashLine))
        frame = QRectF(self.rect()).adjusted(*[theme.HUGE] * 2, *[-theme.HUGE] * 2)
        painter.drawRoundedRect(frame, 2 * theme.RADIUS, 2 * theme.RADIUS)
        mark, centre = large_icon(self._icon, colours.accent), self.rect().center()
        painter.drawPixmap(centre.x() - 20, centre.y() - 68, mark)
        painter.setPen(QColor(colours.text))
        painter.setFont(theme.ui_font(theme.TITLE))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._words)
