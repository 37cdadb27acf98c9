"""Writing a model tensor by tensor: the same files as mlx_lm writes, in little memory."""

from __future__ import annotations

import gc
import json
import re
import shutil
from pathlib import Path

import mlx.core as mx
import mlx_lm.utils
import pytest

from engine import library
from engine.assemble import Assembled, assemble
from engine.convert import quantise, write
from engine.convert.settings import ConversionSettings
from engine.errors import UserError
from engine.events import Event, Progress
from tests.engine.tiny import make_model


def opened(folder: Path) -> Assembled:
    weights: dict[str, mx.array] = {}
    for file in library.weight_files(folder):
        weights.update(mx.load(str(file)))
    return assemble(library.read_config(folder), weights)


def run(assembled: Assembled, folder: Path) -> list[Event]:
    folder.mkdir(exist_ok=True)
    return list(write.write_weights(assembled, folder))


def contents(folder: Path) -> dict[str, dict[str, mx.array]]:
    return {file.name: mx.load(str(file)) for file in sorted(folder.glob("*.safetensors"))}


def same(left: dict[str, mx.array], right: dict[str, mx.array]) -> bool:
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype and bool(mx.array_equal(left[name], right[name])) for name in left
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("quantize", [False, True])
def test_the_files_are_those_of_mlx_lm(tmp_path: Path, dtype: str, quantize: bool) -> None:
    settings = ConversionSettings(quantize=quantize, dtype=dtype, group_size=32)  # type: ignore[arg-type]
    source = make_model(tmp_path / "source")
    mlx_lm.utils.save_model(tmp_path / "theirs", quantise.transform(opened(source), settings).model)
    run(quantise.transform(opened(source), settings), tmp_path / "ours")
    theirs, ours = contents(tmp_path / "theirs"), contents(tmp_path / "ours")
    assert theirs.keys() == ours.keys()
    assert all(same(theirs[file], ours[file]) for file in theirs)
    index = "model.safetensors.index.json"
    assert json.loads((tmp_path / "theirs" / index).read_text()) == json.loads((tmp_path / "ours" / index).read_text())


def test_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def halves(weights: dict[str, mx.array]) -> list[dict[str, mx.array]]:
        named = list(weights.items())
        return [dict(named[:9]), dict(named[9:])]

    monkeypatch.setattr(mlx_lm.utils, "make_shards", halves)
    source = make_model(tmp_path / "source")
    run(opened(source), tmp_path / "out")
    assert list(contents(tmp_path / "out")) == [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    shutil.copy(source / "config.json", tmp_path / "out")
    whole = opened(tmp_path / "out").model(mx.array([[5, 6, 7]]))
    assert mx.array_equal(whole, opened(source).model(mx.array([[5, 6, 7]])))


def test_progress_counts_every_byte(tmp_path: Path) -> None:
    source = make_model(tmp_path / "source")
    events = [event for event in run(opened(source), tmp_path / "out") if isinstance(event, Progress)]
    done = [event.done for event in events]
    assert done == sorted(done)
    assert done[-1] == events[-1].total == (source / "model.safetensors").stat().st_size - header(source)
    assert {event.detail for event in events} == set(mx.load(str(source / "model.safetensors")))


def header(folder: Path) -> int:
    return 8 + int.from_bytes((folder / "model.safetensors").read_bytes()[:8], "little")


def test_memory_stays_near_one_tensor(tmp_path: Path) -> None:
    source = make_model(tmp_path / "source", hidden_size=512, intermediate_size=1024, num_hidden_layers=12)
    size = (source / "model.safetensors").stat().st_size
    assembled = opened(source)
    gc.collect()
    mx.clear_cache()
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    run(assembled, tmp_path / "out")
    assert mx.get_peak_memory() - before < size / 6
    gc.collect()
    assert mx.get_active_memory() - before < size / 50


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_refused(tmp_path: Path, value: float) -> None:
    source = make_model(tmp_path / "source")
    weights = mx.load(str(source / "model.safetensors"))
    name = "model.layers.1.mlp.up_proj.weight"
    weights[name][3, 5] = value
    with pytest.raises(UserError, match=re.escape(name)):
        run(assemble(library.read_config(source), weights), tmp_path / "out")
