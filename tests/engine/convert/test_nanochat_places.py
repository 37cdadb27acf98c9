"""A nanochat checkpoint is found wherever nanochat puts one, and what was chosen among several is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.convert import nanochat_places
from engine.errors import UserError

LAYOUT = {
    "base_checkpoints/d4": (1, 2),
    "base_checkpoints/d20": (3,),
    "mid_checkpoints/d20": (4,),
    "chatsft_checkpoints/d20": (90, 100),
    "chatrl_checkpoints/d20": (),
    "tokenizer": (),
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """nanochat's own layout: four stages, of which the last is empty, and one tokenizer for all."""
    for place, steps in LAYOUT.items():
        (tmp_path / place).mkdir(parents=True)
        for step in steps:
            (tmp_path / place / f"model_{step:06d}.pt").touch()
            (tmp_path / place / f"optim_{step:06d}_rank0.pt").touch()
            (tmp_path / place / f"meta_{step:06d}.json").write_text(json.dumps({"model_config": {"n_head": step}}))
    (tmp_path / "tokenizer/tokenizer.pkl").touch()
    (tmp_path / "tokenizer/token_bytes.pt").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("place", "name", "file", "said"),
    [
        ("", "nanochat-d20-chatsft", "chatsft_checkpoints/d20/model_000100.pt", ["chatsft_checkpoints", "Step 100"]),
        ("base_checkpoints", "nanochat-d20-base", "base_checkpoints/d20/model_000003.pt", ["The run d20"]),
        ("base_checkpoints/d4", "nanochat-d4-base", "base_checkpoints/d4/model_000002.pt", ["Step 2"]),
        ("base_checkpoints/d4/model_000001.pt", "nanochat-d4-base", "base_checkpoints/d4/model_000001.pt", []),
    ],
)
def test_any_place_of_nanochats_layout_will_do(
    base: Path, place: str, name: str, file: str, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nanochat_places.recognise(base / place)
    monkeypatch.chdir(base)
    found = nanochat_places.find(Path(place))
    assert (found.name, found.model, found.tokenizer()) == (name, base / file, base / "tokenizer/tokenizer.pkl")
    assert len(found.choices) == len(said)
    assert all(words in choice for words, choice in zip(said, found.choices, strict=True))
    assert found.metadata() == {"n_head": int(found.model.stem[-6:])}


def test_a_step_can_be_asked_for(base: Path) -> None:
    found = nanochat_places.find(base / "chatsft_checkpoints/d20", step=90)
    assert (found.model.name, found.choices) == ("model_000090.pt", [])
    with pytest.raises(UserError, match="no step 7") as caught:
        nanochat_places.find(base / "chatsft_checkpoints/d20", step=7)
    assert "90, 100" in caught.value.why


def test_a_tokenizer_beside_the_weights_goes_before_the_common_one(base: Path) -> None:
    run = base / "base_checkpoints/d4"
    (run / "tokenizer.json").touch()
    assert nanochat_places.find(run).tokenizer() == run / "tokenizer.json"
    (run / "tokenizer.pkl").touch()
    assert nanochat_places.find(run).tokenizer() == run / "tokenizer.pkl"


def test_runs_that_name_no_depth_are_taken_by_age(base: Path) -> None:
    stage = base / "chatrl_checkpoints"
    for name in ("second", "first"):
        (stage / name).mkdir()
        (stage / name / "model_000001.pt").touch()
    (stage / "second/meta_000001.json").write_text("{}")
    assert nanochat_places.find(base).model.parent.parent == stage
    assert nanochat_places.find(stage).model.parent.name == "second"


def test_what_is_no_checkpoint_is_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "model_best.pt").touch()
    (tmp_path / "base_checkpoints").mkdir()
    assert not nanochat_places.recognise(tmp_path)
    assert not nanochat_places.recognise(tmp_path / "model_best.pt")
    assert not nanochat_places.recognise(tmp_path / "missing")
    with pytest.raises(UserError, match="no model_"):
        nanochat_places.find(tmp_path)
