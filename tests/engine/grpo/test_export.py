"""Checkpoints as models: adapters that load as such, whole models written from any of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

from engine import jobs, session
from engine.config import Sampling
from engine.conversion_events import ModelConverted
from engine.errors import UserError
from engine.events import Event, ReplyFinished
from engine.grpo import checkpoint, trainer
from engine.jobs import ExportCheckpoint, Fuse, Generate, LoadModel, Upload, Workbench
from engine.library import locate
from tests.engine.grpo.runs import last, only, run, tiny
from tests.engine.grpo.test_resume import weights_sum

IDS = mx.array([[1, 5, 9, 2, 7, 3]])
SHORT = {"eval_samples": 0, "save_steps": 1, "max_steps": 2}


def do(request: jobs.Request) -> list[Event]:
    return list(jobs.start(request, Workbench()))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for kind in ("lora", "dora", "full"):
        run(tiny(folder, kind, train_type=kind, learning_rate=5e-3, **SHORT))
    return folder


def first(runs: Path, kind: str) -> Path:
    return runs / kind / "checkpoints" / "000001"


def trained(runs: Path, kind: str) -> dict[str, mx.array]:
    return checkpoint.load(first(runs, kind)).tensors["weights" if kind == "full" else "adapters"]


def starter() -> str:
    return str(locate("starter"))


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_a_checkpoint_of_adapters_is_an_adapter(kind: str, runs: Path) -> None:
    import mlx_lm

    adapted, _ = mlx_lm.load(starter(), adapter_path=str(first(runs, kind)))[:2]
    leaves = dict(tree_flatten(adapted.parameters()))
    assert all(mx.array_equal(leaves[name], array) for name, array in trained(runs, kind).items())
    plain, _ = session.load(starter())
    assert not mx.allclose(adapted(IDS), plain(IDS), atol=1e-4)
    load = LoadModel("starter", "float32", adapter=str(first(runs, kind)))
    assert only(do(Generate(load, "12+34", sampling=Sampling(max_tokens=3))), ReplyFinished)


@pytest.mark.parametrize("kind", ["lora", "dora"])
@pytest.mark.parametrize("way", ["fuse", "export"])
def test_adapters_of_a_checkpoint_become_a_whole_model(kind: str, way: str, runs: Path, tmp_path: Path) -> None:
    import mlx_lm

    output = str(tmp_path / "whole")
    place = str(first(runs, kind))
    request = Fuse("starter", place, output) if way == "fuse" else ExportCheckpoint(place, output)
    (made,) = only(do(request), ModelConverted)
    assert made.folder == output
    fused, _ = session.load(output)
    adapted, _ = mlx_lm.load(starter(), adapter_path=place)[:2]
    assert mx.allclose(adapted(IDS), fused(IDS), atol=1e-4)


def test_a_checkpoint_of_all_weights_becomes_a_model(runs: Path, tmp_path: Path) -> None:
    import mlx_lm

    output = tmp_path / "whole"
    (made,) = only(do(ExportCheckpoint(str(first(runs, "full")), str(output))), ModelConverted)
    assert (made.name, made.folder) == ("whole", str(output))
    assert made.size == (output / "model.safetensors").stat().st_size
    weights = trained(runs, "full")
    for model in (session.load(output)[0], mlx_lm.load(str(output))[0]):
        leaves = dict(tree_flatten(model.parameters()))
        assert leaves.keys() == weights.keys()
        assert all(mx.array_equal(leaves[name], array) for name, array in weights.items())
    again = ExportCheckpoint(str(first(runs, "full")), str(output))
    with pytest.raises(UserError, match="exists already"):
        do(again)
    assert only(do(ExportCheckpoint(again.folder, again.output, overwrite=True)), ModelConverted)
    assert {path.name for path in tmp_path.iterdir()} == {"whole"}


def test_the_last_checkpoint_is_the_runs_model(runs: Path, tmp_path: Path) -> None:
    do(ExportCheckpoint(str(runs / "full" / "checkpoints" / "000002"), str(tmp_path / "whole")))
    ours = (tmp_path / "whole" / "model.safetensors").read_bytes()
    assert ours == (runs / "full" / "model" / "model.safetensors").read_bytes()


def test_the_programs_own_folder_is_named_after_run_and_step(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLX_GRPO_HOME", str(tmp_path))
    for kind in ("full", "lora"):
        (made,) = only(do(ExportCheckpoint(str(first(runs, kind)))), ModelConverted)
        assert Path(made.folder) == tmp_path / "Models" / f"{kind}-step-1"
        session.load(f"{kind}-step-1")


def test_an_exported_checkpoint_can_be_uploaded(runs: Path, tmp_path: Path) -> None:
    do(ExportCheckpoint(str(first(runs, "full")), str(tmp_path / "whole")))
    assert do(Upload(str(tmp_path / "whole"), "someone/model", dry_run=True))


def test_stopping_an_export_leaves_nothing(runs: Path, tmp_path: Path) -> None:
    steps = jobs.start(ExportCheckpoint(str(first(runs, "full")), str(tmp_path / "whole")), Workbench())
    for event in steps:
        if getattr(event, "what", "") == "Writing the weights":
            break
    steps.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_checkpoint_is_said(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint"):
        do(ExportCheckpoint(str(runs / "full" / "model"), str(tmp_path / "whole")))
    lonely = tmp_path / "000001"
    shutil.copytree(first(runs, "full"), lonely)
    with pytest.raises(UserError, match="no checkpoint"):
        do(ExportCheckpoint(str(lonely), str(tmp_path / "whole")))


def test_a_damaged_checkpoint_is_not_exported(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "full", tmp_path / "run")
    weights = tmp_path / "run" / "checkpoints" / "000001" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        do(ExportCheckpoint(str(weights.parent), str(tmp_path / "whole")))
    assert not (tmp_path / "whole").exists()


def test_a_run_of_adapters_goes_on_from_a_checkpoint_of_the_former_name(runs: Path, tmp_path: Path) -> None:
    """As they were written before: weights.safetensors, and a state without what has been added since."""
    shutil.copytree(runs / "lora", tmp_path / "lora")
    shutil.rmtree(tmp_path / "lora" / "checkpoints" / "000002")
    saved = checkpoint.load(tmp_path / "lora" / "checkpoints" / "000001")
    state = {name: value for name, value in saved.state.items() if name not in ADDED}
    config = (tmp_path / "lora" / "checkpoints" / "000001" / "adapter_config.json").read_bytes()
    assert json.loads(config)["fine_tune_type"] == "lora"
    tensors = {"weights": saved.tensors["adapters"], "optimizer": saved.tensors["optimizer"]}
    checkpoint.save(tmp_path / "lora" / "checkpoints", 1, tensors, state, {"adapter_config.json": config})
    same = tiny(runs, "lora", train_type="lora", learning_rate=5e-3, **SHORT)
    assert last(list(trainer.train(same, tmp_path / "lora"))).step == 2
    assert weights_sum(tmp_path / "lora") == weights_sum(runs / "lora")


ADDED = {"changes", "stale", "rewards", "best_reward"}
