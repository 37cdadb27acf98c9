"""Plans and figures as the engine tells them, for the views' tests."""

from __future__ import annotations

import dataclasses

from engine.conversion_events import ConversionPlanned, QualityMeasured
from engine.convert.settings import ConversionSettings
from engine.jobs import Convert

PLAN = ConversionPlanned(
    source="/models/SmolLM2-135M-Instruct",
    output="/out/SmolLM2-135M-Instruct-4bit",
    kind="hugging face",
    name="SmolLM2-135M-Instruct",
    model_type="llama",
    parameters=134_515_008,
    dtype="bfloat16",
    shards=1,
    layers=30,
    context=8192,
    tokenizer="tokenizer.json",
    has_chat_template=True,
    source_bytes=269_060_552,
    result_bytes=269_060_552,
    result_bits=16.0,
    peak_memory=700_000_000,
    disk_needed=269_060_552,
    free_disk=45_000_000_000,
    checked=True,
    matrices=(("other", 576, 95_000_000), ("sensitive", 1536, 11_000_000), ("head", 576, 28_311_552)),
    other_weights=203_456,
    largest_tensor=56_000_000,
)
FIGURES = [
    QualityMeasured("8-bit", False, 150_000_000, 8.5, 0.0004, 0.985, 12.31, 80.1, 2048),
    QualityMeasured("4-bit", True, 76_000_000, 4.5, 0.062, 0.871, 13.2, 121.4, 2048),
    QualityMeasured("2-bit", False, 45_000_000, 2.5, 3.9, 0.22, 312.0, 0.0, 2048),
]


def plan(**changes: object) -> ConversionPlanned:
    return dataclasses.replace(PLAN, **changes)  # type: ignore[arg-type]


def request(**changes: object) -> Convert:
    settings = ConversionSettings(quantize=True, bits=4)
    return Convert(PLAN.source, PLAN.output, settings, **changes)  # type: ignore[arg-type]
