"""The commands convert and fuse, as a person or a script calls them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from engine import session
from tests.engine.tiny import make_model

REPOSITORY = Path(__file__).parents[2]


def call(*words: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """One real `mlx-grpo` process."""
    command = [sys.executable, "-m", "mlx_grpo", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder or REPOSITORY, env=environment, check=False
    )


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The events of a call with --json, each line one."""
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_model(tmp_path / "source", hidden_size=64, intermediate_size=128)


def test_the_documented_command_lines_of_the_original_project(source: Path, tmp_path: Path) -> None:
    done = call("convert", "--hf-path", source, "--quantize", "--bits", "8", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "mlx_model")
    assert "Checked: the same as the source" in done.stderr
    again = call("convert", "--hf-path", source, "--quantize", folder=tmp_path)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    words = ("--trust-remote-code", "--eos-token", "", "--dtype", "float16", "--verbose", "--output-dir", "other")
    third = call("convert", "--hf-path", source, *words, folder=tmp_path)
    assert third.returncode == 0, third.stderr
    assert mx.load(str(tmp_path / "other" / "model.safetensors"))["model.norm.weight"].dtype == mx.float16


def test_json_is_one_event_a_line_and_nothing_else(source: Path, tmp_path: Path) -> None:
    done = call("convert", "--hf-path", source, "--mlx-path", tmp_path / "out", "--no-check", "--json")
    assert done.returncode == 0, done.stderr
    kinds = [event["event"] for event in events(done)]
    assert kinds[0] == "progress"
    assert {"conversion_planned", "model_checked", "model_converted"} <= set(kinds)
    assert kinds[-1] == "done"


def test_a_dry_run_prints_the_plan_and_writes_nothing(source: Path, tmp_path: Path) -> None:
    done = call("convert", "--hf-path", source, "--mlx-path", tmp_path / "out", "-q", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "llama" in done.stderr
    assert "bits per weight" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--bits", "7"], "bits"),
        (["--mode", "mxfp4", "--bits", "8"], "4 bits"),
        (["-q", "--dequantize"], "not both"),
        (["--recipe", "mixed_9_9"], "recipe"),
        (["--dtype", "int8"], "dtype"),
        (["--eos-token", "<|no such token|>"], "no such token"),
    ],
)
def test_wrong_settings_are_refused_in_words(source: Path, tmp_path: Path, words: list[str], reason: str) -> None:
    done = call("convert", "--hf-path", source, "--mlx-path", tmp_path / "out", "--no-check", *words)
    assert done.returncode == 2, done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_half_way_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    source = make_model(tmp_path / "source", hidden_size=512, intermediate_size=2048, num_hidden_layers=12)
    words = ["convert", "--hf-path", str(source), "--mlx-path", str(tmp_path / "out"), "--no-check", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "mlx_grpo", *words], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if "Writing the weights" in line:
                child.send_signal(number)
                break
        last = child.stdout.readlines()[-1]
    assert child.returncode == 130
    assert json.loads(last)["event"] == "cancelled"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_without_a_token_nothing_is_converted_for_an_upload(source: Path, tmp_path: Path) -> None:
    done = call("convert", "--hf-path", source, "--mlx-path", tmp_path / "out", "--upload-repo", "me/model")
    assert done.returncode == 2
    assert "not signed in" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_a_full_disk_behind_standard_output_is_said_in_words(source: Path, tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("only Linux has a file that is always full")
    words = ["convert", "--hf-path", str(source), "--mlx-path", str(tmp_path / "out"), "--json"]
    with full.open("w") as nowhere:
        command = [sys.executable, "-m", "mlx_grpo", *words]
        done = subprocess.run(command, stdout=nowhere, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == 2
    assert "The disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_a_tensor_cannot_speak_to_the_terminal(source: Path, tmp_path: Path) -> None:
    arrays = dict(mx.load(str(source / "model.safetensors")))
    mx.eval(arrays)
    mx.save_safetensors(str(source / "model.safetensors"), arrays | {"a\x1b]0;owned\x07": mx.zeros(3)})
    done = call("convert", "--hf-path", source, "--mlx-path", tmp_path / "out", "--no-check")
    assert done.returncode == 2
    assert "owned" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_group_size_or_a_text_is_not_ignored(source: Path, tmp_path: Path) -> None:
    words = ("--group-size", "32", "--text", tmp_path / "text.txt", "--no-check")
    done = call("convert", "--hf-path", source, "--mlx-path", tmp_path / "out", *words)
    assert done.returncode == 2
    assert "text.txt" in done.stderr
    (tmp_path / "text.txt").write_text("The cat sat on the mat and looked at the moon. " * 20)
    done = call("convert", "--hf-path", source, "--mlx-path", tmp_path / "out", *words)
    assert done.returncode == 0, done.stderr
    assert "KL divergence" in done.stderr
    assert json.loads((tmp_path / "out" / "config.json").read_text())["quantization"]["group_size"] == 32


def test_fuse_merges_an_adapter(source: Path, tmp_path: Path) -> None:
    from mlx.utils import tree_flatten
    from mlx_lm.tuner.utils import linear_to_lora_layers

    model, _ = session.load(source)
    settings = {"rank": 4, "scale": 2.0, "dropout": 0.0}
    model.freeze()
    linear_to_lora_layers(model, 2, settings)
    for name, array in tree_flatten(model.trainable_parameters()):
        if name.endswith("lora_b"):
            array[:] = mx.random.normal(array.shape, key=mx.random.key(7))
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    mx.save_safetensors(str(adapter / "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters())))
    described = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": settings}
    (adapter / "adapter_config.json").write_text(json.dumps(described))

    done = call("fuse", "--model", source, "--adapter", adapter, "--mlx-path", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    ids = mx.array([[5, 6, 7, 40]])
    fused = session.load(tmp_path / "out")[0](ids)
    assert mx.allclose(fused, model(ids), atol=1e-4)
    assert not mx.allclose(fused, session.load(source)[0](ids), atol=1e-2)
    kept = dict(mx.load(str(adapter / "adapters.safetensors")))
    mx.eval(kept)
    kept.pop(min(kept))
    mx.save_safetensors(str(adapter / "adapters.safetensors"), kept)
    half = call("fuse", "--model", source, "--adapter", adapter, "--mlx-path", tmp_path / "half")
    assert half.returncode == 2
    assert "incomplete" in half.stderr
    assert not (tmp_path / "half").exists()
    (adapter / "adapter_config.json").write_text(json.dumps(described | {"peft_type": "LORA"}))
    foreign = call("fuse", "--model", source, "--adapter", adapter, "--mlx-path", tmp_path / "foreign")
    assert foreign.returncode == 2
    assert "PEFT" in foreign.stderr
    wrong = call("fuse", "--model", source, "--adapter", source, "--mlx-path", tmp_path / "wrong")
    assert wrong.returncode == 2
    assert "adapter" in wrong.stderr
    assert not (tmp_path / "wrong").exists()
