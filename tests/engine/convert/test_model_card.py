"""What a model card says, and what it must not say."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import constants

from engine.conversion_events import ModelChecked, QualityMeasured
from engine.convert import model_card
from engine.errors import UserError

SAME = ModelChecked("same", error=2.5e-6, agreement=1.0, positions=640, longest=300)
QUALITY = [
    QualityMeasured("8-bit", False, 1_500_000_000, 8.5, 0.0012, 0.991, 12.34, 0, 5000),
    QualityMeasured("4-bit", True, 800_000_000, 4.5, 0.0421, 0.934, 12.99, 55.5, 5000),
]
HUB = "org/Big-Model"


def front_matter(card: str) -> dict[str, Any]:
    _, header, _ = card.split("---\n", 2)
    content: dict[str, Any] = yaml.safe_load(header)
    return content


def test_a_card_states_source_settings_and_measurements() -> None:
    card = model_card.compose(
        "mine", source=HUB, settings_label="4-bit", dtype="bfloat16", bits=4.503, quality=QUALITY, check=SAME
    )
    assert front_matter(card) == {
        "library_name": "mlx",
        "pipeline_tag": "text-generation",
        "base_model": HUB,
        "tags": ["mlx"],
    }
    assert f"[{HUB}](https://huggingface.co/{HUB})" in card
    assert "- Quantisation: 4-bit\n- Number format: bfloat16\n- Bits per weight: 4.50\n" in card
    assert "| **4-bit** (this one) | 0.80 GB | 4.50 | 0.0421 | 93.4% | 12.99 |" in card
    assert "5,000 tokens" in card
    assert "It computes what its source computes." in card
    assert "640 positions" in card
    assert 'load("mine")' in card


def test_nothing_is_claimed_that_was_not_measured() -> None:
    card = model_card.compose("mine", source="/home/someone/secret/model-7b")
    assert "was not checked" in card
    assert "not measured" not in card
    assert "not measured" in model_card.compose("mine", source=HUB, settings_label="4-bit")
    assert "computes what its source computes." not in card
    assert "|" not in card
    assert "someone" not in card
    assert "`model-7b`" in card
    assert "base_model" not in front_matter(card)
    assert "license" not in front_matter(card)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (ModelChecked("different", "The logits differ.", error=0.4, agreement=0.6, positions=9), "does not compute"),
        (ModelChecked("not checked", "It is too large for it."), "not checked: It is too large for it."),
    ],
)
def test_a_bad_verdict_is_told(check: ModelChecked, words: str) -> None:
    card = model_card.compose("mine", source=HUB, check=check)
    assert words in card
    assert "It computes what" not in card


def test_licence_and_language_come_from_the_source(tmp_path: Path) -> None:
    source = tmp_path / "source.md"
    source.write_text(
        "---\nlicense: other\nlicense_name: own\nlicense_link: LICENSE\nlanguage: [de, 中文]\ntags: [chat, mlx]\n"
        "model-index: [secret]\n---\n# Text\n"
    )
    header = front_matter(model_card.compose("mine", source=HUB, source_card=source))
    assert (header["license"], header["license_name"], header["license_link"]) == ("other", "own", "LICENSE")
    assert header["language"] == ["de", "中文"]
    assert header["tags"] == ["mlx", "chat"]
    assert "model-index" not in header
    stated = front_matter(model_card.compose("mine", source=HUB, source_card=source, license_name="mit"))
    assert stated["license"] == "mit"


@pytest.mark.parametrize("text", ["", "# no header", "---\n: [\n---\n", "---\n- a list\n---\n", "---\nlicense: mit"])
def test_a_source_card_without_a_readable_header_does_no_harm(tmp_path: Path, text: str) -> None:
    source = tmp_path / "source.md"
    source.write_text(text)
    assert "license" not in front_matter(model_card.compose("mine", source=HUB, source_card=source))


def test_strange_names_break_neither_table_nor_code() -> None:
    row = QualityMeasured("4|bit`\n", True, 1, 4, 0, 1, 1, 0, 1)
    card = model_card.compose('a"b\n---\nlicense: x', source="x`y", quality=[row], left_out=["w|`1"] * 12)
    assert "| **4/bit'** (this one) |" in card
    assert 'load("a\'b --- license: x")' in card
    assert "and 2 more" in card
    assert "license" not in front_matter(card)


RECORD = {
    "source": {"name": HUB, "kind": "hugging face", "dtype": "bfloat16"},
    "settings": {"quantize": True, "bits": 4},
    "label": "4-bit",
    "check": asdict(SAME),
    "quality": [asdict(row) for row in QUALITY],
}


def test_the_card_of_a_folder_tells_what_its_record_tells(tmp_path: Path) -> None:
    assert model_card.of_folder(tmp_path, "me/mine") == ""
    (tmp_path / model_card.RECORD).write_text(json.dumps(RECORD))
    card = model_card.of_folder(tmp_path, "me/mine")
    assert card == model_card.compose(
        "me/mine", source=HUB, settings_label="4-bit", dtype="bfloat16", quality=QUALITY, check=SAME
    )
    unquantised = RECORD | {"settings": {"dtype": "float16"}, "label": "float16", "quality": []}
    (tmp_path / model_card.RECORD).write_text(json.dumps(unquantised))
    card = model_card.of_folder(tmp_path, "me/mine")
    assert "- Quantisation: none\n- Number format: float16\n" in card


def test_the_licence_of_a_source_in_the_cache_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / model_card.RECORD).write_text(json.dumps(RECORD))
    repository = Path(constants.HF_HUB_CACHE) / f"models--{HUB.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    files = {"config.json": "{}", "model.safetensors": "w", "README.md": "---\nlicense: apache-2.0\n---\n"}
    for name, content in files.items():
        (snapshot / name).write_text(content)
    assert front_matter(model_card.of_folder(tmp_path, "me/mine"))["license"] == "apache-2.0"


@pytest.mark.parametrize("content", ["", "[]", "{}", json.dumps(RECORD | {"check": {"verdict": 1, "odd": 2}})])
def test_a_damaged_record_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / model_card.RECORD).write_text(content)
    with pytest.raises(UserError) as caught:
        model_card.of_folder(tmp_path, "me/mine")
    assert model_card.RECORD in caught.value.why
