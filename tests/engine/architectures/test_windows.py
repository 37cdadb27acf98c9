"""Windows, rotary embeddings and activations against transformers, in float32, beyond every window and limit."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.nn.layers.quantized import quantize
from mlx_lm.generate import BatchGenerator
from mlx_lm.models.cache import KVCache, RotatingKVCache, make_prompt_cache

from engine.assemble import Assembled, assemble
from engine.errors import UserError
from tests.engine.architectures.window_cases import BASE, GEMMA, LONGROPE, OTHERS, ROTATIONS, WINDOW, WINDOWS
from tests.support.torch_child import TorchChild, torch_child

_LENGTH = 30
_TOLERANCE = 1e-4
_IDS = np.random.default_rng(0).integers(3, 64, (2, _LENGTH)).tolist()


@pytest.fixture(scope="module")
def torch() -> Iterator[TorchChild]:
    with torch_child() as child:
        yield child


def _make(torch: TorchChild, folder: Path, settings: dict[str, Any]) -> Path:
    settings = BASE | settings
    if settings["class"] == "GPTNeoXConfig":
        del settings["num_key_value_heads"]
    return torch.make(folder, settings, scale=3.0)


def _load(folder: Path, config: dict[str, Any] | None = None) -> Assembled:
    weights = mx.load(str(folder / "model.safetensors"))
    assert isinstance(weights, dict)
    return assemble(config or json.loads((folder / "config.json").read_text()), weights)


def _through_cache(model: Any, chunks: list[int], ids: list[list[int]] = _IDS) -> Any:
    """Logits as numpy, the text given in these chunks and then token by token."""
    cache = make_prompt_cache(model)
    ends = np.cumsum([0, *chunks, *[1] * (len(ids[0]) - sum(chunks))])
    pieces = [model(mx.array(ids)[:, start:end], cache=cache) for start, end in itertools.pairwise(ends)]
    return np.array(mx.concatenate(pieces, axis=1))


def _error(found: Any, expected: Any) -> float:
    return float(np.abs(np.array(found) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("settings", (WINDOWS | OTHERS).values(), ids=(WINDOWS | OTHERS).keys())
def test_what_transformers_computes(settings: dict[str, Any], torch: TorchChild, tmp_path: Path) -> None:
    folder = _make(torch, tmp_path, settings)
    expected = torch.logits(folder, _IDS)
    assembled = _load(folder)
    model: Any = assembled.model

    assert _error(model(mx.array(_IDS)), expected) < _TOLERANCE
    for chunks in ([_LENGTH], [13, 5], [3]):
        assert _error(_through_cache(model, chunks), expected) < _TOLERANCE
    again: Any = _load(folder, assembled.config).model
    assert _error(again(mx.array(_IDS)), expected) < _TOLERANCE


def test_layers_keep_no_more_than_their_window(torch: TorchChild, tmp_path: Path) -> None:
    folder = _make(torch, tmp_path, WINDOWS["gemma2 mixed, no caps"])

    cache = make_prompt_cache(_load(folder).model)

    assert [type(one) for one in cache] == [KVCache, RotatingKVCache, RotatingKVCache, KVCache]
    assert cache[1].max_size == WINDOW


_CACHED = """
model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
cache, pieces, start = None, [], 0
with torch.no_grad():
    for length in chunks:
        made = model.eval()(torch.tensor(ids)[:, start:start + length], past_key_values=cache, use_cache=True)
        cache, start = made.past_key_values, start + length
        pieces.append(made.logits)
result = torch.cat(pieces, 1).tolist()
"""


@pytest.mark.parametrize("settings", ROTATIONS.values(), ids=ROTATIONS.keys())
def test_rotary_embeddings(settings: dict[str, Any], torch: TorchChild, tmp_path: Path) -> None:
    """In one go and through a cache, where transformers' dynamic scaling gives something else."""
    folder = _make(torch, tmp_path, settings)
    model: Any = _load(folder).model

    assert _error(model(mx.array(_IDS)), torch.logits(folder, _IDS)) < _TOLERANCE
    chunks = [10, 8]
    alone = [1] * (_LENGTH - sum(chunks))
    expected = np.array(torch.run(_CACHED, folder=str(folder), ids=_IDS, chunks=chunks + alone), dtype=np.float32)
    assert _error(_through_cache(model, chunks), expected) < _TOLERANCE


_LONG: dict[str, dict[str, Any]] = {
    "phi3": {"class": "Phi3Config"},
    "phi3 windowed": {"class": "Phi3Config", "sliding_window": WINDOW},
    "llama": {"class": "LlamaConfig"},
}


@pytest.mark.parametrize("settings", _LONG.values(), ids=_LONG.keys())
@pytest.mark.parametrize("chunks", [[_LENGTH], [13, 5], [16], [5]], ids=str)
def test_longrope_computes_anew_at_its_limit(
    settings: dict[str, Any], chunks: list[int], torch: TorchChild, tmp_path: Path
) -> None:
    """Each piece as in one forward pass over the text so far: what `generate` of transformers' Phi-3 computes."""
    folder = _make(torch, tmp_path, settings | LONGROPE)
    model: Any = _load(folder).model
    found = _through_cache(model, chunks)

    short, whole = torch.logits(folder, [row[:16] for row in _IDS]), torch.logits(folder, _IDS)
    ends = np.cumsum(chunks)
    first_long = next((end - length for length, end in zip(chunks, ends, strict=True) if end > 16), 16)
    assert _error(model(mx.array(_IDS)), whole) < _TOLERANCE
    assert _error(found[:, :first_long], short[:, :first_long]) < _TOLERANCE if first_long else True
    assert _error(found[:, first_long:], whole[:, first_long:]) < _TOLERANCE
    assert _error(short, whole[:, :16]) > 0.1


def test_longrope_goes_back_when_the_cache_is_trimmed(torch: TorchChild, tmp_path: Path) -> None:
    model: Any = _load(_make(torch, tmp_path, _LONG["phi3"] | LONGROPE)).model
    ids = mx.array(_IDS[:1])
    cache = make_prompt_cache(model)
    model(ids, cache=cache)
    for one in cache:
        one.trim(20)

    found = model(ids[:, 10:12], cache=cache)

    assert _error(found, np.array(model(ids[:, :12])[:, 10:])) < _TOLERANCE


def test_longrope_with_the_factors_of_phi_moe(torch: TorchChild, tmp_path: Path) -> None:
    longrope = LONGROPE | {"rope_parameters": LONGROPE["rope_parameters"] | {"short_mscale": 1.2, "long_mscale": 1.5}}
    folder = _make(torch, tmp_path, WINDOWS["phimoe"] | longrope)
    model: Any = _load(folder).model

    for length in (16, _LENGTH):
        ids = [row[:length] for row in _IDS]
        assert _error(model(mx.array(ids)), torch.logits(folder, ids)) < _TOLERANCE


@pytest.mark.parametrize("name", ["mistral", "gemma2", "gemma3 mixed", "cohere2"])
def test_a_batch_writes_what_each_writes_alone(name: str, torch: TorchChild, tmp_path: Path) -> None:
    model: Any = _load(_make(torch, tmp_path, WINDOWS[name])).model
    prompts = [_IDS[0][:13], _IDS[1][:20], _IDS[0][5:9]]
    alone = []
    for prompt in prompts:
        ids = list(prompt)
        for _ in range(12):
            ids.append(int(mx.argmax(model(mx.array([ids]))[0, -1])))
        alone.append(ids[len(prompt) :])

    batch = BatchGenerator(model, max_tokens=12, prefill_step_size=5)
    written: dict[int, list[int]] = {number: [] for number in batch.insert(prompts)}
    running = len(written)
    while running:
        for response in batch.next()[1]:
            written[response.uid].append(response.token)
            running -= response.finish_reason is not None
    batch.close()

    assert list(written.values()) == alone


def test_quantised_layers_keep_their_windows(torch: TorchChild, tmp_path: Path) -> None:
    folder = _make(torch, tmp_path, {"class": "Gemma2Config", "intermediate_size": 64} | GEMMA)
    model: Any = _load(folder).model
    quantize(model, group_size=32, bits=8)
    quantised = np.array(model(mx.array(_IDS)))
    config = json.loads((folder / "config.json").read_text()) | {"quantization": {"group_size": 32, "bits": 8}}
    model.save_weights(str(folder / "model.safetensors"))

    again: Any = _load(folder, config).model

    assert _error(again(mx.array(_IDS)), quantised) < _TOLERANCE
    assert _error(_through_cache(again, [13, 5]), quantised) < _TOLERANCE


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (WINDOWS["olmo3 mixed"] | {"model_type": "olmo3", "layer_types": ["sliding_attention"] * 4}, "cannot be"),
        (WINDOWS["mixtral"] | {"hidden_act": "gelu"}, "activation gelu"),
        (
            {
                "class": "Llama4TextConfig",
                "head_dim": 8,
                "num_local_experts": 4,
                "intermediate_size_mlp": 48,
                "no_rope_layers": [1, 0, 1, 0],
            },
            "attention windows",
        ),
    ],
    ids=["olmo3 without a full layer", "experts with another activation", "llama4 with other layers unrotated"],
)
def test_what_cannot_be_put_right_is_refused(
    settings: dict[str, Any], said: str, torch: TorchChild, tmp_path: Path
) -> None:
    folder = _make(torch, tmp_path, settings)

    with pytest.raises(UserError, match=said):
        _load(folder)
