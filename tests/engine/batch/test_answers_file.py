"""The file of a batch: what is in it after a death at any moment, and what it says again."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.batch import answers_file
from engine.batch.answers_file import AnswersFile
from engine.chat_events import BatchAnswered
from engine.errors import UserError


def answer(row: int, text: str = "An answer", sample: int = 0, **changes: object) -> BatchAnswered:
    values = {
        "row": row,
        "sample": sample,
        "prompt": f"Prompt {row}",
        "text": text,
        "stop_reason": "end",
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "seconds": 0.5,
        "seed": 7 + sample,
        "scores": (("length", 0.25),),
        "reference": "4",
        "right": True,
    }
    return BatchAnswered(**(values | changes))


def write(path: Path, *answers: BatchAnswered) -> None:
    with AnswersFile(path) as file:
        for each in answers:
            file.append(each)


def test_what_is_written_is_read_again_sorted_and_the_last_wins(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.jsonl"
    made = [answer(2), answer(0, "über\u2028die\nZeile 😀"), answer(0, sample=1), answer(2, "Another")]
    write(path, *made)
    assert list(answers_file.read(path).values()) == [made[1], made[2], made[3]]
    assert path.read_bytes().count(b"\n") == 4
    assert json.loads(path.read_text("utf-8").split("\n")[0])["scores"] == {"length": 0.25}


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_cut_anywhere_goes_on_behind_the_last_whole_answer(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        write(path, *(answer(row, "é" * row) for row in range(4)))
        whole = path.read_bytes()
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
        before = answers_file.read(path)
        assert [*before] == [(row, 0) for row in range(len(before))]
        write(path, answer(9))
        assert [*answers_file.read(path).values()] == [*before.values(), answer(9)]
        assert path.read_bytes().endswith(b"\n")


def test_half_a_character_of_a_model_does_not_end_the_batch(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", answer(0, "\ud83d"))
    assert [each.text for each in answers_file.read(tmp_path / "a.jsonl").values()] == ["?"]


@pytest.mark.parametrize("line", ["Hello", "[1, 2]", "{}", '{"row": "a", "scores": {}}', '{"scores": 3}', "7"])
def test_another_file_is_not_taken_for_answers(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(answers_file.to_line(answer(0)) + f"\n{line}\n")
    with pytest.raises(UserError, match="not a file of answers") as caught:
        answers_file.read(path)
    assert "Line 2" in caught.value.why


def test_keys_of_later_versions_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(json.loads(answers_file.to_line(answer(0))) | {"new": 1}) + "\n")
    assert [*answers_file.read(path).values()] == [answer(0)]


def test_settings_lie_beside_the_answers(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert answers_file.read_settings(path) == {}
    answers_file.write_settings(path, {"seed": 4, "system": "Sei höflich."})
    assert answers_file.read_settings(path) == {"seed": 4, "system": "Sei höflich."}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.settings.json"]
    answers_file.settings_path(path).write_text("[")
    assert answers_file.read_settings(path) == {}
