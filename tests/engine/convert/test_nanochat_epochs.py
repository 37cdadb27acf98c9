"""A checkpoint's tensors tell its architecture; what does not fit is refused, and what is a guess is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.convert.nanochat_epochs import describe
from engine.convert.source import TensorInfo
from engine.errors import UserError
from tests.engine.architectures.nanochat_child import config_of
from tests.engine.architectures.nanochat_reference import shapes

FILE = Path("model_000650.pt")


def tensors(epoch: str, config: dict[str, Any], padding: int = 0) -> dict[str, TensorInfo]:
    return {name: TensorInfo(shape, "float32", 0) for name, shape in shapes(epoch, config, padding).items()}


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [
        ("A", (10000.0, 15.0, 1.0, 0, 0.0, 0, None, [None] * 4)),
        ("B", (10000.0, 15.0, 1.0, 0, 0.0, 0, None, [1024, 1024, 2048, 2048])),
        ("C", (10000.0, 15.0, 1.0, 32, 2.0, 0, None, [1024, 1024, 2048, 2048])),
        ("D", (100000.0, 15.0, 1.15, 12, 3.0, 0, None, [768, 768, 2048, 2048])),
        ("E", (100000.0, 15.0, 1.2, 12, 3.0, 24, 2, [512, 512, 2048, 2048])),
    ],
)
@pytest.mark.parametrize("padding", [0, 35])
def test_each_epoch_is_told_by_its_tensors(epoch: str, padding: int, expected: tuple[Any, ...]) -> None:
    config = config_of(epoch) | {"sequence_len": 2048}
    found = describe(config, tensors(epoch, config, padding), {}, FILE)
    assert found.epoch == epoch
    keys = (
        "rope_theta final_logit_softcapping query_key_scale value_gate_width value_gate_scale smear_width "
        "backout_layer windows"
    ).split()
    assert tuple(found.config[key] for key in keys) == expected
    assert found.config["value_embedding_layers"] == ([1, 3] if epoch >= "C" else [])
    assert found.config["vocab_size"] == 349
    assert len(found.warnings) == (epoch == "C")


def test_what_the_metadata_leave_open_is_said() -> None:
    config = config_of("C")
    config.pop("window_pattern")
    found = describe(config | {"engram": True}, tensors("C", config), {}, FILE)
    assert found.config["windows"] == [64] * 4
    softcap, pattern, extra = found.warnings
    assert "15" in softcap
    assert "--softcap 20" in softcap
    assert "window pattern" in pattern
    assert "engram" in extra


def test_what_a_person_states_goes_before_guesses() -> None:
    stated = {"softcap": 20.0, "rope_theta": 5e4, "qk_scale": 1.1}
    found = describe(config_of("C"), tensors("C", config_of("C")), stated, FILE)
    assert found.warnings == ()
    assert found.config["final_logit_softcapping"] == 20.0
    assert found.config["rope_theta"] == 5e4
    assert found.config["query_key_scale"] == 1.1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_head": None}, "n_head"),
        ({"n_head": "4"}, "n_head"),
        ({"vocab_size": 0}, "vocab_size"),
        ({"n_layer": True}, "n_layer"),
        ({"n_head": 5}, "divide"),
        ({"n_head": 4, "n_kv_head": 3}, "divide"),
        ({"n_embd": 128}, "shape"),
        ({"vocab_size": 200}, "shape"),
        ({"vocab_size": 350}, "shape"),
        ({"n_kv_head": 4}, "shape"),
        ({"n_layer": 2}, "no nanochat"),
        ({"n_layer": 6}, "has them"),
        ({"n_layer": 5}, "value_embeds.1.weight"),
        ({"window_pattern": "SXL"}, "window_pattern"),
        ({"window_pattern": ""}, "window_pattern"),
        ({"window_pattern": 3}, "window_pattern"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(change: dict[str, Any], words: str) -> None:
    config = config_of("E")
    with pytest.raises(UserError) as caught:
        describe(config | change, tensors("E", config), {}, FILE)
    assert words in caught.value.why
    assert caught.value.remedy


@pytest.mark.parametrize("epoch", "ABCDE")
def test_no_tensor_may_be_missing_added_or_misshapen(epoch: str) -> None:
    config = config_of(epoch)
    complete = tensors(epoch, config)
    for name in complete:
        with pytest.raises(UserError):
            describe(config, {other: info for other, info in complete.items() if other != name}, {}, FILE)
        with pytest.raises(UserError):
            describe(config, complete | {name: TensorInfo((*complete[name].shape, 1), "float32", 0)}, {}, FILE)
    with pytest.raises(UserError, match="does not know") as caught:
        describe(config, complete | {"bigram_embed.weight": TensorInfo((3, 4), "float32", 0)}, {}, FILE)
    assert "bigram_embed.weight" in caught.value.why


def test_weights_that_are_whole_numbers_are_refused() -> None:
    changed = tensors("A", config_of("A")) | {"lm_head.weight": TensorInfo((349, 64), "int8", 0)}
    with pytest.raises(UserError, match="does not know") as caught:
        describe(config_of("A"), changed, {}, FILE)
    assert "int8" in caught.value.why


def test_mlx_lms_own_class_is_named_where_it_computes_the_same() -> None:
    config = config_of("A")
    cases: list[tuple[dict[str, Any], dict[str, float], str]] = [
        ({}, {}, "nanochat"),
        ({}, {"rope_theta": 5e4}, "nanochat"),
        ({}, {"softcap": 20.0}, "nanochat_gpt"),
        ({}, {"qk_scale": 1.2}, "nanochat_gpt"),
        ({"window_pattern": "SL"}, {}, "nanochat_gpt"),
    ]
    for change, stated, expected in cases:
        assert describe(config | change, tensors("A", config), stated, FILE).config["model_type"] == expected


def test_gates_of_another_width_are_another_architecture() -> None:
    config = config_of("D")
    gates = {name: TensorInfo((2, 17), "float32", 0) for name in tensors("D", config) if "ve_gate" in name}
    with pytest.raises(UserError, match="does not know") as caught:
        describe(config, tensors("D", config) | gates, {}, FILE)
    assert "17" in caught.value.why
