"""Starts the window: application, looks, error handling. Knows the window as a whole; imports no model code."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import traceback
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from PySide6.QtCore import QTimer

from engine import places
from engine.errors import UserError, explain
from engine.events import Failed
from gui import theme
from gui.drops import Application
from gui.text import tr

if TYPE_CHECKING:
    from gui.window import MainWindow

# Threads that compute give way to the window this often, in seconds.
SWITCH_INTERVAL = 0.002


def run(self_test: bool = False, shots: str | None = None) -> int:
    """Open the window and stay until it is closed; the exit status."""
    if self_test:
        from gui.self_test import run_self_test

        return run_self_test(shots)
    if has_no_display():
        sys.stderr.write("There is no display. Use the command line (mlx-grpo --help), or mlx-grpo --self-test.\n")
        return 2
    application = make_application(sys.argv)
    from gui.desk import Desk
    from gui.window import MainWindow

    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        desk = Desk()
    except (UserError, OSError) as error:
        return _cannot_start(explain(error))
    log = _open_log()
    _report_uncaught(desk)
    window = MainWindow(desk)
    interrupted = _close_on_signals(window)
    window.show()
    status = application.exec()
    window.end()
    faulthandler.disable()
    if log is not None:
        log.stream.close()
    return 130 if interrupted else status


def has_no_display() -> bool:
    """Whether a window cannot be shown here: Linux without a screen."""
    wanted = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return sys.platform == "linux" and not any(os.environ.get(name) for name in wanted)


def _close_on_signals(window: MainWindow) -> list[int]:
    """Have Ctrl-C and a request to end close the window in order; the signals that came."""
    came: list[int] = []

    def close(number: int, _frame: object) -> None:
        came.append(number)
        QTimer.singleShot(0, window.end)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, close)
    # Python looks at its signals only while Python runs; Qt alone would let them wait.
    timer = QTimer(window, interval=200)
    timer.timeout.connect(lambda: None)
    timer.start()
    return came


def make_application(arguments: list[str]) -> Application:
    """The application with its name and looks."""
    application = Application(arguments)
    application.setApplicationName("MLX-GRPO")
    application.setApplicationDisplayName("MLX-GRPO")
    application.setDesktopFileName("mlx-grpo")
    theme.install(application)
    return application


def _open_log() -> logging.StreamHandler[TextIO] | None:
    """Errors go to the log file, a native crash's stack too; the program goes on where there can be none."""
    path = places.log_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler: logging.StreamHandler[TextIO] = logging.StreamHandler(path.open("a", encoding="utf-8"))
    except OSError:
        return None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    faulthandler.enable(handler.stream)
    return handler


def _report_uncaught(desk: object) -> None:
    """An exception that nobody caught is logged and shown; the window goes on."""
    notices = desk.notices  # type: ignore[attr-defined]

    def report(kind: type[BaseException], error: BaseException, stack: TracebackType | None) -> None:
        details = "".join(traceback.format_exception(kind, error, stack))
        logging.getLogger("gui").error("%s", details)
        notices.error(error if isinstance(error, UserError) else _as_failed(error, details))

    sys.excepthook = report


def _as_failed(error: BaseException, details: str) -> Failed:
    return Failed(
        tr("Something went wrong inside the program."),
        f"{type(error).__name__}: {error}",
        tr("This is a fault of ours. Please report it with the details below."),
        "bug",
        details,
    )


def _cannot_start(error: UserError) -> int:
    """The conversations cannot be opened: say so in a dialog, there is no window yet."""
    from PySide6.QtWidgets import QMessageBox

    box = QMessageBox(QMessageBox.Icon.Warning, "MLX-GRPO", error.what)
    box.setInformativeText(f"{error.why}\n\n{error.remedy}")
    box.exec()
    return 2
