"""Blocks of every number format become the numbers they mean: exactly where MLX has the format, else in 16 bits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gguf as library
import mlx.core as mx
import numpy as np
import pytest

from engine.assemble import assemble
from engine.convert import gguf, gguf_tensors
from engine.convert.gguf_header import GGUFTensor, read_header
from engine.convert.gguf_names import Part
from engine.errors import UserError
from tests.engine.convert.gguf_files import tiny_llama
from tests.engine.convert.test_gguf_architectures import read

BITS = {"Q4_0": 4, "Q4_1": 4, "Q8_0": 8, "MXFP4": 4}
WRITTEN = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0", "MXFP4")
OTHERS = (
    "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S",
    "IQ4_NL", "IQ4_XS",
)  # fmt: skip


def meant(path: Path, name: str) -> Any:
    """A tensor's numbers as the library `gguf` reads them, in Hugging Face's order of rows."""
    tensor = read_header(path).tensors[name]
    data = np.fromfile(path, np.uint8, tensor.size, offset=tensor.offset)
    rows = math.prod(tensor.shape[:-1])
    values = library.dequantize(data.reshape(rows, -1), library.GGMLQuantizationType[tensor.kind]).reshape(tensor.shape)
    heads = {"attn_q": 4, "attn_k": 2}.get(name.split(".")[-2])
    if heads:
        values = values.reshape(heads, tensor.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(tensor.shape)
    return values


def whole(weights: dict[str, mx.array], stem: str) -> Any:
    """A weight in float32, whatever it is stored as."""
    weight = weights[f"{stem}.weight"]
    if f"{stem}.scales" in weights:
        scales, biases = weights[f"{stem}.scales"], weights.get(f"{stem}.biases")
        bits = weight.shape[-1] * 32 // (scales.shape[-1] * 32)
        if biases is None:
            weight = mx.dequantize(weight, scales, group_size=32, bits=bits, mode="mxfp4")
        else:
            scales, biases = scales.astype(mx.float32), biases.astype(mx.float32)
            weight = mx.dequantize(weight, scales, biases, group_size=32, bits=bits)
    return np.array(weight.astype(mx.float32))


NAMES = {
    "token_embd.weight": "model.embed_tokens",
    "blk.0.attn_q.weight": "model.layers.0.self_attn.q_proj",
    "blk.0.attn_k.weight": "model.layers.0.self_attn.k_proj",
    "blk.0.ffn_down.weight": "model.layers.0.mlp.down_proj",
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_every_format_means_what_the_file_says(kind: str, tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf", kind=kind)
    source, weights = read(path, tmp_path)
    for name, stem in NAMES.items():
        expected = meant(path, name)
        exact = kind in ("F32", "F16", "BF16", *BITS)
        allowed = 1e-6 if exact else 5e-4 * np.abs(expected).max()
        assert np.abs(whole(weights, stem) - expected).max() <= allowed, name
        assert (f"{stem}.scales" in weights) == (kind in BITS)
    assert gguf.size_as_read(source) == sum(array.nbytes for array in weights.values())
    stated = source.config.get("quantization")
    mode = "mxfp4" if kind == "MXFP4" else "affine"
    assert stated == ({"group_size": 32, "bits": BITS[kind], "mode": mode} if kind in BITS else None)


@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats_are_unpacked_row_by_row(kind: str, tmp_path: Path) -> None:
    rows, columns = 6, 512
    block, width = library.GGML_QUANT_SIZES[library.GGMLQuantizationType[kind]]
    # With the upper bits unset every scale is a small number.
    data = np.random.default_rng(1).integers(0, 64, (rows, columns // block * width), np.uint8)
    file = tmp_path / "blocks"
    file.write_bytes(bytes(64) + data.tobytes())
    tensor = GGUFTensor("x", kind, (rows, columns), file, 64, data.nbytes)
    order = np.array([5, 0, 3])
    steps = gguf_tensors.stored([Part("y.weight", (3, columns), tensor, order)], tmp_path)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            (array,) = end.value.values()
            break
    expected = library.dequantize(data, library.GGMLQuantizationType[kind])[order]
    assert array.dtype == mx.float16
    assert np.allclose(np.array(array.astype(mx.float32)), expected, rtol=5e-4, atol=1e-7)


@pytest.mark.parametrize("kind", BITS)
def test_kept_blocks_compute_the_same_as_their_numbers(kind: str, tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf", kind=kind, kinds={"token_embd.weight": "Q8_0"})
    source, weights = read(path, tmp_path)
    ids = mx.array([list(range(40))])
    kept = assemble(source.config, dict(weights)).model
    plain = {f"{stem}.weight": mx.array(whole(weights, stem)) for stem in stems(weights)}
    config = {key: value for key, value in source.config.items() if key != "quantization"}
    dequantised = assemble(config, plain).model
    for model in (kept, dequantised):
        model.set_dtype(mx.float32)
    ours, theirs = np.array(kept(ids)), np.array(dequantised(ids))
    assert np.abs(ours - theirs).max() / np.abs(theirs).max() < 1e-5
    own = source.config["quantization"].get("model.embed_tokens")
    assert own == (None if BITS[kind] == 8 else {"group_size": 32, "mode": "affine", "bits": 8})


def stems(weights: dict[str, mx.array]) -> list[str]:
    return [name.removesuffix(".weight") for name in weights if name.endswith(".weight")]


@pytest.mark.parametrize(
    ("kind", "dtype"), [("F32", mx.float32), ("F16", mx.float16), ("BF16", mx.bfloat16), ("Q5_0", mx.float16)]
)
def test_vectors_take_the_format_of_the_matrices(kind: str, dtype: mx.Dtype, tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf", kind=kind)
    source, weights = read(path, tmp_path)
    assert {array.dtype for array in weights.values()} == {dtype}
    assert source.config["dtype"] == str(dtype).removeprefix("mlx.core.")


def test_vectors_are_not_rounded(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf", kind="Q8_0")
    tensor = read_header(path).tensors["output_norm.weight"]
    exact = np.random.default_rng(2).normal(1, 0.1, 256).astype(np.float32)
    with path.open("r+b") as file:
        file.seek(tensor.offset)
        file.write(exact.tobytes())
    _, weights = read(path, tmp_path)
    assert np.array_equal(np.array(weights["model.norm.weight"]), exact)
    assert weights["model.layers.0.input_layernorm.weight"].dtype == mx.float32


def test_reading_takes_no_memory_for_the_weights(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf")
    before = mx.get_active_memory()
    _, weights = read(path, tmp_path)
    assert mx.get_active_memory() - before < 10_000
    mx.eval(weights)
    assert mx.get_active_memory() - before > 1_000_000


def test_progress_counts_bytes_and_a_second_reading_needs_none(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "model.gguf")
    source = gguf.examine(path)
    events = list(gguf.weights(source, tmp_path))
    done = [event.done for event in events]
    assert done == sorted(done)
    assert events[-1].done == events[-1].total == sum(tensor.size for tensor in source.tensors.values())
    assert list(gguf.weights(source, tmp_path)) == []


def test_a_closed_reading_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    source = gguf.examine(tiny_llama(tmp_path / "model.gguf"))
    steps = gguf.weights(source, tmp_path)
    for _ in range(3):
        next(steps)
    steps.close()
    assert len(list(gguf.weights(source, tmp_path))) > 3


def test_a_format_without_reader_is_named(tmp_path: Path) -> None:
    file = tmp_path / "blocks"
    file.write_bytes(bytes(1000))
    tensor = GGUFTensor("blk.0.attn_q.weight", "Q8_K", (1, 256), file, 0, 292)
    with pytest.raises(UserError, match="Q8_K") as caught:
        list(gguf_tensors.stored([Part("x.weight", (1, 256), tensor)], tmp_path))
    assert "Q8_0" in caught.value.remedy
