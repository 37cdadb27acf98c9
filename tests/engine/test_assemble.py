"""Weights meet their model: layouts undone, what does not fit named, nothing left random or lost in silence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

from engine import backend
from engine.assemble import assemble
from engine.errors import UserError
from tests.engine.architectures.configurations import GPT2, of
from tests.support.torch_child import TorchChild, torch_child

IDS = mx.array([[5, 9, 20, 31, 7, 80, 4]])
Loaded = tuple[dict[str, Any], dict[str, mx.array]]


@pytest.fixture(scope="module")
def torch() -> Iterator[TorchChild]:
    backend.prepare()
    with torch_child() as child:
        yield child


@pytest.fixture(scope="module")
def made(torch: TorchChild, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Loaded]:
    configs = {
        "gpt2": {"class": "GPT2Config", **GPT2},
        "llama": of("Llama"),
        "tied": of("Llama", tie_word_embeddings=True),
        "gemma": of("Gemma", head_dim=8),
        "gpt_neox": of("GPTNeoX", "num_key_value_heads", intermediate_size=128),
    }
    result = {}
    for name, config in configs.items():
        folder = torch.make(tmp_path_factory.mktemp("models") / name, config)
        weights = mx.load(str(folder / "model.safetensors"))
        result[name] = json.loads((folder / "config.json").read_text()), dict(weights)
    return result


def logits(config: dict[str, Any], weights: dict[str, mx.array], **options: Any) -> mx.array:
    result: mx.array = assemble(config, weights, **options).model(IDS)
    return result


def refusal(config: dict[str, Any], weights: dict[str, mx.array], **options: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        assemble(config, weights, **options)
    assert caught.value.fault == "input"
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("prefix", ["", "transformer.", "module.transformer.", "_orig_mod.transformer."])
@pytest.mark.parametrize("head", [False, True])
def test_every_layout_of_gpt2_is_the_same_model(made: dict[str, Loaded], prefix: str, head: bool) -> None:
    config, weights = made["gpt2"]
    bare = {name.removeprefix("transformer."): array for name, array in weights.items()}
    layout = {prefix + name: array for name, array in bare.items()}
    for layer in range(2):
        layout[f"{prefix}h.{layer}.attn.bias"] = mx.tril(mx.ones((1, 1, 64, 64)))
        layout[f"{prefix}h.{layer}.attn.masked_bias"] = mx.array(-1e4)
    if head:
        layout[prefix.removesuffix("transformer.") + "lm_head.weight"] = bare["wte.weight"]
    assembled = assemble(config, layout)
    needless = (".attn.bias", ".masked_bias", "lm_head.weight")
    assert set(assembled.left_out) == {name for name in layout if name.endswith(needless)}
    assert mx.array_equal(assembled.model(IDS), logits(config, weights))


def test_a_model_saved_without_its_wrapper_fits(made: dict[str, Loaded]) -> None:
    config, weights = made["tied"]
    base = {name.removeprefix("model."): array for name, array in weights.items()}
    assert mx.array_equal(logits(config, base), logits(config, weights))


def test_a_copied_head_is_left_out_and_listed(made: dict[str, Loaded]) -> None:
    for name in ("tied", "gemma"):
        config, weights = made[name]
        copied = weights | {"lm_head.weight": weights["model.embed_tokens.weight"]}
        assembled = assemble(config, copied)
        assert assembled.left_out == ("lm_head.weight",)
        assert mx.array_equal(assembled.model(IDS), logits(config, weights))


def test_a_head_of_its_own_is_used_though_the_configuration_calls_it_tied(
    torch: TorchChild, made: dict[str, Loaded], tmp_path: Path
) -> None:
    config, weights = made["llama"]
    called_tied = config | {"tie_word_embeddings": True}
    assembled = assemble(called_tied, weights)
    assert assembled.config["tie_word_embeddings"] is False
    mx.save_safetensors(str(tmp_path / "model.safetensors"), weights, {"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(called_tied))
    expected = mx.array(torch.logits(tmp_path, IDS.tolist()))
    assert mx.allclose(assembled.model(IDS), expected, atol=1e-4)


def test_a_head_of_its_own_is_never_lost(made: dict[str, Loaded]) -> None:
    config, weights = made["gemma"]
    own = weights | {"lm_head.weight": weights["model.embed_tokens.weight"] + 1}
    for strict in (True, False):
        assert "lm_head.weight" in refusal(config, own, strict=strict).what


def test_a_configuration_that_says_nothing_of_ties_is_told_by_the_tensors(made: dict[str, Loaded]) -> None:
    for name in ("llama", "tied"):
        config, weights = made[name]
        silent = {key: value for key, value in config.items() if key != "tie_word_embeddings"}
        assert mx.array_equal(logits(silent, weights), logits(config, weights))


def test_an_untied_model_without_its_head_is_refused(made: dict[str, Loaded]) -> None:
    config, weights = made["llama"]
    weights = {name: array for name, array in weights.items() if name != "lm_head.weight"}
    for strict in (True, False):
        assert "lm_head.weight" in refusal(config, weights, strict=strict).what


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox"])
def test_a_missing_weight_is_refused_always(made: dict[str, Loaded], name: str, strict: bool) -> None:
    config, weights = made[name]
    gone = next(key for key in weights if ".1." in key and key.endswith("weight"))
    error = refusal(config, {key: array for key, array in weights.items() if key != gone}, strict=strict)
    assert "missing" in error.what
    assert ".1." in error.what


def test_a_missing_bias_is_refused(made: dict[str, Loaded]) -> None:
    config, weights = made["gpt_neox"]
    gone = "gpt_neox.layers.1.attention.dense.bias"
    assert "dense.bias" in refusal(config, {key: array for key, array in weights.items() if key != gone}).what


@pytest.mark.parametrize("strict", [True, False])
def test_a_misshapen_weight_is_refused_with_both_shapes(made: dict[str, Loaded], strict: bool) -> None:
    config, weights = made["llama"]
    error = refusal(config, weights | {"model.norm.weight": mx.ones((31,))}, strict=strict)
    assert "model.norm.weight" in error.what
    assert "31" in error.why
    assert "32" in error.why


def test_unknown_weights_are_refused_or_left_out_and_all_listed(made: dict[str, Loaded]) -> None:
    config, weights = made["llama"]
    extra = {f"model.layers.{layer}.adapter.weight": mx.ones((2, 2)) for layer in range(9)}
    error = refusal(config, weights | extra)
    assert "adapter.weight" in error.what
    assert "4 more" in error.what
    assert "--relaxed" in error.remedy
    assembled = assemble(config, weights | extra, strict=False)
    assert set(assembled.left_out) == set(extra)
    assert mx.array_equal(assembled.model(IDS), logits(config, weights))


def test_parts_for_other_senses_are_left_out_and_listed(made: dict[str, Loaded]) -> None:
    config, weights = made["llama"]
    senses = {
        f"{part}.layers.0.weight": mx.ones((2, 2)) for part in ("vision_tower", "visual", "model.audio_tower", "mtp")
    }
    assembled = assemble(config, weights | senses | {"model.layers.0.self_attn.rotary_emb.inv_freq": mx.ones((4,))})
    assert set(senses) < set(assembled.left_out)
    assert len(assembled.left_out) == 5


def test_relaxed_loading_leaves_other_models_strict(made: dict[str, Loaded]) -> None:
    config, weights = made["llama"]
    extra = weights | {"model.odd": mx.ones((2,))}
    assemble(config, extra, strict=False)
    refusal(config, extra)


def test_an_unknown_architecture_names_the_nearest() -> None:
    error = refusal({"model_type": "lamma"}, {})
    assert "lamma" in error.what
    assert "llama" in error.why


@pytest.mark.parametrize("changes", [{"hidden_size": "many"}, {"num_attention_heads": None}, {"rope_scaling": 3}])
def test_a_configuration_that_means_nothing_is_refused(made: dict[str, Loaded], changes: dict[str, Any]) -> None:
    config, weights = made["llama"]
    refusal(config | changes, weights)


def test_a_quantised_model_comes_back_as_it_was(made: dict[str, Loaded]) -> None:
    from mlx_lm.utils import quantize_model

    config, weights = made["llama"]
    assembled = assemble(config, weights)
    model, quantised = quantize_model(assembled.model, assembled.config, 32, 4)
    packed = dict(tree_flatten(model.parameters()))
    assert mx.array_equal(logits(quantised, packed), model(IDS))
    assert refusal(quantised, {key: array for key, array in packed.items() if key != "model.norm.weight"})


@pytest.mark.parametrize("strict", [True, False])
def test_weights_in_another_packing_are_never_taken_for_numbers(made: dict[str, Loaded], strict: bool) -> None:
    config, weights = made["llama"]
    name = "model.layers.1.mlp.up_proj.weight"
    assert "quantised" in refusal(config, weights | {f"{name}_scale_inv": mx.ones((1, 1))}, strict=strict).what
    assert name in refusal(config, weights | {name: weights[name].astype(mx.uint8)}, strict=strict).what


def test_clipped_projections_stay_clipped_when_quantised(made: dict[str, Loaded]) -> None:
    from mlx.nn.layers.quantized import quantize

    config, weights = made["llama"]
    needless = ("norm.weight", "layernorm.weight")
    weights = {name: array for name, array in weights.items() if not name.endswith(needless)}
    assembled = assemble(config | {"model_type": "olmo", "clip_qkv": 0.01}, weights)
    quantize(assembled.model, 32, 8, class_predicate=lambda path, _: path.endswith("q_proj"))
    projected = assembled.model.layers[0].self_attn.q_proj(mx.ones((1, 1, 32)))
    assert projected.abs().max().item() == pytest.approx(0.01)


def test_code_that_comes_with_a_model_runs_only_when_trusted(made: dict[str, Loaded], tmp_path: Path) -> None:
    config, weights = made["llama"]
    (tmp_path / "own.py").write_text("from mlx_lm.models.llama import Model, ModelArgs\n")
    own = config | {"model_file": "own.py"}
    assert "own.py" in refusal(own, weights).what
    assert mx.array_equal(logits(own, weights, code=tmp_path), logits(config, weights))
    assert "own.py" in refusal(own, weights, code=tmp_path / "absent").what
