"""Rewards that are tried on the starter's own completions, and every way in which one can be at fault."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from engine import jobs
from engine.errors import UserError
from engine.events import Event, Note
from engine.grpo.settings import TrainConfig
from engine.jobs import Workbench
from engine.monitor.requests import TryRewards
from engine.run_events import CompletionScored, RewardFault
from tests.engine.grpo.runs import only, rows, tiny

RIGHT = "<reasoning>so</reasoning>\n<answer>{answer}</answer>"


@pytest.fixture(name="bench")
def _bench() -> Any:
    bench = Workbench()
    yield bench
    list(bench.clear())


def tried(config: TrainConfig, bench: Workbench, *texts: str, row: int = 0, live: int = 0) -> list[Event]:
    return list(jobs.start(TryRewards(config, row, texts, live), bench))


def own(folder: Path, source: str, *names: str, **changes: Any) -> TrainConfig:
    """The tiny run with `accuracy` and rewards of a file of its own."""
    file = folder / "mine.py"
    file.write_text(source, "utf-8")
    return tiny(folder, rewards=["accuracy", *names], reward_weights=[], reward_file=str(file), **changes)


def test_texts_are_scored_by_the_rewards_with_their_weights(tmp_path: Path, bench: Workbench) -> None:
    config = tiny(tmp_path, rewards=["accuracy", "strict_format", "length"], reward_weights=[1.0, 0.5, 0.0])
    (first,) = only(tried(config, bench, "nothing"), CompletionScored)
    good, bad = only(tried(config, bench, RIGHT.format(answer=first.answer), "42"), CompletionScored)
    assert good.scores[:2] == (("accuracy", 1.0), ("strict_format", 0.5))
    assert (good.total, good.live) == (1.25, False)
    assert bad.total == 0.0
    assert good.tokens > bad.tokens > 0
    assert bench.session is None, "texts alone need no weights"
    (other,) = only(tried(config, bench, "x", row=1), CompletionScored)
    assert other.question != first.question


def test_live_completions_are_the_models_own_and_differ(tmp_path: Path, bench: Workbench) -> None:
    """They carry the prefill, end where those of training do, and the model stays for the next trial."""
    config = tiny(tmp_path, temperature=1.5, completion_prefill="<reasoning>")
    found = only(tried(config, bench, live=6), CompletionScored)
    assert len(found) == 6
    assert all(one.live and one.completion.startswith("<reasoning>") for one in found)
    assert len({one.completion for one in found}) > 1
    assert all(0 < one.tokens <= config.longest_completion for one in found)
    session = bench.session
    assert session is not None
    again = only(tried(config, bench, "mine", live=2), CompletionScored)
    assert [one.live for one in again] == [False, True, True]
    assert bench.session is session
    short = only(tried(config.model_copy(update={"max_new_tokens": 3}), bench, live=3), CompletionScored)
    assert [one.tokens for one in short] == [3, 3, 3]


def test_a_trial_that_is_closed_leaves_no_process(tmp_path: Path, bench: Workbench) -> None:
    source = "import os, time\ndef slow(completions, **columns):\n    open('{}', 'w').write(str(os.getpid()))\n"
    mark = tmp_path / "process"
    config = own(tmp_path, source.format(mark) + "    time.sleep(60)\n", "slow")
    steps = jobs.start(TryRewards(config, 0, ("text",)), bench)
    for _ in steps:
        if mark.exists() and mark.read_text():
            break
    steps.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


FAULTS = """import math


def raises(completions, **columns):
    figures = [1]
    return [figures[len(text)] for text in completions]


def short(completions, **columns):
    return [1.0]


def words(completions, **columns):
    return ["good"] * len(completions)


def hangs(completions, **columns):
    while True:
        math.sqrt(2)


def leaves(completions, **columns):
    import os

    os._exit(3)


def bare(completions):
    return [1.0] * len(completions)
"""


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [
        ("raises", 6, "IndexError"),
        ("short", 9, "2 completions and returned 1"),
        ("words", 13, "'good'"),
        ("hangs", 17, "time limit"),
        ("leaves", 22, "status 3"),
        ("bare", 28, "all columns"),
        ("missing", 0, "nor a public function"),
    ],
)
def test_a_fault_is_told_with_its_line_and_the_others_still_score(
    tmp_path: Path, bench: Workbench, name: str, line: int, words: str
) -> None:
    config = own(tmp_path, FAULTS, name, reward_timeout=1.0)
    events = tried(config, bench, "one", "two")
    (fault,) = only(events, RewardFault)
    assert (fault.reward, fault.line) == (name, line)
    assert words in f"{fault.what} {fault.why}"
    assert fault.remedy
    scored = only(events, CompletionScored)
    assert [one.scores for one in scored] == [(("accuracy", 0.0), (name, None))] * 2


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("\n" * 6 + "def broken(completions, **columns:\n    return []\n", 7, "def broken"),
        ("import nothing_of_this_name\n", 1, "ModuleNotFoundError"),
        ("import helper\n", 1, "helper.py, line 2"),
        ("x = 1\nraise SystemExit(2)\n", 2, "SystemExit"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_told_with_its_line(
    tmp_path: Path, bench: Workbench, source: str, line: int, words: str
) -> None:
    (tmp_path / "helper.py").write_text("x = 1\nthis is no Python\n")
    events = tried(own(tmp_path, source, "broken"), bench, "text")
    (fault,) = only(events, RewardFault)
    assert fault.line == line
    assert words in f"{fault.what} {fault.why}"
    assert [one.scores for one in only(events, CompletionScored)] == [(("accuracy", 0.0), ("broken", None))]


def test_two_faults_are_both_told(tmp_path: Path, bench: Workbench) -> None:
    events = tried(own(tmp_path, FAULTS, "raises", "words"), bench, "one")
    assert [fault.reward for fault in only(events, RewardFault)] == ["raises", "words"]


def test_what_a_reward_prints_disturbs_nothing(tmp_path: Path, bench: Workbench) -> None:
    source = "def loud(completions, **columns):\n    print('{\"end\": true}')\n    return [2.0] * len(completions)\n"
    (one,) = only(tried(own(tmp_path, source, "loud"), bench, "text"), CompletionScored)
    assert one.total == 2.0


def test_without_the_model_texts_are_scored_and_live_ones_are_refused(tmp_path: Path, bench: Workbench) -> None:
    config = tiny(tmp_path, model_name="some/model")
    events = tried(config, bench, "text")
    assert only(events, Note)
    assert only(events, CompletionScored)[0].tokens == 0
    with pytest.raises(UserError, match="not on this computer"):
        tried(config, bench, live=1)


def test_a_row_that_is_not_there_is_refused(tmp_path: Path, bench: Workbench) -> None:
    file = rows(tmp_path, [("1 + 1?", "2")])
    with pytest.raises(UserError, match="no row 5"):
        tried(tiny(tmp_path, dataset=str(file)), bench, "text", row=4)
