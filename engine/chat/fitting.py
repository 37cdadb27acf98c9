"""Says what a model reads of a conversation: all of it, or what fits, with a summary of the rest. Stores no answer."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from engine.chat import context, prompts
from engine.chat.context import Room, Turn
from engine.chat.conversations import Conversations, Message
from engine.chat.requests import ChatOptions
from engine.chat.streaming import stream_reply
from engine.chat_events import ContextFitted
from engine.config import Sampling
from engine.errors import UserError
from engine.events import Event, Progress, ReplyFinished, Token

if TYPE_CHECKING:
    from engine.session import ModelSession

_SUMMARISING = "Summarising the conversation"
# Words that are not cut any shorter.
_SHORTEST = 64
# What a model thinks before it sums up is no part of the summary.
_THOUGHT = re.compile(
    r"<(think|thinking|reasoning)>.*?(</\1>|\Z)|\A((?!<(think|thinking|reasoning)>).)*?</(think|thinking|reasoning)>",
    re.DOTALL,
)


def turns_of(messages: Sequence[Message]) -> list[Turn]:
    """What messages say to the model, with what is attached to them."""
    return [(each.role, prompts.with_attachments(each.text, each.attachments)) for each in messages]


@dataclasses.dataclass(frozen=True, slots=True)
class Read:
    """What a model read before it gave an answer."""

    turns: list[Turn]
    system: str


def read_for(store: Conversations, before: Sequence[Message], answer: Message) -> Read:
    """What was read for a stored answer, of the messages before it."""
    system = store.get(answer.conversation).system_prompt
    left_out = answer.stats.left_out if answer.stats else 0
    if answer.stats and answer.stats.summarised:
        summary = store.summary(before[left_out - 1].id)
        system = context.with_summary(system, summary) if summary else system
    return Read(turns_of(before[left_out:]), system)


@dataclasses.dataclass(frozen=True, slots=True)
class Fitted:
    """What the model reads: ids, how many of the oldest messages are not among them, and if these are summed up.

    `stops` are strings that end the answer besides those of the person.
    """

    ids: list[int]
    left_out: int = 0
    summarised: bool = False
    stops: tuple[str, ...] = ()


class Summaries:
    """The summaries of a conversation's beginnings: those in the store, or those made in this process."""

    def __init__(self, store: Conversations | None = None, messages: Sequence[int] = ()) -> None:
        """`messages` are the ids of the turns that are in the store."""
        self._store, self._messages = store, messages
        self._made: dict[tuple[Turn, ...], str] = {}

    def get(self, turns: Sequence[Turn]) -> str | None:
        """What stands for these first turns, None where nothing does yet."""
        if self._store is not None:
            return self._store.summary(self._messages[len(turns) - 1])
        return self._made.get(tuple(turns))

    def keep(self, turns: Sequence[Turn], model: str, text: str) -> None:
        """Have a text that this model wrote stand for these first turns."""
        if self._store is not None:
            self._store.keep_summary(self._messages[len(turns) - 1], model, text)
        self._made[tuple(turns)] = text


def fit(
    session: ModelSession,
    turns: Sequence[Turn],
    system: str,
    sampling: Sampling,
    options: ChatOptions,
    summaries: Summaries,
) -> Generator[Event, None, Fitted]:
    """What the model reads of a conversation; ContextFitted says so.

    Raises:
        UserError: the last question alone is longer than the model can read.
    """
    window = session.files.context
    stops = () if session.tokenizer.has_chat_template else prompts.PLAIN_STOPS
    fitted = Fitted(prompts.encode_chat(session.tokenizer, turns, system), stops=stops)
    room = Room.of(window, sampling.max_tokens)
    if window and len(fitted.ids) >= window:
        _require_short(prompts.encode_chat(session.tokenizer, turns[-1:], system), session)
    if window and options.when_full != "stop" and len(fitted.ids) > room.prompt:
        shorter = yield from _shorten(session, turns, system, options, room, summaries)
        fitted = dataclasses.replace(shorter, stops=stops)
    yield ContextFitted(len(fitted.ids), window, fitted.left_out, fitted.summarised)
    return fitted


def _require_short(question: list[int], session: ModelSession) -> None:
    """Refuse a question that does not fit alone, before anything is done to make room for it."""
    if len(question) >= session.files.context:
        raise UserError(
            "This message is longer than the model can read.",
            "It has {length:,} tokens and {name} reads at most {context:,}.",
            "Shorten it, or choose a model with a longer context.",
            length=len(question),
            name=session.files.name,
            context=session.files.context,
        )


def _shorten(
    session: ModelSession,
    turns: Sequence[Turn],
    system: str,
    options: ChatOptions,
    room: Room,
    summaries: Summaries,
) -> Generator[Event, None, Fitted]:
    tokenizer = session.tokenizer
    lengths = [len(prompts.encode_text(tokenizer, text)) for _, text in turns]
    asked = [role == "user" for role, _ in turns]
    summarise = options.when_full == "summarise"
    fixed = len(prompts.encode_text(tokenizer, system)) + (room.summary if summarise else 0)
    made = context.cuts(lengths, asked, fixed, room, _around(session))
    while True:
        first = made[-1] if made else 0
        summary = (yield from _summary(session, turns, made, room, summaries)) if summarise else ""
        told = context.with_summary(system, summary) if summary else system
        ids = prompts.encode_chat(tokenizer, turns[first:], told)
        further = context.further(asked, first)
        if len(ids) <= room.prompt or further is None:
            return Fitted(ids, first, bool(summary))
        # The lengths of turns alone are not always those in a template.
        made.append(further)


def _around(session: ModelSession) -> int:
    """What the model's template puts around a turn, in tokens."""
    pair: list[Turn] = [("user", "a"), ("assistant", "a")]
    one, three = (len(prompts.encode_chat(session.tokenizer, turns)) for turns in (pair[:1], [*pair, pair[0]]))
    return max(0, (three - one) // 2 - len(prompts.encode_text(session.tokenizer, "a")) + 1)


def _summary(
    session: ModelSession, turns: Sequence[Turn], made: Sequence[int], room: Room, summaries: Summaries
) -> Generator[Event, None, str]:
    """The text that stands for the turns before the last cut, each cut's made from the one before it."""
    text, done = "", 0
    for cut in made:
        known = summaries.get(turns[:cut])
        if known is None:
            # A token is at least a character; what is longer than the window is not read whole.
            longest = 2 * (room.window - 2 * room.summary)
            words = context.to_summarise(turns[done:cut], text, longest)
            known = yield from _summed_up(session, words, room)
            summaries.keep(turns[:cut], session.files.name, known)
        text, done = known, cut
    return text


def _summed_up(session: ModelSession, words: str, room: Room) -> Generator[Event, None, str]:
    while True:
        ids = prompts.encode_chat(session.tokenizer, [("user", words)])
        if len(ids) <= room.window - room.summary or len(words) < _SHORTEST:
            break
        words = f"{words[: len(words) // 3]}\n…\n{words[-(len(words) // 3) :]}"
    sampling = Sampling(temperature=0.0, max_tokens=room.summary)
    stops = () if session.tokenizer.has_chat_template else prompts.PLAIN_STOPS
    yield Progress(_SUMMARISING, 0, room.summary, "tokens")
    written, text = 0, ""
    for event in stream_reply(session, ids, sampling, stops=stops):
        if isinstance(event, Token) and event.token is not None:
            written += 1
            yield Progress(_SUMMARISING, written, room.summary, "tokens")
        elif isinstance(event, ReplyFinished):
            text = event.text
    return without_thoughts(text)


def without_thoughts(text: str) -> str:
    """What a model says, without what it thinks between tags; all before a closing tag alone is thinking."""
    return _THOUGHT.sub("", text).strip()
