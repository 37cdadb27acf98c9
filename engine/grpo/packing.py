"""Packs the completions of a step into micro-batches of a token budget. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.grpo.rollout import Rollout


@dataclass(frozen=True, slots=True)
class Group:
    """A prompt's token ids and its completions, with the advantage of each; `counts` tells which are trained on."""

    prompt: list[int]
    rollouts: Sequence[Rollout]
    advantages: np.ndarray
    counts: np.ndarray


@dataclass(slots=True)
class MicroBatch:
    """Arrays that are computed at once.

    `arrays` holds: prompts (parts, longest) without their last tokens, lengths (parts,), inputs (rows, time): the
    prompt's last token and the completion but for its last, mask, old, sampler (rows, time), advantages (rows,),
    targets (count,): the tokens to be scored, spots (count,): where their hidden states are in (rows * time,), places
    (rows, time): where their scores are in (count + 1,); whole and whole_spots: the same with the prompt in each row.
    """

    tokens: int = 0
    rows: int = 0
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Part:
    """Some completions of one group, filled up with empty ones to `size`."""

    prompt: list[int]
    rollouts: list[Rollout]
    advantages: list[float]
    counts: list[bool]
    size: int

    @property
    def longest(self) -> int:
        return max(len(rollout.tokens) for rollout in self.rollouts)


def pack(groups: Sequence[Group], budget: int, step: int = 1, *, shared: bool = True) -> list[MicroBatch]:
    """Micro-batches of about `budget` tokens; shapes are multiples of `step`, so that those above 1 make few shapes.

    A group that is too large alone is split; its prompt is then computed once for each part.

    Args:
        shared: whether a prompt is computed once a part, and not once a completion.
    """
    parts = [part for group in groups for part in _split(group, budget, shared)]
    parts.sort(key=lambda part: (-part.size, -part.longest, -len(part.prompt)))
    batches: list[list[_Part]] = []
    for part in parts:
        if batches and _cost([*batches[-1], part], shared) <= budget and batches[-1][0].size == part.size:
            batches[-1].append(part)
        else:
            batches.append([part])
    return [_arrays(batch, step) for batch in batches]


def counted(groups: Sequence[Group]) -> tuple[int, int]:
    """Tokens that count in a step's means, and all completions: one that is left out counts as one without tokens.

    As in TRL's `_compute_loss`, where a masked completion adds 0 to a mean over completions.
    """
    rows = [rolled for group in groups for rolled, counts in zip(group.rollouts, group.counts, strict=True) if counts]
    return sum(len(rolled.tokens) for rolled in rows), sum(len(group.rollouts) for group in groups)


def _split(group: Group, budget: int, shared: bool) -> list[_Part]:
    longest, prompt = max(len(rollout.tokens) for rollout in group.rollouts), len(group.prompt)
    fitting = max(1, (budget - prompt) // max(longest, 1) if shared else budget // (prompt + longest))
    count = -(-len(group.rollouts) // min(fitting, len(group.rollouts)))
    size = -(-len(group.rollouts) // count)
    parts = []
    for start in range(0, len(group.rollouts), size):
        rows = slice(start, start + size)
        counts = [bool(value) for value in group.counts[rows]]
        advantages = [float(value) for value in group.advantages[rows]]
        if any(counts):
            parts.append(_Part(group.prompt, list(group.rollouts[rows]), advantages, counts, size))
    return parts


def _cost(parts: Sequence[_Part], shared: bool) -> int:
    """Tokens with padding."""
    prompt = max(len(part.prompt) for part in parts)
    size = parts[0].size
    return len(parts) * (prompt * (1 if shared else size) + size * max(part.longest for part in parts))


def _up(count: int, step: int) -> int:
    return -(-count // step) * step


def _arrays(parts: Sequence[_Part], step: int) -> MicroBatch:
    size = parts[0].size
    longest = _up(max(1, *(len(part.prompt) - 1 for part in parts)), step)
    time = _up(max(part.longest for part in parts), step)
    rows = size * len(parts)
    ints, floats = np.int32, np.float32
    arrays: dict[str, Any] = {
        "prompts": np.zeros((len(parts), longest), ints),
        "lengths": np.array([len(part.prompt) - 1 for part in parts], ints),
        "inputs": np.zeros((rows, time), ints),
        "mask": np.zeros((rows, time), floats),
        "old": np.zeros((rows, time), floats),
        "advantages": np.zeros(rows, floats),
        "whole": np.zeros((rows, longest + time), ints),
    }
    corrected = any(rollout.sampler_logprobs is not None for part in parts for rollout in part.rollouts)
    if corrected:
        arrays["sampler"] = np.zeros((rows, time), floats)
    targets: list[int] = []
    spots: list[int] = []
    whole_spots: list[int] = []
    places = np.full((rows, time), -1, ints)
    for index, part in enumerate(parts):
        prompt = part.prompt
        arrays["prompts"][index, : len(prompt) - 1] = prompt[:-1]
        for row, (rollout, advantage, counted) in enumerate(
            zip(part.rollouts, part.advantages, part.counts, strict=True), start=index * size
        ):
            tokens = rollout.tokens
            arrays["inputs"][row, : len(tokens)] = [prompt[-1], *tokens[:-1]]
            arrays["whole"][row, : len(prompt) + len(tokens) - 1] = [*prompt, *tokens[:-1]]
            arrays["advantages"][row] = advantage
            if not counted:
                continue
            arrays["mask"][row, : len(tokens)] = 1.0
            arrays["old"][row, : len(tokens)] = rollout.logprobs
            if rollout.sampler_logprobs is not None:
                arrays["sampler"][row, : len(tokens)] = rollout.sampler_logprobs
            places[row, : len(tokens)] = range(len(targets), len(targets) + len(tokens))
            targets += tokens
            spots += range(row * time, row * time + len(tokens))
            first = row * (longest + time) + len(prompt) - 1
            whole_spots += range(first, first + len(tokens))
    count = len(targets)
    # In quarters of all there might be.
    padding = _up(count, -(-rows * time // 4) if step > 1 else 1) - count
    arrays["targets"] = np.array(targets + [0] * padding, ints)
    arrays["spots"] = np.array(spots + [0] * padding, ints)
    arrays["whole_spots"] = np.array(whole_spots + [0] * padding, ints)
    arrays["places"] = np.where(places < 0, count + padding, places)
    return MicroBatch(count, rows, arrays)
