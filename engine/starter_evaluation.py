"""Measures how well a model in memory does the built-in task. Knows no files and no training.

Call `engine.backend.prepare()` before importing this module: it imports MLX.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import mlx.core as mx

from engine import arithmetic
from engine.starter_tokenizer import END, ROLES, render

LONGEST_REPLY: Final = 40
"""Tokens; a right reply has at most 26."""

Message = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Shares between 0 and 1: right answers, right ones among problems that carry or borrow, well-formed replies.

    `reply_tokens` is the mean length of a reply with its end token.
    """

    accuracy: float
    carry_accuracy: float
    well_formed: float
    reply_tokens: float


def evaluate(
    model: Any,
    tokenizer: Any,
    problems: Sequence[arithmetic.Problem],
    phrasing: str = arithmetic.CANONICAL_PHRASING,
    before: Sequence[Message] = (),
    temperature: float = 0.0,
    key: mx.array | None = None,
) -> Evaluation:
    """Ask the model every problem, after the messages `before`, and judge its replies.

    `tokenizer` is a `tokenizers.Tokenizer`. Temperature 0 is greedy; any other needs a PRNG `key`.
    """
    prompts = [render([*before, ("user", problem.question(phrasing))]) + ROLES["assistant"] for problem in problems]
    replies = generate(model, tokenizer, prompts, temperature, key)
    texts = [tokenizer.decode(reply, skip_special_tokens=True) for reply in replies]
    right = [arithmetic.is_right(problem, text) for problem, text in zip(problems, texts, strict=True)]
    carried = [correct for problem, correct in zip(problems, right, strict=True) if problem.carries]
    return Evaluation(
        accuracy=_mean(right),
        carry_accuracy=_mean(carried),
        well_formed=_mean([arithmetic.is_well_formed(text) for text in texts]),
        reply_tokens=_mean([len(reply) for reply in replies]),
    )


def generate(
    model: Any, tokenizer: Any, prompts: Sequence[str], temperature: float = 0.0, key: mx.array | None = None
) -> list[list[int]]:
    """The replies' token ids, in the order of the prompts; each ends with the end token or after `LONGEST_REPLY`.

    Prompts of equal length run as one batch. Temperature 0 is greedy; any other needs a PRNG `key`.
    """
    rows = [encoding.ids for encoding in tokenizer.encode_batch(list(prompts), add_special_tokens=False)]
    end = tokenizer.token_to_id(END)
    same_length: dict[int, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        same_length[len(row)].append(index)
    replies: list[list[int]] = [[] for _ in rows]
    for length, indices in sorted(same_length.items()):
        # A key of its own for each length, so that one batch's size changes no other's draws.
        batch_key = None if key is None else mx.random.split(key, length + 1)[length]
        batch = _generate_batch(model, mx.array([rows[index] for index in indices]), end, temperature, batch_key)
        for index, reply in zip(indices, batch, strict=True):
            replies[index] = reply[: reply.index(end) + 1] if end in reply else reply
    return replies


def _generate_batch(
    model: Any, prompts: mx.array, end: int, temperature: float, key: mx.array | None
) -> list[list[int]]:
    from mlx_lm.models.cache import make_prompt_cache

    if temperature > 0 and key is None:
        raise ValueError("sampling needs a PRNG key")
    cache = make_prompt_cache(model)
    keys = None if key is None else mx.random.split(key, LONGEST_REPLY)
    tokens, sampled = prompts, []
    ended = mx.zeros(prompts.shape[0], mx.bool_)
    for step in range(LONGEST_REPLY):
        logits = model(tokens, cache=cache)[:, -1]
        if keys is not None and temperature > 0:
            token = mx.random.categorical(logits / temperature, key=keys[step])
        else:
            token = mx.argmax(logits, axis=-1)
        sampled.append(token)
        ended = ended | (token == end)
        if mx.all(ended).item():
            break
        tokens = token[:, None]
    rows: list[list[int]] = mx.stack(sampled, axis=1).tolist()  # type: ignore[assignment]
    return rows


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
