"""The comparison with transformers finds what differs, and only that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from engine.assemble import Assembled, assemble
from engine.conversion_events import ModelChecked
from engine.convert import check, reference_process
from engine.errors import UserError
from engine.events import Event, Note, Progress
from tests.support.children import children, runs
from tests.support.torch_child import TorchChild, torch_child

PROGRAM = "engine.convert.reference_process"
WINDOW = 16
MISTRAL: dict[str, Any] = {
    "class": "MistralConfig",
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "sliding_window": WINDOW,
}


@pytest.fixture(scope="module")
def torch() -> Iterator[TorchChild]:
    with torch_child() as child:
        yield child


@pytest.fixture(scope="module")
def source(torch: TorchChild, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return torch.make(tmp_path_factory.mktemp("mistral"), MISTRAL, dtype="bfloat16")


def stored(source: Path) -> dict[str, mx.array]:
    arrays: Any = mx.load(str(source / "model.safetensors"))
    return dict(arrays)


def built(source: Path, **changes: Any) -> Assembled:
    config = json.loads((source / "config.json").read_text()) | changes
    return assemble(config, stored(source))


def compared(source: Path, assembled: Assembled) -> tuple[ModelChecked, list[Event]]:
    with closing(reference(source)) as other:
        steps, events = check.compare(other, assembled), []
        while True:
            try:
                events.append(next(steps))
            except StopIteration as end:
                return end.value, events


def reference(source: Path) -> check.Reference:
    config = json.loads((source / "config.json").read_text())
    return check.Reference(source, config, 20_000, source.parent)


def test_the_same_model_is_the_same(source: Path) -> None:
    verdict, events = compared(source, built(source))
    assert verdict.verdict == "same", verdict
    assert 0 < verdict.error < 1e-5
    assert verdict.agreement == 1
    assert verdict.longest == WINDOW + 24
    # A short and a long prompt, each at once and through the cache.
    assert verdict.positions == 2 * (8 + WINDOW + 24)
    assert {event.total for event in events if isinstance(event, Progress)} == {None, 2}


def test_an_altered_weight_is_seen(source: Path) -> None:
    assembled = built(source)
    norm = assembled.model.layers[1].input_layernorm
    norm.weight = norm.weight * 1.05
    verdict, _ = compared(source, assembled)
    assert verdict.verdict == "different"
    assert verdict.error > check.TOLERANCE
    assert "a prompt of 8 tokens, from position 0 on" in verdict.reason


def test_another_rotary_base_is_seen(source: Path) -> None:
    rotary = {"rope_theta": 100.0, "rope_type": "default"}
    verdict, _ = compared(source, built(source, rope_theta=100.0, rope_parameters=rotary))
    assert verdict.verdict == "different"
    assert "from position 1 on" in verdict.reason


def test_what_only_a_long_prompt_shows_is_seen(source: Path) -> None:
    """A window that is ignored, as mlx_lm's own class for Mistral does."""
    wide = built(source, sliding_window=None)
    verdict, _ = compared(source, wide)
    assert verdict.verdict == "different"
    assert f"longer than the window of {WINDOW}, from position {WINDOW} on" in verdict.reason


def test_weights_that_are_no_numbers_are_named(source: Path) -> None:
    assembled = built(source)
    assembled.model.layers[1].input_layernorm.weight *= float("nan")
    with pytest.raises(UserError, match=r"layers\.1\.input_layernorm\.weight"):
        compared(source, assembled)


def test_a_source_that_lacks_a_weight_proves_nothing(source: Path, tmp_path: Path) -> None:
    arrays = stored(source)
    del arrays["model.norm.weight"]
    mx.save_safetensors(str(tmp_path / "model.safetensors"), arrays, {"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    config |= {"sliding_window": 50_000, "max_position_embeddings": 1 << 20}
    (tmp_path / "config.json").write_text(json.dumps(config))
    verdict, events = compared(tmp_path, built(source, sliding_window=50_000))
    assert verdict.verdict == "not checked"
    assert "model.norm.weight" in verdict.reason
    assert Note("Not checked beyond 50000 tokens, which would take too long.") in events


def test_no_class_no_verdict(source: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "nobody_made_this", "auto_map": {"AutoConfig": "a.B"}})
    )
    marker = tmp_path / "ran"
    (tmp_path / "a.py").write_text(f"open({str(marker)!r}, 'w')\nclass B: pass\n")
    verdict, _ = compared(tmp_path, built(source))
    assert verdict == ModelChecked("not checked", "transformers has no class for nobody_made_this.")
    assert not marker.exists()


def test_closing_ends_the_process(source: Path) -> None:
    before = set(source.parent.iterdir())
    other = reference(source)
    (pid,) = [pid for pid, words in children().items() if PROGRAM in words]
    other.close()
    assert not runs(pid, PROGRAM)
    assert set(source.parent.iterdir()) == before


class Config:
    """What the choice of prompts needs of transformers' configurations."""

    def __init__(self, **values: Any) -> None:
        self.values = {"vocab_size": 50, "num_attention_heads": 4, "max_position_embeddings": 100_000} | values

    def get_text_config(self) -> Config:
        return self

    def to_dict(self) -> dict[str, Any]:
        return self.values


def prompts(parameters: int = 1000, **values: Any) -> tuple[dict[str, dict[str, Any]], list[int]]:
    skipped: list[int] = []
    made = list(reference_process._prompts(Config(**values), {}, parameters, skipped))
    for prompt in made:
        assert sum(prompt["pieces"]) == len(prompt["ids"])
        assert min(prompt["pieces"]) > 0
        assert prompt["positions"][-1] == len(prompt["ids"]) - 1
    return {prompt["name"]: prompt for prompt in made}, skipped


def test_prompts_go_beyond_what_changes_with_length() -> None:
    made, skipped = prompts(sliding_window=100)
    assert list(made) == ["short", "window"]
    assert len(made["window"]["ids"]) == 124
    # The decoding token by token begins inside of the window and leaves it.
    assert made["window"]["pieces"][:3] == [62, 30, 1]
    assert list(prompts(sliding_window=100, use_sliding_window=False)[0]) == ["short", "plain"]

    rotary = {"rope_type": "longrope", "original_max_position_embeddings": 200}
    made, skipped = prompts(rope_parameters={"full_attention": rotary})
    assert made["positions"]["pieces"][:2] == [201, 1]
    assert len(made["positions"]["ids"]) == 224
    made, skipped = prompts(rope_parameters=rotary, sliding_window=190)
    assert len(made["window"]["ids"]) == 214
    assert made["window"]["pieces"][:2] == [201, 1]
    made, skipped = prompts(rope_parameters={"rope_type": "dynamic"}, max_position_embeddings=64)
    assert made["dynamic"]["pieces"] == [88]
    assert skipped == []


def test_what_takes_too_long_is_said() -> None:
    made, skipped = prompts(parameters=300_000_000, sliding_window=4096)
    assert list(made) == ["short", "plain"]
    assert skipped == [4096]


def test_learned_positions_are_not_exceeded() -> None:
    assert len(prompts(max_position_embeddings=20)[0]["plain"]["ids"]) == 20
    assert len(prompts(max_position_embeddings=5)[0]["short"]["ids"]) == 5


def test_special_tokens_stay_out_of_prompts() -> None:
    made, _ = prompts(vocab_size=6, eos_token_id=[0, 1], image_token_index=2, vision={"pad_token_id": 3})
    assert set(made["plain"]["ids"]) == {4, 5}
    assert prompts()[0]["short"]["ids"] == prompts()[0]["short"]["ids"]


def test_only_what_fits_is_checked_unasked() -> None:
    gigabyte = 10**9
    assert check.worth_checking(135_000_000, 8 * gigabyte)
    assert not check.worth_checking(135_000_000, 2 * gigabyte)
    assert not check.worth_checking(1_000_000_000, 64 * gigabyte)
