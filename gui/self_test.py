"""Drives the real window through its workflow on the starter model and takes a picture a page and appearance.

Knows the window as a person does: it types, clicks and looks. Each step must really happen, or the test fails.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from engine import places
from engine.chat.conversations import Message
from engine.errors import explain
from gui import theme
from gui.self_test_chat import ChatTour
from gui.self_test_tools import SelfTestError, Tools, say
from gui.self_test_training import TrainingTour
from gui.text import tr

if TYPE_CHECKING:
    from gui.convert.wizard import Wizard


def run_self_test(shots: str | None) -> int:
    """Run every step in a home of its own; 0 only if each really happened."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    with tempfile.TemporaryDirectory() as home:
        os.environ["MLX_GRPO_HOME"] = home
        try:
            SelfTest(Path(shots) if shots else None).run()
        except SelfTestError as error:
            say(f"FAILED: {error}")
            return 1
        except OSError as error:
            words = explain(error)
            say(f"{words.what} {words.why} {words.remedy}")
            return 2
    say("The self-test passed.")
    return 0


class SelfTest:
    """The workflow: start, ask, stop, ask again, go on, convert, change a setting, look at every page."""

    def __init__(self, shots: Path | None) -> None:
        from gui.app import make_application
        from gui.desk import Desk
        from gui.window import MainWindow

        if shots is not None:
            shots.mkdir(parents=True, exist_ok=True)
        self._uncaught: list[str] = []
        sys.excepthook = lambda kind, error, _stack: self._uncaught.append(f"{kind.__name__}: {error}")
        existing = QApplication.instance()
        self._application = existing if isinstance(existing, QApplication) else make_application(["mlx-grpo"])
        theme.current().wish("light")
        self._window = MainWindow(Desk())
        self._chat = self._window.chat
        self._tools = Tools(self._application, self._window, shots)

    def run(self) -> None:
        """Every step in order.

        Raises:
            SelfTestError: names the step that did not happen.
        """
        try:
            for step in (
                self._opens,
                self._loads_the_starter,
                self._answers,
                self._answers_again,
                self._goes_on,
                self._stops,
                self._reports_a_bad_model,
                self._remembers_conversations,
                *ChatTour(self._tools).steps,
                self._converts_what_is_dropped,
                self._chats_with_the_result,
                self._reports_what_is_no_model,
                *TrainingTour(self._tools).steps,
                self._changes_a_setting,
                self._shows_small,
            ):
                step()
                self._tools.check(f"nothing went wrong unseen: {self._uncaught}", not self._uncaught)
                say(f"ok  {step.__name__.strip('_').replace('_', ' ')}")
        finally:
            self._window.end()

    def _opens(self) -> None:
        self._window.desk.settings = self._window.desk.settings.model_copy(update={"appearance": "light"})
        self._window.resize(1280, 800)
        self._window.show()
        self._tools.until("the window is visible", self._window.isVisible)

    def _loads_the_starter(self) -> None:
        self._tools.until("the starter model is loaded", lambda: self._chat.loaded is not None)
        self._tools.check("it is the demonstration model", bool(self._chat.loaded and self._chat.loaded.demonstration))
        self._tools.check("the empty page says what to do", self._chat.welcome.isVisible())
        self._tools.picture("chat-empty")

    def _answers(self) -> None:
        self._tools.type("What is 47 + 38?")
        self._tools.until("an answer is under way", lambda: self._chat.answering)
        self._tools.until("the answer is complete", lambda: not self._chat.answering)
        answer = self._last()
        self._tools.check("the answer has the form it was taught", "<answer>" in answer.text)
        self._tools.check("its speed was measured", answer.stats is not None and answer.stats.tokens_per_second > 0)

    def _answers_again(self) -> None:
        first = self._last().id
        self._chat.regenerate_last()
        self._tools.until("the second answer is complete", lambda: not self._chat.answering)
        store = self._window.desk.store
        self._tools.check("both answers are kept", store.siblings(self._last().id) == [first, self._last().id])

    def _goes_on(self) -> None:
        self._tools.type("83 - 27")
        self._tools.until("the second turn is answered", lambda: not self._chat.answering)
        stats = self._last().stats
        self._tools.check(
            "only what is new was read", stats is not None and stats.cached_tokens > stats.prompt_tokens // 2
        )
        self._tools.picture("chat")

    def _stops(self) -> None:
        self._chat.new_conversation()
        self._tools.type("What is 64 + 19?")
        QTest.keyClick(self._chat.composer.edit, Qt.Key.Key_Escape)
        self._tools.until("Escape ended the answer", lambda: not self._chat.answering)

    def _reports_a_bad_model(self) -> None:
        self._chat.load("/no/such/model")
        self._tools.until("the error is shown", self._window.notice.isVisible)
        self._tools.check("it names the model", "/no/such/model" in self._window.notice.text())
        self._tools.picture("chat-error")
        self._chat.load("starter")
        self._tools.until("a good model loads after a bad one", lambda: self._chat.loaded is not None)

    def _remembers_conversations(self) -> None:
        first = self._window.desk.store.all()[-1]
        self._chat.open_conversation(first.id)
        self._tools.check("four messages are there", len(self._window.desk.store.path(first.id)) == 4)
        panel = self._tools.button(self._chat.header, tr("Settings of this conversation"))
        QTest.mouseClick(panel, Qt.MouseButton.LeftButton, pos=QPoint(8, 8))
        self._tools.check("the side panel opens", self._chat.inspector.isVisible())
        self._tools.picture("chat-panel")
        QTest.mouseClick(panel, Qt.MouseButton.LeftButton, pos=QPoint(8, 8))

    def _converts_what_is_dropped(self) -> None:
        self._window.go("convert")
        self._tools.picture("convert-start")
        self._tools.drop(places.starter_folder())
        wizard = self._wizard()
        conversion = wizard.conversion
        self._tools.until("the starter is looked at", lambda: conversion.state != "looking")
        self._tools.check(
            "it is known for what it is", wizard.about.facts.texts().get("Architecture", "").startswith("llama")
        )
        self._tools.picture("convert-what-it-is")
        self._tools.click(wizard, tr("Continue"))
        self._tools.check("4-bit is recommended", wizard.stack.currentWidget() is wizard.settings)
        self._tools.picture("convert-settings")
        self._tools.click(wizard, tr("Measure quality while converting"))
        self._tools.click(wizard, tr("Convert"))
        self._tools.until(
            "writing or checking is under way", lambda: wizard.progress.bar.value() > 0 or not conversion.busy
        )
        self._tools.picture("convert-progress")
        self._tools.until("the conversion has ended", lambda: not conversion.busy)
        why = conversion.failure.what if conversion.failure else ""
        self._tools.check(f"it is converted: {why}", conversion.converted is not None)
        self._tools.check("it is smaller by far", conversion.converted.bits < 8 if conversion.converted else False)
        self._tools.check("what it costs was measured", any(figure.chosen for figure in conversion.quality))
        self._tools.picture("convert-result")

    def _chats_with_the_result(self) -> None:
        result = self._wizard().conversion.converted
        folder = result.folder if result else ""
        self._tools.click(self._window.convert, tr("Chat Now"))
        self._tools.until(
            "the result is loaded", lambda: self._chat.loaded is not None and self._chat.loaded.folder == folder
        )
        self._tools.type("What is 12 + 34?")
        self._tools.until("the result answers", lambda: not self._chat.answering)
        self._tools.check("the answer has text", bool(self._last().text.strip()))

    def _reports_what_is_no_model(self) -> None:
        self._window.go("convert")
        self._tools.drop(Path(places.settings_file()))
        self._tools.until("the error is shown", lambda: self._wizard().conversion.state == "failed")
        self._tools.picture("convert-error")
        self._tools.click(self._window.convert, tr("Choose Another"))

    def _changes_a_setting(self) -> None:
        self._window.go("settings")
        self._tools.picture("settings")
        desk = self._window.desk
        desk.change_settings(desk.settings.model_copy(update={"send_key": "command-return"}))
        self._tools.check("the setting is on disk", "command-return" in places.settings_file().read_text("utf-8"))

    def _shows_small(self) -> None:
        self._window.go("chat")
        self._window.resize(900, 600)
        self._tools.picture("chat-small")

    def _last(self) -> Message:
        return self._window.desk.store.path(self._chat.conversation or 0)[-1]

    def _wizard(self) -> Wizard:
        """The wizard in view."""
        wizard = self._window.convert.current
        if wizard is None:
            raise SelfTestError("there is no wizard in view")
        return wizard
