"""What is trained of a model, what it was before, and what is written, loadable by mlx_lm. No loss here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from engine import session
from engine.errors import UserError
from engine.events import Note
from engine.grpo import rollout
from engine.grpo.policy import Policy, open_policy
from engine.grpo.update import Updater
from tests.engine.grpo import cases
from tests.engine.tiny import make_model

IDS = [[3, 1, 4, 1, 5, 9, 2, 6]]


def logits(model: Any) -> np.ndarray:
    return np.array(model(mx.array(IDS)).astype(mx.float32))


def named(model: Any) -> set[str]:
    leaves: Any = tree_flatten(model.parameters())
    return {name for name, _ in leaves}


def trained(policy: Policy) -> Policy:
    """The policy after an update."""
    cases.unsettle(policy)
    cases.result_of(Updater(policy, policy._config).update(cases.groups_of(policy), 1e-2, mx.random.key(0)))
    return policy


@pytest.mark.parametrize(
    ("kind", "train_type"),
    [(kind, train_type) for kind in ("llama", "mamba") for train_type in ("lora", "dora", "full")]
    + [("qwen3_moe", "lora"), ("qwen3_moe", "full")],
)
def test_the_reference_is_the_untrained_model(tmp_path: Path, kind: str, train_type: str) -> None:
    folder = make_model(tmp_path, **cases.MODELS[kind])
    untrained = logits(session.load(folder, "float32")[0])
    policy = cases.policy_of(cases.config_of(folder, train_type=train_type, kl_coeff=0.1))
    # The first output of an adapter is 0; a DoRA's is its weight's own direction and length.
    assert np.allclose(logits(policy.model), untrained, rtol=0, atol=1e-4)
    trained(policy)
    now = logits(policy.model)
    assert not np.allclose(now, untrained, rtol=0, atol=1e-3)
    names = set(policy.trainable())
    with policy.reference():
        assert np.allclose(logits(policy.model), untrained, rtol=0, atol=1e-5)
    assert np.array_equal(logits(policy.model), now)
    assert set(policy.trainable()) == names


def test_the_reference_of_adapters_takes_no_memory(tmp_path: Path) -> None:
    policy = trained(cases.policy_in(tmp_path, train_type="lora", kl_coeff=0.1))
    before = mx.get_active_memory()
    with policy.reference():
        assert mx.get_active_memory() <= before + 1024
    assert not policy._first


def test_auto_takes_adapters_on_a_quantised_model_alone(tmp_path: Path) -> None:
    assert cases.policy_in(tmp_path / "whole").train_type == "full"
    folder = cases.quantise(make_model(tmp_path / "quantised"))
    policy = cases.policy_of(cases.config_of(folder))
    assert policy.train_type == "lora"
    assert all(name.endswith(("lora_a", "lora_b")) for name in policy.trainable())


def test_quantised_weights_cannot_be_trained_themselves(tmp_path: Path) -> None:
    folder = cases.quantise(make_model(tmp_path))
    with pytest.raises(UserError, match="cannot be trained") as caught:
        cases.policy_of(cases.config_of(folder, train_type="full"))
    assert 'train_type = "lora"' in str(caught.value.remedy)


def test_names_of_no_module_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="would be trained") as caught:
        cases.policy_in(tmp_path, train_type="lora", lora_keys=("attention.query",))
    assert "lora_keys" in str(caught.value.remedy)


def test_dora_on_experts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be put on") as caught:
        cases.policy_in(tmp_path, "qwen3_moe", train_type="dora")
    assert 'train_type = "lora"' in str(caught.value.remedy)


def test_only_named_modules_of_the_last_layers_get_adapters(tmp_path: Path) -> None:
    policy = cases.policy_in(tmp_path, train_type="lora", lora_layers=1, lora_keys=("self_attn.q_proj",))
    assert set(policy.trainable()) == {f"model.layers.1.self_attn.q_proj.lora_{part}" for part in "ab"}
    assert policy.trainable()["model.layers.1.self_attn.q_proj.lora_a"].shape == (32, 4)


@pytest.mark.parametrize("train_type", ["lora", "dora"])
def test_adapters_are_of_the_model_s_type(tmp_path: Path, train_type: str) -> None:
    folder = make_model(tmp_path)
    policy = cases.policy_of(cases.config_of(folder, train_type=train_type, precision="bfloat16"))
    assert {array.dtype for array in policy.trainable().values()} == {mx.bfloat16}
    assert policy.model(mx.array(IDS)).dtype == mx.bfloat16
    assert policy.shares_prompts


def test_adapters_begin_by_the_seed_alone(tmp_path: Path) -> None:
    folder = make_model(tmp_path)

    def adapters(seed: int, before: int) -> dict[str, mx.array]:
        mx.random.seed(before)
        return cases.policy_of(cases.config_of(folder, train_type="lora", seed=seed)).trainable()

    one, same, other = adapters(1, before=5), adapters(1, before=6), adapters(2, before=5)
    assert all(mx.array_equal(one[name], same[name]) for name in one)
    drawn = [name for name in one if name.endswith("lora_a")]
    assert drawn
    assert not any(mx.array_equal(one[name], other[name]) for name in drawn)
    assert all(float(mx.abs(one[name]).max()) <= max(one[name].shape) ** -0.5 for name in drawn)
    assert all(not one[name].any() for name in one if name.endswith("lora_b"))
    assert len({np.array(one[name]).tobytes() for name in drawn}) == len(drawn)


@pytest.mark.parametrize("train_type", ["lora", "dora"])
@pytest.mark.parametrize("quantised", [False, True])
def test_adapters_that_were_saved_can_be_put_on_again(tmp_path: Path, train_type: str, quantised: bool) -> None:
    from mlx_lm.utils import load_adapters, load_model

    folder = make_model(tmp_path / "model", **cases.GQA)
    if quantised:
        cases.quantise(folder)
    policy = trained(cases.policy_of(cases.config_of(folder, train_type=train_type, lora_layers=1)))
    saved = tmp_path / "saved"
    saved.mkdir()
    policy.save(saved)
    assert {path.name for path in saved.iterdir()} == {"adapters.safetensors", "adapter_config.json"}
    now = logits(policy.model)
    model: Any = load_model(folder)[0]
    theirs = load_adapters(model, str(saved))
    theirs.eval()
    assert np.allclose(logits(theirs), now, rtol=0, atol=1e-4)
    ours = session.drain(session.open_session(str(folder), precision="float32", adapter=str(saved)))
    assert np.allclose(logits(ours.model), now, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "train_type"),
    [("llama", kind) for kind in ("full", "lora", "dora")]
    + [("qwen3_moe", "lora"), ("mamba", "full"), ("gemma3", "full")],
)
def test_whole_models_that_were_saved_can_be_loaded(tmp_path: Path, kind: str, train_type: str) -> None:
    from mlx_lm import load

    folder = make_model(tmp_path / "model", **cases.MODELS[kind])
    policy = trained(cases.policy_of(cases.config_of(folder, train_type=train_type)))
    saved = tmp_path / "saved"
    saved.mkdir()
    now = logits(policy.model)
    policy.save(saved, fused=True)
    assert np.array_equal(logits(policy.model), now)
    theirs: Any = load(str(saved))
    # mlx_lm takes another approximation of an activation in Gemma.
    assert np.allclose(logits(theirs[0]), now, rtol=0, atol=1e-3)
    ours, tokenizer = session.load(saved, "float32")
    assert np.allclose(logits(ours), now, rtol=0, atol=1e-4)
    assert tokenizer.encode("12 + 3") == policy.tokenizer.encode("12 + 3")


def test_fused_adapters_of_a_quantised_model_are_quantised_again(tmp_path: Path) -> None:
    folder = cases.quantise(make_model(tmp_path / "model"))
    policy = trained(cases.policy_of(cases.config_of(folder)))
    saved = tmp_path / "saved"
    saved.mkdir()
    policy.save(saved, fused=True)
    loaded, _ = session.load(saved, "float32")
    assert np.allclose(logits(loaded), logits(policy.model), rtol=0, atol=0.2)
    assert json.loads((saved / "config.json").read_text())["quantization"]["bits"] == 8


def packed(folder: Path, quantization: dict[str, Any], pack: Callable[[str, mx.array], dict[str, mx.array]]) -> Path:
    """A tiny model whose projections another program quantised."""
    make_model(folder, **cases.GQA)
    file = folder / "model.safetensors"
    weights: Any = mx.load(str(file))
    made: dict[str, mx.array] = {}
    for name, array in weights.items():
        made |= pack(name.removesuffix(".weight"), array) if name.endswith("_proj.weight") else {name: array}
    mx.eval(made)
    mx.save_safetensors(str(file), made)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": quantization}))
    return folder


def awq(name: str, array: mx.array) -> dict[str, mx.array]:
    """Zeros and scales for each 32 rows; 8 numbers in each word."""
    rng = np.random.default_rng(len(name))
    outputs, inputs = array.shape
    words = [rng.integers(-(2**31), 2**31, (rows, outputs // 8)).astype(np.int32) for rows in (inputs, inputs // 32)]
    scales = (0.02 * rng.random((inputs // 32, outputs))).astype(np.float16)
    parts = {"qweight": words[0], "qzeros": words[1], "scales": scales}
    return {f"{name}.{part}": mx.array(values) for part, values in parts.items()}


def ternary(name: str, array: mx.array) -> dict[str, mx.array]:
    """Four numbers of two bits in each byte, as BitNet stores them."""
    outputs, inputs = array.shape
    return {f"{name}.weight": mx.full((outputs // 4, inputs), 85, mx.uint8), f"{name}.weight_scale": mx.ones(1)}


def plain(name: str, array: mx.array) -> dict[str, mx.array]:
    return {f"{name}.weight": array}


@pytest.mark.parametrize("train_type", ["full", "lora"])
def test_weights_that_are_whole_do_not_claim_to_be_quantised(train_type: str, tmp_path: Path) -> None:
    """FP8 of one scale is undone as it is loaded; what another program wrote of it would be wrong of the result."""
    from mlx_lm import load

    folder = packed(tmp_path / "model", {"quant_method": "fp8", "weight_block_size": None, "bits": 8}, plain)
    (folder / "hf_quant_config.json").write_text('{"quantization": {"quant_algo": "FP8"}}')
    policy = trained(cases.policy_of(cases.config_of(folder, train_type=train_type)))
    saved = tmp_path / "saved"
    saved.mkdir()
    policy.save(saved, fused=True)
    assert "quantization_config" not in json.loads((saved / "config.json").read_text())
    assert not (saved / "hf_quant_config.json").exists()
    now = logits(policy.model)
    theirs: Any = load(str(saved))
    assert np.allclose(logits(theirs[0]), now, rtol=0, atol=1e-4)
    assert np.allclose(logits(session.load(saved, "float32")[0]), now, rtol=0, atol=1e-4)


def test_fused_adapters_of_a_model_that_another_program_quantised_load(tmp_path: Path) -> None:
    from mlx_lm import load

    folder = packed(tmp_path / "model", {"quant_method": "awq", "bits": 4, "group_size": 32}, awq)
    policy = trained(cases.policy_of(cases.config_of(folder)))
    saved = tmp_path / "saved"
    saved.mkdir()
    policy.save(saved, fused=True)
    ours, theirs = session.load(saved, "float32")[0], load(str(saved))[0]  # type: ignore[misc]
    # Merged weights are rounded to four bits once more.
    assert np.abs(logits(ours) - logits(policy.model)).mean() < 0.25 < logits(ours).std() / 4
    assert np.allclose(logits(theirs), logits(ours), rtol=0, atol=0.02)


def test_weights_in_packed_bits_are_refused_before_training(tmp_path: Path) -> None:
    folder = packed(tmp_path / "model", {"quant_method": "bitnet"}, ternary)
    with pytest.raises(UserError, match="cannot be trained") as caught:
        cases.policy_of(cases.config_of(folder, train_type="full"))
    assert "before its quantisation" in caught.value.remedy


@pytest.mark.parametrize("train_type", ["full", "lora"])
def test_weight_decay_leaves_what_balances_experts(train_type: str, tmp_path: Path) -> None:
    """It has no gradient: all that training could do is to undo it."""
    name = "model.layers.1.mlp.gate.e_score_correction_bias"
    folder = make_model(tmp_path / "model", **cases.MODELS["glm4_moe"])
    weights: Any = mx.load(str(folder / "model.safetensors"))
    before = weights[name] = mx.array([0.5, -0.25, 0.125, 1.0])
    mx.eval(weights)
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    policy = trained(cases.policy_of(cases.config_of(folder, train_type=train_type, weight_decay=0.1)))
    saved = tmp_path / "saved"
    saved.mkdir()
    policy.save(saved, fused=True)
    written: Any = mx.load(str(saved / "model.safetensors"))
    assert mx.array_equal(written[name], before)
    moved = "model.layers.1.self_attn.q_proj.weight"
    assert not mx.array_equal(written[moved], weights[moved])


def test_weights_that_are_put_back_are_those_that_were_taken(tmp_path: Path) -> None:
    policy = cases.policy_in(tmp_path, train_type="lora")
    weights, before = policy.trainable(), logits(policy.model)
    cases.unsettle(policy)
    assert not np.allclose(logits(policy.model), before)
    policy.put(weights)
    assert np.array_equal(logits(policy.model), before)


@pytest.mark.parametrize("train_type", ["full", "lora", "dora"])
def test_rollouts_run_on_a_quantised_copy(tmp_path: Path, train_type: str) -> None:
    wide = {"hidden_size": 64, "intermediate_size": 128}
    policy = cases.policy_in(tmp_path, model=wide, train_type=train_type, quantize_for_rollouts=True)
    before, names = logits(policy.model), named(policy.model)
    with policy.rounded():
        copied = policy.sampling_model
        assert copied is not policy.model
        assert any("scales" in module for module in copied.modules())
        assert 1e-6 < np.abs(logits(copied) - before).max() < 1.0
        found = cases.completions(policy, policy._config)
    assert policy.sampling_model is policy.model
    assert np.array_equal(logits(policy.model), before)
    assert named(policy.model) == names
    assert all(np.isfinite(rolled.logprobs).all() for rolled in found)


@pytest.mark.parametrize("train_type", ["lora", "dora"])
def test_completions_are_sampled_with_adapters_in_the_weights(tmp_path: Path, train_type: str) -> None:
    policy = trained(cases.policy_in(tmp_path, train_type=train_type))
    before, names, drawn_from = logits(policy.model), named(policy.model), mx.random.state[0]
    with policy.merged():
        copied = policy.sampling_model
        assert not any("lora_a" in name for name in named(copied))
        assert np.allclose(logits(copied), before, rtol=0, atol=1e-4)
        with policy.merged():
            assert policy.sampling_model is copied
    assert policy.sampling_model is policy.model
    assert np.array_equal(logits(policy.model), before)
    assert named(policy.model) == names
    assert mx.array_equal(mx.random.state[0], drawn_from)
    steps = rollout.generate(policy, cases.PROMPTS, policy._config, generations=2, key=mx.random.key(0), max_tokens=4)
    next(steps)
    assert policy.sampling_model is not policy.model
    steps.close()
    assert policy.sampling_model is policy.model


@pytest.mark.parametrize("kind", ["all weights", "16 bits", "quantised"])
def test_what_merging_would_not_help_is_sampled_from_as_it_is(tmp_path: Path, kind: str) -> None:
    folder = make_model(tmp_path / "model")
    if kind == "quantised":
        cases.quantise(folder)
    precision = "bfloat16" if kind == "16 bits" else "float32"
    train_type = "full" if kind == "all weights" else "lora"
    policy = cases.policy_of(cases.config_of(folder, train_type=train_type, precision=precision))
    with policy.merged():
        assert policy.sampling_model is policy.model


def test_an_evaluated_model_may_hold_an_adapter_and_be_quantised(tmp_path: Path) -> None:
    folder = cases.quantise(make_model(tmp_path / "model"))
    policy = trained(cases.policy_of(cases.config_of(folder)))
    saved = tmp_path / "saved"
    saved.mkdir()
    policy.save(saved)
    evaluated = cases.result_of(open_policy(cases.config_of(folder), adapter=str(saved), trained=False))
    assert not evaluated.trainable()
    assert np.allclose(logits(evaluated.model), logits(policy.model), rtol=0, atol=1e-4)


def test_that_prompts_are_not_shared_is_said(tmp_path: Path) -> None:
    config = cases.config_of(make_model(tmp_path, **cases.MODELS["mamba"]))
    assert any(isinstance(event, Note) and "sharing prompts" in event.text for event in open_policy(config))


def test_that_there_is_no_chat_template_is_said(tmp_path: Path) -> None:
    def said() -> bool:
        events = open_policy(cases.config_of(tmp_path))
        return any(isinstance(event, Note) and "no chat template" in event.text for event in events)

    make_model(tmp_path)
    assert not said()
    (tmp_path / "chat_template.jinja").unlink(missing_ok=True)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text("utf-8"))
    settings.pop("chat_template", None)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    assert said()


def test_completions_of_a_quantised_copy_are_corrected(tmp_path):
    policy = cases.policy_in(tmp_path, model={"hidden_size": 64, "intermediate_size": 128}, quantize_for_rollouts=True)
    with policy.rounded():
        found = cases.completions(policy, policy._config)
    assert all(rolled.sampler_logprobs is not None for rolled in found)
