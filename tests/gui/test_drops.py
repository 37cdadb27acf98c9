"""Files and names that are dropped on the window or opened with the program. The drags are real Qt events."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent, QDropEvent, QFileOpenEvent
from PySide6.QtWidgets import QApplication, QDialog, QWidget
from pytestqt.qtbot import QtBot

from gui.desk import Desk
from gui.drops import Application, hub_name, sources
from gui.window import MainWindow

COPY, LEFT, NONE = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def files(*paths: Path) -> QMimeData:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return data


def words(text: str) -> QMimeData:
    data = QMimeData()
    data.setText(text)
    return data


def enter(window: MainWindow, widget: QWidget, data: QMimeData) -> bool:
    """Drag over the middle of a widget, as the system does: through the window's handle. Whether it may be dropped."""
    place = widget.mapTo(window, widget.rect().center())
    event = QDragEnterEvent(place, COPY, data, LEFT, NONE)
    QApplication.sendEvent(window.windowHandle(), event)
    move = QDragMoveEvent(place, COPY, data, LEFT, NONE)
    QApplication.sendEvent(window.windowHandle(), move)
    return move.isAccepted()


def drop(window: MainWindow, widget: QWidget, data: QMimeData) -> bool:
    if not enter(window, widget, data):
        return False
    event = QDropEvent(QPointF(widget.mapTo(window, widget.rect().center())), COPY, data, LEFT, NONE)
    QApplication.sendEvent(window.windowHandle(), event)
    return event.isAccepted()


@pytest.fixture
def ready(qtbot: QtBot, window: MainWindow) -> MainWindow:
    with qtbot.waitSignal(window.shown):
        pass
    return window


def opened(window: MainWindow) -> list[str]:
    return [conversion.source for conversion in window.convert.wizards]


def test_a_folder_dropped_over_the_message_field_opens_the_wizard(ready: MainWindow, tmp_path: Path) -> None:
    edit = ready.chat.composer.edit
    assert drop(ready, edit, files(tmp_path / "model"))
    assert ready.pages.currentWidget() is ready.convert
    assert opened(ready) == [str(tmp_path / "model")]
    assert edit.toPlainText() == ""


def test_a_drop_is_taken_from_every_page_and_part(ready: MainWindow, tmp_path: Path) -> None:
    for page, widget in (
        ("chat", ready.chat.transcript),
        ("chat", ready.sidebar),
        ("settings", ready.settings),
        ("convert", ready.convert.start.name),
    ):
        ready.convert.show_start()
        ready.go(page)
        before = len(opened(ready))
        assert drop(ready, widget if widget.isVisible() else ready.pages, files(tmp_path / page))
        assert len(opened(ready)) == before + 1


def test_several_files_dropped_at_once_make_a_wizard_each(ready: MainWindow, tmp_path: Path) -> None:
    paths = [tmp_path / "模型.gguf", tmp_path / "b c", tmp_path / "d.safetensors"]
    assert drop(ready, ready.pages, files(*paths))
    assert opened(ready) == [str(path) for path in paths]
    assert ready.convert.current is not None
    assert ready.convert.current.conversion.source == str(paths[0])
    assert len(ready.convert.list.texts()) == 3


def test_the_window_says_that_a_drop_is_welcome_while_it_lasts(ready: MainWindow, tmp_path: Path) -> None:
    overlay = ready.drops.overlay
    assert enter(ready, ready.pages, files(tmp_path))
    assert overlay.isVisible()
    assert overlay.geometry() == ready.rect()
    QApplication.sendEvent(ready.windowHandle(), QDragLeaveEvent())
    assert not overlay.isVisible()
    assert drop(ready, ready.pages, files(tmp_path))
    assert not overlay.isVisible()


def test_text_is_dropped_into_text_fields_as_ever(ready: MainWindow) -> None:
    edit = ready.chat.composer.edit
    assert drop(ready, edit, words("owner/model and more"))
    assert edit.toPlainText() == "owner/model and more"
    assert opened(ready) == []
    assert not drop(ready, ready.sidebar, words("just some words"))


def test_an_id_or_an_address_dropped_beside_text_fields_opens_the_wizard(ready: MainWindow) -> None:
    assert drop(ready, ready.sidebar, words("owner/model"))
    link = QMimeData()
    link.setUrls([QUrl("https://huggingface.co/owner/other/tree/main")])
    assert drop(ready, ready.sidebar, link)
    assert opened(ready) == ["owner/model", "owner/other"]


def test_events_sent_to_a_widget_itself_are_taken_too(ready: MainWindow, tmp_path: Path) -> None:
    for widget in (ready, ready.chat.composer.edit.viewport()):
        data, place = files(tmp_path), QPoint(5, 5)
        QApplication.sendEvent(widget, QDragEnterEvent(place, COPY, data, LEFT, NONE))
        QApplication.sendEvent(widget, QDropEvent(QPointF(place), COPY, data, LEFT, NONE))
    assert len(opened(ready)) == 2


def test_nothing_is_dropped_behind_a_dialog(qtbot: QtBot, ready: MainWindow, tmp_path: Path) -> None:
    dialog = QDialog(ready)
    dialog.open()
    qtbot.waitUntil(lambda: QApplication.activeModalWidget() is dialog)
    assert not drop(ready, ready.pages, files(tmp_path))
    dialog.close()
    assert opened(ready) == []


def test_a_file_opened_with_the_program_opens_the_wizard(qapp: QApplication, ready: MainWindow, tmp_path: Path) -> None:
    QApplication.sendEvent(qapp, QFileOpenEvent(str(tmp_path / "model.gguf")))
    assert opened(ready) == [str(tmp_path / "model.gguf")]
    assert ready.pages.currentWidget() is ready.convert


@pytest.mark.usefixtures("theme")
def test_a_file_that_came_before_the_window_waits_for_it(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> None:
    assert isinstance(qapp, Application)
    QApplication.sendEvent(qapp, QFileOpenEvent(str(tmp_path)))
    window = MainWindow(Desk())
    assert opened(window) == []
    window.show()
    qtbot.waitUntil(lambda: opened(window) == [str(tmp_path)])
    assert qapp.take_files() == []
    window.end()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("owner/model", "owner/model"),
        (" owner/model-4.5_b \n", "owner/model-4.5_b"),
        ("https://huggingface.co/owner/model", "owner/model"),
        ("https://huggingface.co/owner/model/tree/main?x=1", "owner/model"),
        ("https://hf.co/owner/model", "owner/model"),
        ("https://huggingface.co/datasets/owner/data", ""),
        ("https://example.com/owner/model", ""),
        ("owner", ""),
        ("/usr/bin", ""),
        ("a/b/c", ""),
        ("owner/model:Q4_K_M", "owner/model:Q4_K_M"),
        ("owner/model/folder/file.gguf", "owner/model/folder/file.gguf"),
        ("https://huggingface.co/owner/model/blob/main/folder/a.gguf", "owner/model/folder/a.gguf"),
        ("https://huggingface.co/owner/model/resolve/main/a.gguf?download=true", "owner/model/a.gguf"),
        ("https://huggingface.co/owner/model/blob/main/config.json", "owner/model"),
        ("two words/model", ""),
        ("", ""),
    ],
)
def test_what_names_a_model_on_the_hub(text: str, name: str) -> None:
    assert hub_name(text) == name


def test_files_go_before_everything_else_that_is_dragged_along(tmp_path: Path) -> None:
    data = files(tmp_path / "model")
    data.setText("owner/model")
    assert sources(data) == [str(tmp_path / "model")]
    assert sources(QMimeData()) == []
