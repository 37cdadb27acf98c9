"""From log-probabilities to the next token, with a random key of its own. Knows no model and no text."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from engine.config import Sampling

# The window of the original project's repetition penalty, in tokens.
PENALTY_CONTEXT = 20


class Chooser:
    """Chooses one token a call and keeps its log-probability, as mlx_lm's `generate_step` wants a sampler.

    Filters come from mlx_lm (`sample_utils.py`) and act, as there, before the temperature. Randomness comes from the
    seed alone, never from MLX's global state, so that nothing else that runs changes an answer.
    """

    def __init__(self, sampling: Sampling, seed: int, limit: int) -> None:
        import mlx.core as mx

        self._temperature = sampling.temperature
        self._filters = _filters(sampling)
        self._keys = mx.random.split(mx.random.key(seed), limit + 1) if sampling.temperature else None
        self._position = 0
        self._logprobs: list[Any] = []

    def __call__(self, logprobs: Any) -> Any:
        """Token ids (batch,) from log-probabilities (batch, vocabulary)."""
        import mlx.core as mx

        if self._keys is None:
            token = mx.argmax(logprobs, axis=-1)
        else:
            kept = logprobs
            for keep in self._filters:
                kept = keep(kept)
            key = self._keys[self._position]
            token = mx.random.categorical(kept * (1.0 / self._temperature), key=key)
        self._position += 1
        chosen = mx.take_along_axis(logprobs, token[:, None], axis=-1)
        mx.async_eval(token, chosen)  # type: ignore[no-untyped-call]
        self._logprobs.append(chosen)
        return token

    def logprob(self) -> float:
        """The natural-log probability of the oldest token whose probability was not asked for yet."""
        return float(self._logprobs.pop(0).item())


def new_seed(sampling: Sampling) -> int:
    """The seed asked for, or a fresh one."""
    return random.SystemRandom().randrange(2**31) if sampling.seed is None else sampling.seed


def logits_processors(sampling: Sampling, prompt: list[int]) -> list[Callable[[Any, Any], Any]]:
    """What changes logits before sampling; the penalty sees the end of the prompt as well as the answer."""
    if sampling.repetition_penalty == 1.0:
        return []
    import mlx.core as mx
    from mlx_lm.sample_utils import make_repetition_penalty

    penalise = make_repetition_penalty(sampling.repetition_penalty, PENALTY_CONTEXT)
    # generate_step knows the tokens from the prompt's last one on.
    before = mx.array(prompt[:-1][-PENALTY_CONTEXT:], dtype=mx.uint32)
    return [lambda tokens, logits: penalise(mx.concatenate([before, tokens.astype(mx.uint32)]), logits)]


def _filters(sampling: Sampling) -> list[Callable[[Any], Any]]:
    from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p

    filters: list[Callable[[Any], Any]] = []
    if sampling.top_p < 1.0:
        filters.append(lambda logprobs: apply_top_p(logprobs, sampling.top_p))
    if sampling.min_p > 0.0:
        filters.append(lambda logprobs: apply_min_p(logprobs, sampling.min_p))
    if sampling.top_k > 0:
        filters.append(
            lambda logprobs: apply_top_k(logprobs, sampling.top_k) if sampling.top_k < logprobs.shape[-1] else logprobs
        )
    return filters
