"""`compare` as scripts see it: the same question and seed for all, and who is at fault."""

from __future__ import annotations

from pathlib import Path

from tests.engine.test_cli import events, run
from tests.engine.tiny import make_model

QUESTION = ("--prompt", "What is 47 + 38?")


def test_answers_stand_below_their_models() -> None:
    done = run("compare", "--model", "starter", "--model", "starter", *QUESTION)
    assert done.returncode == 0, done.stderr
    blank, first, second = done.stdout.split("── starter\n")
    assert blank == ""
    assert first.strip() == second.strip() != ""
    assert done.stderr == ""


def test_json_names_each_model_and_all_have_one_seed(tmp_path: Path) -> None:
    other = str(make_model(tmp_path / "other", seed=3))
    done = run("compare", "-m", "starter", "-m", other, "--json", "--max-tokens", "12", *QUESTION)
    said = events(done.stdout)
    assert done.returncode == 0, done.stdout
    assert [event["text"] for event in said if event["event"] == "note"] == ["starter", other]
    seeds = [event["seed"] for event in said if event["event"] == "reply_finished"]
    assert len(seeds) == 2
    assert len(set(seeds)) == 1
    assert [event["event"] for event in said].count("model_loaded") == 2
    assert said[-1] == {"event": "done"}


def test_one_alone_is_no_comparison() -> None:
    done = run("compare", "--model", "starter", *QUESTION)
    assert done.returncode == 2
    assert "nothing to compare with" in done.stderr
    assert "Traceback" not in done.stderr
