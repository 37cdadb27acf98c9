"""What is refused before anything is read: impossible configurations and impossible places for the result."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.convert import conversion, plan
from engine.convert.settings import ConversionSettings
from engine.errors import UserError
from tests.engine.tiny import make_model


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_model(tmp_path / "source")


def require(source: Path, output: Path, *, overwrite: bool = False) -> None:
    plan.require(conversion.planned(str(source), str(output), ConversionSettings())[1], overwrite)


def test_more_layers_than_tensors_are_refused_before_they_are_built(source: Path, tmp_path: Path) -> None:
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1_000_000}))
    with pytest.raises(UserError, match="does not fit its weights"):
        require(source, tmp_path / "out")


OBSTACLES: dict[str, Callable[[Path], None]] = {
    "a file": lambda place: place.write_text("x") and None,
    "a link to nowhere": lambda place: place.symlink_to("nowhere"),
    "a link to itself": lambda place: place.symlink_to(place.name),
}


@pytest.mark.parametrize("what", OBSTACLES)
def test_what_is_in_the_way_is_named_and_kept(source: Path, tmp_path: Path, what: str) -> None:
    OBSTACLES[what](tmp_path / "place")
    with pytest.raises(UserError, match="can be no folder") as caught:
        require(source, tmp_path / "place" / "inner" / "out")
    assert str(tmp_path / "place") in caught.value.why
    with pytest.raises(UserError, match="is not replaced"):
        require(source, tmp_path / "place", overwrite=True)


def test_a_link_is_not_replaced_by_a_folder(source: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    with pytest.raises(UserError, match="is not replaced") as caught:
        require(source, tmp_path / "out", overwrite=True)
    assert "link" in caught.value.why


def test_a_config_alone_does_not_make_a_folder_a_model(source: Path, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "config.json").write_text("{}")
    (tmp_path / "project" / "main.py").write_text("pass")
    with pytest.raises(UserError, match="is not replaced"):
        require(source, tmp_path / "project", overwrite=True)


def test_a_place_that_cannot_be_written_is_named(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As root, whom permissions do not bind, only a read-only disk shows it.
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UserError, match="Nothing can be written") as caught:
        require(source, tmp_path / "new" / "out")
    assert str(tmp_path) in caught.value.what
    assert not (tmp_path / "new").exists()


def test_settings_of_nanochat_are_refused_elsewhere(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="rope_theta cannot be set"):
        conversion.planned(str(source), str(tmp_path / "out"), ConversionSettings(rope_theta=5.0))
