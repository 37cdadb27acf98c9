"""A batch from its source to its file: stopped, gone on with, killed, beside a chat, and with rows at fault."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine import jobs, places
from engine.batch import answers_file, trial
from engine.chat.requests import BatchSource, ExportBatch, PlanBatch, RunBatch
from engine.chat_events import (
    BatchAnswered,
    BatchExported,
    BatchFinished,
    BatchPlanned,
    BatchProgress,
    BatchStarted,
)
from engine.config import Sampling
from engine.errors import UserError
from engine.events import Event, Note
from engine.requests import Generate, LoadModel
from tests.engine.tiny import make_model

STARTER = LoadModel("starter")
SUMS = "question,answer\n" + "".join(f"What is {10 + n} + {7 * n}?,{10 + 8 * n}\n" for n in range(9))
SAMPLING = Sampling(max_tokens=40, temperature=1.2, seed=5)


@pytest.fixture(scope="module")
def bench() -> jobs.Workbench:
    return jobs.Workbench()


def request(output: Path, **changes: Any) -> RunBatch:
    return dataclasses.replace(RunBatch(STARTER, BatchSource(text=SUMS), str(output), SAMPLING, samples=2), **changes)


def run(asked: RunBatch, bench: jobs.Workbench) -> list[Event]:
    return list(jobs.start(asked, bench))


def only(events: list[Event], kind: type) -> Any:
    return next(event for event in events if isinstance(event, kind))


def texts(path: Path) -> dict[tuple[int, int], str]:
    return {number: answer.text for number, answer in answers_file.read(path).items()}


def test_every_answer_is_told_and_in_the_file(tmp_path: Path, bench: jobs.Workbench) -> None:
    events = run(request(tmp_path / "a.jsonl", rewards=("accuracy", "length")), bench)
    started, finished = only(events, BatchStarted), only(events, BatchFinished)
    assert (started.rows, started.samples, started.total, started.kept) == (9, 2, 18, 0)
    answered = {(event.row, event.sample): event for event in events if isinstance(event, BatchAnswered)}
    assert answers_file.read(tmp_path / "a.jsonl") == answered
    assert len(answered) == 18
    for (row, sample), answer in answered.items():
        assert answer.prompt == f"What is {10 + row} + {7 * row}?"
        assert answer.seed == 5 + sample
        assert answer.reference == str(10 + 8 * row)
        assert answer.right == (dict(answer.scores)["accuracy"] == 1.0)
    assert (finished.answers, finished.failed) == (18, 0)
    assert finished.tokens == sum(answer.completion_tokens for answer in answered.values())
    assert [k for k, _ in finished.pass_at] == [1, 2]
    assert dict(finished.means)["accuracy"] == pytest.approx(dict(finished.pass_at)[1])
    assert isinstance(events[-1], BatchFinished)
    last = [event for event in events if isinstance(event, BatchProgress)][-1]
    assert (last.done, last.total, last.tokens) == (18, 18, finished.tokens)


def test_one_after_the_other_gives_the_same(tmp_path: Path, bench: jobs.Workbench) -> None:
    run(request(tmp_path / "a.jsonl"), bench)
    run(request(tmp_path / "b.jsonl", rows_at_once=1), bench)
    run(request(tmp_path / "c.jsonl", rows_at_once=3), bench)
    assert texts(tmp_path / "a.jsonl") == texts(tmp_path / "b.jsonl") == texts(tmp_path / "c.jsonl")
    asked = Generate(STARTER, "What is 12 + 14?", sampling=SAMPLING.model_copy(update={"seed": 6}))
    *_, alone = jobs.start(asked, bench)
    assert texts(tmp_path / "a.jsonl")[2, 1] == alone.text  # type: ignore[union-attr]


def test_without_a_seed_one_is_drawn_and_kept(tmp_path: Path, bench: jobs.Workbench) -> None:
    path = tmp_path / "a.jsonl"
    asked = request(path, sampling=SAMPLING.model_copy(update={"seed": None}))
    with closing(jobs.start(asked, bench)) as steps:  # type: ignore[type-var]
        next(event for event in steps if isinstance(event, BatchAnswered))
    run(dataclasses.replace(asked, resume=True), bench)
    bases = {(answer.seed - answer.sample) % 2**31 for answer in answers_file.read(path).values()}
    assert len(bases) == 1
    assert answers_file.read_settings(path)["seed"] in bases


def test_a_stopped_batch_goes_on_where_it_stopped(tmp_path: Path, bench: jobs.Workbench) -> None:
    run(request(tmp_path / "whole.jsonl"), bench)
    path = tmp_path / "a.jsonl"
    asked = request(path, rows_at_once=4)
    with closing(jobs.start(asked, bench)) as steps:  # type: ignore[type-var]
        answered = [next(event for event in steps if isinstance(event, BatchAnswered)) for _ in range(5)]
    assert len(texts(path)) == 5
    events = run(dataclasses.replace(asked, resume=True), bench)
    assert only(events, BatchStarted).kept == 5
    # What is kept is told again, for whoever was not there then.
    assert [event for event in events if isinstance(event, BatchAnswered)][:5] == sorted(
        answered, key=lambda event: (event.row, event.sample)
    )
    assert texts(path) == texts(tmp_path / "whole.jsonl")
    assert len(path.read_text("utf-8").splitlines()) == 18
    assert only(run(dataclasses.replace(asked, resume=True), bench), BatchFinished).tokens == 0


def test_rows_are_answered_again_on_demand(tmp_path: Path, bench: jobs.Workbench) -> None:
    path = tmp_path / "a.jsonl"
    asked = request(path, sampling=SAMPLING.model_copy(update={"seed": None}))
    run(asked, bench)
    before = answers_file.read(path)
    events = run(dataclasses.replace(asked, again=(2,)), bench)
    assert only(events, BatchStarted).kept == 16
    after = answers_file.read(path)
    assert {number for number in after if after[number] != before[number]} == {(2, 0), (2, 1)}
    assert after[2, 0].seed != before[2, 0].seed
    with pytest.raises(UserError, match="no row 9"):
        run(dataclasses.replace(asked, again=(9,)), bench)


def test_a_file_of_other_prompts_is_left_alone(tmp_path: Path, bench: jobs.Workbench) -> None:
    path = tmp_path / "a.jsonl"
    run(request(path), bench)
    before = path.read_bytes()
    other = BatchSource(text=SUMS.replace("What is 12", "How much is 12"))
    with pytest.raises(UserError, match="other prompts") as caught:
        run(request(path, source=other, resume=True), bench)
    assert "row 3" in caught.value.why
    with pytest.raises(UserError, match="exists already"):
        run(request(path), bench)
    with pytest.raises(UserError, match="is a folder"):
        run(request(tmp_path), bench)
    with pytest.raises(UserError, match="nothing to go on with"):
        run(dataclasses.replace(request(path), output="", resume=True), bench)
    assert path.read_bytes() == before
    cooler = SAMPLING.model_copy(update={"temperature": 0.5})
    events = run(request(path, sampling=cooler, resume=True, again=(1,)), bench)
    assert "sampling" in only(events, Note).text


def test_without_a_name_it_goes_to_a_folder_of_the_program(bench: jobs.Workbench) -> None:
    outputs = [
        only(run(dataclasses.replace(request(Path()), output="", samples=1), bench), BatchStarted).output
        for _ in range(2)
    ]
    assert sorted(map(Path, outputs)) == sorted(places.batches_folder().glob("*.jsonl"))


def test_a_row_at_fault_ends_nothing(tmp_path: Path, bench: jobs.Workbench) -> None:
    rows = [{"prompt": "What is 1 + 2?"}, {"prompt": " "}, {"prompt": "sum " * 2000}, {}, {"prompt": "What is 3 + 4?"}]
    source = BatchSource(text="\n".join(map(json.dumps, rows)))
    path = tmp_path / "a.jsonl"
    events = run(request(path, source=source), bench)
    answers = answers_file.read(path)
    errors = {row: answers[row, 1].error for row in range(5)}
    assert "" == errors[0] == errors[4]
    assert "empty" in errors[1]
    assert "reads at most 1,024" in errors[2]
    assert "no column prompt" in errors[3]
    finished = only(events, BatchFinished)
    assert (finished.answers, finished.failed) == (4, 6)
    # They are tried again, as with another model they might be answered.
    assert only(run(request(path, source=source, resume=True), bench), BatchStarted).kept == 4


def test_the_context_ends_an_answer(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    folder = make_model(tmp_path_factory.mktemp("models") / "short", max_position_embeddings=24)
    asked = request(tmp_path / "a.jsonl", load=LoadModel(str(folder)), sampling=Sampling(max_tokens=400, seed=1))
    run(asked, jobs.Workbench())
    reasons = {answer.stop_reason for answer in answers_file.read(tmp_path / "a.jsonl").values()}
    assert "context full" in reasons
    assert reasons <= {"context full", "end"}


@pytest.mark.parametrize("rows_at_once", [0, 1])
def test_another_model_in_between(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, rows_at_once: int) -> None:
    other = LoadModel(str(make_model(tmp_path_factory.mktemp("models") / "other")))
    bench = jobs.Workbench()
    run(request(tmp_path / "whole.jsonl"), bench)
    path = tmp_path / "a.jsonl"
    progress = 0
    for event in jobs.start(request(path, rows_at_once=rows_at_once), bench):
        progress += isinstance(event, BatchProgress)
        if isinstance(event, BatchProgress) and progress in (1, 3, 25, 31):
            list(jobs.start(Generate(other, "Hello", sampling=Sampling(max_tokens=2)), bench))
    assert texts(path) == texts(tmp_path / "whole.jsonl")
    assert len(path.read_text("utf-8").splitlines()) == 18


def test_a_chat_with_the_same_model_in_between(tmp_path: Path, bench: jobs.Workbench) -> None:
    run(request(tmp_path / "whole.jsonl"), bench)
    asked = Generate(STARTER, "What is 40 + 2?", sampling=Sampling(temperature=0.0, max_tokens=30))
    alone = list(jobs.start(asked, bench))[-1].text  # type: ignore[union-attr]
    for number, event in enumerate(jobs.start(request(tmp_path / "a.jsonl"), bench)):
        if isinstance(event, BatchProgress) and number % 10 == 0:
            *_, answer = jobs.start(asked, bench)
            assert answer.text == alone  # type: ignore[union-attr]
    assert texts(tmp_path / "a.jsonl") == texts(tmp_path / "whole.jsonl")


def test_a_model_that_must_answer_one_after_the_other(
    tmp_path: Path, bench: jobs.Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(request(tmp_path / "a.jsonl"), bench)
    monkeypatch.setattr(trial, "can_merge", lambda _: False)
    events = run(request(tmp_path / "b.jsonl"), bench)
    assert "one after the other" in only(events, Note).text
    assert texts(tmp_path / "a.jsonl") == texts(tmp_path / "b.jsonl")


def test_export(tmp_path: Path, bench: jobs.Workbench) -> None:
    path = tmp_path / "a.jsonl"
    run(request(path, rewards=("length",)), bench)
    run(request(path, rewards=("length",), again=(0,)), bench)
    (exported,) = jobs.start(ExportBatch(str(path), str(tmp_path / "out" / "a.csv")), bench)
    assert exported == BatchExported(str(tmp_path / "out" / "a.csv"), 18)
    with (tmp_path / "out" / "a.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["row"]), int(row["sample"])) for row in rows] == [(n // 2, n % 2) for n in range(18)]
    assert {row["length"] for row in rows} <= {"0.0", "1.0"} | {row["length"] for row in rows if row["length"]}
    list(jobs.start(ExportBatch(str(path), str(tmp_path / "b.jsonl")), bench))
    assert answers_file.read(tmp_path / "b.jsonl") == answers_file.read(path)
    for name, words in (("a.xlsx", "must end in"), ("a.jsonl", "the file that the answers are in")):
        with pytest.raises(UserError) as caught:
            list(jobs.start(ExportBatch(str(path), str(tmp_path / name)), bench))
        assert words in caught.value.why
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.jsonl", "a.settings.json", "b.jsonl", "out"]


def test_a_plan_needs_no_model(bench: jobs.Workbench) -> None:
    *_, event = jobs.start(PlanBatch(BatchSource(text=SUMS)), bench)
    assert isinstance(event, BatchPlanned)
    assert event.rows == 9


def test_a_batch_can_be_stopped_while_its_model_is_away(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    other = LoadModel(str(make_model(tmp_path_factory.mktemp("models") / "other")))
    bench = jobs.Workbench()
    for rows_at_once in (0, 1):
        steps = jobs.start(request(tmp_path / f"{rows_at_once}.jsonl", rows_at_once=rows_at_once), bench)
        with closing(steps):  # type: ignore[type-var]
            next(event for event in steps if isinstance(event, BatchAnswered))
            list(jobs.start(other, bench))
        assert len(texts(tmp_path / f"{rows_at_once}.jsonl")) >= 1


@pytest.mark.parametrize("samples", [0, -1])
def test_no_answers_cannot_be_asked_for(tmp_path: Path, bench: jobs.Workbench, samples: int) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        run(request(tmp_path / "a.jsonl", samples=samples), bench)


KILLED = """
import sys
from pathlib import Path
from engine import jobs
from engine.chat_events import BatchAnswered
from tests.engine.batch.test_run import request
for event in jobs.start(request(Path(sys.argv[1]), resume=True, samples=8, rows_at_once=6), jobs.Workbench()):
    if isinstance(event, BatchAnswered):
        print(event.row, event.sample, flush=True)
"""


def test_killed_at_any_moment_no_answer_that_was_told_is_lost(tmp_path: Path, bench: jobs.Workbench) -> None:
    path, moments = tmp_path / "a.jsonl", random.Random(3)
    told: set[tuple[int, int]] = set()
    for _ in range(3):
        words = [sys.executable, "-c", KILLED, str(path)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as child:
            for line in _lines(child):
                told.add((int(line.split()[0]), int(line.split()[1])))
                if len(told) % 12 == 0:
                    break
            time.sleep(moments.random() * 0.05)
            os.kill(child.pid, signal.SIGKILL)
        assert told <= {*answers_file.read(path)}
    run(request(path, resume=True, samples=8), bench)
    run(request(tmp_path / "whole.jsonl", samples=8), bench)
    assert texts(path) == texts(tmp_path / "whole.jsonl")


def _lines(child: subprocess.Popen[str]) -> Iterator[str]:
    assert child.stdout is not None
    yield from child.stdout
