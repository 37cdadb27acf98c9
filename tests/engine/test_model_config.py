"""A configuration is read right whoever wrote it, and what it leaves unsaid is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from engine import backend, model_config
from engine.errors import UserError
from engine.model_config import computing_type, growth, normalised, rotary_settings

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "rms_norm_eps": 1e-5,
    "vocab_size": 96,
}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}


@pytest.fixture(autouse=True)
def _prepared() -> None:
    backend.prepare()


def test_rotary_settings_are_said_in_the_old_words_too() -> None:
    parameters = {"rope_theta": 5e5, "original_max_position_embeddings": 64} | LLAMA3
    config = normalised(LLAMA | {"rope_parameters": parameters})
    assert config["rope_theta"] == 5e5
    assert config["rope_scaling"] == LLAMA3 | {"type": "llama3", "original_max_position_embeddings": 64}


def test_both_styles_of_rotary_settings_mean_the_same() -> None:
    new = normalised(LLAMA | {"rope_parameters": {"rope_theta": 2e4, "rope_type": "linear", "factor": 2.0}})
    old = normalised(LLAMA | {"rope_theta": 2e4, "rope_scaling": {"type": "linear", "factor": 2.0}})
    for key in ("rope_theta", "rope_scaling"):
        assert new[key] == old[key]


def test_layers_of_two_kinds_have_two_bases() -> None:
    nested = {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    config = normalised({"model_type": "gemma3_text", "num_hidden_layers": 6, "rope_parameters": nested})
    assert config["rope_theta"] == 1e6
    assert config["rope_local_base_freq"] == 1e4
    assert config["rope_scaling"]["factor"] == 8.0
    assert config["sliding_window_pattern"] == 6


def test_rotary_settings_of_no_kind_are_none() -> None:
    assert rotary_settings(None) == {}
    assert rotary_settings({}) == {}


def test_what_transformers_leaves_out_is_said() -> None:
    config = normalised({"model_type": "qwen2_moe"})
    assert config["num_experts"] == 60
    assert config["rope_theta"] == 1e4
    assert normalised(LLAMA)["num_key_value_heads"] == 4


def test_what_is_said_stays_said() -> None:
    said = LLAMA | {
        "num_key_value_heads": 2,
        "rope_theta": 7.0,
        "quantization": {"bits": 4, "group_size": 64},
        "odd": [1],
    }
    config = normalised(said)
    assert {key: config[key] for key in said} == said


def test_the_language_model_of_a_checkpoint_with_several_parts_is_read_too() -> None:
    text = LLAMA | {"model_type": "mistral", "rope_parameters": {"rope_theta": 1e9, "rope_type": "default"}}
    config = normalised({"model_type": "mistral3", "text_config": text})
    assert config["text_config"]["rope_theta"] == 1e9
    assert config["text_config"]["num_key_value_heads"] == 8


def test_the_number_format_is_said_in_both_words() -> None:
    for key in ("dtype", "torch_dtype"):
        config = normalised(LLAMA | {key: "bfloat16"})
        assert config["dtype"] == config["torch_dtype"] == "bfloat16"


def test_a_type_that_transformers_lacks_keeps_its_words() -> None:
    config = {"model_type": "internlm2", "hidden_size": 32, "rope_scaling": {"type": "dynamic", "factor": 2.0}}
    assert normalised(config) == config


def test_numbers_that_json_lacks_are_read() -> None:
    limits = [0.0, {"__float__": "Infinity"}]
    assert normalised({"model_type": "mamba2", "time_step_limit": limits})["time_step_limit"] == limits


def test_the_result_is_json_and_means_the_same_once_more() -> None:
    for model_type in ("llama", "gemma3_text", "deepseek_v2", "gpt2", "jamba", "exaone4", "qwen3_5_text"):
        once = json.loads(json.dumps(normalised({"model_type": model_type})))
        twice = normalised(once)
        assert {key: twice[key] for key in once if key not in ("rope_parameters", "rope_scaling", "text_config")} == {
            key: value for key, value in once.items() if key not in ("rope_parameters", "rope_scaling", "text_config")
        }


def test_values_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(UserError, match="llama") as caught:
        normalised(LLAMA | {"hidden_size": "many"})
    assert "hidden_size" in caught.value.why


def write(folder: Path, name: str, content: object) -> None:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


def test_what_ends_a_text_and_how_it_was_quantised_are_read_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "config.json", LLAMA | {"eos_token_id": 2})
    assert model_config.read(tmp_path) == LLAMA | {"eos_token_id": 2}
    write(tmp_path, "generation_config.json", {"eos_token_id": [2, 7]})
    write(tmp_path, "hf_quant_config.json", {"quantization": {"quant_algo": "NVFP4"}})
    config = model_config.read(tmp_path)
    assert config["eos_token_id"] == [2, 7]
    assert config["quantization_config"] == {"quantization": {"quant_algo": "NVFP4"}}


def test_a_damaged_file_beside_it_is_named(tmp_path: Path) -> None:
    write(tmp_path, "config.json", LLAMA)
    write(tmp_path, "generation_config.json", "{")
    with pytest.raises(UserError, match="generation_config"):
        model_config.read(tmp_path)


def test_the_type_to_compute_in() -> None:
    assert computing_type("stored", {}) is None
    assert computing_type("auto", {"quantization": {}}) is None
    assert computing_type("bfloat16", {}) == mx.bfloat16
    with pytest.raises(UserError, match="float8"):
        computing_type("float8", {})


def test_growth_is_that_of_the_widths() -> None:
    assert growth(mx.float32, {"torch_dtype": "bfloat16"}) == 2
    assert growth(mx.float32, {"dtype": "float32"}) == 1
    assert growth(mx.float32, {"dtype": "bfloat16", "quantization": {}}) == 1
    assert growth(None, {"dtype": "bfloat16"}) == 1
