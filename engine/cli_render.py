"""Prints events in a terminal: results on standard output, all else on standard error. Knows no job."""

from __future__ import annotations

import os
import sys
import time
from typing import TextIO

from engine import cli_report, cli_training_report
from engine.conversion_events import QualityMeasured
from engine.events import Event, ModelLoaded, Progress, ReplyFinished, Token


class Renderer:
    """Events as a person reads them in a terminal: answers on standard output, all else on standard error."""

    def __init__(self, stream: bool, verbose: bool) -> None:
        self._stream, self._verbose = stream, verbose
        self._progress = self._table = False
        self._stage, self._began = "", (0.0, 0.0)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._show_progress(event)
            return
        self._clear_progress()
        if isinstance(event, Token):
            if self._stream:
                sys.stdout.write(event.text)
                sys.stdout.flush()
        elif isinstance(event, ReplyFinished):
            say_result("" if self._stream else event.text)
            if self._verbose:
                say(cli_report.reply(event))
        elif isinstance(event, ModelLoaded):
            if self._verbose:
                say(cli_report.loaded(event))
        elif isinstance(event, QualityMeasured):
            if not self._table:
                say(cli_report.QUALITY_HEADER)
            self._table = True
            say(cli_report.quality(event))
        else:
            for line in filter(None, [cli_report.remark(event), cli_training_report.remark(event)]):
                say(line)
            for line in filter(None, [cli_report.result(event)]):
                say_result(line)

    def _show_progress(self, event: Progress) -> None:
        if not sys.stderr.isatty():
            return
        share = f" {100 * event.done / event.total:3.0f} %" if event.total else ""
        _write_aside(f"\r\x1b[K{event.what}{share}{self._pace(event)}  {event.detail[:50]}")
        self._progress = True

    def _pace(self, event: Progress) -> str:
        """How fast bytes pass and how long the rest will take, once there is something to tell."""
        now = time.monotonic()
        if event.what != self._stage:
            self._stage, self._began = event.what, (now, event.done)
        seconds, passed = now - self._began[0], event.done - self._began[1]
        if event.unit != "bytes" or not event.total or seconds < 1 or passed <= 0:
            return ""
        left = seconds / passed * (event.total - event.done)
        return f"  {passed / seconds / 1e6:,.0f} MB/s, {left:,.0f} s left"

    def _clear_progress(self) -> None:
        if self._progress:
            _write_aside("\r\x1b[K")
            self._progress = False


def say_result(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def say(line: str) -> None:
    # Names in a file may hold anything, also what tells a terminal to do something.
    _write_aside("".join(sign if sign.isprintable() or sign in "\n\t" else "�" for sign in line) + "\n")


def silence(*streams: TextIO) -> None:
    """Let what is written to a stream from now on, and what is still buffered, go nowhere; both where none is named."""
    for stream in streams or (sys.stdout, sys.stderr):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _write_aside(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except BrokenPipeError:
        raise
    except OSError:
        # A full disk under the messages is no reason to end the work.
        silence(sys.stderr)
