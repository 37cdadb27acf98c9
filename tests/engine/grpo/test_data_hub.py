"""Data sets of the Hub, of folders and of parquet files, read by the real library from a Hub on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from engine.errors import UserError
from engine.events import Event, Progress
from engine.grpo import data_hub
from engine.grpo.data_hub import HubRows, open_file, open_splits
from tests.support import hub_server as stand_in
from tests.support.hub_server import HubServer


def result(job: Generator[Event, None, Any]) -> Any:
    """What a job returns."""
    while True:
        try:
            assert isinstance(next(job), Progress)
        except StopIteration as end:
            return end.value


def lines(*questions: str) -> bytes:
    return "".join(json.dumps({"question": question, "answer": 1}) + "\n" for question in questions).encode()


def questions(rows: HubRows | None) -> list[str]:
    assert rows is not None
    return [row["question"] for row in rows.read(range(len(rows)))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "sums"
    place.mkdir()
    (place / "train.jsonl").write_bytes(lines("a", "b", "c"))
    (place / "test.jsonl").write_bytes(lines("d"))
    return place


@pytest.fixture
def hub(hub_server: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """The Hub on this machine, asked for data sets as if they were models."""
    import datasets

    route = stand_in._Handler._route

    def route_data_set(handler: stand_in._Handler, parts: list[str]) -> None:
        if parts[:1] == ["datasets"]:
            parts = parts[1:]
        elif parts[:2] == ["api", "datasets"]:
            parts = ["api", "models", *parts[2:]]
        route(handler, parts)

    monkeypatch.setattr(stand_in._Handler, "_route", route_data_set)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub_server.endpoint)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "USE_PARQUET_EXPORT", False)  # which another server answers
    return hub_server


def test_a_data_set_is_fetched_once_and_read_without_a_network_ever_after(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    hub.add_model("org/sums", {"train.jsonl": lines("a", "b"), "test.jsonl": lines("c")})
    train, held_out = result(open_splits("org/sums", "", "", "train", "test"))
    assert (questions(train), questions(held_out)) == (["a", "b"], ["c"])
    assert train.place(1) == "row 2 of org/sums, split train"
    assert list((home / "huggingface" / "datasets").glob("org___sums/*")), "prepared outside the Hugging Face folder"
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    asked = len(hub.requests)
    train, held_out = result(open_splits("org/sums", "", "", "train", "test"))
    assert (questions(train), questions(held_out)) == (["a", "b"], ["c"])
    assert len(hub.requests) == asked


def test_a_revision_and_what_is_not_there(hub: HubServer) -> None:
    hub.add_model("org/sums", {"train.jsonl": lines("new")})
    hub.add_model("org/sums", {"train.jsonl": lines("old")}, revision="v1")
    train, held_out = result(open_splits("org/sums", "", "v1", "train", "test"))
    assert questions(train) == ["old"]
    assert held_out is None
    with pytest.raises(UserError, match="org/none cannot be had") as caught:
        result(open_splits("org/none", "", "", "train", "test"))
    assert "doesn't exist" in caught.value.why


def test_a_revision_that_is_not_there(hub: HubServer) -> None:
    hub.add_model("org/sums", {"train.jsonl": lines("new")})
    with pytest.raises(UserError, match="org/sums cannot be had") as caught:
        result(open_splits("org/sums", "", "v7", "train", "test"))
    assert "v7" in caught.value.why


def test_without_a_network_and_a_copy_the_built_in_task_is_offered() -> None:
    with pytest.raises(UserError, match="openai/gsm8k is not on this computer") as caught:
        result(open_splits("openai/gsm8k", "", "", "train", "test"))
    assert "arithmetic" in caught.value.remedy


def test_a_folder_and_parts_of_its_splits(folder: Path) -> None:
    (folder / "README.md").write_text("Sums of letters.")

    def parts(train: str, held_out: str) -> tuple[list[str], list[str]]:
        train_rows, held_out_rows = result(open_splits(str(folder), "", "", train, held_out))
        return questions(train_rows), questions(held_out_rows)

    assert parts("train", "test") == (["a", "b", "c"], ["d"])
    assert parts("train[:2]", "train[2:]") == (["a", "b"], ["c"])
    assert parts("train+test", "train[-1:]") == (["a", "b", "c", "d"], ["c"])
    assert result(open_splits(str(folder), "", "", "train", "validation"))[1] is None
    assert result(open_splits(str(folder), "", "", "train", "train"))[1] is None
    with pytest.raises(UserError, match="has no split learn") as caught:
        result(open_splits(str(folder), "", "", "learn", "test"))
    assert caught.value.why == "Its splits are: train, test."
    with pytest.raises(UserError, match="cannot be read"):
        result(open_splits(str(folder), "", "", "train[:x]", "test"))


def test_a_saved_data_set_is_a_folder_too(folder: Path, tmp_path: Path) -> None:
    import datasets

    both = datasets.DatasetDict({"train": datasets.Dataset.from_list([{"question": "a"}, {"question": "b"}])})
    both.save_to_disk(str(tmp_path / "saved"))
    train, held_out = result(open_splits(str(tmp_path / "saved"), "", "", "train", "test"))
    assert (questions(train), held_out) == (["a", "b"], None)
    both["train"].save_to_disk(str(tmp_path / "one"))
    assert questions(result(open_splits(str(tmp_path / "one"), "", "", "train", "test"))[0]) == ["a", "b"]


def test_configurations_are_named(folder: Path) -> None:
    (folder / "README.md").write_text(
        "---\nconfigs:\n"
        "- config_name: easy\n  data_files: train.jsonl\n"
        "- config_name: hard\n  data_files: test.jsonl\n---\n"
    )
    assert questions(result(open_splits(str(folder), "hard", "", "train", ""))[0]) == ["d"]
    with pytest.raises(UserError, match="does not say which part") as caught:
        result(open_splits(str(folder), "", "", "train", ""))
    assert "['easy', 'hard']" in caught.value.why
    with pytest.raises(UserError, match="has no configuration soft") as caught:
        result(open_splits(str(folder), "soft", "", "train", ""))
    assert "['easy', 'hard']" in caught.value.why


@pytest.mark.parametrize("content", [b'{"question": "a"\n', b""])
def test_a_folder_of_broken_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train.jsonl").write_bytes(content)
    with pytest.raises(UserError) as caught:
        result(open_splits(str(tmp_path), "", "", "train", "test"))
    assert caught.value.fault == "input"


@pytest.mark.parametrize("file", ["", "notes.md", "model.safetensors"])
def test_a_folder_without_data(tmp_path: Path, file: str) -> None:
    if file:
        (tmp_path / file).write_text("no rows")
    with pytest.raises(UserError, match="There are no data in") as caught:
        result(open_splits(str(tmp_path), "", "", "train", "test"))
    assert caught.value.why == "No JSONL, CSV or parquet file is in it."


def empty(path: Path) -> Path:
    """A file of this kind without a row."""
    table = pyarrow.table({"question": pyarrow.array([], pyarrow.string())})
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path)
    elif path.suffix == ".arrow":
        with pyarrow.ipc.new_stream(str(path), table.schema) as file:
            file.write_table(table)
    else:
        path.write_text({"list.json": "[]"}.get(path.name, ""))
    return path


def test_a_folder_of_documents_is_refused_in_words(tmp_path: Path) -> None:
    """The library would read them with a package that is not installed."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "one.pdf").write_bytes(b"%PDF-1.4\n%%EOF\n")
    train, _ = result(open_splits(str(folder), "", "", "train", "test"))
    with pytest.raises(UserError, match="are not texts alone") as raised:
        train.read([0])
    assert "pdfplumber" in raised.value.why


@pytest.mark.parametrize("name", ["none.parquet", "none.arrow", "list.json", "none.json"])
def test_a_file_without_rows_is_called_empty(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"{name} is empty") as caught:
        result(open_file(empty(tmp_path / name)))
    assert caught.value.why == "It holds no rows, or a file of it does not."


@pytest.mark.parametrize("name", ["train.parquet", "train.jsonl", "list.json"])
def test_a_folder_without_rows_is_called_empty(tmp_path: Path, name: str) -> None:
    empty(tmp_path / name)
    with pytest.raises(UserError, match="is empty"):
        result(open_splits(str(tmp_path), "", "", "train", "test"))


@pytest.mark.parametrize("name", ["no/such/folder", "../sums", "what is this", ""])
def test_what_can_be_no_data_set(name: str) -> None:
    with pytest.raises(UserError, match=r"no data set|No data set"):
        result(open_splits(name, "", "", "train", "test"))


def test_a_parquet_file_keeps_its_types(tmp_path: Path) -> None:
    stored = [{"question": "a", "answer": 1.5, "tags": ["x"]}, {"question": None, "answer": 2.0, "tags": []}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(stored), tmp_path / "rows.parquet")
    rows = result(open_file(tmp_path / "rows.parquet"))
    assert rows.read([1, 0]) == stored[::-1]
    assert rows.place(0) == "row 1 of rows.parquet"
    assert sys.modules["torch"] is None, "torch was loaded"


def test_a_json_file_of_one_list(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"question": "a"},\n {"question": "b"}]')
    assert questions(result(open_file(tmp_path / "rows.json"))) == ["a", "b"]


def test_a_file_that_changed_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    for question in ("a", "b"):
        path.write_text(json.dumps([{"question": question * (5 if question == "b" else 1)}]))
        rows = questions(result(open_file(path)))
    assert rows == ["bbbbb"]


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(UserError, match=r"rows\.parquet cannot be read") as caught:
        result(open_file(tmp_path / "rows.parquet"))
    assert "Parquet" in caught.value.why
    with pytest.raises(FileNotFoundError):
        result(open_file(tmp_path / "none.parquet"))


def test_the_job_goes_on_saying_so_while_it_waits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_hub, "_SECONDS_AN_EVENT", 0.001)
    assert len(list(open_splits(str(folder), "", "", "train", "test"))) > 1
