"""Memory limits while training, on the device at hand and on a stand-in for Apple's."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import pytest

from engine.grpo import memory_limits


class Device:
    """The limits of a GPU that recommends 1000 bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.limits = {"wired": 7, "cache": 5000}
        self.order: list[str] = []
        monkeypatch.setattr(mx.metal, "is_available", lambda: True)
        monkeypatch.setattr(mx, "default_device", lambda: mx.gpu)
        monkeypatch.setattr(mx, "device_info", lambda: {"max_recommended_working_set_size": 1000})
        monkeypatch.setattr(mx, "set_wired_limit", lambda limit: self._set("wired", limit))
        monkeypatch.setattr(mx, "set_cache_limit", lambda limit: self._set("cache", limit))
        monkeypatch.setattr(mx, "synchronize", lambda *_: self.order.append("waited"))

    def _set(self, name: str, limit: int) -> int:
        before = self.limits[name]
        self.limits[name] = limit
        self.order.append(name)
        return before


def test_limits_are_set_inside_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch)
    with memory_limits.for_training():
        assert device.limits == {"wired": 1000, "cache": 250}
    assert device.limits == {"wired": 7, "cache": 5000}
    # No computation may be under way when the wired limit changes.
    assert device.order[-2:] == ["waited", "wired"]


def test_limits_are_put_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch)
    with pytest.raises(ZeroDivisionError), memory_limits.for_training():
        raise ZeroDivisionError
    assert device.limits == {"wired": 7, "cache": 5000}


@pytest.mark.skipif(mx.metal.is_available(), reason="there is a GPU here")
def test_nothing_changes_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("no limit is set on a CPU")

    monkeypatch.setattr(mx, "set_wired_limit", never)
    monkeypatch.setattr(mx, "set_cache_limit", never)
    with memory_limits.for_training():
        assert mx.ones(2).sum().item() == 2
