"""Rollouts whose completions join the running batch beside those in waves, same completions, same run: tokens a second.

Run: python -m benchmarks.rollout_batch [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
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


class Waves(rollout._Batch):
    """A batch that nothing joins before the last of its rows has ended."""

    def _joining(self, places: list[int]) -> range:
        return range(0) if places else super()._joining(places)


def measure(
    kind: type[rollout._Batch], policy: Policy, config: TrainConfig, seed: int
) -> tuple[float, list[list[int]]]:
    """Seconds of a rollout and its tokens."""
    generator = np.random.default_rng(seed)
    prompts = generator.integers(1, VOCABULARY, (PROMPTS, PROMPT)).tolist()
    sampler = rollout.Sampler(config, greedy=False)
    began = time.perf_counter()
    batch = kind(policy, prompts, GENERATIONS, sampler, mx.random.key(seed), config, LONGEST)
    for _ in batch.run():
        pass
    return time.perf_counter() - began, [made.tokens for made in batch.rollouts()]


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
    speeds: dict[type[rollout._Batch], list[float]] = {rollout._Batch: [], Waves: []}
    for number in range(rounds + 1):
        made = []
        for kind in sorted(speeds, key=lambda kind: kind.__name__, reverse=bool(number % 2)):
            seconds, tokens = measure(kind, policy, config, number)
            speeds[kind].append(sum(map(len, tokens)) / seconds)
            made.append(tokens)
        assert [len(each) for each in made[0]] == [len(each) for each in made[1]], "not the same completions"
    joining, waves = (values[1:] for values in speeds.values())
    ratios = [one / other for one, other in zip(joining, waves, strict=True)]
    print(
        f"  {config.rollout_batch_size:3} at once   joining {statistics.median(joining):7.0f} tokens/s   "
        f"in waves {statistics.median(waves):7.0f} tokens/s   "
        f"ratio {statistics.median(ratios):.2f} [{min(ratios):.2f}..{max(ratios):.2f}]",
        flush=True,
    )


if __name__ == "__main__":
    main()
