"""The figures of a plan against what a conversion really writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx.utils import tree_flatten
from mlx_lm.utils import get_total_parameters
from pydantic import ValidationError

from engine.conversion_events import ConversionPlanned
from engine.convert import conversion, look, plan, quantise
from engine.convert.estimate import estimate
from engine.convert.settings import MODES, RECIPES, ConversionSettings
from tests.engine.convert.test_write import opened
from tests.engine.tiny import make_model

SHAPE: dict[str, Any] = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 8}
EVERY = [
    *(
        {"quantize": True, "mode": mode, "bits": bits, "group_size": group}
        for mode, (groups, widths) in MODES.items()
        for bits in widths
        for group in groups
    ),
    *({"quantize": True, "recipe": recipe} for recipe in RECIPES),
    *({"dtype": dtype} for dtype in ("stored", "float32", "bfloat16", "float16")),
    {"quantize": True, "dtype": "bfloat16"},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("estimate"), **SHAPE)


@pytest.fixture(scope="module")
def planned(model: Path) -> ConversionPlanned:
    return plan.make(look.look(str(model)), model.parent / "out", ConversionSettings())


@pytest.mark.parametrize("values", EVERY, ids=lambda values: ",".join(map(str, values.values())))
def test_the_size_is_what_will_be_written(model: Path, planned: ConversionPlanned, values: dict[str, Any]) -> None:
    settings = ConversionSettings(**values)
    leaves: Any = tree_flatten(quantise.transform(opened(model), settings).model.parameters())
    size = sum(array.nbytes for _, array in leaves)
    figures = estimate(planned, settings)
    assert figures.result_bytes == pytest.approx(size, rel=0.01)
    assert figures.result_bits == pytest.approx(8 * size / planned.parameters, rel=0.01)


def test_rows_that_do_not_divide_stay_whole(planned: ConversionPlanned, tmp_path: Path) -> None:
    narrow = make_model(tmp_path / "narrow", hidden_size=96, num_attention_heads=2, intermediate_size=256)
    settings = ConversionSettings(quantize=True, group_size=64)
    leaves: Any = tree_flatten(quantise.transform(opened(narrow), settings).model.parameters())
    figures = plan.make(look.look(str(narrow)), tmp_path / "out", settings)
    assert figures.result_bytes == pytest.approx(sum(array.nbytes for _, array in leaves), rel=0.02)


@given(bits=st.sampled_from(MODES["affine"][1]), group=st.sampled_from(MODES["affine"][0]))
def test_more_bits_and_smaller_groups_are_larger(planned: ConversionPlanned, bits: int, group: int) -> None:
    def size(**values: Any) -> int:
        return estimate(planned, ConversionSettings(quantize=True, **values)).result_bytes

    here = size(bits=bits, group_size=group)
    assert here < size(bits=8, group_size=32) or (bits, group) == (8, 32)
    assert here > size(bits=2, group_size=128) or (bits, group) == (2, 128)
    assert here < planned.source_bytes


@pytest.mark.parametrize(
    "values",
    [
        {"quantize": True, "dequantize": True},
        {"mode": "mxfp4", "bits": 8},
        {"mode": "nvfp4", "group_size": 64},
        {"group_size": 16},
        {"recipe": "mixed_3_6", "mode": "mxfp4"},
        {"recipe": "mixed_3_6", "bits": 4},
        {"bits": 7},
        {"dtype": "int8"},
    ],
)
def test_settings_that_contradict_each_other_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ConversionSettings(**values)


@pytest.mark.parametrize("values", [{}, {"bits": 8}, {"bits": 2, "group_size": 32}, {"recipe": "mixed_3_6"}])
def test_a_quantised_source_is_counted_unpacked(model: Path, tmp_path: Path, values: dict[str, Any]) -> None:
    packed = tmp_path / "packed"
    whole = quantise.transform(opened(model), ConversionSettings(quantize=True, bits=4))
    list(conversion.convert(str(model), str(packed), ConversionSettings(quantize=True, bits=4, check="never")))
    assert plan.make(look.look(str(packed)), tmp_path / "out", ConversionSettings()).parameters == get_total_parameters(
        whole.model
    )
    settings = ConversionSettings(quantize=True, **values)
    leaves: Any = tree_flatten(quantise.transform(opened(model), settings).model.parameters())
    figures = plan.make(look.look(str(packed)), tmp_path / "out", settings)
    assert figures.result_bytes == pytest.approx(sum(array.nbytes for _, array in leaves), rel=0.01)
