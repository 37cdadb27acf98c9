"""What a .gguf file is told to be, and every way it can be wrong."""

from __future__ import annotations

import contextlib
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf as library
import numpy as np
import pytest

from engine.assemble import assemble
from engine.convert import gguf
from engine.convert.gguf_rope import llama3_scaling
from engine.errors import UserError
from tests.engine.convert import gguf_files
from tests.engine.convert.gguf_files import tiny_llama
from tests.engine.convert.test_gguf_tensors import read, whole


def test_says_what_the_file_is(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "Tiny-Q4_0.gguf", kind="Q4_0", keys={"tokenizer.chat_template": "{{ messages }}"})
    assert gguf.recognise(path)
    source = gguf.examine(path)
    assert (source.kind, source.name, source.files) == ("gguf", "Tiny-Q4_0", (path,))
    assert source.config["model_type"] == "llama"
    assert source.config["rms_norm_eps"] == 1e-5
    embedding = source.tensors["token_embd.weight"]
    assert (embedding.shape, embedding.dtype, embedding.size) == ((300, 256), "Q4_0", 300 * 256 // 32 * 18)
    assert source.has_chat_template
    assert source.tokenizer == ""
    assert "no tokenizer" in source.warnings[0]


def test_formats_that_grow_are_announced(tmp_path: Path) -> None:
    source = gguf.examine(tiny_llama(tmp_path / "model.gguf", kind="Q5_0"))
    assert any("Q5_0" in warning for warning in source.warnings)


def test_looking_needs_neither_mlx_nor_torch(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf")
    code = (
        "import sys; from pathlib import Path; from engine.convert import gguf\n"
        f"gguf.examine(Path({str(path)!r}))\n"
        "assert not {'mlx', 'torch', 'transformers'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_reads_all_parts_of_a_split_model(tmp_path: Path) -> None:
    whole_file = tiny_llama(tmp_path / "whole.gguf", kind="Q8_0")
    first = tiny_llama(tmp_path / "split.gguf", kind="Q8_0", split=4)
    parts = sorted(tmp_path.glob("split-*.gguf"))
    assert len(parts) == 3
    stem = "model.layers.0.mlp.down_proj"
    kept = whole(read(whole_file, tmp_path)[1], stem)
    for path in (first, parts[1]):
        scratch = tmp_path / path.stem
        scratch.mkdir()
        source, weights = read(path, scratch)
        assert source.config["num_hidden_layers"] == 1
        assert len(weights) == 27
        assert np.array_equal(whole(weights, stem), kept)
    parts[2].unlink()
    with pytest.raises(UserError, match="3 parts") as caught:
        gguf.examine(first)
    assert parts[2].name in caught.value.why


def bytes_at(position: int, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:position] + new + data[position + len(new) :]


HUGE = struct.pack("<Q", 2**60)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:3], "GGUF"),
        (lambda data: data[:20], "ends in the middle|too short"),
        (lambda data: data[:400], "ends in the middle|too short"),
        (lambda data: data[: len(data) // 2], "should end at byte"),
        (lambda data: data[:-1], "should end at byte"),
        (bytes_at(0, b"GGML"), "GGUF"),
        (bytes_at(4, struct.pack("<I", 1)), "version 1"),
        (bytes_at(4, struct.pack(">I", 3)), "byte order"),
        (bytes_at(8, HUGE), "too short"),
        (bytes_at(16, HUGE), "too short"),
        (bytes_at(24, HUGE), "ends in the middle"),
        (lambda data: data.replace(b"alignment\x04\0\0\0\x20", b"alignment\x04\0\0\0\x1f"), "alignment"),
    ],
    ids=[
        "three bytes", "in the counts", "in the keys", "half", "last byte", "magic", "version 1", "big-endian",
        "tensors", "keys", "string", "alignment",
    ],
)  # fmt: skip
def test_damaged_files_are_refused(damage: Callable[[bytes], bytes], words: str, tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf", keys={"general.alignment": 32})
    data = path.read_bytes()
    path.write_bytes(damage(data))
    assert path.read_bytes() != data
    with pytest.raises(UserError) as caught:
        gguf.examine(path)
    error = caught.value
    assert re.search(words, f"{error.what} {error.why}"), error.why
    assert "model.gguf" in error.what
    assert error.remedy
    assert error.fault == "input"


def test_no_flipped_byte_of_the_header_makes_a_bug(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf", kind="Q8_0", keys={"tokenizer.ggml.tokens": ["a", "b"]})
    data = path.read_bytes()
    end = data.index(b"output_norm.weight") + 60
    numbers = np.random.default_rng(3)
    for _ in range(300):
        position = int(numbers.integers(4, end))
        path.write_bytes(bytes_at(position, bytes(numbers.integers(0, 256, 2, np.uint8)))(data))
        with contextlib.suppress(UserError):
            gguf.examine(path)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"block_count": 2_000_000_000}, "layers"),
        ({"block_count": 2}, "layers"),
        ({"embedding_length": 512}, "width"),
        ({"attention.head_count": 0}, "head_count"),
        ({"attention.head_count": 7}, "heads"),
        ({"attention.head_count_kv": [2, 1]}, "layer to layer"),
        ({"attention.value_length": 32, "attention.key_length": 64}, "different widths"),
        ({"rope.dimension_count": 32}, "part of each head"),
        ({"attention.causal": False}, "later tokens"),
        ({"rope.scaling.type": "unheard", "rope.scaling.factor": 2.0}, "unheard"),
    ],
)
def test_contradictions_are_refused(keys: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        gguf.examine(tiny_llama(tmp_path / "model.gguf", keys=keys))
    assert words in f"{caught.value.what} {caught.value.why}"


@pytest.mark.parametrize("missing", ["token_embd.weight", "output_norm.weight"])
def test_missing_weights_are_refused(missing: str, tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf")
    path.write_bytes(path.read_bytes().replace(missing.encode(), missing.encode()[::-1]))
    with pytest.raises(UserError, match="not a complete model") as caught:
        gguf.examine(path)
    assert missing in caught.value.why


def test_an_unknown_architecture_is_named_with_those_known(tmp_path: Path) -> None:
    path = gguf_files.write(
        tmp_path / "model.gguf", "rwkv7", {"block_count": 1}, {"token_embd.weight": np.ones((4, 4))}
    )
    with pytest.raises(UserError, match="rwkv7") as caught:
        gguf.examine(path)
    assert "qwen3moe" in caught.value.why


@pytest.mark.parametrize(("architecture", "kind"), [("clip", "mmproj"), ("llama", "adapter"), ("llama", "mmproj")])
def test_companions_of_models_are_refused(architecture: str, kind: str, tmp_path: Path) -> None:
    writer = library.GGUFWriter(tmp_path / "model.gguf", architecture)
    writer.add_type(kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(UserError, match="not a language model"):
        gguf.examine(tmp_path / "model.gguf")


@pytest.mark.parametrize("original", [8192, 4096, 64, 10_000])
@pytest.mark.parametrize("factor", [8.0, 32.0])
@pytest.mark.parametrize("high", [4.0, 8.0])
def test_settings_of_llama_3_are_found_again(original: int, factor: float, high: float) -> None:
    from tests.engine.convert.test_gguf_architectures import llama3_factors

    settings = {
        "rope_theta": 500_000.0,
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": high,
        "original_max_position_embeddings": original,
    }
    found = llama3_scaling(list(llama3_factors(settings, 128).astype(np.float32)), 128, 500_000.0)
    assert settings.items() <= (found | {"rope_theta": 500_000.0}).items()


def test_other_rotary_factors_are_refused() -> None:
    with pytest.raises(UserError, match="no configuration"):
        llama3_scaling([1.0, 1.3, 1.1, 4.0], 8, 10_000.0)


def test_unknown_tensors_are_refused_or_listed(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf")
    path.write_bytes(path.read_bytes().replace(b"blk.0.ffn_norm.weight", b"blk.0.ffn_moon.weight"))
    source, weights = read(path, tmp_path)
    with pytest.raises(UserError):
        assemble(source.config, dict(weights))
    path = tiny_llama(tmp_path / "extra.gguf", extra={"blk.0.moon.weight": np.ones((4, 4))})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    source, weights = read(path, scratch)
    with pytest.raises(UserError, match=r"moon|tensor|weight"):
        assemble(source.config, dict(weights))
    assert "blk.0.moon.weight" in assemble(source.config, weights, strict=False).left_out
