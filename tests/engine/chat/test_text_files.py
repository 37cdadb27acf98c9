"""Text files that go with a message: what is read, and what is refused in words."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import jobs
from engine.chat import text_files
from engine.chat.requests import LARGEST_ATTACHMENT, ReadTextFile
from engine.chat_events import TextFileRead
from engine.errors import UserError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_text_is_read_in_each_encoding(tmp_path: Path, encoding: str) -> None:
    text = "Grüße, 世界\r\n\tand more\n"
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    assert text_files.read(tmp_path / "a.txt") == TextFileRead("a.txt", text)


def test_it_is_a_job(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Title", "utf-8")
    events = list(jobs.start(ReadTextFile(str(tmp_path / "a.md")), jobs.Workbench()))
    assert events == [TextFileRead("a.md", "# Title")]


def refused(path: Path) -> str:
    with pytest.raises(UserError) as refusal:
        text_files.read(path)
    words = refusal.value
    assert words.what == f"{path.name} cannot be attached."
    assert words.remedy
    return words.why


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    for data in (b"\x00\x01\x02", b"\xff\xfe\xff", bytes(range(1, 32)) * 10, b"\xc3\x28", "é".encode("latin-1")):
        path.write_bytes(data)
        assert "UTF-8" in refused(path)


def test_what_is_too_large_is_refused_without_being_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    path.write_bytes(b"a" * LARGEST_ATTACHMENT)
    assert len(text_files.read(path).text) == LARGEST_ATTACHMENT
    with path.open("r+b") as file:
        file.truncate(10**12)
    assert "larger" in refused(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        assert refused(path) == "It is not a file."
    assert "No such file" in refused(tmp_path / "gone.txt")


@settings(max_examples=60)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_text_without_nul_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "x"
    path.write_bytes(data)
    with contextlib.suppress(UserError):
        assert "\0" not in text_files.read(path).text
