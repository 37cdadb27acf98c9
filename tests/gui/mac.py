"""A Mac of paper: the few classes of its frameworks that the window calls, under the names PyObjC gives them.

A name that is not listed does not exist here either, as it would not on a Mac. Each call is noted.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from PySide6.QtCore import QProcess

from gui import macos

# Selectors of each class, as in PyObjC's own tests and Apple's headers.
_METHODS = {
    "NSApplication": {"sharedApplication", "dockTile", "applicationIconImage"},
    "NSDockTile": {"size", "setContentView_", "setBadgeLabel_", "display"},
    "NSImageView": {"alloc", "initWithFrame_", "setImage_", "setImageScaling_", "addSubview_"},
    "NSBox": {
        "alloc",
        "initWithFrame_",
        "setBoxType_",
        "setBorderWidth_",
        "setCornerRadius_",
        "setFillColor_",
        "setFrame_",
        "setHidden_",
    },
    "NSColor": {"colorWithSRGBRed_green_blue_alpha_", "whiteColor"},
    "NSProcessInfo": {"processInfo", "beginActivityWithOptions_reason_", "endActivity_", "isLowPowerModeEnabled"},
    "NSBundle": {"mainBundle", "bundleWithPath_", "bundlePath", "bundleIdentifier"},
    "UNUserNotificationCenter": {
        "currentNotificationCenter",
        "requestAuthorizationWithOptions_completionHandler_",
        "addNotificationRequest_withCompletionHandler_",
    },
    "UNMutableNotificationContent": {"alloc", "init", "setTitle_", "setBody_"},
    "UNNotificationRequest": {"requestWithIdentifier_content_trigger_"},
}
_MODULES = {
    "AppKit": ("NSApplication", "NSImageView", "NSBox", "NSColor"),
    "Foundation": ("NSProcessInfo", "NSBundle"),
    "UserNotifications": ("UNUserNotificationCenter", "UNMutableNotificationContent", "UNNotificationRequest"),
}
_CONSTANTS: dict[str, dict[str, Any]] = {
    "AppKit": {
        "NSImageScaleProportionallyUpOrDown": 3,
        "NSBoxCustom": 4,
        "NSMakeRect": lambda x, y, width, height: (x, y, width, height),
    },
    "Foundation": {"NSActivityUserInitiated": 0x00FFFFFF},
    "UserNotifications": {"UNAuthorizationOptionSound": 1 << 1, "UNAuthorizationOptionAlert": 1 << 2},
}


class Thing:
    """An object, or a class, of the system: notes each call, and gives what it was told to or another of its kind."""

    def __init__(self, kind: str, mac: Mac) -> None:
        self._kind, self._mac = kind, mac

    def __getattr__(self, selector: str) -> Any:
        if selector not in _METHODS[self._kind]:
            raise AttributeError(f"'{self._kind}' object has no attribute '{selector}'")

        def call(*arguments: Any) -> Any:
            assert len(arguments) == selector.count("_"), f"{selector} was given {arguments}"
            self._mac.calls.append((f"{self._kind}.{selector}", *arguments))
            answer = self._mac.answers.get(f"{self._kind}.{selector}", self)
            return answer(*arguments) if callable(answer) else answer

        return call


class Mac:
    """What was asked of the system, and what it answers."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.started: list[tuple[str, list[str]]] = []
        self.battery: dict[str, Any] | None = None
        self.error: SimpleNamespace | None = None
        self.answers: dict[str, Any] = {
            "NSApplication.dockTile": lambda: Thing("NSDockTile", self),
            "NSApplication.applicationIconImage": "icon",
            "NSDockTile.size": SimpleNamespace(width=128.0, height=128.0),
            "NSProcessInfo.beginActivityWithOptions_reason_": "token",
            "NSProcessInfo.isLowPowerModeEnabled": False,
            "NSBundle.bundlePath": "/Applications/MLX-GRPO.app",
            "NSBundle.bundleIdentifier": "app.mlx-grpo",
            "NSBundle.bundleWithPath_": lambda path: path,
            "UNUserNotificationCenter.requestAuthorizationWithOptions_completionHandler_": (
                lambda options, decided: decided(self.error is None, self.error)
            ),
            "NSColor.whiteColor": "white",
            "NSColor.colorWithSRGBRed_green_blue_alpha_": "black",
        }

    def named(self, selector: str) -> list[tuple[Any, ...]]:
        """The arguments of each call of a selector."""
        return [call[1:] for call in self.calls if call[0] == selector]

    def load_functions(self, bundle: Any, found: dict[str, Any], functions: list[tuple[Any, ...]]) -> None:
        """As `objc.loadBundleFunctions`."""
        assert bundle == "/System/Library/Frameworks/IOKit.framework"
        sources = [self.battery] if self.battery else []
        known = {
            "IOPSCopyPowerSourcesInfo": (b"@", lambda: "state"),
            "IOPSCopyPowerSourcesList": (b"@@", lambda state: sources),
            "IOPSGetPowerSourceDescription": (b"@@@", lambda state, source: source),
            "IOPSGetProvidingPowerSourceType": (
                b"@@",
                lambda state: self.battery["Power Source State"] if self.battery else "AC Power",
            ),
        }
        for name, signature, *_ in functions:
            assert known[name][0] == signature
            found[name] = known[name][1]


def install(monkeypatch: pytest.MonkeyPatch) -> Mac:
    """Have the program believe that it runs on this Mac."""
    mac = Mac()
    for name, kinds in _MODULES.items():
        module = ModuleType(name)
        for kind in kinds:
            setattr(module, kind, Thing(kind, mac))
        for constant, value in _CONSTANTS[name].items():
            setattr(module, constant, value)
        monkeypatch.setitem(sys.modules, name, module)
    objc = ModuleType("objc")
    objc.loadBundleFunctions = mac.load_functions  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "objc", objc)
    monkeypatch.setattr(macos.sys, "platform", "darwin")
    monkeypatch.setattr(
        QProcess, "startDetached", lambda program, arguments: mac.started.append((program, arguments)) or (True, 1)
    )
    macos._dock.cache_clear()
    macos._power_functions.cache_clear()
    macos._note.cache_clear()
    return mac
