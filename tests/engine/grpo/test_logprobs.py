"""Log-probabilities of tokens: those of the whole model, in chunks or not, with the same gradient. No loss here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from engine.errors import UserError
from engine.grpo import logprobs
from engine.grpo.logprobs import SplitModel
from tests.engine.grpo import cases


@pytest.mark.parametrize("kind", list(cases.MODELS))
def test_body_and_head_are_the_model(tmp_path: Path, kind: str) -> None:
    policy = cases.policy_in(tmp_path, kind)
    ids = mx.array([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
    whole = policy.model(ids)
    split = SplitModel(policy.model)
    assert mx.allclose(split.head(split.hidden(ids)), whole, rtol=1e-5, atol=1e-5)
    assert mx.array_equal(policy.model(ids), whole)


def test_a_model_without_a_body_is_refused() -> None:
    from mlx import nn

    with pytest.raises(UserError, match="cannot be trained"):
        SplitModel(nn.Linear(2, 2))


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma2"])
@pytest.mark.parametrize("train_type", ["full", "lora"])
def test_chunks_change_neither_values_nor_gradients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, train_type: str
) -> None:
    policy = cases.policy_in(tmp_path, kind, train_type=train_type)
    cases.unsettle(policy)
    config = policy._config
    groups = cases.groups_of(policy, size=8)
    loss, whole = cases.gradients_of(policy, config, groups)
    monkeypatch.setattr(logprobs, "CHUNK_BYTES", 4 * policy.vocabulary * 16)
    chunked_loss, chunked = cases.gradients_of(policy, config, groups)
    assert abs(loss - chunked_loss) < 1e-5
    cases.assert_close(chunked, whole)


def test_values_are_those_of_a_plain_softmax() -> None:
    weight = mx.random.normal((50, 8), key=mx.random.key(1))
    hidden = mx.random.normal((40, 8), key=mx.random.key(2))
    tokens = mx.random.randint(0, 50, (40,), key=mx.random.key(3))
    head: Any = lambda states: states @ weight.T  # noqa: E731
    found = np.array(logprobs.of_tokens(head, hidden, tokens, 0.7, 50, None))
    logits = np.array(hidden, np.float64) @ np.array(weight, np.float64).T / 0.7
    expected = logits[np.arange(40), np.array(tokens)] - np.log(np.exp(logits).sum(axis=-1))
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "key"), [("qwen2", "lm_head"), ("llama", "model.embed_tokens")])
def test_chunks_keep_the_gradient_of_an_adapted_head(tmp_path, monkeypatch, kind, key):
    policy = cases.policy_in(tmp_path, kind, train_type="lora", lora_keys=(key, "self_attn.q_proj"))
    cases.unsettle(policy)
    groups = cases.groups_of(policy, size=8)
    _, whole = cases.gradients_of(policy, policy._config, groups)
    monkeypatch.setattr(logprobs, "CHUNK_BYTES", 4 * policy.vocabulary * 16)
    cases.assert_close(cases.gradients_of(policy, policy._config, groups)[1], whole)
