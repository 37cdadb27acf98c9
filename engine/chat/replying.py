"""Answers prompts and stored conversations: what the model reads, what it remembers, what is kept of the answer.

Knows the store, the bench and the settings of a chat; no view.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar, get_args

from engine.chat import fitting, prompts, reading
from engine.chat.context import Turn
from engine.chat.conversations import Conversations, State
from engine.chat.fitting import Fitted, Summaries
from engine.chat.kept_caches import WORTH_KEEPING, KeptCaches, Owner
from engine.chat.reading import Held
from engine.chat.requests import ChatOptions
from engine.chat.streaming import stream_reply
from engine.chat.thought import ThoughtClock
from engine.chat_events import ContextFitted
from engine.config import Sampling, WhenFull
from engine.errors import UserError, explain
from engine.events import Event, Progress, PromptRead, ReplyFinished, Token
from engine.requests import Generate, Reply

if TYPE_CHECKING:
    from engine.jobs import Workbench
    from engine.session import ModelSession

R = TypeVar("R")

# A token that was shown is on disk within a second.
_SAVE_SECONDS = 0.5
_NOTHING = ("There is nothing to answer.", "The prompt is empty.", "Write something first.")


def start(request: Generate | Reply, bench: Workbench) -> Iterator[Event]:
    """The answer to a prompt, or to what a conversation holds."""
    yield from reply(request, bench) if isinstance(request, Reply) else generate(request, bench)


def generate(request: Generate, bench: Workbench) -> Iterator[Event]:
    """Answer one prompt without storing it."""
    if not request.prompt.strip():
        raise UserError(*_NOTHING)
    session = yield from bench.want(request.load)
    if request.raw:
        ids = prompts.encode_text(session.tokenizer, request.prompt)
        yield ContextFitted(len(ids), session.files.context)
        yield from _stream(session, bench, Fitted(ids), request.sampling, request.options)
        return
    yield from answer(session, bench, [("user", request.prompt)], request.system, request.sampling, request.options)


def answer(
    session: ModelSession,
    bench: Workbench,
    turns: Sequence[Turn],
    system: str,
    sampling: Sampling,
    options: ChatOptions,
    summaries: Summaries | None = None,
) -> Generator[Event, None, None]:
    """Stream the answer to turns that are stored nowhere; `summaries` are those made of the same conversation."""
    fitted = yield from fitting.fit(session, turns, system, sampling, options, summaries or Summaries())
    yield from _stream(session, bench, fitted, sampling, options)


def reply(request: Reply, bench: Workbench) -> Iterator[Event]:
    """Write the text of a stored assistant message.

    Its end is in the store before ReplyFinished is said; what is done after that is for the next answer.
    """
    written, memory = _Written(request), _Memory(request)
    with Conversations(request.database) as store:
        try:
            with closing(_answer_stored(request, bench, store, memory)) as events:
                for event in events:
                    written.take(event, store)
                    yield event
        except Exception as exception:
            written.fail(exception)
            raise
        finally:
            written.end(store)
        yield from memory.keep(store)


def _answer_stored(
    request: Reply, bench: Workbench, store: Conversations, memory: _Memory
) -> Generator[Event, None, None]:
    """Stream the answer to the branch of the conversation that ends in the message to be written."""
    *before, message = store.ancestors(request.message)
    if not before or not (before[-1].text.strip() or before[-1].attachments):
        raise UserError("There is nothing to answer.", "The message is empty.", "Write something first.")
    session = yield from bench.want(request.load)
    conversation = store.get(message.conversation)
    options = request.options
    for chosen in get_args(WhenFull):
        if chosen == conversation.when_full:
            options = dataclasses.replace(options, when_full=chosen)
    turns = fitting.turns_of(before)
    summaries = Summaries(store, [turn.id for turn in before])
    fitted = yield from fitting.fit(session, turns, conversation.system_prompt, request.sampling, options, summaries)
    yield from memory.recall(session, conversation.id, [*fitted.ids, *request.prefix])
    yield from _stream(session, bench, fitted, request.sampling, options, request.prefix, memory.held)


def _stream(
    session: ModelSession,
    bench: Workbench,
    fitted: Fitted,
    sampling: Sampling,
    options: ChatOptions,
    prefix: Sequence[int] = (),
    held: Held | None = None,
) -> Generator[Event, None, None]:
    reading.bound(session, options.kv_memory)
    # The policy of a run has no time for a second model, and no weights that stay.
    draft = (yield from bench.want_draft(options.draft, session)) if options.draft and session.identity else None
    if draft is not None:
        reading.bound(draft, options.kv_memory)
    events = stream_reply(
        session,
        fitted.ids,
        sampling,
        stops=fitted.stops,
        prefix=prefix,
        kv_bits=options.kv_bits,
        draft=draft,
        held=held,
    )
    for event in events:
        if isinstance(event, ReplyFinished):
            yield dataclasses.replace(event, left_out=fitted.left_out, summarised=fitted.summarised)
        else:
            yield event


class _Memory:
    """The KV cache of the conversation that is answered, from the disk and back to it."""

    def __init__(self, request: Reply) -> None:
        self._options = request.options
        self._kept = KeptCaches(request.database.parent / "Caches", request.options.kv_disk)
        self._owner: Owner | None = None
        self.held = Held()

    def recall(self, session: ModelSession, conversation: int, ids: list[int]) -> Generator[Event, None, None]:
        """Hold what the disk has of this conversation, where that is well more than the session remembers."""
        if not (self._options.kv_disk and session.identity):
            return
        bits = yield from reading.precision(session, self._options.kv_bits)
        owner = Owner(conversation, f"{session.files.folder} {bits}", f"{session.identity} {bits}")
        useful = reading.common(self._kept.tokens(owner), ids)
        if useful >= WORTH_KEEPING + reading.known(session, bits, ids):
            steps = self._kept.fetch(owner)
            found = yield from _told(steps, lambda done, size: PromptRead(useful * done // size, len(ids), 0))
            self.held = found or self.held
        self._owner = owner

    def keep(self, store: Conversations) -> Generator[Event, None, None]:
        """Write what is held of the conversation, where that is worth it; what is kept of others goes with them."""
        if self._owner is not None:
            steps = self._kept.keep(self._owner, self.held)
            yield from _told(steps, lambda done, size: Progress("Keeping what was read", done, size, "bytes"))
            self._kept.sweep(set(store.numbers()))
        elif not self._options.kv_disk:
            self._kept.make_room()


def _told(steps: Generator[tuple[int, int], None, R], event: Callable[[int, int], Event]) -> Generator[Event, None, R]:
    """The result of steps, each of which is said as an event."""
    with closing(steps):
        while True:
            try:
                done, size = next(steps)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            yield event(done, size)


class _Written:
    """What has been written of a message, and its way into the store."""

    def __init__(self, request: Reply) -> None:
        self._message = request.message
        self._text, self._tokens = "", list[int]()
        self._saved = time.monotonic()
        self._clock = ThoughtClock()
        self._state: State = "stopped"
        self._stats: ReplyFinished | None = None
        self._error = ""
        self._ended = False

    def take(self, event: Event, store: Conversations) -> None:
        """Note an event of the answer; its text is in the store within half a second, its end at once."""
        if isinstance(event, Token):
            self._text += event.text
            self._tokens += [event.token] if event.token is not None else []
            self._clock.feed(event.text, time.monotonic())
            if time.monotonic() - self._saved >= _SAVE_SECONDS:
                store.write(self._message, self._text)
                self._saved = time.monotonic()
        elif isinstance(event, ReplyFinished):
            self._text, self._state, self._stats = event.text, "done", event
            self.end(store)

    def fail(self, exception: Exception) -> None:
        """Note why the answer ends."""
        words = explain(exception)
        self._state = "failed"
        self._error = "\n".join(part for part in (words.what, words.why, words.remedy) if part)

    def end(self, store: Conversations) -> None:
        """Have the store know the answer as it is; once."""
        if self._ended:
            return
        self._ended = True
        store.finish(
            self._message,
            self._text,
            self._state,
            stats=self._stats,
            error=self._error,
            tokens=self._tokens,
            thought=self._clock.finish(time.monotonic()),
        )
