"""Tries the rewards of a run before it: on texts of a person's own, and on a few new completions. Trains nothing."""

from __future__ import annotations

import contextlib
import math
import secrets
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine import library
from engine.errors import UserError
from engine.events import Event, Note
from engine.monitor.preview import in_order, located, tokenizer_of
from engine.monitor.requests import TryRewards
from engine.run_events import CompletionScored, RewardFault

if TYPE_CHECKING:
    from engine.grpo.data import Row
    from engine.grpo.rewards import RewardSet
    from engine.grpo.rollout import Rollout
    from engine.grpo.settings import TrainConfig
    from engine.jobs import Workbench
    from engine.session import ModelSession


@dataclass(frozen=True, slots=True)
class _Text:
    """A completion as rewards see it, and its length in tokens."""

    text: str
    tokens: int
    live: bool


def scores(request: TryRewards, bench: Workbench) -> Iterator[Event]:
    """Score completions of a row by the rewards of a configuration.

    A reward that is at fault is said and left out; the others still score. The model, where one is needed, stays on
    the bench, as that of a chat does.

    Yields:
        Progress, a RewardFault for each fault, a CompletionScored for each completion: the given ones, then live ones.

    Raises:
        UserError: the data, the model or a setting is at fault; there is no such row.
    """
    from engine.grpo import data

    config = request.config
    judges = _Judges(config)
    with contextlib.closing(judges):
        # First, so that a slip of the pen is told before a model is read.
        yield from judges.open()
        task = yield from data.load(config)
        row = next(in_order(task, config, 1, request.row), None)
        if row is None:
            raise UserError(
                "There is no row {number}.",
                "The data has {there} rows to learn from.",
                "Choose an earlier one.",
                number=request.row + 1,
                there=len(task.train),
            )
        texts = yield from _given(request)
        if request.live:
            texts += yield from _live(request, row, bench)
        yield from judges.score(texts, row)


def _given(request: TryRewards) -> Generator[Event, None, list[_Text]]:
    """The completions of the request with their lengths, as far as a tokenizer is here to tell them."""
    if not request.completions:
        return []
    config = request.config
    if library.is_hub_id(config.model_name) and library.locate(config.model_name) is None:
        yield Note("The model is not on this computer: the length of a text is not known and counts as 0.")
        return [_Text(text, 0, live=False) for text in request.completions]
    tokenizer = yield from tokenizer_of(located(config), config)
    return [
        _Text(text, len(tokenizer.encode(text, add_special_tokens=False)), live=False) for text in request.completions
    ]


def _live(request: TryRewards, row: Row, bench: Workbench) -> Generator[Event, None, list[_Text]]:
    """New completions, sampled as those of a training step are."""
    from engine.requests import LoadModel

    config = request.config
    # How a model is stored is no matter here: what it needs is told by the same checks as before a run.
    located(config)
    session = yield from bench.want(
        LoadModel(
            config.model_name,
            config.precision,
            config.memory_limit * 1024**2,
            trust_remote_code=config.trust_remote_code,
        )
    )
    import mlx.core as mx

    from engine.grpo import prompts, rollout

    speaker = _Speaker(session)
    rolled: list[Rollout] = yield from rollout.generate(
        speaker,
        [prompts.encode(session.tokenizer, row, config)],
        config,
        generations=request.live,
        key=mx.random.key(secrets.randbits(63)),
        max_tokens=config.longest_completion,
    )
    return [_Text(config.completion_prefill + one.text, len(one.tokens), live=True) for one in rolled]


class _Speaker:
    """The model of a session as rollouts take it; nothing of it is changed, since chats use it too."""

    shares_prompts = False
    samples_rounded = False

    def __init__(self, session: ModelSession) -> None:
        self.tokenizer = session.tokenizer
        self.end_tokens = frozenset(int(token) for token in session.tokenizer.eos_token_ids)
        self._model = session.model

    @property
    def sampling_model(self) -> Any:
        return self._model

    def merged(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def after_rollout(self) -> None:
        import mlx.core as mx

        mx.clear_cache()


class _Judges:
    """The rewards that are not at fault."""

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        weights = config.reward_weights or (1.0,) * len(config.rewards)
        self._left = dict(zip(config.rewards, weights, strict=True))
        self._set: RewardSet | None = None

    def open(self) -> Iterator[Event]:
        """Load them; those at fault are said and left out."""
        from engine.grpo.rewards import RewardSet

        while self._left and self._set is None:
            config = self._config.model_copy(
                update={"rewards": tuple(self._left), "reward_weights": tuple(self._left.values())}
            )
            try:
                self._set = yield from RewardSet.load(config)
            except UserError as error:
                yield self._leave_out(error)

    def score(self, texts: Sequence[_Text], row: Row) -> Iterator[Event]:
        """Score completions of a row."""
        found: dict[str, list[float]] = {}
        while texts and self._set is not None:
            try:
                rows = [row] * len(texts)
                judged = yield from self._set.score_steps(
                    [one.text for one in texts], rows, [one.tokens for one in texts]
                )
            except UserError as error:
                yield self._leave_out(error)
                self.close()
                yield from self.open()
            else:
                found = {name: judged[:, place].tolist() for place, name in enumerate(self._set.names)}
                break
        for place, one in enumerate(texts):
            opinions = {name: values[place] for name, values in found.items()}
            each = {name: opinions.get(name, math.nan) for name in self._config.rewards}
            yield CompletionScored(
                row=row.index,
                question=row.prompt,
                answer=row.answer,
                completion=one.text,
                tokens=one.tokens,
                scores=tuple((name, None if math.isnan(score) else score) for name, score in each.items()),
                total=sum(score * self._left[name] for name, score in each.items() if not math.isnan(score)),
                live=one.live,
            )

    def close(self) -> None:
        """End the processes that score."""
        if self._set is not None:
            self._set.close()
            self._set = None

    def _leave_out(self, error: UserError) -> RewardFault:
        """Go on without the reward that is at fault, or without all of the person's own where their file is."""
        name = str(error.values.get("name", ""))
        if name in self._left:
            del self._left[name]
        else:
            self._left = {key: weight for key, weight in self._left.items() if key in _built_in(self._config)}
            self._config = self._config.model_copy(update={"reward_file": ""})
        line = int(str(error.values.get("line", 0)))
        return RewardFault(name, line, error.what, error.why, error.remedy)


def _built_in(config: TrainConfig) -> set[str]:
    from engine.grpo import reward_functions
    from engine.grpo.reward_judges import Judge

    return {*reward_functions.built_in(config), *Judge.NAMES}
