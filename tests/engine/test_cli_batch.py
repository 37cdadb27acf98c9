"""The command batch, as a person or a script calls it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine import cli_batch_report
from engine.batch import answers_file
from engine.chat_events import BatchAnswered, BatchFinished, BatchPlanned, BatchProgress, BatchStarted
from tests.engine.test_cli_convert import REPOSITORY, call, events


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    path = tmp_path / "sums.csv"
    path.write_text("question,answer\nWhat is 17 + 25?,42\nWhat is 40 + 8?,48\n")
    return path


def test_a_file_of_answers_and_its_summary(sums: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    words = ("batch", "--model", "starter", "--prompts", sums, "--out", out, "--samples", "2", "--seed", "3")
    done = call(*words, "--reward", "accuracy", "--template", "{question}", "--max-tokens", "40")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "2 prompts, 4 answers" in done.stderr
    assert "pass@1" in done.stderr
    assert "accuracy: " in done.stderr
    assert {answer.seed for answer in answers_file.read(out).values()} == {3, 4}
    again = call(*words)
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert "resume" in again.stderr
    resumed = call(*words, "--resume", "--again", "1", "--json")
    assert resumed.returncode == 0, resumed.stderr
    kinds = [event["event"] for event in events(resumed)]
    assert {"batch_started", "batch_answered", "batch_progress", "batch_finished", "done"} <= set(kinds)
    assert next(event for event in events(resumed) if event["event"] == "batch_started")["kept"] == 2


def test_standard_input_and_answers_on_standard_output() -> None:
    words = [sys.executable, "-m", "mlx_grpo", "batch", "--prompts", "-", "--max-tokens", "4"]
    done = subprocess.run(
        words, input="What is 1 + 2?\n\nHallo ü\n".encode(), capture_output=True, cwd=REPOSITORY, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = sorted((json.loads(line) for line in done.stdout.splitlines()), key=lambda answer: answer["row"])
    assert [answer["prompt"] for answer in answers] == ["What is 1 + 2?", "Hallo ü"]
    broken = subprocess.run(words, input=b"\xff\n", capture_output=True, cwd=REPOSITORY, check=False)
    assert broken.returncode == 2
    assert b"not text at line 1" in broken.stderr


def test_a_dry_run_says_what_would_be_asked(sums: Path) -> None:
    done = call("batch", "--prompts", sums, "--template", "{question} Think.", "--system", "Be right.", "--dry-run")
    assert done.returncode == 0, done.stderr
    for words in ("What is 17 + 25? Think.", "Be right.", "question, answer"):
        assert words in done.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--prompts", "nowhere.csv"], "does not exist"),
        (["--prompts", "{sums}", "--template", "{qestion}"], "Did you mean question?"),
        (["--prompts", "{sums}", "--reward", "acuracy"], "acuracy"),
        (["--prompts", "{sums}", "--temperature", "9"], "temperature"),
        (["--prompts", "{sums}", "--resume"], "nothing to go on with"),
        (["--prompts", "{sums}", "--model", "no such model"], "no such model"),
    ],
)
def test_wrong_input_is_told_in_words(sums: Path, words: list[str], reason: str) -> None:
    done = call("batch", *(word.replace("{sums}", str(sums)) for word in words))
    assert done.returncode == 2, done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupted_batch_can_be_gone_on_with(tmp_path: Path) -> None:
    prompts, out = tmp_path / "p.txt", tmp_path / "a.jsonl"
    prompts.write_text("".join(f"What is {n} + 1?\n" for n in range(40)))
    words = ["batch", "--prompts", str(prompts), "--out", str(out), "--rows-at-once", "2", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "mlx_grpo", *words], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if '"batch_answered"' in line:
                child.send_signal(signal.SIGINT)
                break
        last = child.stdout.readlines()[-1]
    assert child.returncode == 130
    assert json.loads(last)["event"] == "cancelled"
    kept = len(answers_file.read(out))
    assert 1 <= kept < 40
    done = call(*words, "--resume")
    assert done.returncode == 0, done.stderr
    assert next(event for event in events(done) if event["event"] == "batch_started")["kept"] == kept
    assert len(answers_file.read(out)) == 40


def test_lines_of_a_terminal() -> None:
    remark = cli_batch_report.remark
    assert remark(BatchStarted("a.jsonl", 1, 1, 1, 0)) == "1 prompt, 1 answer. They go to a.jsonl"
    assert "3 of them are there already" in str(remark(BatchStarted("a.jsonl", 4, 2, 8, 3)))
    finished = BatchFinished("a.jsonl", 7, 1, 70, 2.0, 35.0, (("length", 0.5),), ((1, 0.25), (2, 0.5)))
    assert remark(finished) == (
        "7 answers, 1 could not be had; 70 tokens in 2.0 s, 35.0 tokens/s\n"
        "length: 0.500 on average\npass@1 25.0%, pass@2 50.0%"
    )
    failed = BatchAnswered(3, 1, "p", "", "", 0, 0, 0.0, 1, error="It is too long.")
    assert remark(failed) == "Row 3, sample 1: It is too long."
    progress = cli_batch_report.progress(BatchProgress(3, 9, 4, 100, 2.0))
    assert (progress.done, progress.total, progress.detail) == (3, 9, "4 open, 50 tokens/s")
    plan = str(remark(BatchPlanned(1, ("prompt",), "", (("", "long " * 90),), ("Beware.",))))
    assert "Beware." in plan
    assert plan.endswith("…")
