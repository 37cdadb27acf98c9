"""Gradients and updates: those of a straightforward implementation, however the step is computed. No rewards here."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx.utils import tree_flatten, tree_unflatten

from engine.grpo import update
from engine.grpo.loss import policy_loss
from engine.grpo.packing import Group
from engine.grpo.policy import Policy
from engine.grpo.rollout import Rollout
from engine.grpo.settings import TrainConfig
from engine.grpo.update import Updater, learning_rate
from tests.engine.grpo import cases
from tests.engine.tiny import make_model

TYPES = ["grpo", "bnpo", "dr_grpo", "dapo", "gspo", "cispo"]


def straightforward(policy: Policy, config: TrainConfig, groups: Sequence[Group]) -> Any:
    """The loss of a step as a function of the weights: each completion by itself in a whole pass."""
    found = [(group, place) for group in groups for place in range(len(group.rollouts))]
    time = max(len(group.rollouts[place].tokens) for group, place in found)

    def padded(values: Any) -> mx.array:
        array = mx.array(values)
        return mx.pad(array, (0, time - len(array)))

    def loss_of(weights: Any) -> mx.array:
        policy.model.update(weights)
        logps, olds, masks, advantages = [], [], [], []
        for group, place in found:
            rolled = group.rollouts[place]
            temperature = config.temperature if config.policy_temperature == "sampling" else 1.0
            logps.append(padded(cases.full_logprobs(policy.model, group.prompt, rolled.tokens, temperature)))
            olds.append(padded(rolled.logprobs))
            masks.append(padded(np.full(len(rolled.tokens), float(group.counts[place]), np.float32)))
            advantages.append(float(group.advantages[place]))
        loss, _ = policy_loss(
            mx.stack(logps),
            mx.stack(olds) if config.num_iterations > 1 else None,
            None,
            mx.array(advantages),
            mx.stack(masks),
            loss_type=config.loss_type,
            epsilon_high=5.0 if config.loss_type == "cispo" else None,
            max_completion_length=config.longest_completion,
        )
        return loss

    return loss_of


def expected_gradients(policy: Policy, config: TrainConfig, groups: Sequence[Group]) -> tuple[float, dict[str, Any]]:
    before = policy.model.trainable_parameters()
    policy.model.train()
    loss, gradients = mx.value_and_grad(straightforward(policy, config, groups))(before)
    policy.model.update(before)
    policy.model.eval()
    leaves: Any = tree_flatten(gradients)
    return float(loss.item()), {name: np.array(array) for name, array in leaves}


@pytest.mark.parametrize("kind", list(cases.MODELS))
def test_gradients_are_those_of_a_straightforward_implementation(tmp_path: Path, kind: str) -> None:
    policy = cases.policy_in(tmp_path, kind, train_type="full", num_iterations=2, temperature=0.7)
    groups = cases.groups_of(policy)
    loss, expected = expected_gradients(policy, policy._config, groups)
    for budget in (1, 40, 4000):
        config = policy._config.model_copy(update={"micro_batch_tokens": budget})
        found_loss, found = cases.gradients_of(policy, config, groups)
        assert abs(found_loss - loss) < 1e-5
        cases.assert_close(found, expected)
    if policy.shares_prompts:
        policy.shares_prompts = False
        cases.assert_close(cases.gradients_of(policy, policy._config, groups)[1], expected)


@pytest.mark.parametrize("loss_type", TYPES)
@pytest.mark.parametrize("iterations", [1, 2])
def test_micro_batches_add_up_for_every_loss(tmp_path: Path, loss_type: str, iterations: int) -> None:
    """With a completion that is left out, which is one without tokens in the means over completions."""
    policy = cases.policy_in(tmp_path, train_type="full", loss_type=loss_type, num_iterations=iterations)
    groups = cases.groups_of(policy, size=5)
    groups[1].counts[2] = False
    loss, expected = expected_gradients(policy, policy._config, groups)
    for budget in (1, 30, 4000):
        config = policy._config.model_copy(update={"micro_batch_tokens": budget})
        found_loss, found = cases.gradients_of(policy, config, groups)
        assert abs(found_loss - loss) < 1e-5
        cases.assert_close(found, expected)


@pytest.mark.parametrize("train_type", ["lora", "dora"])
@pytest.mark.parametrize("quantised", [False, True])
def test_gradients_of_adapters(tmp_path: Path, train_type: str, quantised: bool) -> None:
    folder = make_model(tmp_path, **cases.MODELS["llama"])
    if quantised:
        cases.quantise(folder)
    policy = cases.policy_of(cases.config_of(folder, train_type=train_type))
    cases.unsettle(policy)
    groups = cases.groups_of(policy)
    _, expected = expected_gradients(policy, policy._config, groups)
    for budget in (30, 4000):
        config = policy._config.model_copy(update={"micro_batch_tokens": budget})
        cases.assert_close(cases.gradients_of(policy, config, groups)[1], expected)
    policy.shares_prompts = False
    cases.assert_close(cases.gradients_of(policy, policy._config, groups)[1], expected)


def test_gradients_are_slopes_of_the_loss(tmp_path: Path) -> None:
    policy = cases.policy_in(tmp_path, train_type="full", num_iterations=2, kl_coeff=0.1)
    config = policy._config
    groups = cases.groups_of(policy, shift=0.02)
    cases.unsettle(policy, size=0.01)
    _, found = cases.gradients_of(policy, config, groups)
    before = policy.trainable()
    for name in ("model.embed_tokens.weight", "model.layers.0.self_attn.k_proj.weight", "model.norm.weight"):
        direction = found[name] / np.abs(found[name]).max()
        losses = []
        for way in (1e-3, -1e-3):
            policy.put(before | {name: before[name] + way * mx.array(direction)})
            losses.append(cases.gradients_of(policy, config, groups)[0])
        policy.put(before)
        slope = (losses[0] - losses[1]) / 2e-3
        assert slope == pytest.approx(float((found[name] * direction).sum()), rel=2e-2)


def test_flat_groups_are_left_out_but_count(tmp_path: Path) -> None:
    policy = cases.policy_in(tmp_path, train_type="full")
    groups = cases.groups_of(policy)
    groups[1].advantages[:] = 0
    config = policy._config
    _, expected = expected_gradients(policy, config, groups)
    _, found = cases.gradients_of(policy, config, groups)
    cases.assert_close(found, expected)


def test_a_step_of_flat_groups_changes_nothing(tmp_path: Path) -> None:
    policy = cases.policy_in(tmp_path, train_type="full")
    groups = cases.groups_of(policy)
    for group in groups:
        group.advantages[:] = 0
    before = policy.trainable()
    figures = cases.result_of(Updater(policy, policy._config).update(groups, 1e-2, mx.random.key(0)))
    assert figures.loss == figures.gradient_norm == 0
    assert all(mx.array_equal(array, before[name]) for name, array in policy.trainable().items())


def test_completions_that_do_not_count_change_nothing(tmp_path: Path) -> None:
    policy = cases.policy_in(tmp_path, train_type="full", loss_type="dapo")
    groups = cases.groups_of(policy)
    kept = cases.groups_of(policy)
    for group in groups:
        group.rollouts[0] = Rollout([9] * 20, np.zeros(20, np.float32), None, "", "length")  # type: ignore[index]
        group.advantages[0] = 50.0
        group.counts[0] = False
    kept = [Group(g.prompt, g.rollouts[1:], g.advantages[1:], g.counts[1:]) for g in kept]
    loss, found = cases.gradients_of(policy, policy._config, groups)
    expected_loss, expected = cases.gradients_of(policy, policy._config, kept)
    assert loss == pytest.approx(expected_loss, abs=1e-5)
    cases.assert_close(found, expected)
    for group in groups:
        group.counts[:] = False
    assert cases.result_of(Updater(policy, policy._config).update(groups, 1e-2, mx.random.key(0))).gradient_norm == 0


@pytest.mark.parametrize("loss_type", TYPES)
def test_an_update_makes_better_completions_likelier(tmp_path: Path, loss_type: str) -> None:
    policy = cases.policy_in(tmp_path, train_type="full", loss_type=loss_type, max_grad_norm=1.0)
    groups = cases.groups_of(policy)

    def gain() -> float:
        return sum(
            float(advantage) * float(cases.full_logprobs(policy.model, group.prompt, rolled.tokens).mean().item())
            for group in groups
            for rolled, advantage in zip(group.rollouts, group.advantages, strict=True)
        )

    before, weights = gain(), policy.trainable()
    figures = cases.result_of(Updater(policy, policy._config).update(groups, 1e-3, mx.random.key(0)))
    assert gain() > before
    assert figures.gradient_norm > 0
    assert any(not mx.array_equal(array, weights[name]) for name, array in policy.trainable().items())


def test_gradients_are_cut_to_the_limit_and_adamw_is_mlx_s(tmp_path: Path) -> None:
    from mlx import optimizers

    policy = cases.policy_in(tmp_path, train_type="full", max_grad_norm=0.01, weight_decay=0.1)
    groups = cases.groups_of(policy)
    _, gradients = cases.gradients_of(policy, policy._config, groups)
    norm = math.sqrt(sum(float(np.square(array).sum()) for array in gradients.values()))
    assert norm > 0.01
    ours = {name: mx.array(array * 0.01 / norm) for name, array in gradients.items()}
    theirs = optimizers.AdamW(1e-3, weight_decay=0.1, bias_correction=True)
    expected: Any = theirs.apply_gradients(tree_unflatten(list(ours.items())), policy.model.trainable_parameters())
    updater = Updater(policy, policy._config)
    figures = cases.result_of(updater.update(groups, 1e-3, mx.random.key(0)))
    assert figures.gradient_norm == pytest.approx(norm, rel=1e-4)
    leaves: Any = tree_flatten(expected)
    for name, array in leaves:
        assert mx.allclose(policy.trainable()[name], array, rtol=1e-3, atol=1e-5), name


def test_a_step_without_finite_gradients_is_left_out(tmp_path: Path) -> None:
    policy = cases.policy_in(tmp_path, train_type="full")
    groups = cases.groups_of(policy)
    groups[0].advantages[0] = np.inf
    before = policy.trainable()
    figures = cases.result_of(Updater(policy, policy._config).update(groups, 1e-2, mx.random.key(0)))
    assert not math.isfinite(figures.loss)
    assert all(mx.array_equal(array, before[name]) for name, array in policy.trainable().items())


def test_moments_that_are_put_back_go_on_as_before(tmp_path: Path) -> None:
    policy = cases.policy_in(tmp_path, train_type="full")
    groups = cases.groups_of(policy)
    updater = Updater(policy, policy._config)
    cases.result_of(updater.update(groups, 1e-3, mx.random.key(0)))
    state, weights = updater.state(), policy.trainable()
    cases.result_of(updater.update(groups, 1e-3, mx.random.key(1)))
    expected = policy.trainable()
    policy.put(weights)
    fresh = Updater(policy, policy._config)
    fresh.put_state(state)
    cases.result_of(fresh.update(groups, 1e-3, mx.random.key(1)))
    assert all(mx.allclose(array, expected[name], rtol=0, atol=1e-7) for name, array in policy.trainable().items())


def test_kl_is_measured_from_the_untrained_model(tmp_path: Path) -> None:
    policy = cases.policy_in(tmp_path, train_type="lora", kl_coeff=0.1, kl_bias_correction=False)
    groups = cases.groups_of(policy)
    tokens = [(group.prompt, rolled.tokens) for group in groups for rolled in group.rollouts]
    reference = [cases.full_logprobs(policy.model, *one) for one in tokens]
    cases.unsettle(policy)
    differences = [was - cases.full_logprobs(policy.model, *one) for one, was in zip(tokens, reference, strict=True)]
    every = np.array(mx.concatenate(differences), np.float64)
    figures = cases.result_of(Updater(policy, policy._config).update(groups, 1e-3, mx.random.key(0)))
    assert figures.kl == pytest.approx(float((np.expm1(every) - every).mean()), rel=1e-3)


@pytest.mark.parametrize("correction", ["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"])
def test_tokens_drawn_from_something_else_are_weighted(tmp_path: Path, correction: str) -> None:
    policy = cases.policy_in(tmp_path, top_k=5, importance_correction=correction, train_type="full")
    found = cases.completions(policy, policy._config)
    advantages = np.array([1.0, -1.0, 0.5, -0.5])
    groups = [
        Group(prompt, found[4 * place : 4 * place + 4], advantages, np.ones(4, bool))
        for place, prompt in enumerate(cases.PROMPTS)
    ]
    _, weighted = cases.gradients_of(policy, policy._config, groups)
    plain = policy._config.model_copy(update={"importance_correction": "none"})
    _, unweighted = cases.gradients_of(policy, plain, groups)
    assert any(not np.allclose(weighted[name], unweighted[name], rtol=1e-2) for name in weighted)
    assert all(np.isfinite(array).all() for array in weighted.values())


@pytest.mark.skipif(shutil.which("g++") is None, reason="MLX compiles for a CPU with g++")
def test_compiled_updates_are_the_same_and_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that a compiled function might take for a constant: weights, dropout's key, reference, old values."""
    hard = {"lora_dropout": 0.3, "kl_coeff": 0.1, "gradient_checkpointing": True, "num_iterations": 2}
    small = {"model": {"num_hidden_layers": 1}, "train_type": "lora"}
    policy = cases.policy_in(tmp_path, **small, **hard)  # type: ignore[arg-type]
    first = policy.trainable()
    traces: list[int] = []
    original = Updater._loss
    monkeypatch.setattr(Updater, "_loss", lambda *given: traces.append(0) or original(*given))

    def trained() -> tuple[list[float], dict[str, mx.array]]:
        policy.put(first)
        updater = Updater(policy, policy._config)
        # Dropout's mask depends on shapes too.
        updater._step = 64
        # Other completions each time, of other lengths, in as many micro-batches.
        seeds = range(3)
        steps = [updater.update(cases.groups_of(policy, seed=n), 1e-2, mx.random.key(n)) for n in seeds]
        return [cases.result_of(each).loss for each in steps], policy.trainable()

    losses, weights = trained()
    assert len(traces) == 3
    monkeypatch.setattr(update, "_compiles", lambda _config: True)
    mx.enable_compile()
    try:
        compiled_losses, compiled = trained()
    finally:
        mx.disable_compile()
    assert len(traces) == 4
    assert compiled_losses == pytest.approx(losses, abs=1e-5)
    assert all(mx.allclose(array, weights[name], rtol=0, atol=1e-4) for name, array in compiled.items())


@given(
    st.integers(1, 300),
    st.floats(0, 1),
    st.sampled_from(["cosine", "linear", "constant"]),
)
def test_the_learning_rate_rises_and_then_falls(steps: int, warm_up: float, kind: str) -> None:
    config = TrainConfig(learning_rate=1e-3, warmup_ratio=warm_up, lr_scheduler_type=kind)
    rates = [learning_rate(config, step, steps) for step in range(1, steps + 1)]
    rising = math.ceil(warm_up * steps)
    assert all(0 < rate <= 1e-3 for rate in rates)
    assert rates[:rising] == pytest.approx([1e-3 * step / rising for step in range(1, rising + 1)])
    assert sorted(rates[rising:], reverse=True) == rates[rising:]
    if rising < steps:
        assert rates[rising] == pytest.approx(1e-3)


def test_the_learning_rate_at_its_ends() -> None:
    def last(kind: str) -> float:
        config = TrainConfig(learning_rate=1.0, warmup_ratio=0.0, lr_scheduler_type=kind)
        assert learning_rate(config, 1, 100) == 1.0
        return learning_rate(config, 100, 100)

    assert last("constant") == 1.0
    assert last("linear") == pytest.approx(0.01)
    assert last("cosine") == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.99)))
    assert learning_rate(TrainConfig(learning_rate=1.0, warmup_ratio=0.1), 1, 100) == pytest.approx(0.1)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.parametrize("train_type", ["full", "lora"])
def test_small_steps_in_half_precision_are_not_lost(tmp_path, precision, train_type):
    policy = cases.policy_in(tmp_path, precision=precision, train_type=train_type)
    updater, groups = Updater(policy, policy._config), cases.groups_of(policy)
    for _ in range(2):
        cases.result_of(updater.update(groups, 1e-6, mx.random.key(0)))
    assert all(bool(mx.isfinite(array).all()) for array in policy.trainable().values())
