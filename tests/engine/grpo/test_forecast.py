"""Forecasts against measured peaks, and what is suggested where a run does not fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import model_config, places
from engine.errors import UserError
from engine.events import Note
from engine.grpo import forecast, packing, rollout
from engine.grpo.forecast import Machine, plan, suggest
from engine.grpo.memory_model import forecast_memory, packed
from engine.grpo.model_shape import Shape, trainable_parameters
from engine.grpo.policy import Policy, open_policy
from engine.grpo.settings import TrainConfig
from engine.grpo.update import Updater
from engine.session import drain
from engine.training_events import TrainingPlanned
from tests.engine.tiny import make_model

LLAMA = {
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "intermediate_size": 688,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
SEVEN_BILLION = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "num_hidden_layers": 28,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
SHAPES: dict[str, dict[str, int]] = {
    "large vocabulary": {"vocab_size": 32000},
    "wide": {"hidden_size": 512, "num_hidden_layers": 6, "intermediate_size": 1376},
}
GIGABYTE = 10**9
TOLERANCE = 0.15


@pytest.fixture
def little_cache() -> Iterator[None]:
    """Buffers that wait in MLX's cache would not count as active, but bigger ones are handed out for smaller needs."""
    before = mx.set_cache_limit(0)
    yield
    mx.set_cache_limit(before)


def _group(policy: Policy, prompt: int, config: TrainConfig, generator: np.random.Generator) -> packing.Group:
    count = config.longest_completion

    def ids(length: int) -> list[int]:
        return [int(token) for token in generator.integers(5, policy.vocabulary, length)]

    rollouts = [
        rollout.Rollout(ids(count), np.full(count, -1, np.float32), None, "", "length")
        for _ in range(config.num_generations)
    ]
    advantages = generator.normal(size=config.num_generations).astype(np.float32)
    return packing.Group(ids(prompt), rollouts, advantages, np.ones(config.num_generations, bool))


def _shape(policy: Policy) -> Shape:
    described = model_config.normalised(model_config.read(policy.files.folder))
    shape = Shape.of(described, policy.files.weights)
    assert shape is not None
    return shape


@pytest.mark.usefixtures("little_cache")
@pytest.mark.parametrize("train_type", ["lora", "full"])
@pytest.mark.parametrize(
    ("model", "changes", "prompt"),
    [
        ("llama", {"gradient_accumulation_steps": 4, "max_new_tokens": 48}, 96),
        ("llama", {"gradient_accumulation_steps": 2, "max_new_tokens": 48, "gradient_checkpointing": True}, 96),
        ("llama", {"gradient_accumulation_steps": 6, "max_new_tokens": 48, "rollout_batch_size": 20}, 96),
        ("large vocabulary", {"gradient_accumulation_steps": 4, "max_new_tokens": 48}, 96),
        ("wide", {"gradient_accumulation_steps": 2, "num_generations": 2, "max_new_tokens": 8}, 16),
        ("wide", {"gradient_accumulation_steps": 2, "num_generations": 2, "max_new_tokens": 8, "kl_coeff": 0.1}, 16),
        ("llama", {"gradient_accumulation_steps": 2, "max_new_tokens": 24, "share_prompts": False}, 200),
        ("llama", {"gradient_accumulation_steps": 2, "max_new_tokens": 48, "precision": "bfloat16"}, 96),
        ("starter", {"gradient_accumulation_steps": 16, "max_new_tokens": 40}, 48),
        ("starter", {"gradient_accumulation_steps": 4, "max_new_tokens": 40, "micro_batch_tokens": 10**6}, 48),
    ],
    ids=[
        "llama",
        "llama recomputed",
        "rows that join",
        "large vocabulary",
        "few tokens for many weights",
        "few tokens and a reference",
        "prompts that are not shared",
        "16 bits",
        "starter",
        "starter in one piece",
    ],
)
def test_the_forecast_is_near_the_measured_peaks(
    tmp_path: Path, model: str, changes: dict[str, Any], prompt: int, train_type: str
) -> None:
    shaped = LLAMA | SHAPES.get(model, {})
    name = "starter" if model == "starter" else str(make_model(tmp_path / "llama", endless=True, **shaped))
    config = TrainConfig.model_validate(
        {"model_name": name, "train_type": train_type, "precision": "float32", "eval_samples": 0, **changes}
    )
    before = mx.get_active_memory()
    policy: Any = drain(open_policy(config))  # type: ignore[arg-type]
    try:
        shape = _shape(policy)
        expected = forecast_memory(config, shape, prompt)
        assert trainable_parameters(config, shape, train_type) == sum(a.size for a in policy.trainable().values())

        if config.kl_coeff:
            # A second copy from the first change of the weights on.
            policy.keep_first({name: mx.array(np.array(array)) for name, array in policy.trainable().items()})
        generator = np.random.default_rng(0)
        groups = [_group(policy, prompt, config, generator) for _ in range(config.prompts_per_step)]
        mx.reset_peak_memory()
        steps: Any = rollout.generate(
            policy,
            [group.prompt for group in groups],
            config,
            generations=config.num_generations,
            key=mx.random.key(0),
            max_tokens=config.longest_completion,
        )
        drain(steps)
        rolled = mx.get_peak_memory() - before
        assert expected.rollout_peak - expected.moments == pytest.approx(rolled, rel=TOLERANCE)

        updater = Updater(policy, config)
        mx.eval(updater.optimizer.state)
        mx.reset_peak_memory()
        drain(updater.update(groups, 1e-5, mx.random.key(1)))  # type: ignore[arg-type]
        updated = mx.get_peak_memory() - before
        assert expected.update_peak == pytest.approx(updated, rel=TOLERANCE)
        del updater
    finally:
        policy.close()


def _planned(config: TrainConfig, gigabytes: float, described: dict[str, Any] | None = None) -> TrainingPlanned:
    return plan(config, SEVEN_BILLION if described is None else described, Machine(int(gigabytes * GIGABYTE)), rows=100)


def test_whole_weights_of_seven_billion_do_not_fit_into_little_and_adapters_would() -> None:
    config = TrainConfig(train_type="full", precision="bfloat16")
    planned = _planned(config, 48)
    assert planned.parameters == pytest.approx(7.6e9, rel=0.01)
    assert planned.trainable == planned.parameters
    # Weights, two moments and at least one gradient of two bytes each.
    assert planned.peak > 8 * planned.parameters * 0.8
    assert not planned.fits
    assert "train_type=lora" in planned.suggestion
    with pytest.raises(UserError, match="cannot be trained") as raised:
        forecast.require(planned)
    assert "train_type=lora" in raised.value.remedy


def test_what_fits_is_not_refused_and_not_changed() -> None:
    planned = _planned(TrainConfig(train_type="lora", precision="bfloat16"), 2000)
    assert planned.fits
    assert planned.suggestion == ()
    assert planned.trainable < planned.parameters / 100
    forecast.require(planned)


def test_where_nothing_helps_nothing_is_suggested() -> None:
    planned = _planned(TrainConfig(precision="bfloat16"), 1)
    assert not planned.fits
    assert planned.suggestion == ()
    with pytest.raises(UserError, match="cannot be trained") as raised:
        forecast.require(planned)
    assert "smaller" in raised.value.remedy


def test_a_small_limit_is_named_as_it_is() -> None:
    planned = plan(TrainConfig(precision="bfloat16"), SEVEN_BILLION, Machine(1 << 20), stored=4 * 10**9)
    with pytest.raises(UserError, match="cannot be trained") as raised:
        forecast.require(planned)
    assert raised.value.why.endswith(" GB and 1.05 MB can be used.")


def test_a_reference_of_whole_weights_is_a_second_copy() -> None:
    without = _planned(TrainConfig(train_type="full", precision="bfloat16"), 1)
    held = _planned(TrainConfig(train_type="full", precision="bfloat16", kl_coeff=0.1), 1)
    assert held.weights == 2 * without.weights
    adapters = _planned(TrainConfig(train_type="lora", precision="bfloat16", kl_coeff=0.1), 1)
    assert adapters.weights < 1.01 * without.weights


def test_without_a_model_there_is_a_plan_and_no_forecast() -> None:
    planned = plan(TrainConfig(), None, Machine(GIGABYTE), rows=10)
    assert (planned.parameters, planned.peak, planned.seconds_per_step, planned.train_type) == (0, 0, 0.0, "auto")
    assert (planned.steps, planned.rows, planned.held_out) == (3, 10, -1)
    assert plan(TrainConfig(), None, Machine(GIGABYTE)).steps == 0
    assert plan(TrainConfig(max_steps=7), None, Machine(GIGABYTE)).steps == 7
    forecast.require(planned)


def test_a_quantised_model_gets_adapters_and_keeps_its_size() -> None:
    described = SEVEN_BILLION | {"quantization": {"bits": 4, "group_size": 64}}
    planned = plan(TrainConfig(), described, Machine(64 * GIGABYTE), stored=4 * GIGABYTE)
    assert planned.train_type == "lora"
    assert planned.weights == pytest.approx(4 * GIGABYTE, rel=0.03)


CHANGES = st.fixed_dictionaries(
    {
        "train_type": st.sampled_from(["lora", "dora", "full"]),
        "num_generations": st.integers(2, 16),
        "gradient_accumulation_steps": st.integers(1, 8),
        "max_new_tokens": st.integers(32, 1024),
        "micro_batch_tokens": st.integers(64, 16384),
        "rollout_batch_size": st.sampled_from([0, 16]),
        "gradient_checkpointing": st.booleans(),
        "share_prompts": st.booleans(),
        "quantize_for_rollouts": st.booleans(),
    }
)


@settings(deadline=None, max_examples=40)
@given(CHANGES, st.integers(8, 200))
def test_every_suggestion_fits_and_needs_all_it_changes(changes: dict[str, Any], gigabytes: int) -> None:
    config = TrainConfig.model_validate({"precision": "bfloat16", **changes})
    shape = Shape.of(SEVEN_BILLION)
    assert shape is not None
    machine = Machine(gigabytes * GIGABYTE)
    planned = _planned(config, gigabytes)
    pairs = [pair.split("=") for pair in suggest(config, shape, machine)] if not planned.fits else []
    assert planned.suggestion == tuple("=".join(pair) for pair in pairs)

    def fits(chosen: list[list[str]]) -> bool:
        values = {key: json.loads(value) if value[0] in "tf0123456789" else value for key, value in chosen}
        return _planned(TrainConfig.model_validate({**config.model_dump(), **values}), gigabytes).fits

    if pairs:
        assert fits(pairs)
        assert not any(fits([pair for pair in pairs if pair is not left_out]) for left_out in pairs)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 60), st.integers(1, 60), st.integers(2, 9), st.integers(1, 5), st.integers(1, 1000), st.booleans()
)
def test_the_largest_micro_batch_is_that_of_the_packing(
    prompt: int, completion: int, generations: int, groups: int, budget: int, shared: bool
) -> None:
    config = TrainConfig(
        share_prompts=shared,
        num_generations=generations,
        gradient_accumulation_steps=groups,
        max_new_tokens=completion,
        micro_batch_tokens=budget,
    )
    rolled = rollout.Rollout([1] * completion, np.zeros(completion, np.float32), None, "", "length")
    group = packing.Group([1] * prompt, [rolled] * generations, np.ones(generations), np.ones(generations, bool))
    batches = packing.pack([group] * groups, budget, shared=shared)
    parts, size = packed(config, prompt)
    largest = max(batches, key=lambda batch: batch.rows)
    assert largest.rows == parts * size
    assert len(largest.arrays["lengths"]) == parts


def test_a_step_takes_longer_with_more_work_and_its_time_is_unknown_without_a_rate() -> None:
    config = TrainConfig(train_type="lora", precision="bfloat16")
    machine = Machine(200 * GIGABYTE, 1e12, 1e11, 1e10)
    seconds = plan(config, SEVEN_BILLION, machine).seconds_per_step
    assert seconds > 0
    for change in ({"kl_coeff": 0.1}, {"train_type": "full"}, {"gradient_checkpointing": True}, {"batch_size": 2}):
        slower = config.model_copy(update=change)
        assert plan(slower, SEVEN_BILLION, machine).seconds_per_step > seconds
    assert plan(config, SEVEN_BILLION, replace(machine, rate=0.0)).seconds_per_step == 0.0


def _forecast(config: TrainConfig) -> tuple[TrainingPlanned, list[str]]:
    events = list(forecast.forecast(config))
    assert isinstance(events[-1], TrainingPlanned)
    return events[-1], [event.text for event in events if isinstance(event, Note)]


def test_the_plan_of_the_embedded_model_knows_its_data_and_its_prompts() -> None:
    config = TrainConfig(model_name="starter", dataset="arithmetic", max_new_tokens=40, precision="float32")
    planned, notes = _forecast(config)
    assert notes == []
    assert planned.rows > 10000
    assert planned.held_out == 500
    assert planned.steps == -(-planned.rows // 4)
    stored = sum(path.stat().st_size for path in places.starter_folder().glob("*.safetensors"))
    assert planned.weights == pytest.approx(stored, rel=0.02)
    assert planned.fits
    assert planned.seconds_per_step > 0
    # Its prompts are far shorter than the longest that would be used.
    shape = Shape.of(json.loads((places.starter_folder() / "config.json").read_text()))
    assert shape is not None
    assert planned.peak < forecast_memory(config, shape).peak / 2


def test_what_is_not_on_this_computer_is_said() -> None:
    planned, notes = _forecast(TrainConfig())
    assert (planned.rows, planned.parameters) == (-1, 0)
    assert len(notes) == 2


def test_a_broken_data_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.jsonl").write_text("{")
    with pytest.raises(UserError):
        _forecast(TrainConfig(model_name="starter", dataset=str(tmp_path / "broken.jsonl")))
    with pytest.raises(UserError):
        _forecast(TrainConfig(model_name="starter", dataset=str(tmp_path / "missing.jsonl")))


def test_a_shape_is_read_from_other_words_too() -> None:
    shape = Shape.of({"n_layer": 2, "n_embd": 64, "n_head": 4, "vocab_size": 100})
    assert shape is not None
    assert (shape.layers, shape.hidden, shape.inner, shape.key_width) == (2, 64, 256, 64)
    nested = Shape.of({"text_config": SEVEN_BILLION})
    assert nested == Shape.of(SEVEN_BILLION)
    assert Shape.of({"vocab_size": 100}) is None


def test_a_mixture_of_experts_computes_with_few_of_its_weights() -> None:
    shape = Shape.of(SEVEN_BILLION | {"num_experts": 64, "num_experts_per_tok": 8, "moe_intermediate_size": 1024})
    assert shape is not None
    assert shape.inner == 8 * 1024
    assert shape.parameters > 4 * shape.active_parameters


def test_adapters_on_some_modules_of_some_layers_are_fewer() -> None:
    shape = Shape.of(SEVEN_BILLION)
    assert shape is not None
    some = TrainConfig(lora_keys=("self_attn.q_proj", "self_attn.v_proj"), lora_layers=4, lora_rank=16)
    assert trainable_parameters(some, shape, "lora") == 4 * 16 * (3584 + 3584 + 3584 + 512)
    assert trainable_parameters(some, shape, "dora") == 4 * (16 * (3584 + 3584 + 3584 + 512) + 3584 + 512)
    assert trainable_parameters(TrainConfig(), shape, "lora") > trainable_parameters(some, shape, "lora")
