"""Says how likely each token of an answer was, and what else could have stood there. Knows no window.

The answer is read once, as it stands, behind the prompt that it answers (teacher forcing).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from engine.chat.conversations import Conversations, Message
from engine.chat.requests import InspectAnswer
from engine.chat_events import TokenScored
from engine.errors import UserError
from engine.events import Event, Progress

if TYPE_CHECKING:
    from engine.jobs import Workbench
    from engine.session import ModelSession

# Tokens whose logits are there at once: 40 MB for a vocabulary of 150,000, and less than a second of a large model.
_PIECE = 64


def inspect(request: InspectAnswer, bench: Workbench) -> Iterator[Event]:
    """Read a stored answer and say what the model held of each of its tokens.

    Yields:
        what loading and reading say, then a TokenScored for each token of the answer.

    Raises:
        UserError: there is no such answer, it is empty or still being written, or the model cannot read it.
    """
    with Conversations(request.database) as store:
        *before, message = store.ancestors(request.message)
        _require_answer(message)
        system = store.get(message.conversation).system_prompt
        sampled = store.tokens(message.id)
    session = yield from bench.want(request.load)
    prompt = _prompt(session, before, system)
    yield from score_tokens(session, prompt, _answer(session, message.text, sampled), request.top)


def score_tokens(session: ModelSession, prompt: Sequence[int], answer: Sequence[int], top: int) -> Iterator[Event]:
    """Say how likely each token of an answer is behind a prompt.

    Probabilities are those of the softmax of the logits in float32, before temperature, penalty and filters.

    Args:
        prompt: token ids, shape (time,), at least one.
        answer: token ids, shape (time,).
        top: how many of the likeliest tokens to name at each place.

    Yields:
        PromptRead while the prompt is read, a TokenScored for each token of the answer.
    """
    import mlx.core as mx

    from engine.chat import reading
    from engine.chat.streaming import require_number
    from engine.chat.token_texts import TokenTexts

    texts = TokenTexts(session.tokenizer)
    cache, _ = yield from reading.read(session, prompt)
    ids = [*prompt, *answer]
    for start in range(0, len(answer), _PIECE):
        yield Progress("Reading the answer", start, len(answer), "tokens")
        first = len(prompt) - 1 + start
        read = ids[first : min(first + _PIECE, len(ids) - 1)]
        logits = session.model(mx.array([read], dtype=mx.uint32), cache=cache)[0].astype(mx.float32)
        found = _judged(logits, ids[first + 1 : first + 1 + len(read)], top)
        mx.clear_cache()
        for place, (token, logprob, rank, others) in enumerate(found):
            require_number(logprob, session)
            alternatives = tuple((other, texts.would_add(other), value) for other, value in others)
            yield TokenScored(start + place, token, texts.take(token), logprob, rank, alternatives)
    session.prompts.insert_cache(reading.remembered(session, 0), ids[:-1], cache)


def _judged(logits: Any, tokens: list[int], top: int) -> Iterator[tuple[int, float, int, list[tuple[int, float]]]]:
    """For each token its id, log-probability and rank, and the likeliest (id, log-probability) in its place.

    Args:
        logits: float32, shape (tokens, vocabulary).
    """
    import mlx.core as mx

    logprobs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    own = mx.take_along_axis(logprobs, mx.array(tokens)[:, None], axis=-1)
    ranks = mx.sum(logprobs > own, axis=-1)
    count = min(top, logprobs.shape[-1])
    best = mx.argpartition(-logprobs, kth=count - 1, axis=-1)[:, :count]
    values = mx.take_along_axis(logprobs, best, axis=-1)
    order = mx.argsort(-values, axis=-1)
    best, values = mx.take_along_axis(best, order, axis=-1), mx.take_along_axis(values, order, axis=-1)
    mx.eval(own, ranks, best, values)
    rows: Any = (own[:, 0].tolist(), ranks.tolist(), best.tolist(), values.tolist())
    for token, logprob, rank, others, theirs in zip(tokens, *rows, strict=True):
        yield token, logprob, rank, list(zip(others, theirs, strict=True))


def _require_answer(message: Message) -> None:
    if message.role != "assistant" or not message.text:
        raise UserError(
            "There is nothing to look into.",
            "The message holds no text of a model.",
            "Choose an answer that has some.",
        )
    if message.state == "writing":
        raise UserError(
            "This answer is still being written.",
            "Its tokens can be looked into once it has ended.",
            "Wait for its end, or stop it.",
        )


def _prompt(session: ModelSession, before: Sequence[Message], system: str) -> list[int]:
    """The ids of what the answer answers."""
    from engine.chat import prompts

    return prompts.encode_chat(session.tokenizer, [(turn.role, turn.text) for turn in before], system)


def _answer(session: ModelSession, text: str, sampled: Sequence[int]) -> list[int]:
    """The ids of an answer: as they were sampled where they spell its text, as with this model, else of the text."""
    from engine.chat.token_texts import TokenTexts

    size = len(session.tokenizer)
    if sampled and all(0 <= token < size for token in sampled):
        texts = TokenTexts(session.tokenizer)
        # A stop string is in the tokens and not in the text.
        if "".join(map(texts.take, sampled)).startswith(text):
            return list(sampled)
    return list(session.tokenizer.encode(text, add_special_tokens=False))
