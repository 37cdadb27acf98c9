"""Samples the completions of all groups side by side. Knows no reward and no loss.

The ids that were sampled and their log-probabilities are what the update works with: nothing is tokenised or scored
again.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import mlx.core as mx
import numpy as np

from engine.events import Event, Progress
from engine.grpo.exponentials import exp, logsumexp
from engine.grpo.settings import TrainConfig
from engine.grpo.shared_prompts import CompletionCache

if TYPE_CHECKING:
    from engine.grpo.policy import Policy

# Rows that have ended are dropped once they make up this share: each time costs a copy of the cache.
_WORTH_DROPPING = 0.25
PIECE = 512
"""Prompts are read in pieces of this many tokens a prompt."""


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
    stop_reason: Literal["end", "stop string", "length"]


class Sampler:
    """Draws tokens from logits by inverting the distribution function at a number that each row brings along."""

    def __init__(self, config: TrainConfig, *, greedy: bool, rounded: bool = False) -> None:
        """`rounded` says that the logits are of a quantised copy of the policy."""
        self._greedy, self._temperature = greedy, config.temperature
        self._scored_as_drawn = config.policy_temperature == "sampling"
        self._top_k, self._top_p, self._min_p = config.top_k, config.top_p, config.min_p
        filtered = config.top_k > 0 or config.top_p < 1.0 or config.min_p > 0.0
        self.differs = not greedy and (rounded or filtered or (not self._scored_as_drawn and config.temperature != 1.0))

    def __call__(self, logits: mx.array, uniform: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        """Tokens (rows,), their log-probability under the policy, and under what they were drawn from.

        Args:
            logits: (rows, vocabulary).
            uniform: (rows,) numbers in [0, 1).
        """
        logits = logits.astype(mx.float32)
        drawn_from = logits * (1.0 / self._temperature)
        scored = drawn_from if self._scored_as_drawn else logits
        scored_sum = logsumexp(scored)
        if self._greedy:
            tokens = mx.argmax(logits, axis=-1)
            logprobs = _at(scored, tokens) - scored_sum
            return tokens, logprobs, logprobs
        drawn_sum = scored_sum if self._scored_as_drawn else logsumexp(drawn_from)
        candidates, kept = self._filtered(drawn_from - drawn_sum[:, None])
        cumulative = mx.cumsum(exp(kept), axis=-1)
        total = cumulative[:, -1]
        # The first token whose cumulative probability is above the number: never one of probability 0.
        chosen = (cumulative <= (uniform * total)[:, None]).sum(axis=-1)
        chosen = mx.minimum(chosen, kept.shape[-1] - 1)
        tokens = chosen if candidates is None else _at(candidates, chosen)
        return tokens, _at(scored, tokens) - scored_sum, _at(kept, chosen) - mx.log(total)

    def _filtered(self, logprobs: mx.array) -> tuple[mx.array | None, mx.array]:
        """The tokens that may be drawn, None for all in order, and their log-probabilities, -inf for none at all.

        The filters keep what those of mlx_lm (`sample_utils.py`) keep, in its order: top-p, min-p, top-k. With top-k
        the others look at its candidates alone, the same tokens without sorting a whole vocabulary.
        """
        size = logprobs.shape[-1]
        if not 0 < self._top_k < size and self._top_p == 1.0:
            kept = logprobs
            if self._min_p > 0.0:
                kept = mx.where(_reaches(logprobs, self._min_p), logprobs, -mx.inf)
            return None, kept
        count = min(self._top_k or size, size)
        found = mx.argpartition(-logprobs, kth=count - 1, axis=-1)[:, :count] if count < size else None
        some = logprobs if found is None else mx.take_along_axis(logprobs, found, axis=-1)
        order = mx.argsort(-some, axis=-1)
        candidates = order if found is None else mx.take_along_axis(found, order, axis=-1)
        some = mx.take_along_axis(some, order, axis=-1)
        if self._min_p > 0.0:
            some = mx.where(_reaches(some, self._min_p), some, -mx.inf)
        if self._top_p < 1.0:
            shares = exp(some)
            # A token stays while those likelier than it do not reach the share.
            some = mx.where(mx.cumsum(shares, axis=-1) - shares < self._top_p, some, -mx.inf)
        return candidates, some


def _reaches(logprobs: mx.array, share: float) -> mx.array:
    """Which tokens have at least this share of the likeliest one's probability."""
    return logprobs >= logprobs.max(axis=-1, keepdims=True) + math.log(share)


def _at(values: mx.array, tokens: mx.array) -> mx.array:
    return mx.take_along_axis(values, tokens[:, None], axis=-1)[:, 0]


def generate(
    policy: Policy,
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
        Progress in tokens of the longest completion, once for each of them.
    """
    sampler = Sampler(config, greedy=key is None, rounded=policy.sampling_model is not policy.model)
    rows = len(prompts) * generations
    uniform = mx.zeros((rows, max_tokens)) if key is None else mx.random.uniform(shape=(rows, max_tokens), key=key)
    at_once = len(prompts)
    if config.rollout_batch_size:
        at_once = max(1, config.rollout_batch_size // generations)
    if not policy.shares_prompts:
        at_once = 1
    found: list[Rollout] = []
    for start in range(0, len(prompts), at_once):
        batch = prompts[start : start + at_once]
        numbers = uniform[start * generations : (start + len(batch)) * generations]
        wave = _Wave(policy, batch, generations, sampler, numbers, config.stop)
        yield from wave.run()
        found += wave.rollouts()
    return found


class _Wave:
    """The completions of some prompts, from their prompts to their ends."""

    def __init__(
        self,
        policy: Policy,
        prompts: Sequence[list[int]],
        generations: int,
        sampler: Sampler,
        uniform: mx.array,
        stop: tuple[str, ...],
    ) -> None:
        self._policy, self._prompts, self._sampler, self._uniform = policy, prompts, sampler, uniform
        self._size, self._stop = generations, stop
        count = len(prompts) * generations
        self._tokens: list[list[int]] = [[] for _ in range(count)]
        self._logprobs: list[list[float]] = [[] for _ in range(count)]
        self._sampler_logprobs: list[list[float]] = [[] for _ in range(count)]
        self._reasons: list[Literal["end", "stop string", "length"]] = ["length"] * count
        self._active = np.ones(count, bool)
        # Which completion each row of the batch belongs to.
        self._rows = np.arange(count)

    def run(self) -> Generator[Event, None, None]:
        """Sample until every completion has ended."""
        policy, limit = self._policy, self._uniform.shape[1]
        cache = yield from self._read_prompts()
        last = np.array([prompt[-1] for prompt in self._prompts])
        tokens = mx.array(np.repeat(last, self._size))
        ahead = self._next(tokens, cache, 0)
        for step in range(limit):
            now = ahead
            if step + 1 < limit:
                # Already under way while this step's tokens are looked at.
                ahead = self._next(now[0], cache, step + 1)
            self._take(now)
            yield Progress("Generating completions", step + 1, limit, "tokens", f"{int(self._active.sum())} open")
            if not self._active.any():
                break
            kept = self._worth_keeping()
            if kept is not None and step + 1 < limit:
                ahead = self._drop(kept, ahead, cache)
        policy.after_rollout()

    def rollouts(self) -> list[Rollout]:
        """What was sampled, in the order of the prompts."""
        tokenizer, ends = self._policy.tokenizer, self._policy.end_tokens
        made = []
        for index, tokens in enumerate(self._tokens):
            shown = tokens[:-1] if tokens and tokens[-1] in ends else tokens
            drawn = np.array(self._sampler_logprobs[index], np.float32) if self._sampler.differs else None
            logprobs = np.array(self._logprobs[index], np.float32)
            made.append(Rollout(tokens, logprobs, drawn, tokenizer.decode(shown), self._reasons[index]))
        return made

    def _read_prompts(self) -> Generator[Event, None, list[Any]]:
        """A cache that knows every prompt but for its last token."""
        from mlx_lm.models.cache import KVCache, make_prompt_cache

        model: Any = self._policy.sampling_model
        rest = [prompt[:-1] for prompt in self._prompts]
        if not self._policy.shares_prompts:
            cache: list[Any] = make_prompt_cache(model)
            for start in range(0, len(rest[0]), PIECE):
                model(mx.array(rest[0][start : start + PIECE])[None], cache=cache)
                mx.eval([layer.state for layer in cache])
                yield Progress("Reading prompts", start, len(rest[0]), "tokens")
            for layer in cache:
                repeat_rows(layer, self._size)
            return cache
        lengths = [len(ids) for ids in rest]
        longest = max(1, *lengths)
        padded = np.zeros((len(rest), longest), np.int32)
        for row, ids in zip(padded, rest, strict=True):
            row[: len(ids)] = ids
        layers = [KVCache() for _ in model.layers]
        for start in range(0, longest, PIECE):
            model(mx.array(padded[:, start : start + PIECE]), cache=layers)
            mx.eval([layer.state for layer in layers])
            yield Progress("Reading prompts", start, longest, "tokens")
        known = mx.array(lengths)
        uneven = min(lengths) < longest
        read = [(layer.keys[..., :longest, :], layer.values[..., :longest, :]) for layer in layers]
        return list(CompletionCache.of_layers(read, known, self._size, padded=uneven))

    def _next(self, tokens: mx.array, cache: list[Any], step: int) -> tuple[mx.array, mx.array, mx.array]:
        """Set the next token of every row going: tokens and both log-probabilities, (rows,)."""
        model: Any = self._policy.sampling_model
        logits = model(tokens[:, None], cache=cache)[:, -1]
        sampled = self._sampler(logits, self._uniform[mx.array(self._rows), step])
        mx.async_eval(*sampled)  # type: ignore[no-untyped-call]
        return sampled

    def _take(self, sampled: tuple[mx.array, mx.array, mx.array]) -> None:
        """Note the sampled tokens of the completions that are still open, and which of them end."""
        tokens, logprobs, drawn = (np.array(array) for array in sampled)
        for place, row in enumerate(self._rows):
            if row < 0 or not self._active[row]:
                continue
            token = int(tokens[place])
            self._tokens[row].append(token)
            self._logprobs[row].append(float(logprobs[place]))
            self._sampler_logprobs[row].append(float(drawn[place]))
            if token in self._policy.end_tokens:
                self._reasons[row], self._active[row] = "end", False
            elif self._stop and self._stops(int(row)):
                self._reasons[row], self._active[row] = "stop string", False

    def _stops(self, row: int) -> bool:
        longest = max(len(text.encode()) for text in self._stop)
        # A token holds at least one byte, and a character may be spread over several.
        tail = self._policy.tokenizer.decode(self._tokens[row][-longest - 4 :])
        return any(text in tail for text in self._stop)

    def _worth_keeping(self) -> list[list[int]] | None:
        """The places in the batch of each prompt's open completions, or None while dropping the rest gains little."""
        places = [
            [place for place in range(start, start + self._size) if self._is_open(place)]
            for start in range(0, len(self._rows), self._size)
        ]
        kept = [group for group in places if group]
        needed = len(kept) * max(map(len, kept))
        return kept if needed <= (1 - _WORTH_DROPPING) * len(self._rows) else None

    def _is_open(self, place: int) -> bool:
        row = self._rows[place]
        return bool(row >= 0 and self._active[row])

    def _drop(
        self, kept: list[list[int]], ahead: tuple[mx.array, mx.array, mx.array], cache: list[Any]
    ) -> tuple[mx.array, mx.array, mx.array]:
        """Go on with the open completions alone; prompts with fewer of them get idle rows."""
        prompts = [group[0] // self._size for group in kept]
        size = max(map(len, kept))
        places = [place for group in kept for place in group + group[:1] * (size - len(group))]
        idle = [place >= len(group) for group in kept for place in range(size)]
        rows = mx.array(places)
        for layer in cache:
            if self._policy.shares_prompts:
                layer.keep(mx.array(prompts), rows, size)
            else:
                select_rows(layer, rows)
        self._rows = np.where(idle, -1, self._rows[places])
        self._size = size
        return ahead[0][rows], ahead[1][rows], ahead[2][rows]


def repeat_rows(cache: Any, times: int) -> None:
    """Make `times` rows of a cache's only one."""
    _each_array(cache, lambda array: mx.repeat(array, times, axis=0))


def select_rows(cache: Any, rows: mx.array) -> None:
    """Keep these rows of a cache."""
    _each_array(cache, lambda array: array[rows])


def _each_array(cache: Any, change: Any) -> None:
    """Change every array of a cache whose first axis is the batch."""
    for inner in getattr(cache, "caches", ()):
        _each_array(inner, change)
    for name in ("keys", "values"):
        if isinstance(getattr(cache, name, None), mx.array):
            setattr(cache, name, change(getattr(cache, name)))
    if isinstance(held := getattr(cache, "cache", None), list):
        cache.cache = [change(array) if isinstance(array, mx.array) else array for array in held]
