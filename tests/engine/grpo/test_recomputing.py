"""Recomputed layers: the gradients of layers that keep their activations. No optimiser here."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import pytest

from engine.grpo.recomputing import recompute_layers
from tests.engine.grpo import cases


@pytest.mark.parametrize("kind", list(cases.MODELS))
def test_gradients_are_those_of_kept_activations(tmp_path: Path, kind: str) -> None:
    policy = cases.policy_in(tmp_path, kind, train_type="full")
    groups = cases.groups_of(policy)
    loss, kept = cases.gradients_of(policy, policy._config, groups)
    config = policy._config.model_copy(update={"gradient_checkpointing": True})
    recomputed_loss, recomputed = cases.gradients_of(policy, config, groups)
    assert all(hasattr(type(layer), "recomputes") for layer in policy.model.layers)
    assert abs(loss - recomputed_loss) < 1e-5
    cases.assert_close(recomputed, kept)


@pytest.mark.parametrize("train_type", ["lora", "dora"])
@pytest.mark.parametrize("share", [True, False])
def test_gradients_of_adapters_are_those_of_kept_activations(tmp_path: Path, train_type: str, share: bool) -> None:
    policy = cases.policy_in(tmp_path, train_type=train_type, share_prompts=share)
    cases.unsettle(policy)
    groups = cases.groups_of(policy)
    _, kept = cases.gradients_of(policy, policy._config, groups)
    config = policy._config.model_copy(update={"gradient_checkpointing": True, "micro_batch_tokens": 20})
    _, recomputed = cases.gradients_of(policy, config, groups)
    cases.assert_close(recomputed, kept)


def test_layers_that_are_recomputed_already_stay_so(tmp_path: Path) -> None:
    policy = cases.policy_in(tmp_path)
    ids = mx.array([[1, 2, 3]])
    before = policy.model(ids)
    recompute_layers(policy.model)
    kinds = [type(layer) for layer in policy.model.layers]
    recompute_layers(policy.model)
    assert [type(layer) for layer in policy.model.layers] == kinds
    assert mx.array_equal(policy.model(ids), before)


def test_dropout_of_recomputed_layers_is_that_of_the_loss(tmp_path):
    policy = cases.policy_in(tmp_path, train_type="lora", lora_dropout=0.3)
    cases.unsettle(policy)
    groups = cases.groups_of(policy)
    loss, kept = cases.gradients_of(policy, policy._config, groups)
    config = policy._config.model_copy(update={"gradient_checkpointing": True})
    recomputed_loss, recomputed = cases.gradients_of(policy, config, groups)
    assert abs(loss - recomputed_loss) < 1e-5
    cases.assert_close(recomputed, kept)
