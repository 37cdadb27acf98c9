"""Loading a model, giving its memory back, and every way a model folder can be wrong."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

from engine import jobs, library, places
from engine.errors import UserError
from engine.events import Event, ModelLoaded, Progress
from engine.jobs import LoadModel, Workbench
from engine.session import ModelSession, drain, load, open_session
from tests.engine.tiny import make_model


def opened(name: str, **options: object) -> tuple[list[Event], ModelSession]:
    steps, events = open_session(name, **options), []  # type: ignore[arg-type]
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return events, end.value


def test_the_starter_loads_with_visible_progress() -> None:
    events, session = opened("starter")
    modules = [event for event in events if isinstance(event, Progress) and event.unit == "modules"]
    weights = [event for event in events if isinstance(event, Progress) and event.unit == "bytes"]
    assert [event.done for event in modules] == list(range(len(modules)))
    assert weights[-1].done == weights[-1].total
    assert [event.done for event in weights] == sorted(event.done for event in weights)
    loaded = events[-1]
    assert isinstance(loaded, ModelLoaded)
    assert loaded.demonstration
    assert loaded.has_chat_template
    assert loaded.parameters > 100_000
    assert loaded.memory == weights[-1].total
    session.close()


def test_the_one_door_gives_logits(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    model, tokenizer = load(folder)
    ids = mx.array([tokenizer.encode("What is 1 + 1?")])
    logits = model(ids)
    assert logits.shape[:2] == ids.shape
    assert bool(mx.isfinite(logits).all())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_type_asked_for_is_the_type_computed_in(tmp_path: Path, dtype: str) -> None:
    model, _ = load(make_model(tmp_path / "m"), dtype=dtype)
    types = {array.dtype for _, array in tree_flatten(model.parameters())}
    assert types == {getattr(mx, dtype)}


def test_an_unknown_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="float8"):
        load(make_model(tmp_path / "m"), dtype="float8")


def test_unloading_gives_the_memory_back(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m", hidden_size=256, intermediate_size=2048, num_hidden_layers=4)
    gc.collect()
    mx.clear_cache()
    before = mx.get_active_memory()
    for _ in range(3):
        _, session = opened(str(folder))
        weights = mx.get_active_memory() - before
        assert weights > 20e6
        freed = session.close()
        assert freed >= 0.99 * weights
        assert mx.get_active_memory() <= before
        assert mx.get_cache_memory() == 0


def test_loading_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m", hidden_size=256, intermediate_size=2048)
    gc.collect()
    before = mx.get_active_memory()
    steps = open_session(str(folder))
    for event in steps:
        if isinstance(event, Progress) and event.unit == "bytes" and event.done:
            break
    steps.close()
    gc.collect()
    mx.clear_cache()
    assert mx.get_active_memory() <= before


def test_transformers_5_rotary_settings_reach_the_model(tmp_path: Path) -> None:
    plain = make_model(tmp_path / "plain", rope_theta=500000.0)
    new_style = make_model(
        tmp_path / "new", rope_theta=None, rope_parameters={"rope_type": "default", "rope_theta": 500000.0}
    )
    ids = mx.array([[5, 9, 20, 31, 7, 80, 4]])
    assert mx.allclose(load(plain)[0](ids), load(new_style)[0](ids)).item()
    base = make_model(tmp_path / "base", rope_theta=10000.0)
    assert not mx.allclose(load(plain)[0](ids), load(base)[0](ids)).item()


def broken(folder: Path, how: str) -> None:
    weights = folder / "model.safetensors"
    match how:
        case "no config":
            (folder / "config.json").unlink()
        case "bad config":
            (folder / "config.json").write_text("{ not json")
        case "config is a list":
            (folder / "config.json").write_text("[1]")
        case "no model_type":
            config = json.loads((folder / "config.json").read_text())
            del config["model_type"]
            (folder / "config.json").write_text(json.dumps(config))
        case "unsupported":
            change(folder, model_type="lamma")
        case "wrong shape":
            change(folder, hidden_size=64)
        case "no weights":
            weights.unlink()
        case "empty weights":
            weights.write_bytes(b"")
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:-1000])
        case "garbage":
            weights.write_bytes(b"\xff" * 4096)
        case "missing shard":
            (folder / "model.safetensors.index.json").write_text(
                json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}})
            )
        case "bad index":
            (folder / "model.safetensors.index.json").write_text("{}")
        case "missing tensor":
            arrays = mx.load(str(weights))
            arrays.pop("model.norm.weight")
            mx.save_safetensors(str(weights), arrays)
        case "no tokenizer":
            for name in ("tokenizer.json", "tokenizer_config.json"):
                (folder / name).unlink()
        case "bad tokenizer":
            (folder / "tokenizer.json").write_text("{")
        case "tokenizer code":
            settings = json.loads((folder / "tokenizer_config.json").read_text())
            settings |= {"tokenizer_class": "Mine", "auto_map": {"AutoTokenizer": ["mine.Mine", None]}}
            (folder / "tokenizer_config.json").write_text(json.dumps(settings))
            (folder / "mine.py").write_text("raise SystemExit('executed')")
        case "code":
            change(folder, model_file="model.py")
            (folder / "model.py").write_text("raise SystemExit('executed')")


def test_a_stray_file_beside_the_index_is_not_read(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m", seed=1)
    ids = mx.array([[5, 9, 20]])
    expected = load(folder)[0](ids)
    names = list(mx.load(str(folder / "model.safetensors")))
    index = {"weight_map": dict.fromkeys(names, "model.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    stray = make_model(tmp_path / "other", seed=2) / "model.safetensors"
    (folder / "model-old.safetensors").write_bytes(stray.read_bytes())
    assert mx.array_equal(load(folder)[0](ids), expected)


def test_a_models_own_code_runs_where_it_is_trusted(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    (folder / "own.py").write_text("from mlx_lm.models.llama import Model, ModelArgs\n")
    change(folder, model_file="own.py", model_type="theirs")
    with pytest.raises(UserError, match=r"own\.py"):
        drain(open_session(str(folder)))
    assert drain(open_session(str(folder), trust_remote_code=True)).model is not None


def test_all_ends_of_generation_config_are_known(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [3, 7]}))
    assert {3, 7} <= load(folder)[1].eos_token_ids


def change(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ("no config", "config.json"),
        ("bad config", "config.json"),
        ("config is a list", "config.json"),
        ("no model_type", "model_type"),
        ("unsupported", "lamma"),
        ("wrong shape", "448 x 64"),
        ("no weights", "model.safetensors"),
        ("empty weights", "broken"),
        ("truncated", "broken"),
        ("garbage", "broken"),
        ("missing shard", "model-00001-of-00002.safetensors"),
        ("bad index", "model.safetensors.index.json"),
        ("missing tensor", "model.norm.weight"),
        ("no tokenizer", "tokenizer"),
        ("bad tokenizer", "tokenizer"),
        ("code", "model.py"),
        ("tokenizer code", "tokenizer"),
    ],
)
def test_a_broken_folder_gets_sentences(tmp_path: Path, how: str, word: str) -> None:
    folder = make_model(tmp_path / "broken")
    broken(folder, how)
    with pytest.raises(UserError) as caught:
        drain(open_session(str(folder)))
    error = caught.value
    assert error.fault == "input"
    assert word in f"{error.what} {error.why}"
    assert error.remedy
    assert len(error.what) < 200


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("/no/such/folder", "/no/such/folder"),
        ("", "No model"),
        ("nonsense", "nonsense"),
        ("owner/absent-model", "owner/absent-model"),
    ],
)
def test_a_name_that_names_nothing(name: str, word: str) -> None:
    with pytest.raises(UserError) as caught:
        drain(open_session(name))
    assert word in caught.value.what
    assert caught.value.remedy


def test_a_file_is_not_a_model_folder(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="is a file"):
        library.locate(str(tmp_path / "weights.safetensors"))


def test_a_model_too_large_for_the_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "huge")
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(10**12)  # sparse: takes no room on the disk
    with pytest.raises(UserError, match="too large") as caught:
        drain(open_session(str(folder)))
    assert "GB" in caught.value.why
    with pytest.raises(UserError, match="too large"):
        drain(open_session(str(make_model(tmp_path / "small")), memory_limit=1000))


def test_models_on_disk_are_found_without_loading_one(home: Path) -> None:
    make_model(places.models_folder() / "mine")
    snapshot = home / "huggingface" / "hub" / "models--owner--theirs" / "snapshots" / "abc"
    make_model(snapshot, quantization={"bits": 4, "group_size": 64})
    (places.models_folder() / "broken").mkdir()
    (places.models_folder() / "broken" / "config.json").write_text("{")
    found = {files.name: files for files in library.on_disk()}
    assert set(found) == {"starter", "mine", "owner/theirs"}
    assert found["starter"].demonstration
    assert found["owner/theirs"].bits == 4
    assert library.locate("mine") == places.models_folder() / "mine"


def test_a_model_that_is_there_already_is_said_to_be_there() -> None:
    bench = Workbench()
    first, second = (
        [event for event in jobs.start(LoadModel("starter"), bench) if isinstance(event, ModelLoaded)] for _ in range(2)
    )
    assert len(first) == len(second) == 1
    assert second[0].name == first[0].name
    assert second[0].seconds == 0.0
    list(bench.clear())
