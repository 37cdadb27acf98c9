"""The main window: sidebar, pages, menus and status bar. Knows which pages there are, not what they do."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QSettings, Qt, QTimer, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import QApplication, QHBoxLayout, QMainWindow, QMessageBox, QStackedWidget, QWidget

from engine import places
from gui import macos, menus, theme
from gui.chat.page import ChatPage
from gui.convert.page import ConvertPage
from gui.desk import Desk
from gui.drops import Application, Drops
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
        self.convert = ConvertPage(desk)
        self.settings = SettingsPage(desk.settings)
        self._add_page("chat", tr("Chat"), self.chat)
        self._add_page("convert", tr("Convert"), self.convert)
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
        self._works = {"chat": "", "convert": ""}
        self.chat.working.connect(lambda text: self._on_working("chat", text))
        self.convert.working.connect(lambda text: self._on_working("convert", text))
        self.convert.chat_wanted.connect(self.chat_with)
        self.convert.models_changed.connect(self.chat.find_models)
        self.convert.result_wanted.connect(lambda: self.go("convert"))
        self.setStatusBar(self.status)
        self.settings.changed.connect(desk.change_settings)
        desk.settings_changed.connect(self._on_settings)
        menus.build(self)
        macos.unify_title_bar(self)
        self.drops = Drops(self)
        self.drops.dropped.connect(self.convert_these)
        self._visible = self._closed = self._may_close = False
        self._restore_place()

    def go(self, page: str) -> None:
        """Show a page by its name."""
        self.pages.setCurrentWidget(self._by_name[page])
        self.sidebar.mark(page)
        if page == "chat":
            self.chat.composer.setFocus()
        elif page == "convert":
            self.convert.take_focus()

    def convert_these(self, sources: list[str]) -> None:
        """Open the wizard with each of these files, folders or ids."""
        if sources:
            self.go("convert")
            self.convert.open(sources)
            self.activateWindow()

    def chat_with(self, model: str) -> None:
        """Begin a conversation with the model in this folder."""
        self.go("chat")
        self.chat.new_conversation()
        self.chat.choose_model(model)

    def end(self) -> None:
        """Close without asking."""
        self._may_close = True
        self.close()

    def begin(self) -> None:
        """What waits until the window can be seen."""
        if self._closed:
            return
        self.desk.read_settings()
        self.chat.composer.setFocus()
        self.status.begin()
        self.chat.start()
        self.shown.emit()
        self.drops.watch()
        application = QApplication.instance()
        if isinstance(application, Application):
            application.file_came.connect(self._take_files)
            self._take_files()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._visible:
            self._visible = True
            # Nothing heavy before the first paint is over.
            QTimer.singleShot(0, self.begin)

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self._closed and not self._may_close and self.convert.busy:
            event.ignore()
            self._ask_to_close()
            return
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

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        self.drops.handle(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        self.drops.handle(event)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.drops.overlay.hide()
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        self.drops.handle(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.notice.isVisible():
            self.notice.place()

    def _add_page(self, name: str, title: str, page: QWidget, *, at_end: bool = False) -> None:
        self._by_name[name] = page
        self.pages.addWidget(page)
        self.sidebar.add(name, title, at_end=at_end)

    def _on_working(self, page: str, text: str) -> None:
        self._works[page] = text
        self.status.show_work(next((work for work in self._works.values() if work), ""))
        self.sidebar.show_busy("convert", bool(self._works["convert"]))

    def _take_files(self) -> None:
        application = QApplication.instance()
        if isinstance(application, Application) and not self._closed:
            self.convert_these(application.take_files())

    def _ask_to_close(self) -> None:
        question = QMessageBox(self)
        question.setText(tr("A conversion is under way. Close all the same?"))
        question.setInformativeText(tr("It is cancelled then, and leaves nothing behind."))
        stop = question.addButton(tr("Cancel and Close"), QMessageBox.ButtonRole.DestructiveRole)
        question.setDefaultButton(question.addButton(tr("Go On Converting"), QMessageBox.ButtonRole.RejectRole))
        stop.clicked.connect(self.end)
        question.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        question.open()

    def _on_settings(self) -> None:
        theme.current().wish(self.desk.settings.appearance)
        self.settings.set_settings(self.desk.settings)

    def _restore_place(self) -> None:
        store = QSettings(str(places.settings_file().with_name("window.ini")), QSettings.Format.IniFormat)
        geometry = store.value("geometry")
        if isinstance(geometry, QByteArray):
            self.restoreGeometry(geometry)
        self.chat.header.panel.setChecked(store.value("inspector", "false") == "true")
