"""The command line as scripts see it: exit status, JSON lines, sentences."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.config import Sampling
from engine.events import from_json
from tests.engine.tiny import make_model

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "mlx_grpo"]


def run(*words: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        capture_output=True,
        text=True,
        input=text,
        cwd=ROOT,
        env=os.environ | environment,
        check=False,
    )


def events(output: str) -> list[dict[str, object]]:
    lines = output.splitlines()
    for line in lines:
        from_json(line)
    return [json.loads(line) for line in lines]


def test_an_answer_on_standard_output_and_nothing_else() -> None:
    done = run("generate", "--model", "starter", "--prompt", "What is 47 + 38?", "--temperature", "0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("<reasoning>")
    assert done.stdout.endswith("</answer>\n")
    assert done.stderr == ""
    streamed = run("generate", "--prompt", "What is 47 + 38?", "--temperature", "0", "--stream", "--verbose")
    assert streamed.stdout == done.stdout
    assert "tokens/s" in streamed.stderr


def test_json_is_one_event_a_line() -> None:
    done = run("generate", "--prompt", "-", "--temperature", "0", "--json", text="What is 47 + 38?")
    said = events(done.stdout)
    assert done.returncode == 0
    assert said[-1] == {"event": "done"}
    finished = said[-2]
    assert finished["event"] == "reply_finished"
    tokens = [event["text"] for event in said if event["event"] == "token"]
    assert "".join(map(str, tokens)) == finished["text"]
    assert {"progress", "model_loaded", "prompt_read"} <= {str(event["event"]) for event in said}


def test_every_sampling_setting_is_an_option() -> None:
    words = ["--top-p", "0.9", "--top-k", "5", "--min-p", "0.01", "--repetition-penalty", "1.1", "--max-tokens", "4"]
    words += ["--seed", "3", "--stop", "x", "--stop", "y", "--temperature", "1.2"]
    one = run("generate", "-p", "What is 11 + 12?", *words)
    two = run("generate", "-p", "What is 11 + 12?", *words)
    assert one.returncode == 0, one.stderr
    assert one.stdout == two.stdout
    text = run("generate", "--help").stdout
    assert all(f"--{name.replace('_', '-')}" in text for name in Sampling.model_fields)


@pytest.mark.parametrize(
    ("words", "sentence", "remedy"),
    [
        (["generate", "-m", "/no/such", "-p", "x"], "There is no model at /no/such.", "Hugging Face id"),
        (["generate", "-p", "  "], "There is nothing to answer.", "Write something"),
        (["generate", "-p", "x", "--top-p", "3"], "top_p cannot be 3.0", "another value"),
        (["generate", "-p", "7" * 3000], "longer than the model can read", "Shorten"),
        (["generate", "-m", "owner/absent", "-p", "x"], "owner/absent", ""),
    ],
)
def test_bad_input_gets_sentences_and_exit_status_2(words: list[str], sentence: str, remedy: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert sentence in done.stderr
    assert remedy in done.stderr
    assert "Traceback" not in done.stderr
    as_json = run(*words, "--json")
    assert as_json.returncode == 2
    failed = events(as_json.stdout)[-1]
    assert failed["event"] == "failed"
    assert failed["fault"] == "input"


@pytest.mark.parametrize("words", [["nonsense"], ["generate", "--nonsense"], ["generate", "--top-p", "x"]])
def test_a_word_it_does_not_know(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_bug_of_ours_is_exit_status_1_with_the_traceback_in_the_log(home: Path) -> None:
    code = (
        "import sys; from engine import cli, jobs\n"
        "def broken(request, bench):\n    raise ZeroDivisionError('oops')\n    yield\n"
        "jobs.start = broken\ncli.run(['doctor'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "ZeroDivisionError: oops" in done.stderr
    assert "Traceback" in (home / "mlx-grpo.log").read_text()


def test_interrupted_is_130_and_the_ending_is_said() -> None:
    child = subprocess.Popen(
        [*COMMAND, "chat", "--json"], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert child.stdout is not None
    for line in child.stdout:
        if '"model_loaded"' in line:
            break
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    rest, _ = child.communicate(timeout=20)
    assert child.returncode == 130
    assert events(rest)[-1] == {"event": "cancelled"}


def test_a_reader_that_goes_away_is_no_error() -> None:
    words = " ".join([*COMMAND, "generate", "-p", "'What is 1 + 1?'", "--json"])
    done = subprocess.run(["sh", "-c", f"{words} | head -n 1"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_a_conversation_in_the_terminal() -> None:
    lines = "What is 47 + 38?\n/again\n/system Be brief.\n90 - 41\nclear\n/again\n/nonsense\nquit\nnever read\n"
    done = run("chat", "--temperature", "0", text=lines)
    assert done.returncode == 0, done.stderr
    answers = [line for line in done.stdout.splitlines() if line]
    assert len(answers) == 3
    assert answers[0] == answers[1]
    assert "nothing to answer again" in done.stderr
    assert done.stderr.count("/quit") == 2
    as_json = run("chat", "--json", "--temperature", "0", text="What is 47 + 38?\n90 - 41\n")
    finished = [event for event in events(as_json.stdout) if event["event"] == "reply_finished"]
    assert finished[1]["cached_tokens"] > finished[0]["prompt_tokens"]  # type: ignore[operator]


def test_window_and_memory_of_a_chat_are_options() -> None:
    lines = "\n".join(f"What is {number} + 38? " * 20 for number in range(6))
    words = ["--when-full", "drop-oldest", "--kv-bits", "8", "--draft", "auto", "--max-tokens", "8"]
    done = run("chat", "--json", *words, text=lines + "\n")
    assert done.returncode == 0, done.stderr
    said = events(done.stdout)
    left_out = [event["left_out"] for event in said if event["event"] == "reply_finished"]
    assert left_out[0] == 0 < left_out[-1]  # type: ignore[operator]
    notes = [str(event["text"]) for event in said if event["event"] == "note"]
    assert [("compressed" in note, "guesses ahead" in note) for note in notes] == [(False, True), (True, False)]
    wrong = run("generate", "-p", "x", "--when-full", "explode")
    assert wrong.returncode == 2
    assert "explode" in wrong.stderr


def test_the_original_projects_spellings(tmp_path: Path) -> None:
    folder = str(make_model(tmp_path / "mlx_model"))
    done = run("generate", "--model", folder, "--chat", "--max-tokens", "3", text="hello\nexit\n")
    assert done.returncode == 0, done.stderr
    words = ["--temperature", "0.7", "--top-p", "0.95", "--repetition-penalty", "1.0", "--stream", "--verbose"]
    done = run("generate", "--model", folder, "--prompt", "hi", "--trust-remote-code", "--max-tokens", "3", *words)
    assert done.returncode == 0, done.stderr


def test_raw_text_is_continued_without_the_template() -> None:
    done = run("generate", "-p", "What is", "--raw", "--json", "--max-tokens", "2")
    finished = events(done.stdout)[-2]
    assert finished["prompt_tokens"] < 8  # type: ignore[operator]


def test_an_adapter_is_put_on_the_model(tmp_path: Path) -> None:
    bad = run("generate", "-p", "x", "--adapter", str(tmp_path))
    assert bad.returncode == 2
    assert "adapter" in bad.stderr


def test_doctor_says_what_it_found() -> None:
    done = run("doctor", "--json")
    assert done.returncode == 0
    subjects = {event.get("subject") for event in events(done.stdout)}
    assert {"System", "mlx", "Device", "Memory", "Disk", "Demonstration model"} <= subjects


def test_models_on_this_computer_are_listed(home: Path) -> None:
    make_model(home / "Models" / "mine")
    done = run("models", "list", "--json")
    names = [event["name"] for event in events(done.stdout) if event["event"] == "model_found"]
    assert names == ["starter", "mine"]


def test_without_a_command_it_needs_the_window() -> None:
    done = subprocess.run([sys.executable, "-m", "engine.cli"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "command is needed" in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_trouble(closed: str) -> None:
    words = " ".join([*COMMAND, "generate", "-p", "'What is 1 + 1?'", "--max-tokens", "3"])
    done = subprocess.run(["sh", "-c", f"{words} {closed}"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_odd_places_and_names_get_sentences(tmp_path: Path) -> None:
    assert run("generate", "-p", "x", "-m", "~nobody-here/model").returncode == 2
    assert "Traceback" not in run("doctor", MLX_GRPO_HOME="~nobody-here/x").stderr
    folder = make_model(tmp_path / "m")
    (folder / "config.json").write_text("[" * 100_000)
    assert run("generate", "-p", "x", "-m", str(folder)).returncode == 2


@pytest.mark.parametrize(
    "values", [{"max_position_embeddings": None}, {"num_attention_heads": 0}, {"eos_token_id": "x"}]
)
def test_wrong_values_in_a_config_are_the_files_fault(tmp_path: Path, values: dict[str, object]) -> None:
    folder = make_model(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))
    done = run("generate", "-p", "x", "-m", str(folder))
    assert done.returncode in {0, 2}, done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_sees_a_home_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("doctor", "--json", MLX_GRPO_HOME=str(tmp_path / "file"))
    (disk,) = [event for event in events(done.stdout) if event.get("subject") == "Disk"]
    assert disk["state"] == "wrong"


def test_the_address_of_a_models_page_names_the_model() -> None:
    done = run("generate", "-p", "x", "-m", "https://huggingface.co/owner/absent")
    assert done.returncode == 2
    assert "The folder does not exist" not in done.stderr
