"""Answers prompts and stored conversations: what the model reads, what it remembers, what is kept of the answer.

Knows the store, the bench and the settings of a chat; no view.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, get_args

from engine.chat import context, prompts, reading
from engine.chat.context import Room, Turn
from engine.chat.conversations import Conversations, Message, State
from engine.chat.kept_caches import KeptCaches
from engine.chat.requests import ChatOptions
from engine.chat.streaming import stream_reply
from engine.chat.thought import ThoughtClock
from engine.chat_events import ContextFitted
from engine.config import Sampling, WhenFull
from engine.errors import UserError, explain
from engine.events import Event, Progress, ReplyFinished, Token
from engine.requests import Generate, Reply

if TYPE_CHECKING:
    from engine.jobs import Workbench
    from engine.session import ModelSession

# A token that was shown is on disk within a second.
_SAVE_SECONDS = 0.5
_SUMMARISING = "Summarising the conversation"
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
        yield from _stream(session, bench, ids, request.sampling, request.options, ())
        return
    yield from answer(session, bench, [("user", request.prompt)], request.system, request.sampling, request.options)


def answer(
    session: ModelSession,
    bench: Workbench,
    turns: Sequence[Turn],
    system: str,
    sampling: Sampling,
    options: ChatOptions,
) -> Generator[Event, None, None]:
    """Stream the answer to turns that are stored nowhere; a summary of them is made anew each time."""
    fitted = yield from _fit(session, turns, system, sampling, options, _Summaries())
    yield from _stream(session, bench, fitted.ids, sampling, options, (), fitted)


def reply(request: Reply, bench: Workbench) -> Iterator[Event]:
    """Write the text of a stored assistant message.

    Its end is in the store before ReplyFinished is said; what is done after that is for the next answer.
    """
    written = _Written(request)
    with Conversations(request.database) as store:
        try:
            with closing(_answer_stored(request, bench, store)) as events:
                for event in events:
                    written.take(event, store)
                    yield event
        except Exception as exception:
            written.fail(exception)
            raise
        finally:
            written.end(store)
        _keep_cache(request, bench, store)


def _answer_stored(request: Reply, bench: Workbench, store: Conversations) -> Generator[Event, None, None]:
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
    turns = turns_of(before)
    summaries = _Summaries(store, [turn.id for turn in before])
    fitted = yield from _fit(session, turns, conversation.system_prompt, request.sampling, options, summaries)
    bits = yield from reading.precision(session, options.kv_bits)
    _fetch_cache(request, session, conversation.id, fitted.ids, bits)
    yield from _stream(session, bench, fitted.ids, request.sampling, options, request.prefix, fitted)


def turns_of(messages: Sequence[Message]) -> list[Turn]:
    """What messages say to the model, with what is attached to them."""
    return [(each.role, prompts.with_attachments(each.text, each.attachments)) for each in messages]


@dataclasses.dataclass(frozen=True, slots=True)
class _Fitted:
    """What the model reads: ids, how many of the oldest messages are not among them, and if these are summed up."""

    ids: list[int]
    left_out: int = 0
    summarised: bool = False


class _Summaries:
    """The summaries of a conversation's beginnings, by how many of its messages they stand for."""

    def __init__(self, store: Conversations | None = None, messages: Sequence[int] = ()) -> None:
        self._store, self._messages = store, messages

    def get(self, count: int) -> str | None:
        return self._store.summary(self._messages[count - 1]) if self._store else None

    def keep(self, count: int, model: str, text: str) -> None:
        if self._store:
            self._store.keep_summary(self._messages[count - 1], model, text)


def _fit(
    session: ModelSession,
    turns: Sequence[Turn],
    system: str,
    sampling: Sampling,
    options: ChatOptions,
    summaries: _Summaries,
) -> Generator[Event, None, _Fitted]:
    """What the model reads of a conversation; ContextFitted says so."""
    window = session.files.context
    ids = prompts.encode_chat(session.tokenizer, turns, system)
    fitted = _Fitted(ids)
    room = Room.of(window, sampling.max_tokens)
    if window and options.when_full != "stop" and len(ids) > room.prompt:
        fitted = yield from _shorten(session, turns, system, options, room, summaries)
    yield ContextFitted(len(fitted.ids), window, fitted.left_out, fitted.summarised)
    return fitted


def _shorten(
    session: ModelSession,
    turns: Sequence[Turn],
    system: str,
    options: ChatOptions,
    room: Room,
    summaries: _Summaries,
) -> Generator[Event, None, _Fitted]:
    tokenizer = session.tokenizer
    lengths = [len(prompts.encode_text(tokenizer, text)) for _, text in turns]
    asked = [role == "user" for role, _ in turns]
    summarise = options.when_full == "summarise"
    fixed = len(prompts.encode_text(tokenizer, system)) + (room.summary if summarise else 0)
    made = context.cuts(lengths, asked, fixed, room)
    told = system
    if summarise and made:
        summary = yield from _summary(session, turns, made, room, summaries)
        told = context.with_summary(system, summary)
    first: int | None = made[-1] if made else 0
    while first is not None:
        ids = prompts.encode_chat(tokenizer, turns[first:], told)
        if len(ids) <= room.prompt or context.further(asked, first) is None:
            return _Fitted(ids, first, bool(summarise and made))
        # The lengths of turns alone are not exactly those in a template.
        first = context.further(asked, first)
    raise AssertionError("the last question is never left out")


def _summary(
    session: ModelSession, turns: Sequence[Turn], made: Sequence[int], room: Room, summaries: _Summaries
) -> Generator[Event, None, str]:
    """The text that stands for the turns before the last cut, each cut's made from the one before it."""
    text, done = "", 0
    for cut in made:
        known = summaries.get(cut)
        if known is None:
            # A token is at least a character; what is longer than the window is not read whole.
            longest = 2 * (room.window - 2 * room.summary)
            words = context.to_summarise(turns[done:cut], text, longest)
            known = yield from _summed_up(session, words, room)
            summaries.keep(cut, session.files.name, known)
        text, done = known, cut
    return text


def _summed_up(session: ModelSession, words: str, room: Room) -> Generator[Event, None, str]:
    while True:
        ids = prompts.encode_chat(session.tokenizer, [("user", words)])
        if len(ids) <= room.window - room.summary:
            break
        words = f"{words[: len(words) // 3]}\n…\n{words[-len(words) // 3 :]}"
    sampling = Sampling(temperature=0.0, max_tokens=room.summary)
    yield Progress(_SUMMARISING, 0, room.summary, "tokens")
    written = 0
    text = ""
    for event in stream_reply(session, ids, sampling):
        if isinstance(event, Token) and event.token is not None:
            written += 1
            yield Progress(_SUMMARISING, written, room.summary, "tokens")
        elif isinstance(event, ReplyFinished):
            text = event.text.strip()
    return text


def _stream(
    session: ModelSession,
    bench: Workbench,
    ids: list[int],
    sampling: Sampling,
    options: ChatOptions,
    prefix: Sequence[int],
    fitted: _Fitted | None = None,
) -> Generator[Event, None, None]:
    reading.bound(session, options.kv_memory)
    # The policy of a run has no time for a second model, and no weights that stay.
    draft = (yield from bench.want_draft(options.draft, session)) if options.draft and session.identity else None
    stops = () if session.tokenizer.has_chat_template else prompts.PLAIN_STOPS
    events = stream_reply(session, ids, sampling, stops=stops, prefix=prefix, kv_bits=options.kv_bits, draft=draft)
    for event in events:
        if isinstance(event, ReplyFinished) and fitted is not None:
            yield dataclasses.replace(event, left_out=fitted.left_out, summarised=fitted.summarised)
        else:
            yield event


def _fetch_cache(request: Reply, session: ModelSession, conversation: int, ids: list[int], bits: int) -> None:
    """Have the session remember what the disk has of this conversation, where that is more than it remembers."""
    if not (request.options.kv_disk and session.identity):
        return
    kept = KeptCaches(request.database.parent / "Caches", request.options.kv_disk)
    identity = f"{session.identity} {bits}"
    tokens = kept.tokens(conversation, identity)
    place = reading.remembered(session, bits)
    if len(tokens) > 1 and reading.known(session, bits, ids) < reading.common(tokens, ids):
        found = kept.fetch(conversation, identity)
        if found is not None:
            session.prompts.insert_cache(place, found[0], found[1])


def _keep_cache(request: Reply, bench: Workbench, store: Conversations) -> None:
    """Write what the session remembers of the conversation, where that is worth it."""
    session = bench.session
    if not request.options.kv_disk or session is None or not session.identity:
        return
    conversation = store.ancestors(request.message)[-1].conversation
    bits = request.options.kv_bits if session.quantises else 0
    if session.newest is not None:
        kept = KeptCaches(request.database.parent / "Caches", request.options.kv_disk)
        kept.keep(conversation, f"{session.identity} {bits}", *session.newest)
        session.newest = None


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
            thought=self._clock.seconds(time.monotonic()),
        )
