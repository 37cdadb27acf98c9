"""What is said of a model that is too large."""

from __future__ import annotations

import contextlib
import sys

import pytest

from engine import memory
from engine.errors import UserError


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0.0 kB"), (1024, "1.0 kB"), (1 << 20, "1.05 MB"), (3_400_000_000, "3.40 GB")]
)
def test_a_size_in_words(count: int, text: str) -> None:
    assert memory.in_words(count) == text


def test_a_small_limit_is_named_as_it_is() -> None:
    with pytest.raises(UserError, match="too large") as caught:
        memory.require("starter", 10**6, 1 << 20)
    assert caught.value.why == "It needs about 269.49 MB and 1.05 MB can be used."


def test_what_other_models_take_is_not_there_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit counts everything; so does what macOS recommends, and Linux says what is free."""
    memory.require("draft", 10**6, 300 << 20)
    with pytest.raises(UserError, match="too large"):
        memory.require("draft", 10**6, 300 << 20, beside=100 << 20)
    monkeypatch.setattr(memory, "available", lambda _: 300 << 20)
    for platform, fits in (("linux", True), ("darwin", False)):
        monkeypatch.setattr(sys, "platform", platform)
        with contextlib.nullcontext() if fits else pytest.raises(UserError, match="too large"):
            memory.require("draft", 10**6, beside=100 << 20)
