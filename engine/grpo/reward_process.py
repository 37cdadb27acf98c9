"""A child process that scores completions across the steps of a run, and the conversation with it. Knows no reward.

A function that hangs can only be ended together with its process. Both sides are here: requests go in and messages
come out as JSON lines; an `end` message closes each answer. The child ends once its standard input is closed.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import IO, Any, cast

import engine
from engine.errors import UserError, explain

Message = dict[str, Any]
Work = Callable[[Message], Iterable[Message]]

# The longest a caller's generator rests without yielding.
_TICK = 0.1
# A busy machine needs seconds to start Python; this is only against one that never comes up.
_START = 120.0
# What a child has beyond its parent's patience, in seconds; it matters where the parent is gone.
_GRACE = 5
# The window's settings concern only the window.
_UNWANTED = ("QT_", "QML", "PYSIDE")


class ProcessEndedError(Exception):
    """The child ended in the middle of its work; `status` is its exit status, negative for a signal."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the process that scores completions ended with status {status}")
        self.status = status


class RewardProcess:
    """A child that is started when it is first needed, and anew after it was ended."""

    def __init__(self, module: str, opening: Message) -> None:
        """Nothing is started yet.

        Args:
            module: a module of ours that, run as a program, calls `serve`.
            opening: the request that every new child gets before any other.
        """
        self._module = module
        self._opening = opening
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""

    def open(self, patience: float) -> Generator[Message | None, None, None]:
        """Have the child up and its opening request answered; at once where it is. Otherwise as `ask`."""
        if self._process is None:
            # Begun only inside, so that a generator that never ran leaves no process.
            with self._ended_unless_answered():
                self._start()
                yield from self._answer(_START)
                yield from self._exchange(self._opening, patience)

    def ask(self, request: Message, patience: float) -> Generator[Message | None, None, None]:
        """Have a request answered; closing the generator ends the child, and the next request starts another.

        Args:
            request: what JSON can hold; arrays go as lists, and anything else (a date, say) as its text.
            patience: in seconds, how long the child may say nothing.

        Yields:
            the messages of the answer, and None after a while without any.

        Raises:
            UserError: the child's work raised one.
            RuntimeError: the child's work raised anything else; the text holds its traceback.
            TimeoutError: it said nothing for too long, and was ended.
            ProcessEndedError: it ended before its answer did.
        """
        for _ in self.open(patience):
            yield None
        with self._ended_unless_answered():
            yield from self._exchange(request, patience)

    def close(self) -> None:
        """End the child, and whatever it started."""
        process, self._process = self._process, None
        if process is None:
            return
        # It leads a group of its own, which may outlive it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    @contextlib.contextmanager
    def _ended_unless_answered(self) -> Generator[None, None, None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_UNWANTED)}
        self._rest = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module, str(Path.cwd())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # From there `-m` finds our own package first.
            cwd=Path(engine.__path__[0]).parent,
            env=environment,
            start_new_session=True,
            bufsize=0,
        )
        os.set_blocking(cast("IO[bytes]", self._process.stdin).fileno(), False)

    def _exchange(self, request: Message, patience: float) -> Generator[Message | None, None, None]:
        with selectors.DefaultSelector() as selector:
            stream = cast("subprocess.Popen[bytes]", self._process).stdin
            selector.register(cast("IO[bytes]", stream), selectors.EVENT_WRITE)
            envelope = {"patience": patience, "request": request}
            left = memoryview(json.dumps(envelope, default=_plain).encode() + b"\n")
            deadline = time.monotonic() + patience
            # A child that has ended already is noticed by the end of its output.
            with contextlib.suppress(BrokenPipeError):
                while left:
                    if selector.select(_TICK):
                        left = left[os.write(cast("IO[bytes]", stream).fileno(), left[: 1 << 16]) :]
                    elif time.monotonic() > deadline:
                        raise TimeoutError
                    else:
                        yield None
        yield from self._answer(patience)

    def _answer(self, patience: float) -> Generator[Message | None, None, None]:
        process = cast("subprocess.Popen[bytes]", self._process)
        stream = cast("IO[bytes]", process.stdout)
        deadline = time.monotonic() + patience
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while True:
                # What has come is read first: the caller may have rested longer than the child took.
                if not selector.select(_TICK):
                    if time.monotonic() > deadline:
                        raise TimeoutError
                    yield None
                    continue
                piece = os.read(stream.fileno(), 1 << 16)
                if not piece:
                    status = process.wait()
                    raise TimeoutError if status == -signal.SIGALRM else ProcessEndedError(status)
                *lines, self._rest = (self._rest + piece).split(b"\n")
                for line in lines:
                    message: Message = json.loads(line)
                    if "end" in message:
                        return
                    if "error" in message:
                        raise _exception(message["error"])
                    yield message
                    deadline = time.monotonic() + patience


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _exception(error: Message) -> Exception:
    if "templates" in error:
        return UserError(*error["templates"], fault=error["fault"], **error["values"])
    return RuntimeError(error["traceback"])


def serve(begin: Callable[[Message], tuple[Message, Work]]) -> None:
    """The child's side: answer requests until standard input is closed.

    Args:
        begin: takes the opening request, and returns the answer to it and the function that answers all others.
    """
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    # What a person's function prints goes to standard error, and what it reads is empty.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    # The person's own paths are meant from where the person is.
    with contextlib.suppress(OSError):
        os.chdir(sys.argv[1])
    waiting: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, waiting), daemon=True).start()

    limit = 0

    def say(message: Message) -> None:
        signal.alarm(limit)
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    say({"end": True})
    work: Work | None = None
    while True:
        signal.alarm(0)
        envelope = waiting.get()
        request = envelope["request"]
        # Without a handler it ends the process even in C code that keeps all threads waiting, this one's listener too.
        limit = math.ceil(envelope["patience"]) + _GRACE
        signal.alarm(limit)
        try:
            if work is None:
                answer, work = begin(request)
                say(answer)
            else:
                for message in work(request):
                    say(message)
        except Exception as exception:  # reported, whatever it is, and raised again in the parent
            say({"error": _reported(exception)})
        else:
            say({"end": True})


def _reported(exception: Exception) -> Message:
    error = explain(exception)
    if error.fault == "bug":
        return {"traceback": traceback.format_exc()}
    return {
        "templates": error.templates,
        "values": {name: str(value) for name, value in error.values.items()},
        "fault": error.fault,
    }


def _listen(requests: IO[bytes], waiting: queue.SimpleQueue[Message]) -> None:
    for line in requests:
        waiting.put(json.loads(line))
    # The parent is gone or wants no more; what the person's functions started goes as well.
    os.killpg(0, signal.SIGKILL)
