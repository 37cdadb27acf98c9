"""The quality report on a real model: fewer bits cost more."""

from __future__ import annotations

import itertools
import json
from collections.abc import Generator
from pathlib import Path

import mlx.core as mx
import pytest
from mlx_lm.utils import load_tokenizer

from engine.assemble import Assembled, assemble
from engine.conversion_events import QualityMeasured
from engine.convert import quality
from engine.convert.quality_settings import compared
from engine.convert.settings import ConversionSettings
from engine.events import Event

pytestmark = pytest.mark.real_model


def test_perplexity_grows_as_bits_shrink(smollm2_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened() -> Generator[Event, None, Assembled]:
        yield from ()
        config = json.loads((smollm2_folder / "config.json").read_text("utf-8"))
        return assemble(config, mx.load(str(smollm2_folder / "model.safetensors")))

    # Quantised kernels take a second a token on a CPU, and speed is not what is asked here.
    monkeypatch.setattr(quality, "_TIMED_ON_CPU", 0)
    settings = ConversionSettings(quantize=True, bits=2)
    wanted = [setting for setting in compared(settings) if setting.label() in {"8-bit", "6-bit", "4-bit", "2-bit"}]
    monkeypatch.setattr(quality, "compared", lambda _: wanted)
    events = list(quality.measure(opened, load_tokenizer(smollm2_folder), settings))
    rows = {event.setting: event for event in events if isinstance(event, QualityMeasured)}
    ordered = [rows[name] for name in ("8-bit", "6-bit", "4-bit", "2-bit")]
    for better, worse in itertools.pairwise(ordered):
        assert better.perplexity <= worse.perplexity
        assert better.divergence < worse.divergence
        assert better.agreement > worse.agreement
        assert better.size > worse.size
    assert rows["8-bit"].perplexity == pytest.approx(rows["bfloat16"].perplexity, rel=0.02)
    assert rows["bfloat16"].perplexity < 35
