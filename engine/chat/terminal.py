"""A conversation in a terminal: reads lines, answers, understands /commands. Knows no window and stores nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

from engine.chat.context import Turn
from engine.chat.fitting import Summaries
from engine.chat.replying import answer
from engine.errors import UserError
from engine.events import Event, Note, ReplyFinished
from engine.jobs import Generate, Workbench

_HELP = "/clear forgets the conversation, /again answers once more, /system TEXT sets the system prompt, /quit leaves."
# The words of the original project's chat.
_QUIT = {"/quit", "/exit", "/q", "quit", "exit", "q"}
_CLEAR = {"/clear", "clear"}


def converse(template: Generate, bench: Workbench, *, quiet: bool = False) -> Iterator[Event]:
    """Load the template's model and answer lines of standard input until it ends.

    Args:
        template: model, system prompt and sampling; its prompt is not used.
        quiet: show no prompt marks (for machine readers).
    """
    session = yield from bench.want(template.load)
    if not quiet:
        yield Note(f"{session.files.name} is ready. {_HELP}")
    turns: list[Turn] = []
    summaries = Summaries()
    for line in _lines(quiet):
        word, _, rest = line.strip().partition(" ")
        if line.strip().lower() in _QUIT:
            return
        if line.strip().lower() in _CLEAR:
            turns.clear()
        elif word == "/system":
            template = replace(template, system=rest)
        elif word == "/help" or (word.startswith("/") and word != "/again"):
            yield Note(_HELP)
        elif line.strip():
            if word != "/again":
                turns.append(("user", line))
            elif turns and turns[-1][0] == "assistant":
                turns.pop()
            yield from _answer(template, bench, turns, summaries)


def _answer(template: Generate, bench: Workbench, turns: list[Turn], summaries: Summaries) -> Iterator[Event]:
    if not turns:
        yield Note("There is nothing to answer again yet.")
        return
    session = yield from bench.want(template.load)
    try:
        events = answer(session, bench, turns, template.system, template.sampling, template.options, summaries)
        for event in events:
            if isinstance(event, ReplyFinished):
                turns.append(("assistant", event.text))
            yield event
    except UserError as error:
        # One message that cannot be answered does not end the conversation.
        turns.pop()
        yield Note("\n".join(part for part in (error.what, error.why, error.remedy) if part))


def _lines(quiet: bool) -> Iterator[str]:
    while True:
        if not quiet and sys.stdin.isatty():
            sys.stderr.write("\n› ")
            sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            return
        yield line.rstrip("\n")
