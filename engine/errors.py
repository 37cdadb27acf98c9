"""Turns any exception into three sentences: what happened, why, what to do. Knows no view.

Rooms raise `UserError` at the source; exceptions of other libraries become sentences only here.
"""

from __future__ import annotations

import errno
import traceback
from typing import Literal

from engine.events import Failed


class UserError(Exception):
    """An error in words for the person.

    The three sentences are templates with `{name}` places, filled from `values`, so that a view can translate the
    template first. `fault` is "input" where the person can mend it, "bug" where only the developers can.
    """

    def __init__(
        self,
        what: str,
        why: str = "",
        remedy: str = "",
        *,
        fault: Literal["input", "bug"] = "input",
        **values: object,
    ) -> None:
        super().__init__(what.format(**values))
        self.templates = (what, why, remedy)
        self.values = values
        self.fault = fault
        self.what, self.why, self.remedy = (template.format(**values) for template in self.templates)


def explain(exception: BaseException) -> UserError:
    """The words for an exception; a `UserError` is its own explanation."""
    if isinstance(exception, UserError):
        return exception
    if isinstance(exception, MemoryError) or _is_device_out_of_memory(exception):
        return UserError(
            "The memory ran out.",
            "{reason}",
            "Close other programs, choose a smaller or more strongly quantised model, or shorten the context.",
            reason=_first_line(exception) or "The system could not give the memory that was asked for.",
        )
    if isinstance(exception, OSError):
        return _explain_os_error(exception)
    return UserError(
        "Something went wrong inside the program.",
        "{kind}: {reason}",
        "This is a fault of ours. Please report it with the details below.",
        fault="bug",
        kind=type(exception).__name__,
        reason=_first_line(exception),
    )


def failed(exception: BaseException) -> Failed:
    """The ending event of a job that raised `exception`; a bug carries its traceback as details."""
    error = explain(exception)
    details = "".join(traceback.format_exception(exception)) if error is not exception else ""
    return Failed(error.what, error.why, error.remedy, error.fault, details)


def in_short(exception: BaseException) -> str:
    """What another library's exception says, on one line of bounded length."""
    text = " ".join(_text(exception).split()) or type(exception).__name__
    return text if len(text) <= 300 else text[:297] + "…"


def _first_line(exception: BaseException) -> str:
    text = _text(exception).strip()
    return text.splitlines()[0][:300] if text else ""


def _text(exception: BaseException) -> str:
    """What an exception says; a person's own class may fail at it, and its fault is being told already."""
    try:
        return str(exception)
    except Exception:
        return "it says nothing"


def _is_device_out_of_memory(exception: BaseException) -> bool:
    """MLX reports a failed allocation of its device as a RuntimeError with one of these phrases."""
    text = _text(exception).lower()
    phrases = ("insufficient memory", "out of memory", "unable to allocate", "attempting to allocate")
    return isinstance(exception, RuntimeError) and any(phrase in text for phrase in phrases)


def _explain_os_error(exception: OSError) -> UserError:
    path = str(exception.filename or "")
    if exception.errno == errno.ENOSPC:
        return UserError(
            "The disk is full.",
            "There was no room left while writing {path}.",
            "Free some space and try again; nothing half-written was kept.",
            path=path or "a file",
        )
    if isinstance(exception, PermissionError):
        return UserError(
            "This file or folder may not be used: {path}",
            "The system refused access to it.",
            "Change its permissions, or choose another place.",
            path=path,
        )
    if isinstance(exception, FileNotFoundError):
        return UserError(
            "This file or folder does not exist: {path}",
            "It may have been moved, renamed or deleted, or its disk is not connected.",
            "Check the path and try again.",
            path=path or _first_line(exception),
        )
    remedies = {
        errno.ENAMETOOLONG: "Choose a shorter name.",
        errno.EROFS: "This disk can only be read. Choose a place on another one.",
        errno.EISDIR: "It is a folder; give a file.",
        errno.ENOTDIR: "A part of this path is a file, not a folder. Choose another place.",
    }
    return UserError(
        "The system reported an error: {reason}",
        "It happened while using {path}.",
        remedies.get(exception.errno or 0, "Check the disk or the connection and try again."),
        reason=exception.strerror or _first_line(exception) or type(exception).__name__,
        path=path or "a file or a connection",
    )
