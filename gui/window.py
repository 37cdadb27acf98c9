"""The main window: sidebar, pages, menus and status bar. Knows which pages there are, not what they do."""

from __future__ import annotations

from functools import partial
from pathlib import Path

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
from gui.chat.insights import Insights
from gui.chat.page import ChatPage
from gui.convert.page import ConvertPage
from gui.convert.upload import UploadSheet
from gui.desk import Desk
from gui.drops import Application, Drops
from gui.notices import NoticeBar
from gui.settings.page import SettingsPage
from gui.sidebar import Sidebar
from gui.status import StatusStrip
from gui.text import tr
from gui.train.page import TrainPage


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
        self.insights = Insights(desk, self.chat)
        self.convert = ConvertPage(desk)
        self.train = TrainPage(desk)
        self.settings = SettingsPage(desk.settings)
        self._add_page("chat", tr("Chat"), self.chat)
        self._add_page("convert", tr("Convert"), self.convert)
        self._add_page("train", tr("Train"), self.train)
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
        self._works = {"chat": "", "convert": "", "train": ""}
        self.setStatusBar(self.status)
        self._connect()
        self.settings.changed.connect(desk.change_settings)
        desk.settings_changed.connect(self._on_settings)
        menus.build(self)
        macos.unify_title_bar(self)
        self.drops = Drops(self)
        self.drops.dropped.connect(self.convert_these)
        self.chat.offer_drops(self.drops)
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
        elif page == "train":
            self.train.take_focus()

    def convert_these(self, sources: list[str]) -> None:
        """Open the wizard with each of these files, folders or ids."""
        if sources:
            self.go("convert")
            self.convert.open(sources)
            self.activateWindow()

    def chat_with(self, model: str) -> None:
        """Begin a conversation with the model in this folder, or with the policy of a run ("run:FOLDER")."""
        self.go("chat")
        self.chat.new_conversation()
        self._use(model)

    def chat_on(self, question: str, answer: str, system_prompt: str, model: str) -> None:
        """Go on in a conversation from a completion of a run."""
        self.go("chat")
        self.chat.begin_with(question, answer, system_prompt, model)
        self._use(model)

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
        if not self._closed and not self._may_close and (self.convert.busy or self.train.busy):
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
        self.train.end()
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
        for name in ("convert", "train"):
            self.sidebar.show_busy(name, bool(self._works[name]))

    def _take_files(self) -> None:
        application = QApplication.instance()
        if isinstance(application, Application) and not self._closed:
            self.convert_these(application.take_files())

    def _ask_to_close(self) -> None:
        question = QMessageBox(self)
        trains = self.train.busy
        if trains:
            question.setText(tr("A run is training. Stop it and close?"))
            question.setInformativeText(tr("What it has learned is saved, and it can go on from there."))
        else:
            question.setText(tr("A conversion is under way. Close all the same?"))
            question.setInformativeText(tr("It is cancelled then, and leaves nothing behind."))
        stop = question.addButton(
            tr("Stop, Save and Close") if trains else tr("Cancel and Close"), QMessageBox.ButtonRole.DestructiveRole
        )
        stay = tr("Go On Training") if trains else tr("Go On Converting")
        question.setDefaultButton(question.addButton(stay, QMessageBox.ButtonRole.RejectRole))
        stop.clicked.connect(self._close_in_order)
        question.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        question.open()

    def _close_in_order(self) -> None:
        """Close once the runs that train are saved, which takes as long as the step at hand."""
        self.train.trainings.changed.connect(self._close_when_saved)
        self.train.trainings.stop_all()
        self._close_when_saved()

    def _close_when_saved(self) -> None:
        if not self.train.busy:
            self.end()

    def _use(self, model: str) -> None:
        if model.startswith("run:"):
            # It is there as long as the run trains, and not at the next start.
            self.chat.load(model)
        elif model:
            self.chat.choose_model(model)

    def _on_policy_ended(self, folder: str, model: str) -> None:
        """A chat with the policy of a run goes on with what the run left."""
        if self.chat.model == f"run:{folder}":
            self.chat.load(model or self.desk.settings.model)

    def _upload(self, folder: str) -> None:
        sheet = UploadSheet(self.desk.network, folder, Path(folder).name, self)
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.open()

    def _connect(self) -> None:
        for name, page in (("chat", self.chat), ("convert", self.convert), ("train", self.train)):
            page.working.connect(partial(self._on_working, name))
        self.convert.chat_wanted.connect(self.chat_with)
        self.convert.models_changed.connect(self.chat.find_models)
        self.convert.result_wanted.connect(partial(self.go, "convert"))
        self.train.chat_wanted.connect(self.chat_with)
        self.train.sample_chat_wanted.connect(self.chat_on)
        self.train.policy_ended.connect(self._on_policy_ended)
        self.train.convert_wanted.connect(lambda folder: self.convert_these([folder]))
        self.train.upload_wanted.connect(self._upload)
        self.train.models_changed.connect(self.chat.find_models)
        self.train.shown_wanted.connect(partial(self.go, "train"))

    def _on_settings(self) -> None:
        theme.current().wish(self.desk.settings.appearance)
        self.settings.set_settings(self.desk.settings)

    def _restore_place(self) -> None:
        store = QSettings(str(places.settings_file().with_name("window.ini")), QSettings.Format.IniFormat)
        geometry = store.value("geometry")
        if isinstance(geometry, QByteArray):
            self.restoreGeometry(geometry)
        self.chat.header.panel.setChecked(store.value("inspector", "false") == "true")
