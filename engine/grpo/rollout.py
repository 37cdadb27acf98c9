"""Samples the completions of all groups side by side. Knows no reward and no loss.

The ids that were sampled and their log-probabilities are what the update works with: nothing is tokenised or scored
again.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import mlx.core as mx
import numpy as np

from engine.chat.prompts import PLAIN_STOPS
from engine.drawing import Filters, at, invert
from engine.events import Event, Progress
from engine.exponentials import logsumexp
from engine.grpo.prompts import decode
from engine.grpo.rows import CopiedRows, SharedRows
from engine.grpo.settings import TrainConfig

if TYPE_CHECKING:
    from mlx_lm.tokenizer_utils import TokenizerWrapper

# Rows that have ended are dropped, and others take their places, once they make up this share: it costs copies.
_WORTH_CHANGING = 0.25
Reason = Literal["end", "stop string", "length"]
Sampled: TypeAlias = "tuple[mx.array, mx.array, mx.array]"


class Speaker(Protocol):
    """What completions are sampled from: a policy, or a model that is only tried."""

    tokenizer: TokenizerWrapper
    end_tokens: frozenset[int]
    shares_prompts: bool
    samples_rounded: bool

    @property
    def sampling_model(self) -> Any:
        """`sampling_model(ids, cache=...)` gives logits of shape (rows, time, vocabulary)."""

    def merged(self) -> AbstractContextManager[None]:
        """Inside, completions may be sampled from a faster form of the same model."""

    def after_rollout(self) -> None:
        """Give the caches of a rollout back."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One completion.

    `tokens` ends with the end token where the model gave one. `logprobs` are natural-log probabilities of each token
    under the policy; `sampler_logprobs` those under what the token was drawn from, None where that is the same.
    """

    tokens: list[int]
    logprobs: np.ndarray
    sampler_logprobs: np.ndarray | None
    text: str
    stop_reason: Reason


class Sampler:
    """Draws tokens from logits by inverting the distribution function at a number that each row brings along."""

    def __init__(self, config: TrainConfig, *, greedy: bool, rounded: bool = False) -> None:
        """`rounded` says that the logits are of a quantised copy of the policy."""
        self._greedy, self._temperature = greedy, config.temperature
        self._scored_as_drawn = config.policy_temperature == "sampling"
        self._filters = Filters(config.top_k, config.top_p, config.min_p)
        heated = not self._scored_as_drawn and config.temperature != 1.0
        self.differs = not greedy and (rounded or self._filters.any or heated)

    def __call__(self, logits: mx.array, uniform: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        """Tokens (rows,), their log-probability under the policy, and under what they were drawn from.

        Args:
            logits: (rows, vocabulary).
            uniform: (rows,) numbers in [0, 1).
        """
        logits = logits.astype(mx.float32)
        scored = logits * (1.0 / self._temperature) if self._scored_as_drawn else logits
        scored_sum = logsumexp(scored)
        if self._greedy:
            tokens = mx.argmax(logits, axis=-1)
            logprobs = at(scored, tokens) - scored_sum
            return tokens, logprobs, logprobs
        candidates, kept = self._drawn_from(logits, scored, scored_sum)
        chosen, total = invert(kept, uniform)
        tokens = chosen if candidates is None else at(candidates, chosen)
        return tokens, at(scored, tokens) - scored_sum, at(kept, chosen) - mx.log(total)

    def _drawn_from(self, logits: mx.array, scored: mx.array, scored_sum: mx.array) -> tuple[mx.array | None, mx.array]:
        """The tokens that may be drawn, None for all in order, and their logits at the temperature, at most about 0.

        The filters look at probabilities at temperature 1, as in mlx_lm (`sample_utils.py`).
        """
        inverse = 1.0 / self._temperature
        if self._filters.any:
            plain_sum = logsumexp(logits) if self._scored_as_drawn and inverse != 1.0 else scored_sum
            candidates, kept = self._filters(logits - plain_sum[:, None])
            return candidates, (kept - kept.max(axis=-1, keepdims=True)) * inverse
        if self._scored_as_drawn:
            return None, scored - scored_sum[:, None]
        return None, (logits - logits.max(axis=-1, keepdims=True)) * inverse


def generate(
    policy: Speaker,
    prompts: Sequence[list[int]],
    config: TrainConfig,
    *,
    generations: int,
    key: mx.array | None,
    max_tokens: int,
) -> Generator[Event, None, list[Rollout]]:
    """Completions of every prompt, `generations` each, prompt by prompt.

    Args:
        key: decides every draw: the same key gives the same completions; None takes the likeliest token.
        max_tokens: a completion ends after this many.

    Yields:
        Progress in tokens, once for each that the longest-lasting row gets; what a completion that ends early leaves
        of `max_tokens` counts as done.
    """
    sampler = Sampler(config, greedy=key is None, rounded=policy.samples_rounded)
    with policy.merged():
        batch = _Batch(policy, prompts, generations, sampler, key, config, max_tokens)
        yield from batch.run()
    return batch.rollouts()


class _Batch:
    """All completions of a rollout: those that wait, those that go on as rows of a batch, and those that have ended.

    The batch has at most `rollout_batch_size` rows, and as many as their number says at 0. Where rows have ended, those
    that wait join the ones that go on. A row takes room for its prompt too where no other has the same: rows of many
    prompts are fewer, so that a batch never holds more than one that was filled prompt by prompt.
    """

    def __init__(
        self,
        policy: Speaker,
        prompts: Sequence[list[int]],
        generations: int,
        sampler: Sampler,
        key: mx.array | None,
        config: TrainConfig,
        limit: int,
    ) -> None:
        self._policy, self._prompts, self._sampler = policy, prompts, sampler
        # Without a chat template a model may go on with the other side's words.
        self._stop = config.stop if policy.tokenizer.has_chat_template else (*config.stop, *PLAIN_STOPS)
        self._generations, self._limit = generations, limit
        count = len(prompts) * generations
        shape = (count, limit)
        self._uniform = mx.zeros(shape) if key is None else mx.random.uniform(shape=shape, key=key)
        self._tokens: list[list[int]] = [[] for _ in range(count)]
        self._logprobs: list[list[float]] = [[] for _ in range(count)]
        self._sampler_logprobs: list[list[float]] = [[] for _ in range(count)]
        self._reasons: list[Reason] = ["length"] * count
        self._active = np.ones(count, bool)
        # Those from here on wait; of each row, the completion and how many of its tokens have been drawn.
        self._waiting = 0
        self._rows, self._drawn = np.zeros(0, int), np.zeros(0, int)
        self._settled = 0
        rest = [prompt[:-1] for prompt in prompts]
        model = policy.sampling_model
        self._cache: SharedRows | CopiedRows = (SharedRows if policy.shares_prompts else CopiedRows)(model, rest)
        self._most = min(count if self._cache.together else generations, config.rollout_batch_size or count)
        self._longest = max(map(len, prompts), default=0)
        self._room = self._most * limit + math.ceil(self._most / generations) * self._longest

    def run(self) -> Generator[Event, None, None]:
        """Sample until every completion has ended."""
        nothing = mx.zeros(0)
        ahead = yield from self._change([], (mx.zeros(0, mx.int32), nothing, nothing))
        while len(self._rows):
            now, rows, drawn = ahead, self._rows, self._drawn
            if (self._active[rows] & (drawn < self._limit)).any():
                # Already under way while these tokens are looked at.
                ahead = self._next(now[0])
            self._take(now, rows, drawn)
            still = self._active[rows]
            yield self._progress(int(still.sum()))
            places = np.flatnonzero(still).tolist()
            if self._is_worth_a_change(places):
                ahead = yield from self._change(places, ahead)
        self._policy.after_rollout()

    def rollouts(self) -> list[Rollout]:
        """What was sampled, in the order of the prompts."""
        tokenizer, ends = self._policy.tokenizer, self._policy.end_tokens
        made = []
        for index, tokens in enumerate(self._tokens):
            drawn = np.array(self._sampler_logprobs[index], np.float32) if self._sampler.differs else None
            logprobs = np.array(self._logprobs[index], np.float32)
            text = decode(tokenizer, tokens, ends)
            made.append(Rollout(tokens, logprobs, drawn, text, self._reasons[index]))
        return made

    def _progress(self, going: int) -> Progress:
        """A completion that ends early settles all it might have had."""
        waiting = len(self._active) - self._waiting
        detail = f"{going} open" + (f", {waiting} waiting" if waiting else "")
        return Progress("Generating completions", self._settled, self._uniform.size, "tokens", detail)

    def _next(self, tokens: mx.array) -> Sampled:
        """Set the next token of every row going: tokens and both log-probabilities, (rows,)."""
        model: Any = self._policy.sampling_model
        logits = model(tokens[:, None], cache=self._cache.layers)[:, -1]
        places = self._rows * self._limit + np.minimum(self._drawn, self._limit - 1)
        sampled = self._sampler(logits, self._uniform.reshape(-1)[mx.array(places)])
        mx.async_eval(*sampled)  # type: ignore[no-untyped-call]
        self._drawn = self._drawn + 1
        return sampled

    def _take(self, sampled: Sampled, rows: np.ndarray, drawn: np.ndarray) -> None:
        """Note the sampled tokens of the completions that are still open, and which of them end."""
        tokens, logprobs, sampler_logprobs = (np.array(array) for array in sampled)
        for place in np.flatnonzero(self._active[rows] & (drawn > 0)).tolist():
            row = int(rows[place])
            token = int(tokens[place])
            self._tokens[row].append(token)
            self._logprobs[row].append(float(logprobs[place]))
            self._sampler_logprobs[row].append(float(sampler_logprobs[place]))
            self._settled += 1
            if token in self._policy.end_tokens:
                self._end(row, "end")
            elif self._stop and self._stops(row):
                self._end(row, "stop string")
            elif len(self._tokens[row]) == self._limit:
                self._end(row, "length")

    def _end(self, row: int, reason: Reason) -> None:
        self._reasons[row], self._active[row] = reason, False
        self._settled += self._limit - len(self._tokens[row])

    def _stops(self, row: int) -> bool:
        longest = max(len(text.encode()) for text in self._stop)
        # A token holds at least one byte, and a character may be spread over several.
        tail = self._policy.tokenizer.decode(self._tokens[row][-longest - 4 :])
        return any(text in tail for text in self._stop)

    def _is_worth_a_change(self, places: list[int]) -> bool:
        """Whether to go on with the rows at these places, which are open, and those that find room beside them."""
        if len(places) <= (1 - _WORTH_CHANGING) * len(self._rows):
            return True
        # The buffers end where those of a batch without successors would.
        if self._cache.length >= self._limit and self._cache.unused(places):
            return True
        waiting = len(self._active) - self._waiting
        return waiting > 0 and min(waiting, _WORTH_CHANGING * self._most) <= len(self._joining(places))

    def _joining(self, places: list[int]) -> range:
        """The completions that find room beside the rows at these places."""
        first = self._waiting
        if not self._cache.together:
            # All of one prompt.
            last = (first // self._generations + 1) * self._generations
            return range(first, min(first + self._most, last, len(self._active))) if not places else range(0)
        known = {*(self._rows[places] // self._generations).tolist(), *self._begun()}
        end, rows = first, len(places)
        while end < len(self._active) and rows < self._most:
            known.add(end // self._generations)
            rows += 1
            if rows * self._limit + len(known) * self._longest > self._room:
                break
            end += 1
        return range(first, end)

    def _begun(self) -> list[int]:
        """The prompt of which some completions wait and others do not."""
        return [self._waiting // self._generations] if self._waiting % self._generations else []

    def _change(self, places: list[int], ahead: Sampled) -> Generator[Event, None, Sampled]:
        """Drop all rows but those at these places, and let completions that wait join them."""
        if len(places) < len(self._rows):
            self._cache.keep(places, self._begun())
            ahead = self._at(ahead, places)
        joining = self._joining(list(range(len(places))))
        if not joining:
            return ahead
        numbers = [row // self._generations for row in joining]
        yield from self._cache.admit(numbers)
        self._waiting = joining.stop
        self._rows = np.concatenate([self._rows, np.array(joining, int)])
        self._drawn = np.concatenate([self._drawn, np.zeros(len(joining), int)])
        # The next token that a new row is given is its prompt's last one.
        last = mx.array([self._prompts[number][-1] for number in numbers], ahead[0].dtype)
        unknown = mx.zeros(len(joining))
        return (
            mx.concatenate([ahead[0], last]),
            mx.concatenate([ahead[1], unknown]),
            mx.concatenate([ahead[2], unknown]),
        )

    def _at(self, ahead: Sampled, places: list[int]) -> Sampled:
        """Go on with the rows at these places."""
        self._rows, self._drawn = self._rows[places], self._drawn[places]
        if not places:
            return ahead[0][:0], ahead[1][:0], ahead[2][:0]
        kept = mx.array(places)
        return ahead[0][kept], ahead[1][kept], ahead[2][kept]
