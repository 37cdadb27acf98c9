"""Runs one of our programs in a child process and listens to it. Knows no file form and nothing of what the child does.

What needs torch runs in a child, since torch is hidden in our own process. Both sides of the conversation are here:
one request line goes in, message lines come out, and the child ends itself once its standard input is closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, Any, cast

import engine
from engine.errors import UserError, explain

Message = dict[str, Any]
Say = Callable[[Message], None]

# The longest a caller's generator rests without yielding.
_TICK = 0.1
_TAIL = 4000
# A person's settings for these libraries could loosen what we ask of them.
_UNWANTED = ("TORCH", "PYTORCH", "TRANSFORMERS", "HF_")
_ADDED = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}


def ask(module: str, request: Message) -> Generator[Message | None, None, Any]:
    """Have a module of ours, run as a program, answer a request; closing the generator kills it.

    Args:
        module: its name; it calls `serve`.
        request: anything JSON can hold.

    Yields:
        the messages it says, and None after a while without any.

    Returns:
        what its work returned.

    Raises:
        UserError: its work raised one, or the process was killed.
        RuntimeError: its work raised anything else; the text holds its traceback.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_UNWANTED)} | _ADDED
    # From there `-m` finds our own package first, and nothing that lies beside a checkpoint.
    root = Path(engine.__path__[0]).parent
    with tempfile.TemporaryFile() as complaints:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            cwd=root,
            env=environment,
        )
        requests, replies = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        try:
            # One that has died already is noticed by the end of its output.
            with contextlib.suppress(BrokenPipeError):
                requests.write(json.dumps(request).encode() + b"\n")
                requests.flush()
            yield None
            for message in _messages(replies):
                if message is not None and "result" in message:
                    return message["result"]
                if message is not None and "error" in message:
                    raise _exception(message["error"])
                yield message
            raise _death(process.wait(), complaints)
        finally:
            process.kill()
            process.wait()
            replies.close()
            with contextlib.suppress(BrokenPipeError):
                requests.close()


def _messages(stream: IO[bytes]) -> Iterator[Message | None]:
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            if not selector.select(_TICK):
                yield None
                continue
            piece = os.read(stream.fileno(), 1 << 16)
            if not piece:
                return
            *lines, rest = (rest + piece).split(b"\n")
            yield from map(json.loads, lines)


def _exception(error: Message) -> Exception:
    if "templates" in error:
        return UserError(*error["templates"], fault=error["fault"], **error["values"])
    return RuntimeError(error["traceback"])


def _death(status: int, complaints: IO[bytes]) -> Exception:
    complaints.seek(0, os.SEEK_END)
    complaints.seek(max(0, complaints.tell() - _TAIL))
    said = complaints.read().decode(errors="replace").strip()
    if status >= 0:
        return RuntimeError(f"a helper process ended with status {status}\n{said}")
    return UserError(
        "A helper process of the conversion was ended from outside.",
        "It received signal {signal}; most often the system does that when the memory runs out.",
        "Close other programs and try again.",
        signal=-status,
    )


def serve(work: Callable[[Message, Say], Any]) -> None:
    """The child's side: read the request, do the work, report its end.

    `work` gets the request and a function that sends a message; what it returns goes back as the result. Whatever the
    libraries print goes to standard error.
    """
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message: Message) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        say({"result": work(request, say)})
    except Exception as exception:  # reported, whatever it is, and raised again in the parent
        error = explain(exception)
        if error.fault == "bug":
            say({"error": {"traceback": f"{exception}\n{traceback.format_exc()}"}})
        else:
            values = {name: str(value) for name, value in error.values.items()}
            say({"error": {"templates": error.templates, "values": values, "fault": error.fault}})
    # Without the libraries' farewells, which take a second and may hang.
    os._exit(0)


def _end_with_parent() -> None:
    while os.read(0, 1 << 12):
        pass
    os._exit(3)
