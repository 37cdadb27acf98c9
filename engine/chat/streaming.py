"""Generates one answer, token by token. Knows a loaded model and token ids; nothing of conversations or windows."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from engine.chat.sampling import Chooser, logits_processors, new_seed
from engine.chat.stop_strings import StopStrings
from engine.config import Sampling
from engine.errors import UserError
from engine.events import Event, PromptRead, ReplyFinished, StopReason, Token

if TYPE_CHECKING:
    from engine.session import ModelSession

# The prompt is read in steps that grow while they stay this short, so that a job can yield and be stopped.
_FIRST_STEP, _LAST_STEP, _STEP_SECONDS = 256, 2048, 0.25


def stream_reply(
    session: ModelSession, prompt: Sequence[int], sampling: Sampling, *, stops: Sequence[str] = ()
) -> Generator[Event, None, ReplyFinished]:
    """Continue a prompt.

    The part of the prompt that an earlier call of the same session has read is taken from its cache.

    Args:
        prompt: token ids, shape (time,).
        stops: stop strings besides those of `sampling`.

    Yields:
        PromptRead while the prompt is read, a Token for each sampled token, at last ReplyFinished (also returned).

    Raises:
        UserError: the prompt is empty or longer than the model's context.
    """
    import mlx.core as mx
    from mlx_lm.generate import generate_step

    started = time.perf_counter()
    ids = list(prompt)
    limit, limit_reason = _length_limit(session, ids, sampling)
    seed = new_seed(sampling)
    chooser = Chooser(sampling, seed)
    detokenizer = session.tokenizer.detokenizer
    watch = StopStrings([*sampling.stop, *stops])
    ends = session.tokenizer.eos_token_ids
    mx.reset_peak_memory()

    cache, cached = yield from _read_prompt(session, ids)
    known, pieces, count = list(ids), [], 0
    first = last = time.perf_counter()
    reason: StopReason = limit_reason
    steps = generate_step(
        mx.array(ids[-1:], dtype=mx.uint32),
        session.model,
        mx.default_stream(mx.default_device()),
        max_tokens=limit,
        sampler=chooser,
        logits_processors=logits_processors(sampling, ids),
        prompt_cache=cache,
    )
    try:
        for token, _ in steps:
            last = time.perf_counter()
            first = last if count == 0 else first
            known.append(token)
            count += 1
            logprob = chooser.logprob()
            if math.isnan(logprob):
                raise UserError(
                    "{name} computes no numbers.",
                    "Its weights hold values that are not numbers (NaN), or grow beyond all bounds.",
                    "Get the model again, or convert it once more from its source.",
                    name=session.files.name,
                )
            if token in ends:
                reason = "end"
                break
            detokenizer.add_token(token)
            text = watch.feed(detokenizer.last_segment)
            pieces.append(text)
            yield Token(text, token, logprob)
            if watch.found:
                reason = "stop string"
                break
    except GeneratorExit:
        session.prompts.insert_cache(session.files.folder, known, cache)
        raise
    finally:
        steps.close()
    # After any other exception the cache may hold more than `known` says, and is dropped.
    session.prompts.insert_cache(session.files.folder, known, cache)
    detokenizer.finalize()
    rest = watch.feed(detokenizer.last_segment) + watch.finish()
    reason = "stop string" if watch.found else reason
    if rest:
        pieces.append(rest)
        yield Token(rest, None, None)
    finished = ReplyFinished(
        text="".join(pieces),
        stop_reason=reason,
        prompt_tokens=len(ids),
        cached_tokens=cached,
        completion_tokens=count,
        first_token_seconds=first - started,
        tokens_per_second=(count - 1) / (last - first) if last > first else 0.0,
        peak_memory=int(mx.get_peak_memory()),
        seed=seed,
    )
    yield finished
    return finished


def _length_limit(session: ModelSession, ids: list[int], sampling: Sampling) -> tuple[int, StopReason]:
    """How many tokens the answer may have, and what ends it there."""
    if not ids:
        raise UserError("There is nothing to answer.", "The prompt is empty.", "Write something first.")
    context = session.files.context
    if context and len(ids) >= context:
        raise UserError(
            "This conversation is longer than the model can read.",
            "It has {length:,} tokens and {name} reads at most {context:,}.",
            "Shorten the message, start a new conversation, or choose a model with a longer context.",
            length=len(ids),
            name=session.files.name,
            context=context,
        )
    room = context - len(ids) if context else sampling.max_tokens
    return (sampling.max_tokens, "length") if sampling.max_tokens <= room else (room, "context full")


def _read_prompt(session: ModelSession, ids: list[int]) -> Generator[Event, None, tuple[list[Any], int]]:
    """Fill a cache with all but the last token; the cache, and how many tokens were known already."""
    import mlx.core as mx
    from mlx_lm.models.cache import can_trim_prompt_cache, make_prompt_cache

    place = session.files.folder
    cache, rest = session.prompts.fetch_nearest_cache(place, ids[:-1])
    cache = cache if cache is not None else make_prompt_cache(session.model)
    cached = done = len(ids) - 1 - len(rest)
    yield PromptRead(cached, len(ids), cached)
    step = _FIRST_STEP
    try:
        while done < len(ids) - 1:
            began = time.perf_counter()
            piece = ids[done : min(done + step, len(ids) - 1)]
            session.model(mx.array([piece], dtype=mx.uint32), cache=cache)
            mx.eval([layer.state for layer in cache])
            done += len(piece)
            mx.clear_cache()
            if time.perf_counter() - began < _STEP_SECONDS / 2:
                step = min(step * 2, _LAST_STEP)
            yield PromptRead(done, len(ids), cached)
    except GeneratorExit:
        session.prompts.insert_cache(place, ids[:done], cache, cache_type="user")
        raise
    if done > cached and not can_trim_prompt_cache(cache):
        # A cache that cannot be cut back serves the next turn only from here, where the answer has not begun.
        session.prompts.insert_cache(place, ids[:done], copy.deepcopy(cache), cache_type="user")
    return cache, cached
