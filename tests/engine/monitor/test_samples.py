"""The completions of a step, found in a file of any size and any state."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.events import Event, Note
from engine.grpo import config_file
from engine.monitor import samples
from engine.run_events import SampleRead, SamplesRead
from tests.engine.grpo.runs import only, run, tiny
from tests.engine.monitor.steps import many_steps, sample_line, write_samples


def told(folder: Path, step: int = 0) -> tuple[list[SampleRead], SamplesRead]:
    events = list(samples.of_step(folder, step))
    assert isinstance(events[-1], SamplesRead)
    return only(events, SampleRead), events[-1]


def texts(folder: Path, step: int = 0) -> list[str]:
    return [sample.text for sample in told(folder, step)[0]]


def notes(folder: Path, step: int) -> list[Event]:
    return only(list(samples.of_step(folder, step)), Note)


def test_a_real_run_is_read_step_by_step(tmp_path: Path) -> None:
    run(tiny(tmp_path, "real", max_steps=3))
    for number in (1, 2, 3):
        found, read = told(tmp_path / "real", number)
        assert len(found) == 16
        assert [sample.group for sample in found] == [group for group in range(4) for _ in range(4)]
        assert (read.step, read.first, read.last, read.torn, read.unknown, read.kept) == (number, 1, 3, 0, 0, True)
        for sample in found:
            assert sample.step == number
            assert [name for name, _ in sample.rewards] == ["accuracy", "strict_format"]
            assert sample.right == (dict(sample.rewards)["accuracy"] == 1.0)
    assert told(tmp_path / "real")[1].step == 3


def test_a_run_that_keeps_none_says_so(tmp_path: Path) -> None:
    run(tiny(tmp_path, "bare", max_steps=1, log_jsonl=False))
    found, read = told(tmp_path / "bare", 1)
    assert found == []
    assert (read.kept, read.last) == (False, 0)


@given(
    st.lists(st.integers(1, 60), unique=True, min_size=1, max_size=30),
    st.integers(0, 62),
    st.integers(1, 3000),
    st.integers(0, 60),
)
def test_any_step_is_found_whatever_the_size_of_its_lines(
    numbers: list[int], wanted: int, near: int, long: int
) -> None:
    """As by looking through the whole file, with blocks so small that halving has to work."""
    numbers.sort()
    lines = many_steps(numbers)
    lines[long % len(lines)] = sample_line(step=numbers[(long % len(lines)) // 6], text="x" * 4000)
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "_NEAR", near)
        write_samples(Path(name), *lines)
        found, read = told(Path(name), wanted)
        assert (read.first, read.last) == (numbers[0], numbers[-1])
    assert len(found) == (6 if (wanted or numbers[-1]) in numbers else 0)
    assert all(sample.step == (wanted or numbers[-1]) for sample in found)


@example([1, 1, 1, 2, 1, 2], 2)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(1, 9))
def test_steps_in_any_order_are_found_or_fewer_were_asked_for(order: list[int], wanted: int) -> None:
    """Where halving finds a step in a file without order, it may find one of its places; it never finds another step,
    and never says that there is none."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "_NEAR", 200)
        write_samples(Path(name), *many_steps(order, 1, 1))
        found, _ = told(Path(name), wanted)
    assert {sample.step for sample in found} == ({wanted} if wanted in order else set())


def test_a_file_without_order_is_looked_through_with_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "_NEAR", 100)
    write_samples(tmp_path, *many_steps([*range(10, 20), *range(1, 10)], 1, 1))
    assert texts(tmp_path, 4) == ["s4 g0 c0"]
    assert texts(tmp_path, 15) == ["s15 g0 c0"]
    assert notes(tmp_path, 15)


def test_foreign_and_torn_lines_do_not_hide_the_others(tmp_path: Path) -> None:
    lines = many_steps([1, 2, 3], 1, 2)
    lines[2:2] = [b"hello\n", b'{"step": "two"}\n', b"\xff\xfe\n", b"\n"]
    lines.insert(-1, b'{"step": 3, "text": 5}\n')
    write_samples(tmp_path, *lines, b'{"step": 4, "row": 1, "te')
    for number in (1, 2):
        assert texts(tmp_path, number) == [f"s{number} g0 c0", f"s{number} g0 c1"]
    found, read = told(tmp_path)
    assert [sample.text for sample in found] == ["s3 g0 c0", "s3 g0 c1"]
    assert (read.step, read.torn, read.unknown) == (3, 25, 1)


def test_a_row_that_is_asked_twice_makes_two_groups(tmp_path: Path) -> None:
    lines = [sample_line(row=5, completion=place) for place in (0, 1, 0, 1)]
    lines += [sample_line(row=5, completion=place, left_out=True) for place in (0, 1)]
    write_samples(tmp_path, *lines)
    found, _ = told(tmp_path)
    assert [(sample.group, sample.left_out) for sample in found] == [
        (0, False), (0, False), (1, False), (1, False), (2, True), (2, True)
    ]  # fmt: skip


def test_odd_values_are_taken_as_far_as_they_go(tmp_path: Path) -> None:
    line = sample_line(
        text="half \ud83d of a pair \x00", prompt=["a", "list"], rewards={"judge": None, "bad": float("nan")},
        reward="much", tokens=None, answer=None, advantage=float("nan"),
    )  # fmt: skip
    write_samples(tmp_path, line, b'{"step": 1, "text": "bare"}\n', sample_line(rewards=[1, 2], completion=1))
    odd, bare, third = told(tmp_path)[0]
    assert odd.text == "half \ufffd of a pair \x00"
    assert odd.prompt == '["a", "list"]'
    assert odd.rewards == (("judge", None), ("bad", None))
    assert (odd.reward, odd.advantage, odd.tokens, odd.answer, odd.right) == (0.0, 0.0, 0, "", None)
    assert (bare.text, bare.rewards) == ("bare", ())
    assert third.rewards == ()


def test_the_answer_is_read_with_what_was_put_before_the_text(tmp_path: Path) -> None:
    config = tiny(tmp_path, completion_prefill="<answer>")
    (tmp_path / config_file.RUN).write_text(config_file.to_toml(config), "utf-8")
    write_samples(tmp_path, sample_line(text="4.0</answer>"), sample_line(text="5", completion=1))
    first, second = told(tmp_path)[0]
    assert (first.prefill, first.found, first.right) == ("<answer>", "4.0", True)
    assert (second.found, second.right) == ("5", False)


def test_a_text_without_an_answer_is_not_right(tmp_path: Path) -> None:
    write_samples(tmp_path, sample_line(text="4"), sample_line(text="4", answer="", completion=1))
    assert [(sample.found, sample.right) for sample in told(tmp_path)[0]] == [(None, False), (None, None)]


def test_a_file_that_is_not_there_and_one_that_is_empty(tmp_path: Path) -> None:
    found, read = told(tmp_path, 3)
    assert found == []
    assert (read.missing, read.kept, read.last) == (True, True, 0)
    write_samples(tmp_path)
    assert told(tmp_path) == ([], SamplesRead(0, 0, 0))
    write_samples(tmp_path, b'{"step": 1, "te')
    assert told(tmp_path) == ([], SamplesRead(0, 0, 0, torn=15))


def test_a_folder_that_is_gone_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not there any more"):
        list(samples.of_step(tmp_path / "away"))
    (tmp_path / samples.FILE).mkdir()
    with pytest.raises(UserError):
        list(samples.of_step(tmp_path))
