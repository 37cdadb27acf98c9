"""Tiny policies of several architectures, completions made up for them, and what an update does. Tests nothing."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from engine.events import Event
from engine.grpo import rollout
from engine.grpo.packing import Group, pack
from engine.grpo.policy import Policy, open_policy
from engine.grpo.rollout import Rollout
from engine.grpo.settings import TrainConfig
from engine.grpo.update import Updater
from tests.engine.tiny import make_model

GQA: dict[str, Any] = {"num_attention_heads": 4, "num_key_value_heads": 2}
MODELS: dict[str, dict[str, Any]] = {
    "llama": GQA,
    "qwen2": GQA | {"model_type": "qwen2", "tie_word_embeddings": False},
    "qwen3": GQA | {"model_type": "qwen3", "head_dim": 8},
    "gemma2": GQA | {"model_type": "gemma2", "head_dim": 8, "query_pre_attn_scalar": 16, "sliding_window": 4},
    "gemma3": GQA
    | {
        "model_type": "gemma3_text",
        "head_dim": 8,
        "query_pre_attn_scalar": 16,
        "sliding_window": 4,
        "sliding_window_pattern": 2,
        "rope_local_base_freq": 10000.0,
    },
    "qwen3_moe": GQA
    | {
        "model_type": "qwen3_moe",
        "head_dim": 8,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "moe_intermediate_size": 16,
        "norm_topk_prob": True,
    },
    "glm4_moe": GQA
    | {
        "model_type": "glm4_moe",
        "head_dim": 8,
        "partial_rotary_factor": 0.5,
        "attention_bias": False,
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "topk_group": 1,
        "moe_intermediate_size": 16,
        "first_k_dense_replace": 1,
        "norm_topk_prob": True,
        "routed_scaling_factor": 1.0,
        "use_qk_norm": False,
        "rope_scaling": {"rope_type": "default"},
    },
    "mamba": {
        "model_type": "mamba",
        "state_size": 8,
        "conv_kernel": 4,
        "use_bias": False,
        "use_conv_bias": True,
        "time_step_rank": 4,
        "num_attention_heads": None,
        "num_key_value_heads": None,
    },
}
Found = TypeVar("Found")
PROMPTS = [[5, 17, 33, 8, 90, 41, 7], [12, 9, 77], [61]]


def result_of(steps: Generator[Event, None, Found]) -> Found:
    """The result of a generator of events."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def quantise(folder: Path, group: int = 32, bits: int = 8) -> Path:
    """Quantise the model in a folder, in place."""
    from mlx_lm.utils import load_model, quantize_model, save_model

    model, config = load_model(folder)
    model, config = quantize_model(model, config, group, bits)
    save_model(folder, model)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def config_of(folder: Path, **changes: Any) -> TrainConfig:
    """A configuration for a model in a folder, in float32 and for short completions."""
    given: dict[str, Any] = {"precision": "float32", "max_new_tokens": 12, "num_generations": 4, "lora_rank": 4}
    return TrainConfig(model_name=str(folder), **(given | changes))


def policy_of(config: TrainConfig, ends: Iterable[int] = ()) -> Policy:
    """The policy of a configuration; `ends` are end tokens besides its own."""
    policy = result_of(open_policy(config))
    policy.end_tokens |= frozenset(ends)
    return policy


def policy_in(folder: Path, kind: str = "llama", *, model: dict[str, Any] | None = None, **changes: Any) -> Policy:
    """A policy of a new tiny model in a folder."""
    return policy_of(config_of(make_model(folder, **MODELS[kind], **(model or {})), **changes))


def unsettle(policy: Policy, seed: int = 1, size: float = 0.02) -> None:
    """Move all trainable weights a little, so that no adapter is zero."""
    weights = {}
    for number, (name, array) in enumerate(sorted(policy.trainable().items())):
        noise = mx.random.normal(array.shape, key=mx.random.key(1000 * seed + number))
        weights[name] = array + size * noise.astype(array.dtype)
    policy.put(weights)


def completions(policy: Policy, config: TrainConfig, prompts: Sequence[list[int]] = PROMPTS, seed: int = 3) -> Any:
    """Sampled completions, prompt by prompt."""
    return result_of(
        rollout.generate(
            policy,
            prompts,
            config,
            generations=config.num_generations,
            key=mx.random.key(seed),
            max_tokens=config.longest_completion,
        )
    )


def full_logits(model: Any, prompt: list[int], tokens: list[int]) -> mx.array:
    """Logits (tokens, vocabulary) before each token of a completion, by one whole pass without a cache."""
    logits: mx.array = model(mx.array([*prompt, *tokens[:-1]])[None])[0, len(prompt) - 1 :]
    return logits.astype(mx.float32)


def full_logprobs(model: Any, prompt: list[int], tokens: list[int], temperature: float = 1.0) -> mx.array:
    """Log-probabilities (tokens,) of a completion by one whole pass without a cache."""
    logits = full_logits(model, prompt, tokens) / temperature
    chosen = mx.take_along_axis(logits, mx.array(tokens)[:, None], axis=-1)[:, 0]
    return chosen - mx.logsumexp(logits, axis=-1)


def groups_of(
    policy: Policy, *, seed: int = 0, size: int = 4, prompts: Sequence[list[int]] = PROMPTS, shift: float = 0.1
) -> list[Group]:
    """Groups of random completions of different lengths; old log-probabilities are off by about `shift`."""
    random = np.random.default_rng(seed)
    groups = []
    for prompt in prompts:
        rollouts = []
        for _ in range(size):
            tokens = random.integers(1, policy.vocabulary, int(random.integers(1, 9))).tolist()
            found = np.array(full_logprobs(policy.model, prompt, tokens))
            old = (found + shift * random.standard_normal(len(tokens))).astype(np.float32)
            rollouts.append(Rollout(tokens, old, None, "", "end"))
        advantages = random.standard_normal(size)
        groups.append(Group(prompt, rollouts, advantages, np.ones(size, bool)))
    return groups


def gradients_of(policy: Policy, config: TrainConfig, groups: Sequence[Group]) -> tuple[float, dict[str, np.ndarray]]:
    """Loss and gradients of an update, before they are cut to a norm."""
    updater = Updater(policy, config.model_copy(update={"max_grad_norm": 0.0}))
    caught: list[Any] = []
    optimizer: Any = updater.optimizer

    def keep(total: Any, masters: Any) -> Any:
        caught.append(total)
        return masters

    optimizer.apply_gradients = keep
    figures = result_of(updater.update(groups, 1e-3, mx.random.key(0)))
    leaves: Any = tree_flatten(caught[0])
    return figures.loss, {name: np.array(array.astype(mx.float32)) for name, array in leaves}


def packed(groups: Sequence[Group], budget: int = 2048) -> int:
    """How many micro-batches groups make."""
    return len(pack(groups, budget))


def assert_close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float = 1e-4) -> None:
    """Compare gradients by the largest of all."""
    assert found.keys() == expected.keys()
    largest = max(float(np.abs(array).max()) for array in expected.values())
    assert largest > 0
    for name, array in expected.items():
        assert np.abs(found[name] - array).max() <= tolerance * largest, name
