"""From files and pastes to what is asked: every form, every fault in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.batch.questions import plan
from engine.batch.tables import look
from engine.batch.templates import Template
from engine.chat.requests import BatchSource
from engine.chat_events import BatchPlanned
from engine.errors import UserError


def planned(source: BatchSource) -> BatchPlanned:
    *_, event = plan(source)
    assert isinstance(event, BatchPlanned)
    return event


@pytest.mark.parametrize(
    ("name", "content", "prompts"),
    [
        ("a.txt", "One, two?\n\n  Three\r\nVier ü\n", ["One, two?", "  Three", "Vier ü"]),
        ("a", "\ufeffOne", ["One"]),
        ("a.jsonl", '\ufeff{"prompt": "One"}\n\n{"prompt": "Two"}\n', ["One", "Two"]),
        ("a.json", '[{"prompt": "One"}, "Two"]', ["One", "Two"]),
        ("a.csv", '\ufeffprompt,n\n"One, ""two""\nthree",1\nFour,2\n', ['One, "two"\nthree', "Four"]),
        ("a.tsv", "prompt\tn\nOne\t1\n", ["One"]),
    ],
)
def test_every_form_of_file_and_paste(tmp_path: Path, name: str, content: str, prompts: list[str]) -> None:
    (tmp_path / name).write_bytes(content.encode())
    for source in (BatchSource(str(tmp_path / name)), BatchSource(text=content)):
        assert [prompt for _, prompt in planned(source).rendered] == prompts


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Hello, who are you?\nWell, tell me", ".txt"),
        ("question,answer\na,b", ".csv"),
        ("question\tanswer\na\tb", ".tsv"),
        ('{"a": 1}\n', ".jsonl"),
        ("{not json}", ".txt"),
        ('["a"]', ".json"),
        ("[1, 2]", ".txt"),
        ("One line", ".txt"),
    ],
)
def test_a_paste_is_told_by_its_look(text: str, form: str) -> None:
    assert look(text) == form


def test_columns_stand_in_the_prompt_and_in_the_system_prompt() -> None:
    text = 'q,level,answer\nWhat?,3,"4"\nWhy?,x,\n'
    event = planned(BatchSource(text=text, template="{q} {{as JSON}}", system="Level {level}"))
    assert event.rendered == (("Level 3", "What? {as JSON}"), ("Level x", "Why? {as JSON}"))
    assert (event.rows, event.columns, event.reference) == (2, ("q", "level", "answer"), "answer")
    assert event.warnings == ("Row 2 without a right answer in the column answer.",)
    assert planned(BatchSource(text=text, template="{q}", reference="level")).reference == "level"


def test_the_only_column_is_the_prompt() -> None:
    assert planned(BatchSource(text="question,answer\nWhat?,4\n")).rendered == (("", "What?"),)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (BatchSource(text="a,b\n1,2\n"), "which column is the prompt"),
        (BatchSource(text="question,answer\n1,2\n", template="{qestion}"), "Did you mean question?"),
        (BatchSource(text="question,answer\n1,2\n", system="{nothing}"), "no column nothing"),
        (BatchSource(text="question,answer\n1,2\n", reference="anser"), "Did you mean answer?"),
        (BatchSource(text="a\n", template="{"), "stands alone"),
        (BatchSource(text="a\n", template="{}"), "names no column"),
        (BatchSource(text=" \n"), "nothing to answer"),
        (BatchSource(), "nothing to answer"),
        (BatchSource(text='{"prompt": "a"}\n{"prompt": \n'), "line 2 of the pasted text"),
        (BatchSource(text="a\udcff"), "not text at line 1"),
    ],
)
def test_faults_are_told_in_three_sentences(source: BatchSource, words: str) -> None:
    with pytest.raises(UserError) as caught:
        planned(source)
    error = caught.value
    assert words in f"{error.what} {error.why} {error.remedy}"
    assert error.what
    assert error.why
    assert error.remedy


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"prompt,n\na,1\nb\n", "line 3 of a.csv"),
        ("a.json", b'{"prompt": "a"}', "no list"),
        ("a.json", b'["a",\n3]', "Row 2 of a.json"),
        ("a.json", b"[", "not JSON"),
        ("a.txt", b"a\nb\n\xff\n", "not text at line 3"),
        ("a.jsonl", b"3\n", "line 1 of a.jsonl"),
    ],
)
def test_broken_files_name_the_row(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        planned(BatchSource(str(tmp_path / name)))
    assert words in f"{caught.value.what} {caught.value.why}"


@given(st.text(), st.text())
def test_a_template_gives_back_braces_and_columns(before: str, value: str) -> None:
    template = before.replace("{", "{{").replace("}", "}}")
    assert Template(template + "{a}" + template).fill({"a": value}) == before + value + before
