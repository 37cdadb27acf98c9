"""The completions of one prompt in one step. Knows no widget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from engine.run_events import SampleRead

ORDERS = ("order", "spread", "highest", "lowest")
"""How groups can be sorted."""
COMPLETION_ORDERS = ("reward", "advantage", "order")
"""How the completions of a group can be sorted."""


@dataclass(frozen=True)
class Group:
    """A prompt that was asked in a step, and its completions as they were written."""

    samples: tuple[SampleRead, ...]

    @property
    def number(self) -> int:
        """Which prompt of the step it is, from 0."""
        return self.samples[0].group

    @property
    def prompt(self) -> str:
        return self.samples[0].prompt

    @property
    def answer(self) -> str:
        """The right answer, "" where it is not known."""
        return self.samples[0].answer

    @property
    def left_out(self) -> bool:
        """Whether nothing was learned from it."""
        return self.samples[0].left_out

    @cached_property
    def ranked(self) -> tuple[SampleRead, ...]:
        """The completions, the best reward first."""
        return tuple(sorted(self.samples, key=lambda sample: -sample.reward))

    @property
    def best(self) -> SampleRead:
        return self.ranked[0]

    @property
    def worst(self) -> SampleRead:
        return self.ranked[-1]

    @property
    def spread(self) -> float:
        """How far the best reward is from the worst."""
        return self.best.reward - self.worst.reward

    @cached_property
    def mean(self) -> float:
        return sum(sample.reward for sample in self.samples) / len(self.samples)

    @cached_property
    def right(self) -> int | None:
        """How many answers equal the right one; None where that is not known."""
        return sum(bool(sample.right) for sample in self.samples) if self.answer else None

    def ordered(self, order: str) -> tuple[SampleRead, ...]:
        """The completions in one of `COMPLETION_ORDERS`."""
        if order == "advantage":
            return tuple(sorted(self.samples, key=lambda sample: -sample.advantage))
        return self.ranked if order == "reward" else self.samples


def grouped(samples: Sequence[SampleRead]) -> list[Group]:
    """The groups of a step, in its order."""
    found: dict[int, list[SampleRead]] = {}
    for sample in samples:
        found.setdefault(sample.group, []).append(sample)
    return [Group(tuple(found[number])) for number in sorted(found)]


def in_order(groups: Sequence[Group], order: str) -> list[Group]:
    """The groups in one of `ORDERS`."""
    keys = {
        "order": lambda group: group.number,
        "spread": lambda group: -group.spread,
        "highest": lambda group: -group.mean,
        "lowest": lambda group: group.mean,
    }
    return sorted(groups, key=keys[order])
