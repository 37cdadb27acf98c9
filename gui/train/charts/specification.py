"""Which charts a run has: what each is called, from which figures it is drawn, what it tells. Knows no widget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gui.text import tr
from gui.train.charts.ticks import Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine.training_events import Evaluated
    from gui.train.record import Record

    Figures = NDArray[np.float64]

FULL, QUICK = "evaluations", "quick evaluations"
"""Where the figures of a chart are from, unless from the steps."""


@dataclass(frozen=True)
class Chart:
    """One chart. `columns` are what `value` and `band` are computed from, figure by figure.

    `source` is "steps", or which evaluations the figures are of. `tip` says what the chart shows and what to look for.
    """

    key: str
    title: str
    tip: str
    columns: tuple[str, ...]
    unit: Unit = "plain"
    value: Callable[..., Figures] | None = None
    band: Callable[..., tuple[Figures, Figures]] | None = None
    source: str = "steps"

    def values(self, columns: Iterable[Figures]) -> Figures:
        """What is drawn as a line."""
        figures = list(columns)
        return self.value(*figures) if self.value else figures[0]

    def bands(self, columns: Iterable[Figures]) -> tuple[Figures, Figures] | None:
        """What is drawn as a band around the line: from and to; None where there is none."""
        return self.band(*columns) if self.band else None

    def has_figures(self, record: Record) -> bool:
        """Whether this run has something to draw."""
        if self.source != "steps":
            return bool(evaluations(record, self.source))
        names = set(record.names)
        return all(name in names and _known(record.column(name)) for name in self.columns)


def _known(figures: Figures) -> bool:
    """Whether there is a figure; the latest is looked at first, of a hundred thousand."""
    return bool(len(figures)) and bool(np.isfinite(figures[-1]) or np.isfinite(figures).any())


def evaluations(record: Record, source: str) -> list[Evaluated]:
    """The evaluations of a source, in the record's order."""
    return [found for found in record.evaluations if (found.when == "quick") == (source == QUICK)]


def around(mean: Figures, spread: Figures) -> tuple[Figures, Figures]:
    """One standard deviation to both sides."""
    with np.errstate(over="ignore", invalid="ignore"):
        return mean - spread, mean + spread


def _between(_value: Figures, low: Figures, high: Figures) -> tuple[Figures, Figures]:
    return low, high


def _sum(low: Figures, high: Figures) -> Figures:
    return low + high


def speed(tokens: Figures, rollout: Figures, reward: Figures, update: Figures) -> Figures:
    """Tokens a second of a whole step."""
    seconds = rollout + reward + update
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(seconds > 0, tokens / seconds, np.nan)


def charts(records: Iterable[Record]) -> list[Chart]:
    """The charts of these runs, those that have nothing to draw left out."""
    records = list(records)
    rewards = list(dict.fromkeys(name for record in records for name in record.rewards))
    known = [*_learning(), *(_reward(name) for name in rewards), *_answers(), *_updates(), *_computing()]
    return [chart for chart in known if any(chart.has_figures(record) for record in records)]


def _learning() -> list[Chart]:
    return [
        Chart(
            "reward",
            tr("Reward"),
            tr(
                "The mean reward of a step's completions, all rewards weighted and added up. The band is one standard"
                " deviation among the answers to the same question: without a spread there is nothing to learn from."
            ),
            ("reward", "reward_spread"),
            band=around,
            value=lambda reward, _spread: reward,
        ),
        _accuracy("accuracy", tr("Held-out accuracy"), FULL),
        _accuracy("quick", tr("Held-out accuracy, quick looks"), QUICK),
    ]


def _accuracy(key: str, title: str, source: str) -> Chart:
    tip = tr(
        "The share of right answers to questions that training never sees. The band is the 95 % confidence interval:"
        " compare bands, not points."
    )
    value = lambda accuracy, _low, _high: accuracy  # noqa: E731  # as short as its neighbours
    return Chart(key, title, tip, ("accuracy", "low", "high"), "share", value, _between, source)


def _reward(name: str) -> Chart:
    return Chart(
        f"rewards/{name}",
        tr("Reward: {name}", name=name),
        tr("The mean of this reward alone, before it is weighted; the band is one standard deviation."),
        (f"rewards/{name}", f"rewards/{name}/spread"),
        band=around,
        value=lambda mean, _spread: mean,
    )


def _answers() -> list[Chart]:
    return [
        Chart(
            "length",
            tr("Completion length"),
            tr("How many tokens the completions of a step have: their mean, and a band from shortest to longest."),
            ("mean_length", "shortest", "longest"),
            "count",
            lambda mean, _shortest, _longest: mean,
            _between,
        ),
        Chart(
            "cut_short",
            tr("Cut short"),
            tr(
                "The share of completions that reached the longest length and were cut off. If it is high, allow"
                " longer completions, or reward shorter ones."
            ),
            ("cut_short",),
            "share",
        ),
        Chart(
            "flat_groups",
            tr("Groups without contrast"),
            tr(
                "The share of questions whose answers all got the same reward. Nothing is learned from these: if most"
                " are, the questions are too easy, too hard, or the reward is too coarse."
            ),
            ("flat_groups",),
            "share",
        ),
        Chart(
            "entropy",
            tr("Entropy"),
            tr(
                "How undecided the model is, in nats a token. If it falls to nearly nothing, all answers become the"
                " same and learning ends."
            ),
            ("entropy",),
        ),
    ]


def _updates() -> list[Chart]:
    return [
        Chart(
            "kl",
            tr("KL divergence"),
            tr("How far the model has moved from the one it began as, in nats a token."),
            ("kl",),
        ),
        Chart(
            "clipped",
            tr("Clipped tokens"),
            tr("The share of tokens whose probability changed by more than is allowed in one step."),
            ("clipped_low", "clipped_high"),
            "share",
            _sum,
        ),
        Chart("loss", tr("Loss"), tr("What a step minimises. In GRPO it stays near 0 and tells little."), ("loss",)),
        Chart(
            "gradient_norm",
            tr("Gradient norm"),
            tr("How strongly a step pulls at the weights, before it is clipped. Spikes mean unsteady training."),
            ("gradient_norm",),
        ),
        Chart(
            "learning_rate",
            tr("Learning rate"),
            tr("How far a step moves the weights."),
            ("learning_rate",),
            "rate",
        ),
    ]


def _computing() -> list[Chart]:
    return [
        Chart(
            "speed",
            tr("Speed"),
            tr("Tokens of completions for each second of a step: writing them, judging them and learning from them."),
            ("tokens", "rollout_seconds", "reward_seconds", "update_seconds"),
            "speed",
            speed,
        ),
        Chart("memory", tr("Memory"), tr("The most memory that was in use during a step."), ("peak_memory",), "memory"),
    ]
