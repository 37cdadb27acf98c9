"""Rollouts whose completions join the running batch beside those in waves, same completions, same run: tokens a second.

Run: python -m benchmarks.rollout_batch [--rounds N]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.conversion import apart
from benchmarks.grpo_step import make_model
from engine import backend

backend.prepare()

import mlx.core as mx

from engine.grpo import rollout
from engine.grpo.policy import Policy, open_policy
from engine.grpo.settings import TrainConfig
from engine.session import drain

PROMPTS, PROMPT, GENERATIONS, LONGEST, VOCABULARY = 16, 128, 8, 256, 2000
# How many of all tokens end a completion: one after 64 on average.
ENDS = VOCABULARY // 64
AT_ONCE = (16, 32, 64)


class Joining(rollout._Batch):
    """A batch as it is, whose passes of the model are counted."""

    passes = 0

    def _next(self, tokens: mx.array) -> rollout.Sampled:
        self.passes += 1
        return super()._next(tokens)


class Waves(Joining):
    """A batch that nothing joins before the last of its rows has ended."""

    def _joining(self, places: list[int]) -> range:
        return range(0) if places else super()._joining(places)


def measure(
    kind: type[Joining], policy: Policy, config: TrainConfig, seed: int
) -> tuple[float, float, int, list[list[int]]]:
    """Seconds of a rollout, those of all cores, passes of the model, and the tokens."""
    generator = np.random.default_rng(seed)
    prompts = generator.integers(1, VOCABULARY, (PROMPTS, PROMPT)).tolist()
    sampler = rollout.Sampler(config, greedy=False)
    began, worked = time.perf_counter(), time.process_time()
    batch = kind(policy, prompts, GENERATIONS, sampler, mx.random.key(seed), config, LONGEST)
    for _ in batch.run():
        pass
    seconds, spent = time.perf_counter() - began, time.process_time() - worked
    return seconds, spent, batch.passes, [made.tokens for made in batch.rollouts()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="mlx-grpo-benchmark-") as folder:
        model = Path(folder) / "model"
        apart(make_model, model, VOCABULARY)
        config = TrainConfig(model_name=str(model), precision="float32", train_type="lora", max_new_tokens=LONGEST)
        opened: Any = open_policy(config)
        policy: Policy = drain(opened)
        policy.end_tokens = frozenset(range(ENDS))
        print(f"{PROMPTS} prompts of {PROMPT} tokens x {GENERATIONS} completions of 1 to {LONGEST}; {rounds} rounds")
        for at_once in AT_ONCE:
            compare(policy, config.model_copy(update={"rollout_batch_size": at_once}), rounds)
        policy.close()


def compare(policy: Policy, config: TrainConfig, rounds: int) -> None:
    """Both ways in turn, each first in every other round; the first round warms up."""
    speeds: dict[type[Joining], list[np.ndarray]] = {Joining: [], Waves: []}
    for number in range(rounds + 1):
        made = []
        for kind in sorted(speeds, key=lambda kind: kind.__name__, reverse=bool(number % 2)):
            seconds, spent, passes, tokens = measure(kind, policy, config, number)
            speeds[kind].append(sum(map(len, tokens)) / np.array([seconds, spent, passes]))
            made.append([len(each) for each in tokens])
        assert made[0] == made[1], "not the same completions"
    joining, waves = (np.stack(values[1:]) for values in speeds.values())
    print(f"  {config.rollout_batch_size} at once")
    for column, unit in enumerate(("second", "second of a core", "pass of the model")):
        ratios = joining[:, column] / waves[:, column]
        print(
            f"    tokens a {unit:18} joining {np.median(joining[:, column]):8.1f}   "
            f"in waves {np.median(waves[:, column]):8.1f}   "
            f"ratio {np.median(ratios):.2f} [{ratios.min():.2f}..{ratios.max():.2f}]",
            flush=True,
        )


if __name__ == "__main__":
    main()
