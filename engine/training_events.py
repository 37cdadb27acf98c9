"""What a training run says: small frozen dataclasses, part of the words of `engine.events`. Knows no job and no view.

A run's events.jsonl is the stream of these events. Sizes are in bytes, `seconds` are wall time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class TrainingPlanned:
    """What a run would do and need; nothing was trained.

    `trainable` of the `parameters` change; 0 parameters: the model is not on this computer, and no forecast was
    possible. `rows` and `held_out` count data, -1 where it is not on this computer. Memory: `weights`, `optimizer`
    (moments and gradients), `kv_cache` of the rollouts, `activations` of the largest part of an update, and the
    forecast `peak`, of which `available` may be used. `seconds_per_step` is that of completions which are all as long
    as they may be, so an upper bound, and 0 where it cannot be told.
    `suggestion` holds key=value pairs with which a run that does not fit would; empty where it fits or nothing helps.
    """

    model: str
    train_type: str
    parameters: int
    trainable: int
    rows: int
    held_out: int
    steps: int
    prompts_per_step: int
    generations: int
    weights: int
    optimizer: int
    kv_cache: int
    activations: int
    peak: int
    available: int
    fits: bool
    seconds_per_step: float
    suggestion: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingStarted:
    """A run began, or went on after `step` steps; its files are in the folder `run`."""

    run: str
    model: str
    train_type: str
    trainable: int
    step: int
    steps: int
    resumed: bool


@dataclass(frozen=True, slots=True)
class StepFinished:
    """The weights changed once more.

    `reward` is the mean weighted sum of the rewards and `reward_spread` its mean standard deviation within groups;
    `rewards` are (name, mean, standard deviation) of each, unweighted, over the completions that it judged;
    `flat_groups` is the share of all groups sampled whose rewards were all equal, `replaced` how many of them were
    replaced; all other figures are of the groups that were kept.
    `kl` (nats a token, to the reference) is None where it is not measured. `entropy` is the mean of -log p of the
    sampled tokens. `clipped_low` and `clipped_high` are the shares of tokens whose ratio was clipped. `ratio` is the
    largest importance ratio. Lengths count tokens; `cut_short` is the share of completions that reached the longest
    length. `loss` is the step's whole loss and `gradient_norm` the norm before clipping. `elapsed` counts the run's
    seconds so far, those before a resume included, less evaluations and pauses; no other seconds count pauses either.
    `rows` are the data rows of the step.
    """

    step: int
    steps: int
    epoch: float
    loss: float
    reward: float
    reward_spread: float
    rewards: tuple[tuple[str, float, float], ...]
    flat_groups: float
    replaced: int
    kl: float | None
    entropy: float
    ratio: float
    clipped_low: float
    clipped_high: float
    gradient_norm: float
    learning_rate: float
    completions: int
    tokens: int
    mean_length: float
    shortest: int
    longest: int
    cut_short: float
    rollout_seconds: float
    reward_seconds: float
    update_seconds: float
    elapsed: float
    peak_memory: int
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Held-out rows were answered.

    `accuracy` of the greedy completions with its 95 % confidence interval `low` to `high`; `pass_at_k` the unbiased
    estimate from `generations` samples a row (None where only the greedy one was made), as pairs of k and share.
    `when` is "before", "during", "quick" (fewer rows) or "after". `mean_reward` is that of the greedy completions.
    """

    when: Literal["before", "during", "quick", "after"]
    step: int
    rows: int
    accuracy: float
    low: float
    high: float
    format_rate: float
    mean_reward: float
    mean_length: float
    cut_short: float
    seconds: float
    elapsed: float
    generations: int = 1
    sampled_accuracy: float | None = None
    pass_at_k: tuple[tuple[int, float], ...] | None = None


@dataclass(frozen=True, slots=True)
class SettingChanged:
    """A person gave a setting another value after `step` steps; it counts from the next step on."""

    step: int
    name: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """The run can be resumed from here; `best` marks the highest held-out accuracy so far."""

    step: int
    folder: str
    best: bool = False


@dataclass(frozen=True, slots=True)
class TrainingFinished:
    """The run is over and its model is saved.

    `model` is the folder of what was trained: adapters, or whole weights; `fused` that of the merged model ("" where
    none was asked for). The accuracies are None where nothing was evaluated. `reason` is "no progress" where held-out
    accuracy did not rise any more, "reward fell" where the mean reward fell far below its best.
    """

    run: str
    model: str
    fused: str
    step: int
    steps: int
    reason: Literal["finished", "target reached", "no progress", "reward fell"]
    accuracy_before: float | None
    accuracy_after: float | None
    elapsed: float


@dataclass(frozen=True, slots=True)
class TrainingStopped:
    """The run was told to stop, and is saved up to `step`; `run` is its folder, "" where nothing of it is kept."""

    run: str
    step: int


@dataclass(frozen=True, slots=True)
class TrainingFailed:
    """The run ended with an error, in the words of `engine.events.Failed`; going on with the run takes this back.

    Part of the run's record alone: its job ends as `Failed`.
    """

    what: str
    why: str
    remedy: str
    fault: Literal["input", "bug"] = "input"
    details: str = ""
