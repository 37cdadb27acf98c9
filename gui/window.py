"""The main window: sidebar, pages, menus and status bar. Knows which pages there are, not what they do."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QSettings, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QMainWindow, QStackedWidget, QWidget

from engine import places
from gui import macos, menus, theme
from gui.chat.page import ChatPage
from gui.desk import Desk
from gui.notices import NoticeBar
from gui.settings.page import SettingsPage
from gui.sidebar import Sidebar
from gui.status import StatusStrip
from gui.text import tr


class MainWindow(QMainWindow):
    """The one window of the program."""

    shown = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.setWindowTitle("MLX-GRPO")
        self.setMinimumSize(840, 540)
        self.resize(1280, 800)
        self.sidebar = Sidebar()
        self.pages = QStackedWidget()
        self._by_name: dict[str, QWidget] = {}
        self.chat = ChatPage(desk)
        self.settings = SettingsPage(desk.settings)
        self._add_page("chat", tr("Chat"), self.chat)
        self._add_page("settings", tr("Settings"), self.settings, at_end=True)
        self.sidebar.chosen.connect(self.go)
        centre = QWidget()
        row = QHBoxLayout(centre)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(self.sidebar)
        row.addWidget(self.pages, 1)
        self.setCentralWidget(centre)
        self.notice = NoticeBar(desk.notices, centre)
        self.status = StatusStrip(desk)
        self.chat.working.connect(self.status.show_work)
        self.setStatusBar(self.status)
        self.settings.changed.connect(desk.change_settings)
        desk.settings_changed.connect(self._on_settings)
        menus.build(self)
        macos.unify_title_bar(self)
        self._visible = self._closed = False
        self._restore_place()

    def go(self, page: str) -> None:
        """Show a page by its name."""
        self.pages.setCurrentWidget(self._by_name[page])
        self.sidebar.mark(page)
        if page == "chat":
            self.chat.composer.setFocus()

    def begin(self) -> None:
        """What waits until the window can be seen."""
        if self._closed:
            return
        self.desk.read_settings()
        self.chat.composer.setFocus()
        self.status.begin()
        self.chat.start()
        self.shown.emit()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._visible:
            self._visible = True
            # Nothing heavy before the first paint.
            QTimer.singleShot(0, self.begin)

    def closeEvent(self, event: QCloseEvent) -> None:
        super().closeEvent(event)
        if self._closed:
            return
        self._closed = True
        self.status.end()
        store = QSettings(str(places.settings_file().with_name("window.ini")), QSettings.Format.IniFormat)
        store.setValue("geometry", self.saveGeometry())
        store.setValue("inspector", self.chat.header.panel.isChecked())
        self.chat.inspector.flush()
        self.desk.close()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.notice.isVisible():
            self.notice.place()

    def _add_page(self, name: str, title: str, page: QWidget, *, at_end: bool = False) -> None:
        self._by_name[name] = page
        self.pages.addWidget(page)
        self.sidebar.add(name, title, at_end=at_end)

    def _on_settings(self) -> None:
        theme.current().wish(self.desk.settings.appearance)
        self.settings.set_settings(self.desk.settings)

    def _restore_place(self) -> None:
        store = QSettings(str(places.settings_file().with_name("window.ini")), QSettings.Format.IniFormat)
        geometry = store.value("geometry")
        if isinstance(geometry, QByteArray):
            self.restoreGeometry(geometry)
        self.chat.header.panel.setChecked(store.value("inspector", "false") == "true")
