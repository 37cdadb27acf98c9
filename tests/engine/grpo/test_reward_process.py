from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.grpo.reward_process import ProcessEndedError, RewardProcess

FILE = "engine.grpo.reward_file"


def test_a_process_that_never_ran_is_closed_without_fuss(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("def one(completions, **columns):\n    return [1.0]\n")
    process = RewardProcess(FILE, {"path": str(path), "wanted": ["one"]})
    process.open(60.0).close()
    process.close()
    process.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    # It can be used all the same.
    request = {"names": ["one"], "columns": {}, "completions": ["go"]}
    assert {"name": "one", "scores": [1.0]} in list(process.ask(request, 60.0))
    process.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_fault_of_ours_comes_with_its_traceback() -> None:
    process = RewardProcess(FILE, {"nothing": "it knows"})
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*KeyError: 'path'"):
        list(process.open(60.0))


def test_one_that_ended_meanwhile_is_noticed_and_started_anew(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "import os, threading\n"
        "def late(completions, **columns):\n"
        "    if completions[0] == 'end': os._exit(9)\n"
        "    return [1.0]\n"
    )
    process = RewardProcess(FILE, {"path": str(path), "wanted": ["late"]})
    request = {"names": ["late"], "columns": {}}
    with pytest.raises(ProcessEndedError, match="status 9"):
        list(process.ask({**request, "completions": ["end"]}, 60.0))
    said = [message for message in process.ask({**request, "completions": ["go"]}, 60.0) if message is not None]
    assert said == [{"name": "late", "scores": [1.0]}]
    process.close()
