"""Tries how a model can write answers side by side: what it computes then must be what it computes alone.

What decides is what a model computes, not what its architecture is called. Knows no prompt of a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import mlx.core as mx

from engine.batch.reading import Beginning, Reading
from engine.batch.rows import InFloat32, MergedRows, Rows, SharingRows
from engine.batch.writing import Ask, Writing
from engine.config import Sampling

if TYPE_CHECKING:
    from engine.session import ModelSession

# What may differ for log-probabilities of about one, in 32 bits and in 16.
_TOLERANCE, _ROUNDED_TOLERANCE = 1e-3, 0.1
# A sentence, not any tokens: on those it never learned a 16-bit model differs from itself by more than that.
_TEXT = "How much is 17 plus 25? The answer is a number that one can write down, and it is not a large one."
_STEPS = 3


def can_merge(session: ModelSession) -> bool:
    """Whether rows with whole caches of their own get the probabilities that each gets alone."""
    model, draw = InFloat32(session), _Given()
    return _agrees(session, model, draw, MergedRows(model, Sampling(), draw))


def can_share(session: ModelSession) -> bool:
    """Whether rows that share their prompts' keys and values do."""
    from mlx_lm.models.cache import KVCache

    model, draw = InFloat32(session), _Given()
    # Others forget what is long ago, which a short trial does not show.
    return all(type(layer) is KVCache for layer in model.fresh_cache()) and _agrees(
        session, model, draw, SharingRows(model, draw)
    )


class _Given:
    """Draws what the trial says, and keeps the probabilities that it was to be drawn from."""

    def __init__(self) -> None:
        self.rows: Sequence[Writing] = ()
        self.seen: list[mx.array] = []
        self.next: list[mx.array] = []

    def __call__(self, logprobs: mx.array) -> mx.array:
        self.seen.append(logprobs)
        return self.next[min(len(self.seen), len(self.next)) - 1]


def _agrees(session: ModelSession, model: InFloat32, draw: _Given, side: Rows) -> bool:
    ids = (session.tokenizer.encode(_TEXT, add_special_tokens=False) or [0]) * 20
    prompts = [ids[:7], ids[7:11]]
    answers = [ids[start : start + _STEPS] for start in range(11, 15)]
    asks = [[Ask(0, prompt, 0, 1, "length")] * 2 for prompt in prompts]
    draw.next = [mx.array([answer[step] for answer in answers], mx.uint32) for step in range(_STEPS)]
    try:
        reading = Reading(model, asks, Beginning(model, []), 6)
        while (caches := reading.advance()) is None:
            pass
        rows = [Writing(ask, session.tokenizer, ()) for each in asks for ask in each]
        side.join(rows, [caches[row // 2] for row in range(4)])
        while len(draw.seen) < _STEPS:
            side.step(rows)
        found = mx.stack(draw.seen[:_STEPS], axis=1)
        alone = [
            model(mx.array([prompts[row // 2] + answers[row]], mx.uint32))[:, -_STEPS - 1 : -1] for row in range(4)
        ]
        whole = mx.concatenate(alone)
        rounded = session.model(mx.array([[ids[0]]], mx.uint32)).dtype != mx.float32
        expected = whole - mx.logsumexp(whole, axis=-1, keepdims=True)
        allowed = (_ROUNDED_TOLERANCE if rounded else _TOLERANCE) * (1.0 + mx.abs(expected).max())
        return bool((mx.abs(found - expected).max() <= allowed).item())
    except Exception:  # an architecture with other caches may fail anywhere
        return False
    finally:
        mx.clear_cache()
