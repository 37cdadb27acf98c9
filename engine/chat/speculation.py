"""Speculative decoding: a small model guesses ahead, the model checks. Knows loaded models, no conversation.

The model draws each token by the seed and the position, as without guesses: the answer is the same, only its time is
another (Leviathan et al. 2023, arXiv:2211.17192, with the draws of both models coupled by the same random numbers).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.chat import reading
from engine.events import Event

if TYPE_CHECKING:
    from engine.chat.sampling import Chooser
    from engine.session import ModelSession

Processors = list[Callable[[Any, Any], Any]]

# Guesses a round; tokens that are written without, to know what that takes; tokens between two comparisons.
_GUESSES, _PLAIN, _TRIAL = 3, 12, 32
# Reading the prompt with the draft is not worth it for a short answer.
_SHORTEST = 64


@dataclass(slots=True)
class Effect:
    """What came of the guesses: how many were made and accepted, and the seconds a token took without them."""

    drafted: int = 0
    accepted: int = 0
    plain_seconds: float = 0.0


Sampled = tuple[int, float]


def fits(session: ModelSession, draft: ModelSession | None, cache: list[Any], limit: int) -> bool:
    """Whether guesses can be checked here: by caches that can be cut back, in an answer that may get long enough."""
    from mlx_lm.models.cache import can_trim_prompt_cache

    if draft is None or limit < _SHORTEST or not can_trim_prompt_cache(cache):
        return False
    layers = getattr(session.model, "layers", None)
    return layers is not None and len(layers) == len(cache)


def same_vocabulary(session: ModelSession, draft: ModelSession) -> bool:
    """Whether two models mean the same by every token."""
    return bool(session.tokenizer.get_vocab() == draft.tokenizer.get_vocab())


def plain_steps(
    session: ModelSession, last: int, cache: list[Any], chooser: Chooser, processors: Processors, limit: int
) -> Iterator[Sampled]:
    """Tokens and their log-probabilities, one by one; `last` is the one that the cache does not hold yet."""
    import mlx.core as mx
    from mlx_lm.generate import generate_step

    steps = generate_step(
        mx.array([last], dtype=mx.uint32),
        session.model,
        mx.default_stream(mx.default_device()),
        max_tokens=limit,
        sampler=chooser,
        logits_processors=processors,
        prompt_cache=cache,
    )
    try:
        for token, _ in steps:
            yield token, chooser.logprob()
    finally:
        steps.close()


def steps_with_guesses(
    session: ModelSession,
    draft: ModelSession,
    known: Sequence[int],
    cache: list[Any],
    chooser: Chooser,
    processors: Callable[[list[int]], Processors],
    limit: int,
    effect: Effect,
) -> Generator[Event | Sampled, None, None]:
    """Tokens and log-probabilities as `plain_steps` gives them, with guesses for as long as these save time.

    Args:
        known: all ids so far, the last of which the cache does not hold yet; grows with each token that is given.
        processors: makes what changes logits from the ids so far.
    """
    began, count, start = 0.0, 0, chooser.position
    steps = plain_steps(session, known[-1], cache, chooser, processors(list(known)), min(_PLAIN, limit))
    try:
        for sampled in steps:
            count += 1
            # The first token waits for the pipeline to fill.
            began = time.perf_counter() if count == 1 else began
            yield sampled
    finally:
        steps.close()  # type: ignore[attr-defined]
    if count < min(_PLAIN, limit) or count == limit:
        return
    effect.plain_seconds = (time.perf_counter() - began) / (count - 1)
    # What was computed ahead is the token to come, which the rounds compute again.
    _cut(cache, len(known) - 1)
    chooser.rewind(start + count)
    guesses = yield from reading.read(draft, known)
    rounds = _Rounds(session, draft, known, cache, guesses[0], chooser, processors(list(known)), limit - count, effect)
    yield from rounds.run()
    if rounds.paid or rounds.count == limit - count:
        return
    _cut(cache, len(known) - 1)
    chooser.rewind(start + count + rounds.count)
    rest = limit - count - rounds.count
    yield from plain_steps(session, known[-1], cache, chooser, processors(list(known)), rest)


class _Rounds:
    """The rounds of guessing and checking, until they end or do not pay."""

    def __init__(
        self,
        session: ModelSession,
        draft: ModelSession,
        known: Sequence[int],
        cache: list[Any],
        guesses: list[Any],
        chooser: Chooser,
        processors: Processors,
        limit: int,
        effect: Effect,
    ) -> None:
        self._session, self._draft, self._known = session, draft, known
        self._cache, self._guesses = cache, guesses
        self._chooser, self._processors, self._limit, self._effect = chooser, processors, limit, effect
        self._start = chooser.position
        self._call = 0
        self.count = 0
        self.paid = True

    def run(self) -> Iterator[Sampled]:
        """Yields token and log-probability; `paid` is False where they were given up."""
        import mlx.core as mx
        from mlx_lm.generate import speculative_generate_step

        steps: Any = speculative_generate_step(
            mx.array([self._known[-1]], dtype=mx.uint32),
            self._session.model,
            self._draft.model,
            mx.default_stream(mx.default_device()),
            num_draft_tokens=_GUESSES,
            max_tokens=self._limit,
            sampler=self._sample,
            logits_processors=self._processors or None,
            prompt_cache=self._cache + self._guesses,
        )
        began, counted = time.perf_counter(), 0
        try:
            for token, logprobs, guessed in steps:
                self.count += 1
                self._effect.accepted += guessed
                yield token, float(logprobs[token].item())
                if guessed or self.count - counted < _TRIAL:
                    continue
                # Only here, where the caches hold all but the last token, can the rest be written without guesses.
                now = time.perf_counter()
                if (now - began) / (self.count - counted) > self._effect.plain_seconds:
                    self.paid = False
                    return
                began, counted = now, self.count
        finally:
            steps.close()
            self._keep()

    def _sample(self, logprobs: Any) -> Any:
        """The guesses of a round one by one, then what the model says at each of their places and behind them."""
        guesses = min(self._limit - self.count, _GUESSES)
        guessing = self._call < guesses
        place = self._call if guessing else self._call - guesses
        rows = logprobs.shape[0]
        self._call += rows
        if self._call > 2 * guesses:
            self._call = 0
            self._effect.drafted += guesses
        return self._chooser.choose(logprobs, self._start + self.count + place)

    def _keep(self) -> None:
        """Remember what the draft has read."""
        held = min(len(self._known), self._guesses[0].offset)
        place = reading.remembered(self._draft, 0)
        self._draft.prompts.insert_cache(place, list(self._known[:held]), self._guesses)


def _cut(cache: list[Any], length: int) -> None:
    """Cut the caches back to this many tokens."""
    for layer in cache:
        layer.trim(layer.offset - length)
