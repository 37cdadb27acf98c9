"""JSONL and CSV files: rows found again by number, and every fault named by its line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import UserError
from engine.events import Progress
from engine.grpo.data_files import LineFile, TableFile

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
ANYWHERE = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def indexed(file: LineFile) -> LineFile:
    list(file.index())
    return file


def lines(folder: Path, content: bytes | str) -> LineFile:
    path = folder / "rows.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return indexed(LineFile(path))


def table(folder: Path, content: bytes | str, delimiter: str = ",") -> TableFile:
    path = folder / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    file = TableFile(path, delimiter)
    indexed(file)
    return file


@ANYWHERE
@given(st.lists(st.dictionaries(TEXTS, TEXTS | st.integers() | st.none())), st.booleans())
def test_every_line_is_found_again(tmp_path: Path, rows: list[dict[str, object]], blank: bool) -> None:
    between = "\n \r\n" if blank else "\n"
    file = lines(tmp_path, between.join(json.dumps(row, ensure_ascii=False) for row in rows))
    assert len(file) == len(rows)
    assert file.read(range(len(rows))[::-1]) == rows[::-1]
    assert [file.place(number) for number in range(len(rows))] == [
        f"line {1 + number * (2 if blank else 1)} of rows.jsonl" for number in range(len(rows))
    ]


@ANYWHERE
@given(st.lists(st.tuples(TEXTS, TEXTS)), st.sampled_from(",\t"), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_every_row_of_a_table_is_found_again(
    tmp_path: Path, rows: list[tuple[str, str]], delimiter: str, end: str, mark: bool
) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("a", "ü"), *rows])
    file = table(tmp_path, (b"\xef\xbb\xbf" if mark else b"") + written.getvalue().encode(), delimiter)
    expected = [{"a": first, "ü": second} for first, second in rows]
    assert len(file) == len(rows)
    assert [file.read([number])[0] for number in range(len(rows))] == expected
    assert file.read(range(len(rows))) == expected


def test_a_value_over_several_lines_and_a_long_one(tmp_path: Path) -> None:
    long = "x" * 200_000
    file = table(tmp_path, f'question,answer\n"one\ntwo\n",1\n\nthree,{long}\n')
    assert file.read([1, 0]) == [{"question": "three", "answer": long}, {"question": "one\ntwo\n", "answer": "1"}]
    assert [file.place(number) for number in (0, 1)] == ["line 2 of rows.csv", "line 6 of rows.csv"]


def test_a_mark_at_the_beginning_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    assert lines(tmp_path, b'\xef\xbb\xbf{"a": 1}\n{"a": 2}').read([0, 1]) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"a": 1', "not JSON: Expecting ',' delimiter, at character"),
        (b"hello", "not JSON: Expecting value, at character 1"),
        (b"[1, 2]", "a list, not an object"),
        (b'"text"', "a text, not an object"),
        (b"null", "null, not an object"),
        (b"3", "a single value, not an object"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: bytes, why: str) -> None:
    file = lines(tmp_path, b'{"a": 1}\n\n' + line + b"\n")
    assert file.read([0]) == [{"a": 1}]
    with pytest.raises(UserError, match=r"at line 3 of rows\.jsonl") as caught:
        file.read([1])
    assert why in caught.value.why
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("content", "where", "why"),
    [
        ("a,b\n1,2\n1\n", "line 3 of", "1 values for 2 columns"),
        ("a,b\n1,2,3\n", "line 2 of", "3 values for 2 columns"),
        ('a,b\n1,"2\n', "line 2 of", "unexpected end of data"),
        ('a,b\n1,"2"x\n', "line 2 of", "expected after"),
        ("a,a\n1,2\n", "line 1 of", "a name of its own"),
        ("a,\n1,2\n", "line 1 of", "a name of its own"),
        (b"a,b\n1,\xff\n", "at rows.csv", "not UTF-8"),
    ],
)
def test_a_broken_table_is_refused_at_once(tmp_path: Path, content: str | bytes, where: str, why: str) -> None:
    with pytest.raises(UserError, match=where) as caught:
        table(tmp_path, content)
    assert why in caught.value.why


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_an_empty_file_has_no_rows(tmp_path: Path, content: str) -> None:
    assert len(lines(tmp_path, content)) == 0
    assert len(table(tmp_path, content)) == 0


def test_a_file_changed_meanwhile_is_not_read(tmp_path: Path) -> None:
    file = lines(tmp_path, '{"a": 1}\n{"a": 2}\n')
    file.path.write_text('{"a": 1}\n{"b": 22}\n')
    with pytest.raises(UserError, match="was changed while it was in use"):
        file.read([1])


def test_a_large_file_reports_how_far_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"{}\n" * 50_000)
    events = list(LineFile(path).index())
    assert events == [
        Progress("Reading the data", start, 150_000, "bytes", "rows.jsonl") for start in (0, 60_000, 120_000)
    ]


def test_a_missing_file_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        indexed(LineFile(tmp_path / "rows.jsonl"))
