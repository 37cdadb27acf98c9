"""What a Mac does in its own way, and what stands for it elsewhere. Knows no page.

Everything about the Dock, notifications, sleep, power and memory does nothing on other systems. Nothing here raises or
keeps the window waiting; what a Mac refuses is logged.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from PySide6.QtCore import QProcess, QStandardPaths
from PySide6.QtWidgets import QMainWindow

T = TypeVar("T")
Pressure = Literal["normal", "warning", "critical", ""]

_SCRIPT = ("on run argv", "display notification (item 3 of argv) with title (item 2 of argv)", "end run")
_IOKIT = "/System/Library/Frameworks/IOKit.framework"
_OWNED = {"retval": {"already_cfretained": True}}
_POWER_FUNCTIONS = [
    ("IOPSCopyPowerSourcesInfo", b"@", "", _OWNED),
    ("IOPSCopyPowerSourcesList", b"@@", "", _OWNED),
    ("IOPSGetPowerSourceDescription", b"@@@"),
    ("IOPSGetProvidingPowerSourceType", b"@@"),
]
_NOT_ALLOWED = 1  # UNErrorCodeNotificationsNotAllowed: the person said no
_SHOWN_PARTS = 100  # the Dock is drawn again when the bar has grown by one of these


@dataclass(frozen=True, slots=True)
class Power:
    """Where the computer's power comes from; None where that is not known, `percent` None without a battery too."""

    on_battery: bool | None = None
    percent: int | None = None
    low_power: bool = False


class Awake:
    """Work under way for which the computer stays awake and the program at full speed, until it is released."""

    def __init__(self, activity: Any = None) -> None:
        self._activity = activity

    def release(self) -> None:
        """The work is over; more than once does no harm."""
        activity, self._activity = self._activity, None
        if activity is not None:
            _on_a_mac(lambda: _process().endActivity_(activity), None)


def unify_title_bar(window: QMainWindow) -> None:
    """Let the window's tool bar and title bar be one surface, as Mac programs have it."""
    if sys.platform == "darwin":
        window.setUnifiedTitleAndToolBarOnMac(True)


def reveal(path: str | Path) -> bool:
    """Show a folder in the Finder, marked among its neighbours; elsewhere open it. Whether that was begun."""
    command = ["/usr/bin/open", "-R", str(path)] if sys.platform == "darwin" else ["xdg-open", str(path)]
    program = QStandardPaths.findExecutable(command[0]) or command[0]
    # In PySide the process id comes along.
    return bool(QProcess.startDetached(program, command[1:])[0])


def dock_progress(fraction: float | None) -> None:
    """Show a bar over the program's icon in the Dock, filled from 0 to 1; None takes it away."""
    _on_a_mac(lambda: _dock().show(fraction), None)


def dock_badge(text: str) -> None:
    """Show a few characters at the corner of the program's icon in the Dock; "" takes them away."""
    _on_a_mac(lambda: _dock().badge(text), None)


def allow_notifications() -> None:
    """Have the system ask the person, the first time, whether they want notifications of the program."""
    _on_a_mac(_allow, None)


def notify(title: str, text: str) -> None:
    """Show a notification of the system, if the person wants any."""
    _on_a_mac(lambda: _notify(title, text), None)


def keep_awake(reason: str) -> Awake:
    """Hold off sleep and App Nap until the result is released; the screen may still go dark."""
    return _on_a_mac(lambda: Awake(_begin_activity(reason)), Awake())


def power() -> Power:
    """Where the power comes from now."""
    return _on_a_mac(_power, Power())


def memory_pressure() -> Pressure:
    """How short the whole computer is of memory, "" where that is not known."""
    return _on_a_mac(_memory_pressure, "")


def _on_a_mac(act: Callable[[], T], otherwise: T) -> T:
    """What `act` gives on a Mac; elsewhere, and where it fails, the other."""
    if sys.platform != "darwin":
        return otherwise
    try:
        return act()
    except Exception as error:  # a courtesy of the system that fails is no reason to stop a run
        _note(repr(error))
        return otherwise


@cache
def _note(error: str) -> None:
    """Log this error, once, however often it comes."""
    logging.getLogger(__name__).warning("the system refused: %s", error)


class _Dock:
    """The program's tile in the Dock: its icon, and a bar over it while there is progress to show."""

    def __init__(self) -> None:
        import AppKit

        self._kit = AppKit
        self._application = AppKit.NSApplication.sharedApplication()
        self._tile = self._application.dockTile()
        self._view: Any = None
        self._bar: Any = None
        self._shown: int | None = None

    def show(self, fraction: float | None) -> None:
        parts = None if fraction is None else round(min(1.0, max(0.0, fraction)) * _SHOWN_PARTS)
        if parts == self._shown:
            return
        self._shown = parts
        if parts is None:
            self._tile.setContentView_(None)
            self._view = self._bar = None
        else:
            if self._view is None:
                self._lay_out()
            self._fill(parts / _SHOWN_PARTS)
        self._tile.display()

    def badge(self, text: str) -> None:
        self._tile.setBadgeLabel_(text or None)

    def _lay_out(self) -> None:
        kit, size = self._kit, self._tile.size()
        self._view = kit.NSImageView.alloc().initWithFrame_(kit.NSMakeRect(0, 0, size.width, size.height))
        self._view.setImage_(self._application.applicationIconImage())
        self._view.setImageScaling_(kit.NSImageScaleProportionallyUpOrDown)
        # A progress indicator is grey in a tile, which is no active window.
        self._box(self._track(), kit.NSColor.colorWithSRGBRed_green_blue_alpha_(0.0, 0.0, 0.0, 0.65))
        self._bar = self._box(self._track(), kit.NSColor.whiteColor())
        self._tile.setContentView_(self._view)

    def _track(self) -> tuple[float, float, float, float]:
        """Left, bottom, width and height of the bar when it is full."""
        size = self._tile.size()
        return 0.1 * size.width, 0.1 * size.height, 0.8 * size.width, 0.1 * size.height

    def _box(self, place: tuple[float, float, float, float], colour: Any) -> Any:
        box = self._kit.NSBox.alloc().initWithFrame_(self._kit.NSMakeRect(*place))
        box.setBoxType_(self._kit.NSBoxCustom)
        box.setBorderWidth_(0.0)
        box.setCornerRadius_(place[3] / 2)
        box.setFillColor_(colour)
        self._view.addSubview_(box)
        return box

    def _fill(self, fraction: float) -> None:
        left, bottom, width, height = self._track()
        inset = 0.2 * height
        room, thick = width - 2 * inset, height - 2 * inset
        # A bar that is shorter than it is thick would not be round.
        self._bar.setFrame_(self._kit.NSMakeRect(left + inset, bottom + inset, max(thick, room * fraction), thick))
        self._bar.setCornerRadius_(thick / 2)
        self._bar.setHidden_(fraction == 0.0)


@cache
def _dock() -> _Dock:
    return _Dock()


def _centre() -> Any:
    """Where the system takes the program's notifications; None where it takes none of it."""
    import Foundation

    bundle = Foundation.NSBundle.mainBundle()
    # It takes them from programs alone; in the interpreter's own bundle they would be Python's.
    if not str(bundle.bundlePath()).endswith(".app") or str(bundle.bundleIdentifier()).startswith("org.python"):
        return None
    import UserNotifications

    return UserNotifications.UNUserNotificationCenter.currentNotificationCenter()


def _ask(centre: Any, decided: Callable[[bool, Any], None]) -> None:
    import UserNotifications

    options = UserNotifications.UNAuthorizationOptionAlert | UserNotifications.UNAuthorizationOptionSound
    centre.requestAuthorizationWithOptions_completionHandler_(options, decided)


def _allow() -> None:
    if (centre := _centre()) is not None:
        _ask(centre, lambda granted, error: None)


def _notify(title: str, text: str) -> None:
    if (centre := _centre()) is None:
        _notify_by_script(title, text)
        return

    def show() -> None:
        import UserNotifications

        content = UserNotifications.UNMutableNotificationContent.alloc().init()
        content.setTitle_(title)
        content.setBody_(text)
        request = UserNotifications.UNNotificationRequest.requestWithIdentifier_content_trigger_(
            str(uuid.uuid4()), content, None
        )
        centre.addNotificationRequest_withCompletionHandler_(request, failed)

    # Both come on a thread of the system's, to which nothing may be raised.
    def failed(error: Any) -> None:
        if error is not None and error.code() != _NOT_ALLOWED:
            _on_a_mac(lambda: _notify_by_script(title, text), None)

    def decided(granted: bool, error: Any) -> None:
        if granted:
            _on_a_mac(show, None)
        else:
            failed(error)

    _ask(centre, decided)


def _notify_by_script(title: str, text: str) -> None:
    """The texts are arguments of the script, never a part of it."""
    lines = [word for line in _SCRIPT for word in ("-e", line)]
    # A first item of our own, so that neither text is ever taken for an option.
    QProcess.startDetached("/usr/bin/osascript", [*lines, "show", title, text])


def _process() -> Any:
    import Foundation

    return Foundation.NSProcessInfo.processInfo()


def _begin_activity(reason: str) -> Any:
    import Foundation

    # It holds off App Nap and, unlike the one that allows idle sleep, sleep as well.
    return _process().beginActivityWithOptions_reason_(Foundation.NSActivityUserInitiated, reason)


@cache
def _power_functions() -> dict[str, Any]:
    import Foundation
    import objc

    found: dict[str, Any] = {}
    objc.loadBundleFunctions(Foundation.NSBundle.bundleWithPath_(_IOKIT), found, _POWER_FUNCTIONS)
    return found


def _power() -> Power:
    low_power = bool(_process().isLowPowerModeEnabled())
    ask = _power_functions()
    state = ask["IOPSCopyPowerSourcesInfo"]()
    on_battery = str(ask["IOPSGetProvidingPowerSourceType"](state)) == "Battery Power"
    percent = None
    for source in ask["IOPSCopyPowerSourcesList"](state) or ():
        about = ask["IOPSGetPowerSourceDescription"](state, source) or {}
        if about.get("Type") == "InternalBattery" and about.get("Max Capacity"):
            percent = round(100 * int(about["Current Capacity"]) / int(about["Max Capacity"]))
    return Power(on_battery, percent, low_power)


def _memory_pressure() -> Pressure:
    library = ctypes.CDLL(None)
    value, size = ctypes.c_int(0), ctypes.c_size_t(ctypes.sizeof(ctypes.c_int))
    failed = library.sysctlbyname(
        b"kern.memorystatus_vm_pressure_level", ctypes.byref(value), ctypes.byref(size), None, ctypes.c_size_t(0)
    )
    levels: dict[int, Pressure] = {1: "normal", 2: "warning", 4: "critical"}
    return "" if failed else levels.get(value.value, "")
