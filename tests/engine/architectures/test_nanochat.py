"""Each of nanochat's architectures computes what its torch reference computes, in one go and through every cache."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from mlx_lm.generate import batch_generate, generate_step
from mlx_lm.models import cache as caches
from mlx_lm.utils import quantize_model

from engine.architectures.nanochat import ModelArgs
from engine.assemble import assemble
from engine.convert import nanochat, nanochat_epochs, nanochat_places, safetensors_files
from engine.convert.source import Source
from engine.errors import UserError
from tests.engine.architectures import nanochat_child
from tests.support.torch_child import TorchChild, torch_child

EPOCHS = "ABCDE"


@pytest.fixture(scope="module")
def torch() -> Iterator[TorchChild]:
    with torch_child() as child:
        yield child


def drain(steps: Any) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def converted(file: Path, **overrides: float) -> tuple[Any, list[str]]:
    """The model of a checkpoint, read from the safetensors beside it, and what was said about the guesses."""
    scratch = file.parent / "scratch"
    tensors = safetensors_files.headers([scratch / f"{file.stem}.safetensors"])
    plain = {name.removeprefix("_orig_mod."): info for name, info in tensors.items()}
    metadata = nanochat_places.find(file).metadata()
    described = nanochat_epochs.describe(metadata, plain, overrides, file)
    source = Source("nanochat", file, "", described.config, tensors, (file,), "", False, ())
    return assemble(source.config, drain(nanochat.weights(source, scratch))).model, list(described.warnings)


@pytest.fixture(scope="module")
def models(torch: TorchChild, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """A checkpoint of each epoch, padded and under torch.compile's prefix, and what it became."""
    found = {}
    for epoch in EPOCHS:
        folder = tmp_path_factory.mktemp(epoch)
        file = nanochat_child.make(torch, folder, epoch, padding=35, prefix="_orig_mod.", seed=ord(epoch))
        found[epoch] = (file, converted(file)[0])
    return found


def tokens(*shape: int, seed: int = 0) -> list[Any]:
    found: list[Any] = np.random.default_rng(seed).integers(0, nanochat_child.CONFIG["vocab_size"], shape).tolist()
    return found


def assert_same(ours: Any, theirs: Any, tolerance: float = 1e-4) -> None:
    ours = np.array(ours)
    assert ours.shape == theirs.shape
    assert (ours.argmax(-1) == theirs.argmax(-1)).all()
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


@pytest.mark.parametrize("epoch", EPOCHS)
def test_each_epoch_computes_what_torch_computes(
    epoch: str, torch: TorchChild, models: dict[str, tuple[Path, Any]]
) -> None:
    file, model = models[epoch]
    # Longer than the short windows and than the context: 32 and 64, or 128 and 160.
    ids = tokens(2, 90 if epoch in "ABC" else 200)
    expected = nanochat_child.logits(torch, file, epoch, ids)
    assert_same(model(mx.array(ids)), expected)

    by_token, by_chunks = caches.make_prompt_cache(model), caches.make_prompt_cache(model)
    pieces = [model(mx.array(ids)[:, place : place + 1], cache=by_token) for place in range(len(ids[0]))]
    assert_same(mx.concatenate(pieces, axis=1), expected)
    cuts = [0, 1, 30, 31, 70, len(ids[0])]
    pieces = [model(mx.array(ids)[:, a:b], cache=by_chunks) for a, b in itertools.pairwise(cuts)]
    assert_same(mx.concatenate(pieces, axis=1), expected)


@pytest.mark.parametrize(("layers", "pattern"), [(1, "S"), (2, "SSSL"), (5, "sl"), (3, "S")])
def test_other_depths_and_patterns(layers: int, pattern: str, torch: TorchChild, tmp_path: Path) -> None:
    for epoch in ("C", "E"):
        config = nanochat_child.config_of(epoch) | {"n_layer": layers, "window_pattern": pattern}
        file = nanochat_child.make(torch, tmp_path / epoch, epoch, config)
        model, _ = converted(file)
        ids = tokens(1, 150)
        expected = nanochat_child.logits(torch, file, epoch, ids, config | {"window_pattern": pattern.upper()})
        assert_same(model(mx.array(ids)), expected)


def test_the_references_differ_from_each_other(torch: TorchChild, models: dict[str, tuple[Path, Any]]) -> None:
    ids = tokens(1, 140)
    file, model = models["E"]
    ours = np.array(model(mx.array(ids)))
    for changes in ({"window_pattern": "L"}, {"sequence_len": 640}):
        other = nanochat_child.logits(torch, file, "E", ids, nanochat_child.config_of("E") | changes)
        assert np.abs(ours - other).max() > 1e-3 * np.abs(ours).max()


def test_what_a_person_states_replaces_what_was_inferred(
    torch: TorchChild, models: dict[str, tuple[Path, Any]]
) -> None:
    file, _ = models["C"]
    ids = tokens(1, 40)
    model, warnings = converted(file, softcap=20.0)
    assert_same(model(mx.array(ids)), nanochat_child.logits(torch, file, "C", ids, softcap=20.0))
    assert not any("softcap" in warning for warning in warnings)
    model, _ = converted(file, rope_theta=1e5, qk_scale=1.15)
    assert np.abs(np.array(model(mx.array(ids))) - nanochat_child.logits(torch, file, "C", ids)).max() > 0.01


def test_coarse_embeddings_stay_coarse_and_cost_nothing(torch: TorchChild, tmp_path: Path) -> None:
    file = nanochat_child.make(torch, tmp_path, "E", coarse=True)
    model, _ = converted(file)
    kinds = {name: array.dtype for name, array in tree_flatten(model.parameters())}
    assert {name for name, kind in kinds.items() if kind == mx.bfloat16} == {
        "transformer.wte.weight",
        "transformer.h.1.attn.value_embed.weight",
        "transformer.h.3.attn.value_embed.weight",
    }
    ids = tokens(1, 150)
    assert_same(model(mx.array(ids)), nanochat_child.logits(torch, file, "E", ids))


@pytest.mark.parametrize("epoch", EPOCHS)
def test_generation_through_the_cache_is_generation_without(epoch: str, models: dict[str, tuple[Path, Any]]) -> None:
    _, model = models[epoch]
    prompt = tokens(20, seed=3)
    ids = list(prompt)
    for _ in range(25):
        ids.append(int(mx.argmax(model(mx.array([ids]))[0, -1]).item()))
    steps = generate_step(mx.array(prompt), model, max_tokens=25, prefill_step_size=7)
    assert [int(token) for token, _ in steps] == ids[20:]


class Words:
    """As much of a tokenizer as batch_generate asks for."""

    eos_token_ids: frozenset[int] = frozenset()

    def decode(self, ids: list[int]) -> str:
        return " ".join(map(str, ids))

    @property
    def detokenizer(self) -> Any:
        raise AssertionError("not asked for")


@pytest.mark.parametrize("epoch", ["A", "C", "E"])
def test_a_batch_of_unequal_prompts_gives_each_its_own_answer(epoch: str, models: dict[str, tuple[Path, Any]]) -> None:
    _, model = models[epoch]
    prompts = [tokens(length, seed=length) for length in (3, 40, 1, 17)]
    alone = [[int(token) for token, _ in generate_step(mx.array(prompt), model, max_tokens=12)] for prompt in prompts]
    texts = batch_generate(model, Words(), prompts, max_tokens=12, prefill_step_size=8).texts  # type: ignore[arg-type]
    assert texts == [" ".join(map(str, ids)) for ids in alone]


@pytest.mark.parametrize("epoch", EPOCHS)
def test_the_cache_can_be_cut_back_copied_and_saved(
    epoch: str, models: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    _, model = models[epoch]
    ids, others = mx.array(tokens(1, 50)), mx.array(tokens(1, 20, seed=9))
    whole = model(mx.concatenate([ids[:, :30], others], axis=1))[:, 30:]
    cache = caches.make_prompt_cache(model)
    assert len(cache) == (5 if epoch == "E" else 4)
    model(ids, cache=cache)
    assert caches.can_trim_prompt_cache(cache)
    assert caches.trim_prompt_cache(cache, 20) == 20
    copied = copy.deepcopy(cache)
    caches.save_prompt_cache(str(tmp_path / "cache.safetensors"), cache)
    for known in (cache, copied, caches.load_prompt_cache(str(tmp_path / "cache.safetensors"))):
        assert mx.allclose(model(others, cache=known), whole, atol=1e-4)
    caches.trim_prompt_cache(cache, 50)
    assert mx.allclose(model(ids, cache=cache), model(ids), atol=1e-4)


def test_gates_and_scalars_are_neither_quantised_nor_cast(models: dict[str, tuple[Path, Any]]) -> None:
    model = copy.deepcopy(models["C"][1])
    quantised, config = quantize_model(model, {"model_type": "nanochat_gpt"}, 16, 4, mode="nvfp4")
    kept = {name for name, array in tree_flatten(quantised.parameters()) if array.dtype == mx.float32}
    assert kept == {
        "resid_lambdas",
        "x0_lambdas",
        "transformer.h.1.attn.ve_gate.weight",
        "transformer.h.3.attn.ve_gate.weight",
    }
    assert config["quantization"]["bits"] == 4
    assert quantised(mx.array(tokens(1, 40))).shape == (1, 40, 349)
    assert [quantised.cast_predicate(name) for name in ("resid_lambdas", "lm_head.weight")] == [False, True]


def test_in_another_type_the_stream_keeps_it_and_logits_are_float32(models: dict[str, tuple[Path, Any]]) -> None:
    _, model = models["E"]
    exact = model(mx.array(tokens(1, 40)))
    coarse = copy.deepcopy(model)
    coarse.set_dtype(mx.bfloat16)
    cache = caches.make_prompt_cache(coarse)
    logits = coarse(mx.array(tokens(1, 40)), cache=cache)
    assert logits.dtype == mx.float32
    assert {layer.keys.dtype for layer in cache[:4]} == {mx.bfloat16}
    assert mx.abs(logits - exact).max() < 0.1 * mx.abs(exact).max()


def test_a_scaled_rotary_embedding_is_refused_and_not_ignored(models: dict[str, tuple[Path, Any]]) -> None:
    arguments = vars(models["A"][1].args)
    assert ModelArgs.from_dict(arguments | {"rope_scaling": {"rope_type": "default"}}) is not None
    with pytest.raises(UserError, match="scaled rotary"):
        ModelArgs.from_dict(arguments | {"rope_scaling": {"rope_type": "linear", "factor": 4.0}})
