"""From log-probabilities to the next token, with a random key of its own. Knows no model and no text."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from engine.config import Sampling
from engine.drawing import Filters, Uniforms, at, invert

# The window of the original project's repetition penalty, in tokens.
PENALTY_CONTEXT = 20


class Chooser:
    """Chooses one token a call and keeps its log-probability, as mlx_lm's `generate_step` wants a sampler.

    The filters act, as in mlx_lm, before the temperature. Randomness comes from the seed and the position alone, never
    from MLX's global state, so that nothing else that runs changes an answer.
    """

    def __init__(self, sampling: Sampling, seed: int, position: int = 0) -> None:
        """`position` is how many tokens of the answer are there already."""
        self._draw = Draw(sampling)
        self._uniforms = Uniforms(seed)
        self.position = position
        self._logprobs: list[Any] = []

    def __call__(self, logprobs: Any) -> Any:
        """The next token, (1,), from log-probabilities (1, vocabulary)."""
        import mlx.core as mx

        token = self.choose(logprobs, self.position)
        self.position += 1
        chosen = at(logprobs, token)
        mx.async_eval(token, chosen)  # type: ignore[no-untyped-call]
        self._logprobs.append(chosen)
        return token

    def choose(self, logprobs: Any, position: int) -> Any:
        """The tokens, (count,), at `count` positions from this one on, from log-probabilities (count, vocabulary)."""
        return self._draw(logprobs, self._uniforms.at(position, len(logprobs)))

    def rewind(self, position: int) -> None:
        """Go on from this position; what was chosen from there on, ahead of its use, is forgotten."""
        self.position = position
        self._logprobs.clear()

    def logprob(self) -> float:
        """The natural-log probability of the oldest token whose probability was not asked for yet."""
        return float(self._logprobs.pop(0).item())


class Draw:
    """Tokens from log-probabilities, row by row, under one setting."""

    def __init__(self, sampling: Sampling) -> None:
        self._temperature = sampling.temperature
        self._filters = Filters(sampling.top_k, sampling.top_p, sampling.min_p)

    def __call__(self, logprobs: Any, uniforms: Any) -> Any:
        """Tokens (rows,), from log-probabilities (rows, vocabulary) and one number in [0, 1) a row."""
        import mlx.core as mx

        if not self._temperature:
            return mx.argmax(logprobs, axis=-1)
        logprobs = logprobs.astype(mx.float32)
        candidates, kept = self._filters(logprobs) if self._filters.any else (None, logprobs)
        kept = (kept - kept.max(axis=-1, keepdims=True)) * (1.0 / self._temperature)
        chosen, _ = invert(kept, mx.array(uniforms))
        return chosen if candidates is None else at(candidates, chosen)


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
