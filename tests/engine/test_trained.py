"""What a run trained is opened as a model: checkpoints of weights, of adapters, and the result."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from engine import trained
from engine.errors import UserError
from engine.grpo import checkpoint, export
from engine.session import drain, load, open_session
from tests.engine.grpo.runs import last, returned, run, tiny

SHORT: dict[str, Any] = {"eval_steps": 0, "eval_samples": 0, "max_steps": 2, "save_steps": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One run that trained all weights, and one that trained adapters."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        kind: Path(last(run(tiny(folder, kind, train_type=kind, lora_rank=4, **SHORT))).run)
        for kind in ("full", "lora")
    }


def logits(name: Path | str) -> mx.array:
    model, tokenizer = load(name, "float32")
    found = model(mx.array([tokenizer.encode("12+34")]))
    mx.eval(found)
    return found


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_a_checkpoint_computes_what_the_model_exported_from_it_does(
    kind: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    step = checkpoint.folder_of(runs[kind] / "checkpoints", 1)
    exported = returned(export.export(str(step), str(tmp_path / "whole")))
    assert mx.allclose(logits(step), logits(exported), atol=1e-4).item()
    assert not mx.allclose(logits(step), logits("starter"), atol=1e-4).item()


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_the_result_is_the_last_checkpoint(kind: str, runs: dict[str, Path]) -> None:
    step = checkpoint.folder_of(runs[kind] / "checkpoints", 2)
    assert mx.array_equal(logits(step), logits(runs[kind] / "model")).item()


def test_it_says_which_run_and_step_it_is(runs: dict[str, Path]) -> None:
    session = drain(open_session(str(checkpoint.folder_of(runs["lora"] / "checkpoints", 1))))
    assert session.files.name == "lora, step 1"
    assert not session.files.demonstration


def test_what_is_a_model_by_itself_is_left_alone(runs: dict[str, Path], tmp_path: Path) -> None:
    for name in ("starter", "owner/model", "", str(tmp_path), str(runs["full"] / "model"), str(runs["full"])):
        assert trained.find(name) is None


def test_damage_and_strange_weights_are_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    copied = Path(shutil.copytree(runs["full"], tmp_path / "copied"))
    step = checkpoint.folder_of(copied / "checkpoints", 1)
    config = copied / "config.toml"
    config.write_text(config.read_text().replace('model_name = "starter"', f'model_name = "{runs["lora"] / "model"}"'))
    with pytest.raises(UserError):  # adapters are no model for a run to begin with
        load(step)
    weights = step / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    config.write_text((runs["full"] / "config.toml").read_text())
    with pytest.raises(UserError, match="damaged"):
        load(step)
    weights.unlink()
    with pytest.raises(UserError, match="holds no weights"):
        load(step)
