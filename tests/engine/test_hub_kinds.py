"""Repositories whose weights have to be converted: what is fetched of them, and what the cache then knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import hub, hub_kinds
from engine.errors import UserError
from tests.support.hub_server import Fault, HubServer

REPOSITORY = "org/other"
CONFIG = {"config.json": b'{"model_type": "llama"}', "tokenizer.model": b"pieces", "README.md": b"# A model"}
SHARDS = {f"pytorch_model-{number:05}-of-00002.bin": bytes([number]) * 1000 for number in (1, 2)}
INDEX = {"pytorch_model.bin.index.json": json.dumps({"weight_map": dict(zip("ab", SHARDS, strict=True))}).encode()}
NANOCHAT = {f"{name}_{step:06}.{end}": b"step %d" % step for step in (9, 650) for name, end in (("model", "pt"),)}
NANOCHAT |= {f"meta_{step:06}.json": b"{}" for step in (9, 650)}
NANOCHAT |= {"tokenizer.pkl": b"pickled", "token_bytes.pt": b"bytes", "optim_000650_rank0.pt": b"not needed"}
GGUF = {
    "tiny-Q4_K_M.gguf": b"GGUF four",
    "tiny-Q4_K_S.gguf": b"GGUF small",
    "tiny.Q8_0.gguf": b"GGUF eight",
    "mmproj-tiny-f16.gguf": b"GGUF eyes",
    "BF16/tiny-bf16-00001-of-00002.gguf": b"GGUF first",
    "BF16/tiny-bf16-00002-of-00002.gguf": b"GGUF second",
}


@pytest.fixture
def server(hub_server: HubServer) -> Iterator[HubServer]:
    """A Hub where what was fetched once is never fetched again."""
    yield hub_server
    fetched = [path for path, _ in hub_server.contents]
    assert len(fetched) == len(set(fetched))


def fetch(name: str = REPOSITORY) -> Path:
    download = hub.download(name, any_kind=True)
    while True:
        try:
            next(download)
        except StopIteration as end:
            return Path(end.value)


def refusal(name: str = REPOSITORY) -> UserError:
    with pytest.raises(UserError) as caught:
        fetch(name)
    assert caught.value.what
    assert caught.value.why
    assert caught.value.remedy
    return caught.value


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "weights",
    [
        {"pytorch_model.bin": b"pickled"},
        SHARDS,
        SHARDS | INDEX,
        {"pytorch_model.bin.index.json": b'{"weight_map": {"a": "half.bin"}}', "half.bin": b"x"},
        {"consolidated.safetensors": b"weights"},
    ],
)
def test_torch_weights_are_fetched_where_there_are_no_others(server: HubServer, weights: dict[str, bytes]) -> None:
    strays = {"training_args.bin": b"pickled", "optimizer.pt": b"pickled", "model.onnx": b"onnx"}
    server.add_model(REPOSITORY, CONFIG | weights | strays)
    folder = fetch()
    assert names(folder) == {*CONFIG, *weights}
    assert hub.cached(REPOSITORY, any_kind=True) == folder == fetch()
    assert hub.cached(REPOSITORY) is None
    next(iter(path for path in folder.iterdir() if path.suffix in {".bin", ".safetensors"})).resolve().unlink()
    assert hub.cached(REPOSITORY, any_kind=True) is None


def test_safetensors_go_first(server: HubServer) -> None:
    server.add_model(REPOSITORY, CONFIG | {"model.safetensors": b"w"} | SHARDS | GGUF | NANOCHAT)
    folder = fetch()
    assert "model.safetensors" in names(folder)
    assert not [name for name in names(folder) if name.endswith((".bin", ".gguf", ".pt"))]
    assert hub.cached(REPOSITORY) == hub.cached(REPOSITORY, any_kind=True) == folder


@pytest.mark.parametrize("index", [b"no JSON", b"{}", b'{"weight_map": {"a": "pytorch_model-9.bin"}}'])
def test_a_damaged_index_is_refused_each_time(server: HubServer, index: bytes) -> None:
    server.add_model(REPOSITORY, CONFIG | SHARDS | {"pytorch_model.bin.index.json": index})
    for _ in range(2):
        assert "damaged" in refusal().what
    assert hub.cached(REPOSITORY, any_kind=True) is None


def test_of_nanochat_the_newest_step_is_fetched(server: HubServer) -> None:
    server.add_model(REPOSITORY, NANOCHAT)
    folder = fetch()
    assert names(folder) == {"model_000650.pt", "meta_000650.json", "tokenizer.pkl", "token_bytes.pt"}
    assert hub.cached(REPOSITORY, any_kind=True) == folder


def test_of_nanochats_own_layout_the_furthest_trained_is_fetched(server: HubServer) -> None:
    stages = {"base_checkpoints/d20": 21400, "chatsft_checkpoints/d20": 650, "mid_checkpoints/d20": 765}
    files = {f"{stage}/model_{step:06}.pt": b"%d" % step for stage, step in stages.items()}
    files |= {f"{stage}/meta_{step:06}.json": b"{}" for stage, step in stages.items()}
    server.add_model(REPOSITORY, files | {"tokenizer/tokenizer.pkl": b"pickled"})
    run = "chatsft_checkpoints/d20"
    assert names(fetch()) == {f"{run}/model_000650.pt", f"{run}/meta_000650.json", "tokenizer/tokenizer.pkl"}


def test_the_only_gguf_file_is_the_model(server: HubServer) -> None:
    server.add_model(REPOSITORY, {"tiny.gguf": b"GGUF", "mmproj.gguf": b"GGUF eyes", "README.md": b"#"})
    file = fetch()
    assert file.name == "tiny.gguf"
    assert file.read_bytes() == b"GGUF"
    assert names(file.parent) == {"tiny.gguf"}
    assert hub.cached(REPOSITORY, any_kind=True) == file


@pytest.mark.parametrize(
    ("wanted", "file"),
    [
        (":Q4_K_M", "tiny-Q4_K_M.gguf"),
        (":q8_0", "tiny.Q8_0.gguf"),
        (":bf16", "BF16/tiny-bf16-00001-of-00002.gguf"),
        ("/tiny-Q4_K_S.gguf", "tiny-Q4_K_S.gguf"),
        ("/BF16/tiny-bf16-00001-of-00002.gguf", "BF16/tiny-bf16-00001-of-00002.gguf"),
    ],
)
def test_one_of_several_gguf_files_is_named(server: HubServer, wanted: str, file: str) -> None:
    server.add_model(REPOSITORY, CONFIG | GGUF)
    name = REPOSITORY + wanted
    assert hub.cached(name, any_kind=True) is None
    path = fetch(name)
    assert path.as_posix().endswith(file)
    assert path.read_bytes() == GGUF[file]
    assert len(server.contents) == 1 + ("of-00002" in file)
    assert hub.cached(name, any_kind=True) == path == fetch(name)
    assert hub.cached(REPOSITORY + ":Q5_0", any_kind=True) is None


@pytest.mark.parametrize("wanted", ["", ":Q4", ":Q6_K", "/other.gguf"])
def test_several_gguf_files_are_listed_with_their_sizes(server: HubServer, wanted: str) -> None:
    server.add_model(REPOSITORY, {name: content * 2_000_000 for name, content in GGUF.items()})
    error = refusal(REPOSITORY + wanted)
    assert "tiny-Q4_K_M.gguf (0.02 GB)" in error.why
    assert "mmproj" not in error.why
    assert "00002-of" not in error.why.replace("-00001-of-00002", "")
    assert server.contents == []


@pytest.mark.parametrize("files", [{}, {"config.json": b"{}"}, {"adapter_model.safetensors": b"w"}])
def test_a_repository_without_a_model_is_refused_early(server: HubServer, files: dict[str, bytes]) -> None:
    server.add_model(REPOSITORY, files)
    assert REPOSITORY in refusal().what
    assert server.contents == []


def test_an_interrupted_download_is_no_model(server: HubServer) -> None:
    server.add_model(REPOSITORY, CONFIG | SHARDS | INDEX)
    server.faults.append(Fault("*/storage/*", status=404))
    refusal()
    assert hub.cached(REPOSITORY, any_kind=True) is None
    server.faults.clear()
    assert hub.cached(REPOSITORY, any_kind=True) is None
    fetch()
    assert hub.cached(REPOSITORY, any_kind=True)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("org/model", ("org/model", "")),
        ("org/model:Q4_0", ("org/model", "Q4_0")),
        ("org/model/a/b.gguf", ("org/model", "a/b.gguf")),
        ("org/model/b.bin", ("org/model/b.bin", "")),
        ("model", ("model", "")),
    ],
)
def test_a_name_may_say_which_file(name: str, parts: tuple[str, str]) -> None:
    assert hub_kinds.split(name) == parts
