"""The reference page is what the settings models say."""

from __future__ import annotations

from scripts.settings_reference import PAGE, reference


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == reference(), "run: python -m scripts.settings_reference"


def test_every_setting_has_a_line() -> None:
    for key in ("temperature", "stop", "send_key", "memory_limit"):
        assert f"| `{key}` |" in reference()
