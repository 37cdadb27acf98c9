"""The manners of a Mac, against its frameworks' own names; and that nothing is done elsewhere."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from gui import macos
from tests.gui.mac import Mac, install


@pytest.fixture
def mac(monkeypatch: pytest.MonkeyPatch) -> Mac:
    return install(monkeypatch)


def test_elsewhere_nothing_is_imported_and_nothing_is_done() -> None:
    code = """
import sys
from gui import macos
from PySide6.QtCore import QProcess
QProcess.startDetached = lambda *words: print("started", words)
macos.dock_progress(0.5); macos.dock_badge("!"); macos.allow_notifications()
macos.notify("a", "b"); macos.keep_awake("c").release()
print(macos.power(), repr(macos.memory_pressure()))
print([name for name in ("objc", "AppKit", "Foundation", "UserNotifications") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout == "Power(on_battery=None, percent=None, low_power=False) ''\n[]\n"
    assert done.stderr == ""


def test_the_bar_in_the_dock_grows_and_goes(mac: Mac) -> None:
    macos.dock_progress(0.0)
    assert mac.named("NSBox.setHidden_") == [(True,)]
    macos.dock_progress(0.5)
    macos.dock_progress(1.0)
    ((_, _, half, _),), ((_, _, full, _),) = mac.named("NSBox.setFrame_")[1:]
    assert 0 < half < full
    assert half == pytest.approx(full / 2)
    assert len(mac.named("NSDockTile.setContentView_")) == 1
    assert len(mac.named("NSDockTile.display")) == 3
    macos.dock_progress(None)
    assert mac.named("NSDockTile.setContentView_")[-1] == (None,)
    assert len(mac.named("NSDockTile.display")) == 4
    macos.dock_progress(0.25)
    assert len(mac.named("NSDockTile.setContentView_")) == 3


def test_a_step_that_cannot_be_seen_draws_nothing(mac: Mac) -> None:
    macos.dock_progress(0.5)
    for step in range(100):
        macos.dock_progress(0.5 + step / 1e6)
    assert len(mac.named("NSDockTile.display")) == 1


@pytest.mark.parametrize("fraction", [-1.0, 2.0])
def test_the_bar_stays_in_its_place(mac: Mac, fraction: float) -> None:
    macos.dock_progress(fraction)
    ((left, _, width, _),) = mac.named("NSBox.setFrame_")[0]
    assert left > 0
    assert left + width < 128


def test_the_badge(mac: Mac) -> None:
    macos.dock_badge("✓")
    macos.dock_badge("")
    assert mac.named("NSDockTile.setBadgeLabel_") == [("✓",), (None,)]


def test_sleep_is_held_off_until_the_work_is_over(mac: Mac) -> None:
    awake = macos.keep_awake("Training")
    assert mac.named("NSProcessInfo.beginActivityWithOptions_reason_") == [(0x00FFFFFF, "Training")]
    assert mac.named("NSProcessInfo.endActivity_") == []
    awake.release()
    awake.release()
    assert mac.named("NSProcessInfo.endActivity_") == [("token",)]


def test_a_notification_of_the_program_itself(mac: Mac) -> None:
    macos.notify("run-1", "It has ended.")
    assert mac.named("UNUserNotificationCenter.requestAuthorizationWithOptions_completionHandler_")[0][0] == 6
    assert mac.named("UNMutableNotificationContent.setTitle_") == [("run-1",)]
    assert mac.named("UNMutableNotificationContent.setBody_") == [("It has ended.",)]
    ((name, _, trigger),) = mac.named("UNNotificationRequest.requestWithIdentifier_content_trigger_")
    assert (bool(name), trigger) == (True, None)
    assert len(mac.named("UNUserNotificationCenter.addNotificationRequest_withCompletionHandler_")) == 1
    assert mac.started == []


def test_the_person_is_asked_before_there_is_anything_to_tell(mac: Mac) -> None:
    macos.allow_notifications()
    assert len(mac.named("UNUserNotificationCenter.requestAuthorizationWithOptions_completionHandler_")) == 1
    assert mac.named("UNNotificationRequest.requestWithIdentifier_content_trigger_") == []
    mac.answers["NSBundle.bundlePath"] = "/opt/python/bin"
    macos.allow_notifications()
    assert len(mac.named("UNUserNotificationCenter.requestAuthorizationWithOptions_completionHandler_")) == 1


@pytest.mark.parametrize(("code", "started"), [(1, 0), (1400, 1)])
def test_who_does_not_want_notifications_gets_none_by_another_way(mac: Mac, code: int, started: int) -> None:
    mac.error = SimpleNamespace(code=lambda: code)
    macos.notify("run-1", "It has ended.")
    assert mac.named("UNNotificationRequest.requestWithIdentifier_content_trigger_") == []
    assert len(mac.started) == started


@pytest.mark.parametrize(
    ("path", "identifier"), [("/opt/python/bin", None), ("/Library/Python.app", "org.python.python")]
)
def test_outside_a_bundle_a_script_shows_the_texts_and_never_runs_them(
    mac: Mac, path: str, identifier: str | None
) -> None:
    mac.answers |= {"NSBundle.bundlePath": path, "NSBundle.bundleIdentifier": identifier}
    title, text = '-e" & (do shell script "id") & "', "--\n\\ 模型"
    macos.notify(title, text)
    ((program, arguments),) = mac.started
    assert program == "/usr/bin/osascript"
    *script, first, given, said = arguments
    assert (given, said) == (title, text)
    assert not first.startswith("-")
    assert not any(word in part for part in script for word in ("id", "模型"))


@pytest.mark.parametrize(
    ("battery", "expected"),
    [
        (None, macos.Power(False, None, False)),
        (("Battery Power", 19, 100), macos.Power(True, 19, False)),
        (("AC Power", 2500, 5000), macos.Power(False, 50, False)),
    ],
)
def test_where_the_power_comes_from(mac: Mac, battery: tuple[str, int, int] | None, expected: macos.Power) -> None:
    if battery:
        state, now, most = battery
        mac.battery = {
            "Type": "InternalBattery",
            "Power Source State": state,
            "Current Capacity": now,
            "Max Capacity": most,
        }
    assert macos.power() == expected


def test_low_power_mode(mac: Mac) -> None:
    mac.answers["NSProcessInfo.isLowPowerModeEnabled"] = True
    assert macos.power().low_power


@pytest.mark.parametrize(
    ("level", "failed", "expected"),
    [(1, 0, "normal"), (2, 0, "warning"), (4, 0, "critical"), (9, 0, ""), (1, -1, "")],
)
def test_the_pressure_on_memory(
    mac: Mac, monkeypatch: pytest.MonkeyPatch, level: int, failed: int, expected: str
) -> None:
    def sysctlbyname(name: bytes, value: object, size: object, new: None, length: object) -> int:
        assert name == b"kern.memorystatus_vm_pressure_level"
        ctypes.cast(value, ctypes.POINTER(ctypes.c_int))[0] = level  # type: ignore[arg-type]
        return failed

    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(sysctlbyname=sysctlbyname))
    assert macos.memory_pressure() == expected


def test_what_the_system_refuses_is_logged_and_stops_nothing(mac: Mac, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(reason: str) -> Callable[..., None]:
        def answer(*_: object) -> None:
            raise RuntimeError(reason)

        return answer

    mac.answers |= {
        "NSApplication.dockTile": refuse("no window server"),
        "NSProcessInfo.beginActivityWithOptions_reason_": refuse("no activity"),
    }
    for fraction in (0.25, 0.5):
        macos.dock_progress(fraction)
    macos.keep_awake("Training").release()
    assert [record.message for record in caplog.records] == [
        "the system refused: RuntimeError('no window server')",
        "the system refused: RuntimeError('no activity')",
    ]
    caplog.clear()
