"""Micro-batches: every token that counts is in one of them once, at its place, within the budget. No model here."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.grpo.packing import Group, counted, pack
from engine.grpo.rollout import Rollout


@st.composite
def step_groups(draw: st.DrawFn) -> list[Group]:
    size = draw(st.integers(1, 5))
    token = iter(range(1, 10**6))
    groups = []
    for _ in range(draw(st.integers(1, 4))):
        prompt = [next(token) for _ in range(draw(st.integers(1, 6)))]
        rollouts = []
        for _ in range(size):
            tokens = [next(token) for _ in range(draw(st.integers(1, 7)))]
            rollouts.append(Rollout(tokens, np.array(tokens, np.float32) / 8, None, "", "end"))
        counts = np.array([draw(st.booleans()) for _ in range(size)])
        groups.append(Group(prompt, rollouts, np.arange(1.0, size + 1), counts))
    return groups


@given(step_groups(), st.integers(1, 60), st.sampled_from([1, 4]))
def test_every_token_is_scored_once_after_what_comes_before_it(groups: list[Group], budget: int, step: int) -> None:
    expected = {}
    for group in groups:
        for rolled, advantage, counts in zip(group.rollouts, group.advantages, group.counts, strict=True):
            for place, token in enumerate(rolled.tokens):
                if counts:
                    expected[token] = ([*group.prompt, *rolled.tokens[:place]], float(advantage))
    found = {}
    for batch in pack(groups, budget, step):
        arrays = batch.arrays
        row_count, time = arrays["inputs"].shape
        longest = arrays["prompts"].shape[1]
        size = row_count // len(arrays["lengths"])
        assert batch.rows == row_count
        assert batch.tokens == int(arrays["mask"].sum())
        assert time % step == longest % step == 0
        for row in range(row_count):
            before = arrays["prompts"][row // size][: arrays["lengths"][row // size]].tolist()
            for place in range(time):
                at = int(arrays["places"][row, place])
                if not arrays["mask"][row, place]:
                    assert at == len(arrays["targets"])
                    continue
                token = int(arrays["targets"][at])
                seen = before + arrays["inputs"][row, : place + 1].tolist()
                assert arrays["spots"][at] == row * time + place
                whole = int(arrays["whole_spots"][at]) - row * (longest + time)
                assert arrays["whole"][row, : whole + 1].tolist() == seen
                assert arrays["old"][row, place] == np.float32(token) / 8
                assert token not in found
                found[token] = (seen, float(arrays["advantages"][row]))
    assert found == expected
    assert counted(groups)[0] == len(expected)
    assert counted(groups)[1] == sum(len(group.rollouts) for group in groups)


@given(step_groups(), st.integers(1, 60), st.booleans())
def test_batches_stay_within_the_budget_where_one_completion_does(
    groups: list[Group], budget: int, shared: bool
) -> None:
    for batch in pack(groups, budget, shared=shared):
        arrays = batch.arrays
        parts, rows = len(arrays["lengths"]), len(arrays["inputs"])
        prompts = parts if shared else rows
        tokens = arrays["inputs"].size + prompts * (arrays["prompts"].shape[1] + 1)
        assert tokens <= budget + prompts or rows == parts == 1


def test_sampler_log_probabilities_are_there_where_they_differ() -> None:
    plain = Rollout([1, 2], np.zeros(2, np.float32), None, "", "end")
    drawn = Rollout([3], np.zeros(1, np.float32), np.full(1, -2, np.float32), "", "end")
    group = Group([5], [drawn], np.ones(1), np.ones(1, bool))
    (batch,) = pack([group], 100)
    assert batch.arrays["sampler"].tolist() == [[-2.0]]
    (batch,) = pack([Group([5], [plain], np.ones(1), np.ones(1, bool))], 100)
    assert "sampler" not in batch.arrays


def test_nothing_that_counts_makes_no_batch() -> None:
    rolled = Rollout([1, 2], np.zeros(2, np.float32), None, "", "length")
    assert pack([Group([5], [rolled], np.ones(1), np.zeros(1, bool))], 100) == []
    assert pack([], 100) == []
