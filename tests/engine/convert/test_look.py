"""What a name or path is taken for, and what is refused because it is no model by itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from engine.convert.look import look
from engine.errors import UserError
from tests.engine.convert.gguf_files import tiny_llama
from tests.engine.tiny import make_model


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_model(tmp_path / "source")


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_file_of_a_model_stands_for_its_folder(source: Path, file: str) -> None:
    found = look(str(source / file))
    assert found.path == source
    assert found.files == (source / "model.safetensors",)


@pytest.mark.parametrize("file", ["consolidated.safetensors", "old.pt", "pytorch_model.bin"])
def test_another_weight_file_in_the_folder_is_never_taken_for_the_model(source: Path, file: str) -> None:
    shutil.copy(source / "model.safetensors", source / file)
    with pytest.raises(UserError, match=r"is not what the model in its folder is read from"):
        look(str(source / file))


@pytest.mark.parametrize("file", ["model.safetensors", "weights.pt", "notes.txt"])
def test_a_file_alone_is_no_model(source: Path, tmp_path: Path, file: str) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(source / "model.safetensors", alone / file)
    with pytest.raises(UserError, match="no model by itself") as caught:
        look(str(alone / file))
    assert ("config.json beside it" in caught.value.why) == (file != "notes.txt")


def test_an_adapter_is_told_from_a_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_text("")
    with pytest.raises(UserError, match="is an adapter") as caught:
        look(str(tmp_path))
    assert "fuse" in caught.value.remedy


def test_a_diffusion_pipeline_is_told_from_a_language_model(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(UserError, match="diffusion model"):
        look(str(tmp_path))


def test_the_code_that_an_auto_map_names_is_listed(source: Path) -> None:
    config = json.loads((source / "config.json").read_text())
    named = {"AutoConfig": "configuration_own.Own", "AutoTokenizer": ["other--tokenization_own.Own", None]}
    (source / "config.json").write_text(json.dumps(config | {"auto_map": named}))
    (warning,) = look(str(source)).warnings
    assert "(configuration_own.py, tokenization_own.py)" in warning


def test_a_gguf_file_beside_a_config_is_the_model(source: Path) -> None:
    (source / "model.safetensors").unlink()
    tiny_llama(source / "tiny-f16.gguf")
    shutil.copy(source / "tiny-f16.gguf", source / "mmproj-tiny.gguf")
    assert look(str(source)).kind == "gguf"
    tiny_llama(source / "tiny-q8.gguf")
    with pytest.raises(UserError, match="several models") as caught:
        look(str(source))
    assert "mmproj" not in caught.value.why
