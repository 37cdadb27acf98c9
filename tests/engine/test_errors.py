"""Every exception becomes sentences."""

from __future__ import annotations

import errno

import pytest

from engine.errors import UserError, explain, failed, in_short


def test_a_user_error_is_its_own_explanation() -> None:
    error = UserError("There is no {thing}.", "It is at {place}.", "Look there.", thing="hat", place="home")
    assert explain(error) is error
    assert (error.what, error.why, error.remedy) == ("There is no hat.", "It is at home.", "Look there.")
    assert error.templates[0] == "There is no {thing}."
    assert failed(error).fault == "input"
    assert failed(error).details == ""


def test_values_with_braces_are_not_templates() -> None:
    assert UserError("{reason}", reason="{not a place}").what == "{not a place}"


@pytest.mark.parametrize(
    ("exception", "word", "fault"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/a/b"), "disk is full", "input"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "/a/b", "input"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/a/b"), "/a/b", "input"),
        (OSError(errno.EIO, "Input/output error", "/a/b"), "Input/output error", "input"),
        (MemoryError(), "memory ran out", "input"),
        (RuntimeError("[metal::malloc] Unable to allocate 9 bytes"), "memory ran out", "input"),
        (RuntimeError("There is no Stream(gpu, 1) in current thread."), "inside the program", "bug"),
        (KeyError("x"), "inside the program", "bug"),
    ],
)
def test_exceptions_of_others_get_words(exception: Exception, word: str, fault: str) -> None:
    words = explain(exception)
    assert word in words.what
    assert words.remedy
    assert words.fault == fault


class MuteError(RuntimeError):
    def __str__(self) -> str:
        raise ValueError("no words")


def test_an_exception_that_cannot_say_what_it_is_gets_words_all_the_same() -> None:
    words = failed(MuteError())
    assert (words.fault, words.why) == ("bug", "MuteError: it says nothing")
    assert "MuteError" in words.details
    assert in_short(MuteError()) == "it says nothing"


def test_a_bug_keeps_its_traceback_for_the_log() -> None:
    try:
        _ = {}["absent"]
    except KeyError as error:
        ending = failed(error)
    assert ending.fault == "bug"
    assert "Traceback" in ending.details
    assert "test_errors.py" in ending.details
