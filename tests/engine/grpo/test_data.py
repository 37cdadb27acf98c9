"""From a data set to rows: what is asked, what is right, and that nothing held out is learned from."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import UserError
from engine.events import Event, Note, Progress
from engine.grpo import data
from engine.grpo.data import Row, Task
from engine.grpo.settings import TrainConfig

ANYWHERE = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def run(job: Generator[Event, None, Task]) -> tuple[Task, list[Event]]:
    events: list[Event] = []
    while True:
        try:
            events.append(next(job))
        except StopIteration as end:
            return end.value, events


def load(dataset: Path | str, **config: Any) -> Task:
    return run(data.load(TrainConfig(dataset=str(dataset), **config)))[0]


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def one(folder: Path, row: dict[str, Any], **config: Any) -> Row:
    """The only row of a data set of its own."""
    return load(write(folder / "rows.jsonl", row), **{"eval_fraction": 0.0, **config}).train[0]


def numbered(size: int) -> list[dict[str, Any]]:
    return [{"question": f"question {number}", "answer": number} for number in range(size)]


def test_the_built_in_task() -> None:
    task = load("arithmetic", prompt_column="prompt", answer_pattern="x(.)")
    assert (task.name, len(task.train), len(task.held_out)) == ("arithmetic", 10_695, 500)
    row = task.held_out[-1]
    assert (row.index, row.prompt, row.answer) == (499, row.columns["question"], row.columns["answer"])
    assert row.columns["prompt"] == row.prompt


def test_a_gym_task_has_rows_of_its_own_for_evaluation() -> None:
    task = load("reasoning_gym:chain_sum", max_train_samples=20)
    assert (len(task.train), len(task.held_out)) == (20, 200)
    assert task.train[0].columns["entry"]["question"] == task.train[0].prompt
    assert load("reasoning_gym:chain_sum", max_train_samples=20).train[7] == task.train[7]


def test_a_gym_task_that_changes_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    _, events = run(data.load(TrainConfig(dataset="reasoning_gym:ransom_note", max_train_samples=5)))
    assert any(isinstance(event, Note) and "PYTHONHASHSEED" in event.text for event in events)


def test_gsm8k_as_it_is_stored(tmp_path: Path) -> None:
    row = one(tmp_path, {"question": "How much?", "answer": "He has 3 * 360 = <<3*360=1080>>1080.\n#### 1,080"})
    assert row == Row(0, "How much?", "1,080", {"question": "How much?", "answer": "1,080", "prompt": "How much?"})


@pytest.mark.parametrize(
    ("answer", "pattern", "expected"),
    [
        ("no mark", r"####\s*(.+)", "no mark"),
        (" 7 \n", "", "7"),
        ("a=12;", r"\d+", "12"),
        ("yes", "(no)|yes", "yes"),
        (5, r"####\s*(.+)", "5"),
        (0.5, "", "0.5"),
        (["a", "é"], "", '["a", "é"]'),
        ({"x": 1}, "", '{"x": 1}'),
        ("", "", ""),
    ],
)
def test_answers(tmp_path: Path, answer: Any, pattern: str, expected: str) -> None:
    assert one(tmp_path, {"question": "q", "answer": answer}, answer_pattern=pattern).answer == expected


def test_columns_are_renamed_and_a_template_uses_them(tmp_path: Path) -> None:
    row = one(
        tmp_path,
        {"question": "q", "answer": "long #### 7", "level": 3, "choices": ["a"]},
        columns={"solution": "answer", "difficulty": "level"},
        prompt_template="{question} ({difficulty}, {choices}) {{x}}",
    )
    assert (row.prompt, row.answer) == ('q (3, ["a"]) {x}', "7")
    assert row.columns == {
        "question": "q",
        "choices": ["a"],
        "difficulty": 3,
        "solution": "long #### 7",
        "prompt": row.prompt,
        "answer": "7",
    }


def test_a_prompt_column_may_be_named_by_either_name(tmp_path: Path) -> None:
    for name in ("text", "problem"):
        row = one(tmp_path, {"text": "q"}, columns={"problem": "text"}, prompt_column=name, answer_column="")
        assert (row.prompt, row.answer, row.columns) == ("q", "", {"problem": "q", "prompt": "q", "answer": ""})


@pytest.mark.parametrize(
    ("row", "config", "what", "said"),
    [
        (
            {"q": "a", "answer": 1},
            {},
            "no column question at line 1 of rows.jsonl",
            "The columns there are: q, answer.",
        ),
        ({"question": "a"}, {}, "no column answer at line 1", 'answer_column to one of them (or to "" where'),
        ({"question": "a", "answer": 1}, {"columns": {"x": "y"}}, "no column y at line 1", "Set columns to"),
        ({"question": "a"}, {"prompt_template": "{a}"}, "no column a at line 1", "as {{ and }}"),
        ({"question": "a", "b": None}, {"prompt_template": "{b}"}, "column b is empty at line 1", "Mend or delete"),
        ({"question": None, "answer": 1}, {}, "no prompt at line 1", "prompt_column names is empty"),
        ({"question": " ", "answer": 1}, {}, "no prompt at line 1", "is empty"),
        ({"question": 3, "answer": 1}, {}, "no prompt at line 1", "is not text but a number"),
        ({"question": ["a"], "answer": 1}, {}, "no prompt at line 1", "is not text but a list"),
        ({"question": "a", "answer": None}, {}, "column answer is empty at line 1", "Mend or delete"),
        ({"question": "\ud800", "answer": 1}, {}, "prompt is not text at line 1", "half of a character"),
        ({"question": "a"}, {"answer_pattern": "("}, "not a regular expression", "unterminated"),
        ({"question": "a"}, {"prompt_template": "{question"}, "prompt_template cannot be read", "expected '}'"),
        ({"question": "a"}, {"prompt_template": "{question!r}"}, "prompt_template cannot be read", "{column}"),
        ({"question": "a"}, {"prompt_template": "{}"}, "prompt_template cannot be read", "{column}"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, row: dict[str, Any], config: dict[str, Any], what: str, said: str
) -> None:
    with pytest.raises(UserError) as caught:
        one(tmp_path, row, **config)
    error = caught.value
    assert what in error.what
    assert said in f"{error.why} {error.remedy}"
    assert error.fault == "input"
    assert all((error.what, error.why, error.remedy))


def test_a_bad_row_in_the_middle_is_found_before_anything_is_learned(tmp_path: Path) -> None:
    rows = numbered(300)
    rows[217] = {"question": None, "answer": 1}
    with pytest.raises(UserError, match=r"line 218 of rows\.jsonl"):
        load(write(tmp_path / "rows.jsonl", *rows))


@ANYWHERE
@given(st.integers(2, 60), st.floats(0, 0.9), st.integers(0, 2**31 - 1))
def test_a_share_is_held_out_where_there_is_no_split(tmp_path: Path, size: int, share: float, seed: int) -> None:
    path = write(tmp_path / "rows.jsonl", *numbered(size))
    task = load(path, eval_fraction=share, seed=seed)
    train, held_out = ([row.index for row in part] for part in (task.train, task.held_out))
    assert sorted(train + held_out) == list(range(size))
    assert train == sorted(train)
    assert len(held_out) == (min(max(1, round(size * share)), size - 1) if share else 0)
    assert held_out == [row.index for row in load(path, eval_fraction=share, seed=seed // 2).held_out]
    assert all(row.answer == str(row.index) for row in task.train)


def test_a_single_row_is_learned_from(tmp_path: Path) -> None:
    task = load(write(tmp_path / "rows.jsonl", *numbered(1)))
    assert (len(task.train), len(task.held_out)) == (1, 0)


@ANYWHERE
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=40), st.lists(st.integers(5, 14), max_size=20), st.integers(0, 9)
)
def test_no_held_out_prompt_is_learned(tmp_path: Path, train: list[int], held_out: list[int], most: int) -> None:
    path = write(tmp_path / "rows.jsonl", *({"question": f"q{number}", "answer": 1} for number in train))
    other = write(tmp_path / "other.jsonl", *({"question": f" q{number}\n", "answer": 2} for number in [14, *held_out]))
    expected = [number for number in train if number not in held_out][: most or None]
    if not expected:
        with pytest.raises(UserError, match="left to learn from"):
            load(path, eval_file=str(other), max_train_samples=most)
        return
    task = load(path, eval_file=str(other), max_train_samples=most)
    assert [row.prompt for row in task.train] == [f"q{number}" for number in expected]
    assert [row.prompt.strip() for row in task.held_out] == [f"q{number}" for number in [14, *held_out]]
    assert [train[row.index] for row in task.train] == expected


def test_rows_left_out_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", *numbered(5))
    other = write(tmp_path / "other.jsonl", *numbered(2))
    _, events = run(data.load(TrainConfig(dataset=str(path), eval_file=str(other))))
    assert Note("Training rows left out since their prompts are held out: 2") in events


def test_a_split_is_held_out_where_there_is_one(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", *numbered(30))
    write(tmp_path / "test.jsonl", *numbered(35)[28:])
    task = load(tmp_path)
    assert [row.index for row in task.train] == list(range(28))
    assert [row.answer for row in task.held_out] == ["28", "29", "30", "31", "32", "33", "34"]
    assert len(load(tmp_path, eval_split="none").held_out) == 3
    assert len(load(tmp_path, eval_split="train").held_out) == 3


@pytest.mark.parametrize("ending", ["csv", "tsv", "CSV", "parquet", "ndjson", "jsonl", "json"])
def test_every_kind_of_file(tmp_path: Path, ending: str) -> None:
    path, rows = (
        tmp_path / f"rows.{ending}",
        [{"question": f"q {number}", "answer": str(number)} for number in range(9)],
    )
    if ending == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif ending.endswith(("json", "jsonl")):
        write(path, *rows)
    else:
        mark = "\t" if ending == "tsv" else ","
        path.write_text("".join(mark.join(row) + "\n" for row in [rows[0].keys(), *(row.values() for row in rows)]))
    task = load(path, eval_fraction=0.0)
    assert [(row.prompt, row.answer) for row in task.train] == [tuple(row.values()) for row in rows]


def test_files_that_are_no_data(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no data file"):
        load(tmp_path / "none.jsonl")
    (tmp_path / "rows.txt").write_text("q")
    with pytest.raises(UserError, match="no data file that can be read") as caught:
        load(tmp_path / "rows.txt")
    assert ".jsonl" in caught.value.why
    with pytest.raises(UserError, match="no data file"):
        load("arithmetic", eval_file=str(tmp_path))
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(UserError, match=r"empty.jsonl is empty"):
        load(tmp_path / "empty.jsonl")
    with pytest.raises(UserError, match=r"empty.jsonl is empty"):
        load("arithmetic", eval_file=str(tmp_path / "empty.jsonl"))


def test_parts_and_places_of_a_sequence(tmp_path: Path) -> None:
    rows = load(write(tmp_path / "rows.jsonl", *numbered(250)), eval_fraction=0.0).train
    assert [row.index for row in rows[240:]] == list(range(240, 250))
    assert [row.index for row in rows[::-100]] == [249, 149, 49]
    assert rows[-1] == rows[249] == list(rows)[249]
    with pytest.raises(IndexError):
        rows[250]


def test_a_large_file_is_not_held_in_memory(tmp_path: Path) -> None:
    path, size = tmp_path / "rows.jsonl", 20_000
    path.write_text("".join(f'{{"question": "{number} {"x" * 500}", "answer": 1}}\n' for number in range(size)))
    tracemalloc.start()
    try:
        task, events = run(data.load(TrainConfig(dataset=str(path))))
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(task.train) + len(task.held_out) == size
    assert held < path.stat().st_size / 4
    assert sum(isinstance(event, Progress) for event in events) > size // 200
