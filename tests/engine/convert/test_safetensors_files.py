"""What a safetensors file says is believed only where it can be true."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from engine.convert import safetensors_files
from engine.convert.source import TensorInfo
from engine.errors import UserError

ENTRY = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


def write(path: Path, header: Any, data: int = 24) -> Path:
    words = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(words)) + words + bytes(data))
    return path


def test_what_mlx_wrote_is_read(tmp_path: Path) -> None:
    arrays = {
        "weight": mx.zeros((3, 4), mx.bfloat16),
        "scalar": mx.array(1.0),
        "none": mx.zeros((0, 4), mx.float16),
        "mask": mx.array([True, False]),
        "packed": mx.zeros((2, 2), mx.uint32),
    }
    path = tmp_path / "model.safetensors"
    mx.save_safetensors(str(path), arrays, {"format": "mlx"})
    expected = {
        name: TensorInfo(array.shape, str(array.dtype).removeprefix("mlx.core."), array.nbytes)
        for name, array in arrays.items()
    }
    assert safetensors_files.header(path) == expected
    assert safetensors_files.metadata(path) == {"format": "mlx"}


def test_a_type_mlx_lacks_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors", {"w": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}, 8)
    assert safetensors_files.header(path)["w"] == TensorInfo((8,), "float8_e4m3", 8)
    assert safetensors_files.metadata(path) == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\x10\0\0", "within its header"),
        (struct.pack("<Q", 500) + b"{}", "within its header"),
        (b"<!DOCTYPE html><html>not found</html>", "does not begin"),
        (struct.pack("<Q", 3) + b"{]}", "cannot be read"),
        (struct.pack("<Q", 2) + b"\xff\xfe", "cannot be read"),
        (struct.pack("<Q", 2) + b"[]", "no table"),
        (struct.pack("<Q", 200_000) + b"[" * 200_000, "cannot be read"),
    ],
)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        safetensors_files.header(path)
    assert reason in caught.value.why
    assert str(path) in caught.value.what
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("header", "data", "reason"),
    [
        ({"w": ENTRY}, 20, "4 of 97 bytes are missing"),
        ({"w": ENTRY}, 25, "1 bytes longer"),
        ({"w": ENTRY | {"data_offsets": [0, 23]}}, 23, "does not take 23 bytes"),
        ({"w": ENTRY | {"data_offsets": [24, 0]}}, 24, "does not take"),
        ({"w": ENTRY | {"data_offsets": [-24, 0]}}, 24, "whole numbers"),
        ({"w": ENTRY | {"shape": [2, 4]}}, 24, "does not take 24 bytes"),
        ({"w": ENTRY | {"shape": [2, 3.0]}}, 24, "whole numbers"),
        ({"w": ENTRY | {"shape": "23"}}, 24, "whole numbers"),
        ({"w": ENTRY | {"data_offsets": [0]}}, 24, "does not describe"),
        ({"w": {"dtype": "F32"}}, 24, "does not describe"),
        ({"w": 3}, 24, "does not describe"),
        ({"w": ENTRY, "v": ENTRY | {"data_offsets": [8, 32]}}, 32, "does not begin where"),
        ({"w": ENTRY, "v": ENTRY | {"data_offsets": [28, 52]}}, 52, "does not begin where"),
        ({"w": ENTRY | {"dtype": "F33"}}, 24, "w has it"),
        ({"w": ENTRY | {"dtype": None}}, 24, "w has it"),
        (f'{{"w": {json.dumps(ENTRY)}, "w": {json.dumps(ENTRY)}}}'.encode(), 24, "twice"),
    ],
)
def test_a_header_that_cannot_be_true_is_refused(tmp_path: Path, header: Any, data: int, reason: str) -> None:
    path = write(tmp_path / "model.safetensors", header, data)
    with pytest.raises(UserError) as caught:
        safetensors_files.header(path)
    assert reason in caught.value.why


def test_a_pointer_of_git_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    with pytest.raises(UserError, match="pointer") as caught:
        safetensors_files.header(path)
    assert "git lfs pull" in caught.value.remedy


def test_shards_are_checked_against_their_index(tmp_path: Path) -> None:
    first = write(tmp_path / "model-1.safetensors", {"a": ENTRY})
    second = write(tmp_path / "model-2.safetensors", {"b": ENTRY})
    index = tmp_path / "model.safetensors.index.json"
    info = TensorInfo((2, 3), "float32", 24)
    assert safetensors_files.headers([first, second], index) == {"a": info, "b": info}

    index.write_text(json.dumps({"weight_map": {"a": first.name, "b": second.name}}))
    assert list(safetensors_files.headers([first, second], index)) == ["a", "b"]

    for wrong, why in [
        ({"a": first.name, "b": second.name, "c": first.name}, "c should be in model-1.safetensors; it is in none"),
        ({"a": second.name, "b": second.name}, "a should be in model-2.safetensors; it is in model-1.safetensors"),
    ]:
        index.write_text(json.dumps({"weight_map": wrong}))
        with pytest.raises(UserError, match="Weights are missing: 1 tensors") as caught:
            safetensors_files.headers([first, second], index)
        assert why in caught.value.why

    for damaged in ("{", "[]", "{}", '{"weight_map": []}'):
        index.write_text(damaged)
        with pytest.raises(UserError, match="is damaged"):
            safetensors_files.headers([first, second], index)


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    shards = [write(tmp_path / f"model-{number}.safetensors", {"a": ENTRY}) for number in (1, 2)]
    with pytest.raises(UserError, match="a is in two weight files") as caught:
        safetensors_files.headers(shards)
    assert "model-1" in caught.value.why
    assert "model-2" in caught.value.why


def test_a_missing_shard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        safetensors_files.headers([tmp_path / "model-1.safetensors"])
