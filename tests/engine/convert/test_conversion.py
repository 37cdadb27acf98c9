"""Conversions from end to end: what comes out, what is refused, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx_lm
import pytest

from engine import places, session
from engine.conversion_events import ConversionPlanned, ModelChecked, ModelConverted
from engine.convert import conversion, journal
from engine.convert.settings import ConversionSettings
from engine.errors import UserError, explain
from engine.events import Event
from tests.engine.tiny import make_model

REPOSITORY = Path(__file__).parents[3]
IDS = mx.array([[5, 6, 7, 40, 100, 3]])


def convert(source: Path | str, output: Path, **values: Any) -> list[Event]:
    """Every event of a conversion; `values` are settings, but for the arguments of `convert`."""
    options = {name: values.pop(name) for name in ("overwrite", "report", "text", "adapter") if name in values}
    settings = ConversionSettings(**{"check": "never"} | values)
    return list(conversion.convert(str(source), str(output), settings, **options))


def logits(folder: Path, dtype: str | None = None) -> mx.array:
    return session.load(folder, dtype)[0](IDS)


def left_behind(folder: Path) -> list[str]:
    """What a conversion left beside the sources, and in the program's notes."""
    noted = places.unfinished_folder()
    return [path.name for path in folder.iterdir() if path.name != "source"] + (
        [path.name for path in noted.iterdir()] if noted.is_dir() else []
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_model(tmp_path / "source", hidden_size=64, intermediate_size=128)


def test_an_exact_copy(source: Path, tmp_path: Path) -> None:
    events = convert(source, tmp_path / "out")
    assert isinstance(events[-1], ModelConverted)
    assert events[-1].folder == str(tmp_path / "out")
    assert mx.array_equal(logits(tmp_path / "out"), logits(source))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert left_behind(tmp_path) == ["out"]


def test_it_is_checked_against_torch(source: Path, tmp_path: Path) -> None:
    events = convert(source, tmp_path / "out", check="auto")
    (checked,) = [event for event in events if isinstance(event, ModelChecked)]
    assert checked.verdict == "same", checked
    assert checked.error < 1e-4
    assert checked.positions >= 8


@pytest.mark.parametrize(
    ("values", "size"),
    [({"bits": 8}, 0.3), ({"bits": 4}, 0.2), ({"recipe": "mixed_3_6"}, 0.2), ({"mode": "mxfp4"}, 0.2)],
)
def test_quantised_models_load_here_and_in_mlx_lm(
    source: Path, tmp_path: Path, values: dict[str, Any], size: float
) -> None:
    convert(source, tmp_path / "out", quantize=True, **values)
    ours = logits(tmp_path / "out")
    theirs = mlx_lm.load(str(tmp_path / "out"))[0](IDS)
    assert mx.allclose(ours, theirs, atol=1e-4)
    assert (tmp_path / "out" / "model.safetensors").stat().st_size < size * (
        source / "model.safetensors"
    ).stat().st_size + 20_000


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_number_format_is_honoured(source: Path, tmp_path: Path, dtype: str) -> None:
    convert(source, tmp_path / "out", dtype=dtype)
    stored = {str(array.dtype) for array in mx.load(str(tmp_path / "out" / "model.safetensors")).values()}
    assert stored == {f"mlx.core.{dtype}"}
    assert json.loads((tmp_path / "out" / "config.json").read_text())["torch_dtype"] == dtype


def test_requantising_and_dequantising(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "eight", quantize=True, bits=8)
    convert(tmp_path / "eight", tmp_path / "four", quantize=True, bits=4)
    convert(tmp_path / "eight", tmp_path / "whole", dequantize=True)
    assert json.loads((tmp_path / "four" / "config.json").read_text())["quantization"]["bits"] == 4
    assert "quantization" not in json.loads((tmp_path / "whole" / "config.json").read_text())
    assert mx.allclose(logits(tmp_path / "whole"), logits(tmp_path / "eight"), atol=1e-3)
    with pytest.raises(UserError, match="no quantisation to undo"):
        convert(source, tmp_path / "none", dequantize=True)


def test_an_output_that_exists_is_refused_and_may_be_replaced(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "out")
    with pytest.raises(UserError, match="exists already"):
        convert(source, tmp_path / "out", quantize=True)
    convert(source, tmp_path / "out", quantize=True, overwrite=True)
    assert "quantization" in json.loads((tmp_path / "out" / "config.json").read_text())
    assert left_behind(tmp_path) == ["out"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_result_that_came_meanwhile_is_not_replaced(source: Path, tmp_path: Path, overwrite: bool) -> None:
    running = conversion.convert(
        str(source), str(tmp_path / "out"), ConversionSettings(check="never"), overwrite=overwrite
    )
    next(event for event in running if getattr(event, "what", "") == "Writing the tokenizer")
    convert(source, tmp_path / "out", quantize=True)
    if overwrite:
        list(running)
        assert "quantization" not in json.loads((tmp_path / "out" / "config.json").read_text())
    else:
        with pytest.raises(UserError, match="filled meanwhile"):
            list(running)
        assert "quantization" in json.loads((tmp_path / "out" / "config.json").read_text())
    assert left_behind(tmp_path) == ["out"]


def test_the_old_model_comes_back_if_the_new_one_cannot_be_put_in_place(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(source, tmp_path / "out", quantize=True)
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if target == tmp_path / "out" and path.name != journal.REPLACED:
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="Input/output"):
        convert(source, tmp_path / "out", overwrite=True)
    assert "quantization" in json.loads((tmp_path / "out" / "config.json").read_text())
    assert left_behind(tmp_path) == ["out"]


def test_a_name_may_be_as_long_as_the_disk_allows(source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / ("字" * 85))
    assert left_behind(tmp_path) == ["字" * 85]


@pytest.mark.parametrize("where", ["source", "source/inner/..", "."])
def test_the_source_is_never_replaced(source: Path, tmp_path: Path, where: str) -> None:
    before = sorted(path.name for path in source.iterdir())
    with pytest.raises(UserError, match="its own source"):
        convert(source, tmp_path / where, overwrite=True)
    assert sorted(path.name for path in source.iterdir()) == before


def test_a_folder_of_other_things_is_never_replaced(source: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("x")
    with pytest.raises(UserError, match="is not replaced"):
        convert(source, tmp_path / "photos", overwrite=True)
    assert (tmp_path / "photos" / "a.jpg").exists()


def cut(file: str, keep: float) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        data = (folder / file).read_bytes()
        (folder / file).write_bytes(data[: int(len(data) * keep)])

    return spoil


def without(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def config(**changes: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        stated = json.loads((folder / "config.json").read_text()) | changes
        kept = {key: value for key, value in stated.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(kept))

    return spoil


def weights(change: Callable[[dict[str, mx.array]], Any]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        arrays = dict(mx.load(str(folder / "model.safetensors")))
        mx.eval(arrays)
        change(arrays)
        mx.save_safetensors(str(folder / "model.safetensors"), arrays)

    return spoil


def index(*names: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        mapping = dict.fromkeys(mx.load(str(folder / "model.safetensors")), "model.safetensors")
        mapping |= {f"extra.{name}": name for name in names}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": mapping}))

    return spoil


UP = "model.layers.1.mlp.up_proj.weight"
BROKEN: dict[str, Callable[[Path], None]] = {
    "truncated weights": cut("model.safetensors", 0.7),
    "empty weights": cut("model.safetensors", 0),
    "only a header": cut("model.safetensors", 0.001),
    "bad json": lambda folder: (folder / "config.json").write_text('{"model_type": "llama",'),
    "config is a list": lambda folder: (folder / "config.json").write_text("[]"),
    "no model type": config(model_type=None),
    "unknown model type": config(model_type="llamma"),
    "a size that is a word": config(hidden_size="large"),
    "missing size": config(num_attention_heads=None),
    "missing shard": index("model-00002-of-00002.safetensors"),
    "no weights": without("model.safetensors"),
    "missing tensor": weights(lambda arrays: arrays.pop(UP)),
    "misshapen tensor": weights(lambda arrays: arrays.update({UP: mx.zeros((3, 5))})),
    "unknown tensor": weights(lambda arrays: arrays.update({"model.layers.1.extra.weight": mx.zeros((3, 5))})),
    "a weight that is no number": weights(lambda arrays: arrays.update({UP: arrays[UP] * float("nan")})),
    "no tokenizer": lambda folder: [path.unlink() for path in folder.glob("*token*")] and None,
    "bad tokenizer": lambda folder: (folder / "tokenizer.json").write_text("{"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_sources_are_refused_in_words_and_leave_nothing(source: Path, tmp_path: Path, what: str) -> None:
    BROKEN[what](source)
    with pytest.raises(UserError) as caught:
        convert(source, tmp_path / "out")
    assert caught.value.fault == "input"
    assert caught.value.what
    assert caught.value.remedy
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("mode", ["affine", "mxfp4", "mxfp8", "nvfp4"])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_quantising_does_not_hide_a_value_that_is_no_number(
    source: Path, tmp_path: Path, mode: str, value: str
) -> None:
    def one(arrays: dict[str, mx.array]) -> None:
        arrays[UP][3, 5] = float(value)

    weights(one)(source)
    with pytest.raises(UserError, match=re.escape(UP)):
        convert(source, tmp_path / "out", quantize=True, mode=mode)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("values", [{}, {"quantize": True}, {"quantize": True, "mode": "mxfp4"}])
def test_what_float16_cannot_hold_is_said(source: Path, tmp_path: Path, values: dict[str, Any]) -> None:
    weights(lambda arrays: arrays.update({UP: arrays[UP] + 1e5}))(source)
    with pytest.raises(UserError, match="cannot be stored in float16"):
        convert(source, tmp_path / "out", dtype="float16", **values)
    convert(source, tmp_path / "out", dtype="bfloat16", **values)


def test_whole_weights_do_not_claim_to_be_quantised(source: Path, tmp_path: Path) -> None:
    config(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})(source)
    convert(source, tmp_path / "out")
    assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())


def test_a_weight_that_is_no_number_is_found_by_the_check_too(source: Path, tmp_path: Path) -> None:
    BROKEN["a weight that is no number"](source)
    with pytest.raises(UserError, match=re.escape(UP)):
        convert(source, tmp_path / "out", check="always")
    assert left_behind(tmp_path) == []


def test_relaxed_leaves_unknown_tensors_out_and_lists_them(source: Path, tmp_path: Path) -> None:
    BROKEN["unknown tensor"](source)
    done = convert(source, tmp_path / "out", strict=False)[-1]
    assert isinstance(done, ModelConverted)
    assert done.left_out == ("model.layers.1.extra.weight",)


def test_relaxed_never_leaves_a_weight_random(source: Path, tmp_path: Path) -> None:
    BROKEN["missing tensor"](source)
    with pytest.raises(UserError, match="missing"):
        convert(source, tmp_path / "out", strict=False)


def test_unwritable_output(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises((UserError, OSError)) as caught:
        convert(source, tmp_path / "file" / "out")
    assert explain(caught.value).fault == "input"


def test_a_full_disk_is_said_before_anything_is_read(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(UserError, match="not enough room"):
        convert(source, tmp_path / "out")
    assert left_behind(tmp_path) == []


def test_a_source_deleted_half_way(source: Path, tmp_path: Path) -> None:
    steps = conversion.convert(str(source), str(tmp_path / "out"), ConversionSettings(check="never"))
    for event in steps:
        if isinstance(event, ConversionPlanned):
            break
    shutil.rmtree(source)
    with pytest.raises((UserError, OSError, RuntimeError)) as caught:
        list(steps)
    assert explain(caught.value).fault == "input"
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("steps", [1, 2, 20, 40])
def test_cancel_leaves_nothing(source: Path, tmp_path: Path, steps: int) -> None:
    running = conversion.convert(str(source), str(tmp_path / "out"), ConversionSettings(quantize=True, check="never"))
    for _ in range(steps):
        next(running)
    running.close()
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(("check", "stage"), [("--no-check", "Writing the weights"), ("--check", "Comparing")])
def test_kill_half_way_leaves_nothing_after_the_next_start(tmp_path: Path, check: str, stage: str) -> None:
    source = make_model(tmp_path / "source", hidden_size=512, intermediate_size=2048, num_hidden_layers=24)
    words = [sys.executable, "-m", "mlx_grpo", "convert", "--hf-path", str(source), "--mlx-path", str(tmp_path / "out")]
    temporary = tmp_path / "source" / "temporary"
    temporary.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(
        [*words, check, "--json"], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if stage in line:
                os.kill(child.pid, signal.SIGKILL)
                break
    deadline = time.monotonic() + 20
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert any(path.name.endswith(".partial") for path in tmp_path.iterdir())
    assert journal.sweep() == 1
    assert left_behind(tmp_path) == []
    assert list(temporary.iterdir()) == []
