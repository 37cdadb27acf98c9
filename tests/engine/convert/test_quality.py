"""What the quality report says, beside figures computed another way; what it refuses; that nothing stays in memory."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from mlx_lm.utils import load_tokenizer
from tokenizers.processors import TemplateProcessing

from engine import backend
from engine.assemble import Assembled, assemble
from engine.conversion_events import QualityMeasured
from engine.convert import quality
from engine.convert.quality_settings import compared
from engine.convert.quantise import quantise
from engine.convert.settings import MODES, RECIPES, ConversionSettings
from engine.errors import UserError
from engine.events import Event, Note, Progress
from tests.engine.tiny import make_model

Opener = Callable[[], Generator[Event, None, Assembled]]
SIZES = {"hidden_size": 64, "intermediate_size": 128, "tie_word_embeddings": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("quality") / "model", **SIZES)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return load_tokenizer(folder)


def opener(folder: Path, change: Callable[[dict[str, mx.array]], None] = lambda _: None) -> Opener:
    """Opens the model of a folder, its weights unread and, if wanted, changed."""

    def opened() -> Generator[Event, None, Assembled]:
        yield Progress("Reading the model", 0)
        weights = mx.load(str(folder / "model.safetensors"))
        change(weights)
        return assemble(json.loads((folder / "config.json").read_text()), weights)

    return opened


def drain(steps: Generator[Event, None, Any]) -> tuple[Any, list[Event]]:
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return end.value, events


def settings(**values: Any) -> ConversionSettings:
    return ConversionSettings(quantize=True, **values)


def lattice(weights: dict[str, mx.array]) -> None:
    """Four levels in every group of 32, which 2 bits and more hold without loss."""
    generator = np.random.default_rng(1)
    for name, array in weights.items():
        if array.ndim == 2:
            steps = generator.integers(0, 4, array.shape)
            steps[:, ::32], steps[:, 1::32] = 0, 3
            weights[name] = mx.array((steps - 2) * 0.125, mx.float32)


def log_probabilities(model: Any, window: list[int]) -> np.ndarray[Any, Any]:
    logits = np.array(model(mx.array([window[:-1]]))[0], np.float64)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def test_figures_equal_those_of_the_quantised_kernels(folder: Path, tokenizer: Any) -> None:
    """The report computes with dequantised weights here; the kernels and float64 sums give the same."""
    rows, events = drain(quality.measure(opener(folder), tokenizer, settings(bits=3)))
    assert rows == [event for event in events if isinstance(event, QualityMeasured)]
    row = next(row for row in rows if row.chosen)
    assert row.setting == "3-bit"
    source_model = drain(opener(folder)())[0].model
    model = quantise(drain(opener(folder)())[0], settings(bits=3)).model

    ids = tokenizer.encode(quality.bundled_text())
    starts = [number * (len(ids) - 128) // 3 for number in range(4)]
    divergence, agreement, surprise = [], [], []
    for start in starts:
        window = ids[start : start + 128]
        source, found = log_probabilities(source_model, window), log_probabilities(model, window)
        divergence.append((np.exp(source) * (source - found)).sum(-1).mean())
        agreement.append((source.argmax(-1) == found.argmax(-1)).mean())
        surprise.append(-np.take_along_axis(found, np.array(window[1:])[:, None], -1).mean())
    assert row.tokens == 4 * 127
    assert row.divergence == pytest.approx(np.mean(divergence), rel=1e-3)
    assert row.agreement == pytest.approx(np.mean(agreement), abs=2 / row.tokens)
    assert row.perplexity == pytest.approx(np.exp(np.mean(surprise)), rel=1e-4)
    assert row.size == sum(array.nbytes for _, array in tree_flatten(model.parameters()))
    assert 4.0 < row.bits < 4.1  # 3, and two float32 numbers for every 64 weights
    assert row.tokens_per_second > 0


def test_a_gpu_measures_the_kernels_themselves(folder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = drain(quality.measure(opener(folder), tokenizer, settings()))
    monkeypatch.setattr(backend, "has_gpu", lambda: True)
    kernels, _ = drain(quality.measure(opener(folder), tokenizer, settings()))
    for one, other in zip(whole, kernels, strict=True):
        assert (one.setting, one.size, one.bits) == (other.setting, other.size, other.bits)
        assert other.divergence == pytest.approx(one.divergence, rel=1e-3, abs=1e-7)
        assert other.perplexity == pytest.approx(one.perplexity, rel=1e-5)


def test_source_is_its_own_measure(folder: Path, tokenizer: Any) -> None:
    rows, _ = drain(quality.measure(opener(folder), tokenizer, ConversionSettings()))
    assert [(row.setting, row.chosen) for row in rows] == [("float32", True), ("8-bit", False), ("4-bit", False)]
    assert (rows[0].divergence, rows[0].agreement, rows[0].bits) == (0.0, 1.0, 32.0)
    assert 0 < (folder / "model.safetensors").stat().st_size - rows[0].size < 5_000
    assert rows[1].divergence < rows[2].divergence


def test_another_type_is_a_row_beside_the_source(folder: Path, tokenizer: Any) -> None:
    rows, _ = drain(quality.measure(opener(folder), tokenizer, ConversionSettings(dtype="bfloat16")))
    assert [(row.setting, row.chosen) for row in rows[:2]] == [("float32", False), ("bfloat16", True)]
    assert rows[1].size * 2 == rows[0].size
    assert 0 < rows[1].divergence < 1e-3


def test_lattice_weights_lose_nothing(folder: Path, tokenizer: Any) -> None:
    rows, _ = drain(quality.measure(opener(folder, lattice), tokenizer, settings(bits=2, group_size=32)))
    assert [row.setting for row in rows if row.chosen] == ["2-bit-g32"]
    exact = [row for row in rows if row.setting.endswith("-bit-g32") and row.setting[0] in "248"]
    assert len(exact) == 3
    for row in exact:
        assert row.divergence < 1e-6
        assert row.agreement == 1.0
        assert row.perplexity == pytest.approx(rows[0].perplexity, rel=1e-5)


def test_a_quantised_source_is_measured_against_its_whole_self(tmp_path: Path, tokenizer: Any) -> None:
    plain = make_model(tmp_path / "model", **SIZES)

    def packed() -> Generator[Event, None, Assembled]:
        return quantise((yield from opener(plain)()), settings(bits=4))

    rows, _ = drain(quality.measure(packed, tokenizer, ConversionSettings()))
    assert [(row.setting, row.chosen) for row in rows[:2]] == [("float32", False), ("stored", True)]
    assert rows[1].divergence == pytest.approx(0, abs=1e-6)
    rows, _ = drain(quality.measure(packed, tokenizer, ConversionSettings(dequantize=True)))
    assert [(row.setting, row.chosen) for row in rows[:2]] == [("float32", True), ("8-bit", False)]


def test_the_token_before_a_text_stands_before_each_window(folder: Path) -> None:
    own = load_tokenizer(folder)
    fast = own._tokenizer
    fast.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{fast.bos_token} $A", special_tokens=[(fast.bos_token, fast.bos_token_id)]
    )
    begin, ids = quality._tokens(own, quality.bundled_text())
    windows = quality._windows(begin, ids, {})
    assert len(windows) == 4
    assert {window[0] for window in windows} == {fast.bos_token_id}
    assert [token for window in windows for token in window].count(fast.bos_token_id) == 4
    assert windows[-1][-1] == ids[-1]


@pytest.mark.parametrize(
    ("tokens", "context", "lengths"),
    [(64, 0, [64]), (300, 0, [128, 128]), (1000, 48, [48] * 4), (5000, 0, [128] * 4), (1000, 1, [2] * 4)],
)
def test_windows_fit_text_and_context(tokens: int, context: int, lengths: list[int]) -> None:
    windows = quality._windows([], list(range(tokens)), {"max_position_embeddings": context})
    assert [len(window) for window in windows] == lengths
    assert (windows[0][0], windows[-1][-1]) == (0, tokens - 1 if len(windows) > 1 or tokens == 64 else lengths[0])


def test_a_large_vocabulary_gets_fewer_windows(folder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "_KEPT_BYTES", 127 * 448 * 4 * 2)
    rows, _ = drain(quality.measure(opener(folder), tokenizer, ConversionSettings()))
    assert {row.tokens for row in rows} == {2 * 127}


def test_own_text_is_measured(folder: Path, tokenizer: Any) -> None:
    own, _ = drain(quality.measure(opener(folder), tokenizer, ConversionSettings(), "What is 12 + 34? It is 46. " * 12))
    bundled, _ = drain(quality.measure(opener(folder), tokenizer, ConversionSettings()))
    assert own[0].perplexity != bundled[0].perplexity


def test_refuses_a_short_text_before_the_model_is_opened(tokenizer: Any) -> None:
    def never() -> Generator[Event, None, Assembled]:
        pytest.fail("the model was opened")
        yield

    with pytest.raises(UserError, match="too short") as caught:
        next(quality.measure(never, tokenizer, settings(), "Too short."))
    assert "at least 64" in caught.value.why


def test_a_neighbour_that_does_not_fit_is_said_and_the_chosen_refused(tmp_path: Path, tokenizer: Any) -> None:
    folder = make_model(tmp_path / "model", hidden_size=96, intermediate_size=160)
    rows, events = drain(quality.measure(opener(folder), tokenizer, settings(group_size=32, bits=8)))
    assert [event.text for event in events if isinstance(event, Note)] == [
        "8-bit: Nothing in this model can be quantised in groups of 64."
    ]
    assert [row.setting for row in rows] == ["float32", "8-bit-g32", "6-bit-g32", "4-bit-g32"]
    with pytest.raises(UserError, match="groups of 64"):
        drain(quality.measure(opener(folder), tokenizer, settings(bits=8)))


def test_refuses_a_model_that_computes_no_numbers(folder: Path, tokenizer: Any) -> None:
    def broken(weights: dict[str, mx.array]) -> None:
        weights["model.norm.weight"] = weights["model.norm.weight"] * mx.nan

    with pytest.raises(UserError, match="cannot be measured"):
        drain(quality.measure(opener(folder, broken), tokenizer, settings()))


@pytest.mark.parametrize("steps", [1, 4, 12, 30])
def test_closing_gives_all_memory_back(tmp_path: Path, tokenizer: Any, steps: int) -> None:
    folder = make_model(tmp_path / "model", hidden_size=256, intermediate_size=512)
    gc.collect()
    before = mx.get_active_memory()
    run = quality.measure(opener(folder), tokenizer, settings())
    for _ in range(steps):
        next(run)
    run.close()
    assert mx.get_active_memory() - before < 50_000
    assert mx.get_cache_memory() == 0


def test_one_model_is_in_memory_at_a_time(tmp_path: Path, tokenizer: Any) -> None:
    folder = make_model(tmp_path / "model", hidden_size=512, intermediate_size=1024)
    size = (folder / "model.safetensors").stat().st_size
    gc.collect()
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    drain(quality.measure(opener(folder), tokenizer, settings()))
    assert size < mx.get_peak_memory() - before < 1.7 * size


ALL = [
    ConversionSettings(),
    *(settings(bits=bits, group_size=group) for bits in MODES["affine"][1] for group in MODES["affine"][0]),
    *(settings(mode=mode) for mode in MODES if mode != "affine"),
    *(settings(recipe=recipe) for recipe in RECIPES),
]


@pytest.mark.parametrize("chosen", ALL, ids=lambda chosen: chosen.label() or "unquantised")
def test_neighbours_are_few_different_and_ordered(chosen: ConversionSettings) -> None:
    others = compared(chosen)
    labels = [setting.label() for setting in others]
    assert 2 <= len(labels) == len(set(labels)) <= 6
    assert not chosen.quantize or labels.count(chosen.label()) == 1
    bits = [setting.weight_bits for setting in others if not setting.recipe]
    assert bits == sorted(bits, reverse=True)
