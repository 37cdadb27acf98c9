"""Generates one answer, token by token. Knows a loaded model and token ids; nothing of conversations or windows."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from engine.chat import reading, speculation
from engine.chat.sampling import Chooser, logits_processors, new_seed
from engine.chat.speculation import Effect, Sampled
from engine.chat.stop_strings import StopStrings
from engine.config import Sampling
from engine.errors import UserError
from engine.events import Event, ReplyFinished, StopReason, Token

if TYPE_CHECKING:
    from engine.session import ModelSession


def stream_reply(
    session: ModelSession,
    prompt: Sequence[int],
    sampling: Sampling,
    *,
    stops: Sequence[str] = (),
    prefix: Sequence[int] = (),
    kv_bits: int = 0,
    draft: ModelSession | None = None,
) -> Generator[Event, None, ReplyFinished]:
    """Continue a prompt.

    The part of the prompt that an earlier call of the same session has read is taken from its cache.

    Args:
        prompt: token ids, shape (time,).
        stops: stop strings besides those of `sampling`.
        prefix: ids that the answer begins with, shape (time,); it goes on from there as if it had drawn them.
        kv_bits: 8 or 4 compress what is remembered of the prompt, 0 leaves it as the model computes.
        draft: a model of the same vocabulary that guesses ahead; the answer is the same.

    Yields:
        PromptRead while the prompt is read, a Token for each token of the answer, ReplyFinished (also returned).

    Raises:
        UserError: the prompt is empty or longer than the model's context.
    """
    import mlx.core as mx

    started = time.perf_counter()
    asked = len(prompt)
    known = [*prompt, *prefix]
    limit, limit_reason = _length_limit(session, known, sampling, len(prefix))
    seed = new_seed(sampling)
    writer = _Writer(session, StopStrings([*sampling.stop, *stops]))
    mx.reset_peak_memory()
    session.newest = None
    yield from writer.take_prefix(prefix)
    if writer.ended and prefix:
        limit = 0

    bits = yield from reading.precision(session, kv_bits)
    cache, cached = yield from reading.read(session, known, bits)
    chooser, effect, count = Chooser(sampling, seed, len(prefix)), Effect(), len(prefix)
    first = last = time.perf_counter()
    steps = _steps(session, draft, known, cache, chooser, sampling, limit, effect)
    sound = False
    try:
        for sampled in steps:
            if not isinstance(sampled, tuple):
                yield sampled
                continue
            token, logprob = sampled
            last = time.perf_counter()
            first = last if count == len(prefix) else first
            known.append(token)
            count += 1
            require_number(logprob, session)
            if (event := writer.take(token, logprob)) is None:
                break
            yield event
            if writer.ended:
                break
        sound = True
    except GeneratorExit:
        sound = True
        raise
    finally:
        steps.close()
        # After any other exception the cache may hold more than is known, and is dropped.
        if sound:
            _remember(session, bits, known, cache)
    rest = writer.finish()
    if rest is not None:
        yield rest
    finished = ReplyFinished(
        text=writer.text,
        stop_reason=writer.ended or limit_reason,
        prompt_tokens=asked,
        cached_tokens=min(cached, asked),
        completion_tokens=count,
        first_token_seconds=first - started,
        tokens_per_second=(count - len(prefix) - 1) / (last - first) if last > first else 0.0,
        peak_memory=int(mx.get_peak_memory()),
        seed=seed,
        window=session.files.context,
        drafted=effect.drafted,
        accepted=effect.accepted,
        plain_speed=1 / effect.plain_seconds if effect.plain_seconds else 0.0,
    )
    yield finished
    return finished


def _steps(
    session: ModelSession,
    draft: ModelSession | None,
    known: list[int],
    cache: list[Any],
    chooser: Chooser,
    sampling: Sampling,
    limit: int,
    effect: Effect,
) -> Generator[Event | Sampled, None, None]:
    """The next tokens and their log-probabilities, `limit` at most, with guesses where there is a model for them."""
    processors = partial(logits_processors, sampling)
    if draft is not None and speculation.fits(session, draft, cache, limit):
        yield from speculation.steps_with_guesses(session, draft, known, cache, chooser, processors, limit, effect)
    elif limit:
        yield from speculation.plain_steps(session, known[-1], cache, chooser, processors(known), limit)


class _Writer:
    """Makes text of tokens, and sees where the answer ends. `ended` says why it did, "" while it goes on."""

    def __init__(self, session: ModelSession, watch: StopStrings) -> None:
        self._detokenizer = session.tokenizer.detokenizer
        self._ends = session.tokenizer.eos_token_ids
        self._watch = watch
        self._pieces: list[str] = []
        self.ended: StopReason | Literal[""] = ""

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def take(self, token: int, logprob: float | None) -> Token | None:
        """The token as an event; None for one that ends the answer."""
        if token in self._ends:
            self.ended = "end"
            return None
        self._detokenizer.add_token(token)
        text = self._watch.feed(self._detokenizer.last_segment)
        self._pieces.append(text)
        if self._watch.found:
            self.ended = "stop string"
        return Token(text, token, logprob)

    def take_prefix(self, prefix: Sequence[int]) -> Iterator[Token]:
        """Tokens that nobody draws."""
        for token in prefix:
            event = self.take(token, None)
            if event is not None:
                yield event
            if self.ended:
                return

    def finish(self) -> Token | None:
        """What was held back until the end; None where nothing was."""
        self._detokenizer.finalize()
        rest = self._watch.feed(self._detokenizer.last_segment) + self._watch.finish()
        self.ended = "stop string" if self._watch.found else self.ended
        if not rest:
            return None
        self._pieces.append(rest)
        return Token(rest, None, None)


def _remember(session: ModelSession, bits: int, known: list[int], cache: list[Any]) -> None:
    """Keep the cache for the next turn, with the tokens that it holds."""
    held = getattr(cache[0], "offset", None) if cache else None
    length = min(held, len(known)) if isinstance(held, int) else len(known)
    session.newest = known[:length], cache
    session.prompts.insert_cache(reading.remembered(session, bits), *session.newest)


def require_number(logprob: float, session: ModelSession) -> None:
    """Refuse a log-probability that is no number, which says that the model computes none."""
    if math.isnan(logprob):
        raise UserError(
            "{name} computes no numbers.",
            "Its weights hold values that are not numbers (NaN), or grow beyond all bounds.",
            "Get the model again, or convert it once more from its source.",
            name=session.files.name,
        )


def _length_limit(session: ModelSession, ids: list[int], sampling: Sampling, written: int) -> tuple[int, StopReason]:
    """How many more tokens the answer may have, and what ends it there; `written` of its tokens are among the ids."""
    if not ids:
        raise UserError("There is nothing to answer.", "The prompt is empty.", "Write something first.")
    context = session.files.context
    if context and len(ids) >= context:
        raise UserError(
            "This conversation is longer than the model can read.",
            "It has {length:,} tokens and {name} reads at most {context:,}.",
            "Shorten it, start anew, take a model that reads more, or have the oldest turns left out when it is full.",
            length=len(ids),
            name=session.files.name,
            context=context,
        )
    wanted = max(0, sampling.max_tokens - written)
    room = context - len(ids) if context else wanted
    return (wanted, "length") if wanted <= room else (room, "context full")
