"""Every way of quantising, on tiny models that are saved and loaded again; undoing it; casting; what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten
from mlx_lm.utils import save_model

from engine import session
from engine.assemble import Assembled, assemble
from engine.convert.quantise import cast, dequantise, is_quantised, quantise, transform, whole_layers
from engine.convert.settings import MODES, RECIPES, ConversionSettings
from engine.errors import UserError
from tests.engine.tiny import make_model

IDS = mx.array([[3, 1, 4, 1, 5, 9, 2, 6]])
WIDE = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 8, "tie_word_embeddings": False}
MIXTURE = {
    "model_type": "qwen3_moe",
    "head_dim": 64,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "moe_intermediate_size": 64,
    "norm_topk_prob": True,
}
LATENT = {
    "model_type": "deepseek_v3",
    "q_lora_rank": 64,
    "kv_lora_rank": 64,
    "qk_rope_head_dim": 32,
    "qk_nope_head_dim": 64,
    "v_head_dim": 64,
    "n_routed_experts": 4,
    "first_k_dense_replace": 8,
    "moe_intermediate_size": 64,
}

EVERY_WAY = [
    {"mode": mode, "bits": bits, "group_size": group}
    for mode, (groups, widths) in MODES.items()
    for bits in widths
    for group in groups
] + [{"recipe": recipe, "group_size": 32} for recipe in RECIPES]


def opened(folder: Path) -> Assembled:
    """The model of a folder, its weights unread."""
    weights: dict[str, mx.array] = {}
    for path in folder.glob("*.safetensors"):
        weights |= mx.load(str(path))
    return assemble(json.loads((folder / "config.json").read_text()), weights)


def saved(assembled: Assembled, folder: Path, tokenizer: Path) -> Path:
    """The model as a folder that can be loaded, with the tokenizer of another."""
    save_model(folder, assembled.model)
    (folder / "config.json").write_text(json.dumps(assembled.config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((tokenizer / name).read_bytes())
    return folder


def settings(**values: Any) -> ConversionSettings:
    return ConversionSettings(quantize=True, **values)


def layer(assembled: Assembled, name: str) -> Any:
    return dict(assembled.model.named_modules())[name]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("wide") / "model", **WIDE)


@pytest.mark.parametrize("way", EVERY_WAY, ids=lambda way: "-".join(map(str, way.values())))
def test_every_way_loads_again_and_undoes(wide: Path, tmp_path: Path, way: dict[str, Any]) -> None:
    """What is loaded computes what the quantised model computed, and dequantised weights are the same numbers."""
    chosen = settings(**way)
    quantised = quantise(opened(wide), chosen)
    assert quantised.config["quantization"]["bits"] == chosen.weight_bits
    assert layer(quantised, "model.layers.3.mlp.up_proj").bits == chosen.weight_bits
    assert layer(quantised, "model.layers.3.mlp.up_proj").mode == chosen.mode
    model, _ = session.load(saved(quantised, tmp_path / "model", wide))
    logits = model(IDS)
    assert mx.array_equal(logits, quantised.model(IDS))
    assert not mx.array_equal(logits, opened(wide).model(IDS))

    whole = dequantise(opened(tmp_path / "model"))
    assert not is_quantised(whole.model)
    assert "quantization" not in whole.config
    again, _ = session.load(saved(whole, tmp_path / "whole", wide), dtype="float32")
    assert mx.allclose(again(IDS), logits, rtol=0, atol=2e-5 * mx.abs(logits).max().item())


def test_lattice_weights_survive(wide: Path) -> None:
    """Four levels in every group fit in 2 bits and more without loss."""
    assembled = opened(wide)
    matrices = [(name, array) for name, array in tree_flatten(assembled.model.parameters()) if array.ndim == 2]
    lattice = []
    for name, array in matrices:
        steps = mx.random.randint(0, 4, array.shape)
        steps[:, ::32], steps[:, 1::32] = 0, 3
        lattice.append((name, (steps - 2) * mx.array(0.0625)))
    assembled.model.load_weights(lattice, strict=False)
    before = assembled.model(IDS)
    for bits in (2, 4, 8):
        copy = opened(wide)
        copy.model.load_weights(lattice, strict=False)
        assert mx.allclose(quantise(copy, settings(bits=bits, group_size=32)).model(IDS), before, atol=1e-4)


def test_nothing_is_read_before_it_is_needed(wide: Path) -> None:
    mx.clear_cache()
    before = mx.get_active_memory()
    quantised = transform(opened(wide), settings(dtype="float16"))
    assert mx.get_active_memory() - before < 20_000
    mx.eval(quantised.model.parameters())
    assert mx.get_active_memory() - before > 100_000


def test_recipe_gives_more_bits_to_the_matrices_that_matter(wide: Path) -> None:
    mixed = quantise(opened(wide), settings(recipe="mixed_3_6"))
    bits = {name: module.bits for name, module in mixed.model.named_modules() if "scales" in module}
    assert bits["lm_head"] == bits["model.layers.0.mlp.down_proj"] == bits["model.layers.7.self_attn.v_proj"] == 6
    assert bits["model.layers.2.mlp.down_proj"] == bits["model.layers.0.self_attn.k_proj"] == 3


def test_recipe_leaves_the_router_to_the_class(tmp_path: Path) -> None:
    """The class wants its router in 8 bits, which no recipe may lower; its group of 64 shrinks to fit the row."""
    folder = make_model(tmp_path / "model", **WIDE | MIXTURE | {"hidden_size": 96})
    mixed = quantise(opened(folder), settings(recipe="mixed_2_6", group_size=32))
    router = layer(mixed, "model.layers.4.mlp.gate")
    assert (router.bits, router.group_size) == (8, 32)
    model, _ = session.load(saved(mixed, tmp_path / "saved", folder))
    assert mx.array_equal(model(IDS), mixed.model(IDS))


@pytest.mark.parametrize("kind", [MIXTURE, LATENT], ids=["experts", "latent attention"])
@pytest.mark.parametrize("mode", ["affine", "mxfp8"])
def test_layers_with_several_matrices_undo_too(tmp_path: Path, kind: dict[str, Any], mode: str) -> None:
    folder = make_model(tmp_path / "model", **WIDE | kind)
    quantised = quantise(opened(folder), settings(mode=mode, bits=8))
    logits = quantised.model(IDS)
    whole = dequantise(quantised)
    assert not is_quantised(whole.model)
    whole.model.set_dtype(mx.float32)
    assert mx.allclose(whole.model(IDS), logits, atol=1e-4)


def test_quantised_again_equals_dequantised_then_quantised(wide: Path) -> None:
    once = quantise(opened(wide), settings(bits=8))
    twice = quantise(once, settings(bits=4, group_size=32))
    direct = quantise(dequantise(quantise(opened(wide), settings(bits=8))), settings(bits=4, group_size=32))
    assert layer(twice, "lm_head").bits == 4
    assert twice.config == direct.config
    assert mx.array_equal(twice.model(IDS), direct.model(IDS))


def test_cast_obeys_the_class_and_reaches_the_config(wide: Path) -> None:
    assembled = opened(wide)
    type(assembled.model).cast_predicate = property(lambda _: lambda path: "norm" not in path)
    try:
        done = cast(assembled, "bfloat16")
    finally:
        del type(assembled.model).cast_predicate
    assert layer(done, "lm_head").weight.dtype == mx.bfloat16
    assert layer(done, "model.norm").weight.dtype == mx.float32
    assert done.config["dtype"] == done.config["torch_dtype"] == "bfloat16"
    assert cast(done, "stored") is done


def test_transform_casts_scales_and_what_stays_whole(wide: Path) -> None:
    done = transform(opened(wide), settings(dtype="float16"))
    assert layer(done, "lm_head").scales.dtype == layer(done, "model.norm").weight.dtype == mx.float16
    undone = transform(done, ConversionSettings(dequantize=True, dtype="bfloat16"))
    assert {array.dtype for _, array in tree_flatten(undone.model.parameters())} == {mx.bfloat16}


def test_layers_whose_rows_do_not_divide_stay_whole_and_are_named(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", hidden_size=96, intermediate_size=128)
    quantised = quantise(opened(folder), settings(group_size=64))
    assert "model.layers.0.mlp.up_proj" in whole_layers(quantised.model)
    assert "model.layers.0.mlp.down_proj" not in whole_layers(quantised.model)
    model, _ = session.load(saved(quantised, tmp_path / "saved", folder))
    assert mx.array_equal(model(IDS), quantised.model(IDS))


def test_refuses_groups_that_divide_no_row(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", hidden_size=48, intermediate_size=96)
    with pytest.raises(UserError, match="groups of 64") as caught:
        quantise(opened(folder), settings())
    assert "48, 96" in caught.value.why


@pytest.mark.parametrize("model_type", ["gpt2", "gpt_neox"])
def test_refuses_a_recipe_that_does_not_fit(tmp_path: Path, model_type: str) -> None:
    sizes = {"n_embd": 64, "n_head": 2, "n_layer": 2, "n_ctx": 64, "n_positions": 64, "layer_norm_epsilon": 1e-5}
    other = {"rotary_emb_base": 10000, "rotary_pct": 0.25, "use_parallel_residual": True, "layer_norm_eps": 1e-5}
    folder = make_model(tmp_path / "model", model_type=model_type, **sizes, **other, hidden_size=64)
    with pytest.raises(UserError, match=f"mixed_3_4 does not fit a {model_type}"):
        quantise(opened(folder), settings(recipe="mixed_3_4"))


def test_refuses_to_undo_what_it_cannot(tmp_path: Path) -> None:
    quantised = quantise(opened(make_model(tmp_path / "model", **WIDE | MIXTURE)), settings(mode="nvfp4"))
    experts = layer(quantised, "model.layers.1.mlp.switch_mlp.up_proj")
    experts.global_scale = mx.ones((4,))
    with pytest.raises(UserError, match="cannot be undone") as caught:
        dequantise(quantised)
    assert "switch_mlp.up_proj" in caught.value.why
