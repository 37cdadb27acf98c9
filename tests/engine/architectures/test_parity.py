"""Every architecture computes what transformers computes in torch, in one go and through the cache."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from mlx_lm.models.cache import make_prompt_cache

from engine import backend
from engine.assemble import assemble
from engine.convert import quantise
from engine.convert.settings import ConversionSettings
from engine.errors import UserError
from tests.engine.architectures.cases import CASES, REFUSED, UNCACHED
from tests.support.torch_child import TorchChild, torch_child

IDS = [int(token) for token in np.random.default_rng(0).integers(3, 80, 40)]
PREFILLED = 20
ERROR = 1e-3


@pytest.fixture(scope="module")
def torch() -> Iterator[TorchChild]:
    backend.prepare()
    with torch_child() as child:
        yield child


def relative(found: mx.array, expected: Any) -> float:
    return float(np.abs(np.array(found) - expected).max() / np.abs(expected).max())


def by_steps(model: Any, ids: list[int]) -> mx.array:
    cache = make_prompt_cache(model)
    logits = [model(mx.array([ids[:PREFILLED]]), cache=cache)]
    logits += [model(mx.array([[token]]), cache=cache) for token in ids[PREFILLED:]]
    return mx.concatenate(logits, axis=1)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, mx.array]]:
    return json.loads((folder / "config.json").read_text()), dict(mx.load(str(folder / "model.safetensors")))


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_torch(torch: TorchChild, tmp_path: Path, name: str) -> None:
    folder = torch.make(tmp_path / "m", CASES[name])
    expected = torch.logits(folder, [IDS], model_class=CASES[name].get("model_class", "AutoModelForCausalLM"))
    assembled = assemble(*read(folder))
    logits = assembled.model(mx.array([IDS]))
    assert relative(logits, expected) <= ERROR
    if name not in UNCACHED:
        assert relative(by_steps(assembled.model, IDS), expected) <= ERROR

    # What a conversion writes and loads again: the names of the class, the configuration as normalised.
    written = json.loads(json.dumps(assembled.config))
    again = assemble(written, dict(tree_flatten(assembled.model.parameters())))
    assert relative(again.model(mx.array([IDS])), np.array(logits)) <= 1e-6
    if name not in UNCACHED:
        assert relative(by_steps(again.model, IDS[: PREFILLED + 2]), expected[:, : PREFILLED + 2]) <= ERROR

    try:
        packed = quantise.transform(again, ConversionSettings(quantize=True, bits=8, group_size=32))
    except UserError as error:
        assert "groups of 32" in error.what  # noqa: PT017  not every tiny model has rows that divide
        return
    logits = packed.model(mx.array([IDS]))
    reread = assemble(json.loads(json.dumps(packed.config)), dict(tree_flatten(packed.model.parameters())))
    assert relative(reread.model(mx.array([IDS])), np.array(logits)) <= 1e-6


@pytest.mark.parametrize("name", ["llama", "gemma3_text", "recurrent_gemma", "phi", "qwen2", "mistral", "gemma2"])
def test_a_base_models_names_without_their_prefix(torch: TorchChild, tmp_path: Path, name: str) -> None:
    config, weights = read(torch.make(tmp_path / "m", CASES[name]))
    expected = assemble(config, dict(weights)).model(mx.array([IDS]))
    bare = {key.removeprefix("model."): array for key, array in weights.items()}
    for prefix in ("", "module.", "module._orig_mod."):
        found = assemble(config, {prefix + key: array for key, array in bare.items()}).model(mx.array([IDS]))
        assert relative(found, np.array(expected)) <= 1e-6


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_class_computes_is_refused(torch: TorchChild, tmp_path: Path, name: str) -> None:
    folder = torch.make(tmp_path / "m", REFUSED[name])
    with pytest.raises(UserError) as caught:
        assemble(*read(folder))
    assert caught.value.fault == "input"
    assert caught.value.why
    assert caught.value.remedy


@pytest.mark.parametrize("name", REFUSED)
def test_relaxed_loading_computes_nothing_wrong_either(torch: TorchChild, tmp_path: Path, name: str) -> None:
    folder = torch.make(tmp_path / "m", REFUSED[name])
    with pytest.raises(UserError):
        assemble(*read(folder), strict=False)
