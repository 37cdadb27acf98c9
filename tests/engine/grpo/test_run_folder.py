"""A run's folder: its name, its settings, its lock, and that it can be taken back to a checkpoint."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.errors import UserError
from engine.events import Event, Note, from_json
from engine.grpo import checkpoint, run_folder
from engine.grpo.settings import TrainConfig
from engine.training_events import CheckpointSaved, TrainingStarted, TrainingStopped

_STARTER = TrainConfig(model_name="starter")


def _create(tmp_path: Path, **keys: object) -> run_folder.RunFolder:
    return run_folder.create(TrainConfig(**({"model_name": "starter", "output_dir": str(tmp_path)} | keys)))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("starter", "starter-1"),
        ("Qwen/Qwen2.5-1.5B-Instruct", "Qwen2.5-1.5B-Instruct-1"),
        ("/models/My model/", "My-model-1"),
        ("owner/model:Q4_K_M", "model-Q4_K_M-1"),
        ("owner/model/file.gguf", "file-1"),
        ("/", "run-1"),
    ],
)
def test_a_run_is_called_after_its_model(tmp_path: Path, model: str, name: str) -> None:
    with _create(tmp_path, model_name=model) as run:
        assert run.folder == tmp_path / name
        assert run.checkpoints == tmp_path / name / "checkpoints"


def test_runs_get_the_smallest_free_number_in_the_programs_own_folder(home: Path) -> None:
    for _ in range(3):
        run_folder.create(_STARTER).close()
    second = home / "Runs" / "starter-2"
    for path in second.iterdir():
        path.unlink()
    second.rmdir()

    with run_folder.create(_STARTER) as run:
        assert run.folder == second


def test_an_empty_folder_can_become_a_run_and_others_cannot(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    _create(tmp_path, run_name="mine").close()

    with pytest.raises(UserError, match="exists already") as raised:
        _create(tmp_path, run_name="mine")
    assert "Resume it" in raised.value.remedy

    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="exists already"):
        _create(tmp_path, run_name="other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("name", ["a/b", "..", "../other", "/etc", "a\0b", "a\nb"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot be called"):
        _create(tmp_path, run_name=name)
    assert list(tmp_path.iterdir()) == []


def test_impossible_places_are_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for keys in ({"output_dir": str(tmp_path / "file")}, {"run_name": "file"}, {"run_name": "long" * 100}):
        with pytest.raises(UserError):
            _create(tmp_path, **keys)
    with pytest.raises(UserError):
        run_folder.open_existing("long" * 100)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@st.composite
def _configs(draw: st.DrawFn) -> TrainConfig:
    letters = st.characters(exclude_categories=["Cs"])
    text = st.text(letters)
    values = {
        "model_name": draw(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0~"))),
        "system_prompt": draw(text),
        "columns": draw(st.dictionaries(text, text, max_size=3)),
        "stop": draw(st.lists(st.text(letters, min_size=1), max_size=3)),
        "learning_rate": draw(st.floats(1e-30, 1.0)),
        "clip_eps_high": draw(st.none() | st.floats(1e-3, 1e6)),
        "report_to": draw(st.lists(st.sampled_from(["tensorboard", "wandb"]), max_size=2)),
        "fuse": draw(st.booleans()),
    }
    return TrainConfig(**values)


@settings(deadline=None)
@given(config=_configs())
def test_settings_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, config: TrainConfig) -> None:
    config = config.model_copy(update={"output_dir": str(tmp_path_factory.mktemp("runs"))})
    with run_folder.create(config) as run:
        folder = run.folder

    with run_folder.open_existing(folder) as again:
        assert again.config == config


def test_every_setting_is_written_for_a_later_version_with_other_defaults(tmp_path: Path) -> None:
    with _create(tmp_path) as run:
        text = (run.folder / "config.toml").read_text("utf-8")

    missing = {name for name in TrainConfig.model_fields if f"{name} = " not in text and f"[{name}]" not in text}
    assert missing == {"clip_eps_high", "clip_delta"}


def test_changed_settings_replace_the_old_ones(tmp_path: Path) -> None:
    with _create(tmp_path, max_steps=10) as run:
        more = run.config.model_copy(update={"max_steps": 20})
        run.replace_config(more)
        assert run.config == more

    with run_folder.open_existing(run.folder) as again:
        assert again.config.max_steps == 20


def test_a_run_is_found_by_path_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_folder.create(_STARTER).close()
    _create(tmp_path, run_name="mine").close()
    monkeypatch.chdir(tmp_path)

    for name, output_dir in (("starter-1", ""), ("mine", ""), ("mine", str(tmp_path)), (tmp_path / "mine", "")):
        with run_folder.open_existing(name, output_dir) as run:
            assert run.folder.is_absolute()
            assert run.folder.name == Path(name).name

    with pytest.raises(UserError, match="no run started-1") as raised:
        run_folder.open_existing("started-1")
    assert "starter-1" in raised.value.remedy
    with pytest.raises(UserError) as raised:
        run_folder.open_existing("xyz")
    assert "Known runs: starter-1" in raised.value.remedy


def test_a_damaged_config_is_said_and_gives_the_lock_back(tmp_path: Path) -> None:
    with _create(tmp_path) as run:
        whole = (run.folder / "config.toml").read_bytes()
        (run.folder / "config.toml").write_bytes(whole[: len(whole) // 2] + b'"""')

    with pytest.raises(UserError, match=r"settings of the run .* are damaged") as raised:
        run_folder.open_existing(run.folder)
    assert "backup" in raised.value.remedy
    (run.folder / "config.toml").write_bytes(whole)
    run_folder.open_existing(run.folder).close()


def test_a_config_that_was_cut_is_not_filled_with_defaults(tmp_path: Path) -> None:
    with _create(tmp_path, seed=7) as run:
        lines = (run.folder / "config.toml").read_text("utf-8").splitlines(keepends=True)
    for kept in ([], lines[:-1], lines[1:]):
        (run.folder / "config.toml").write_text("".join(kept), "utf-8")
        with pytest.raises(UserError, match="are damaged"):
            run_folder.open_existing(run.folder)
    (run.folder / "config.toml").write_text("".join(lines), "utf-8-sig")
    with run_folder.open_existing(run.folder) as again:
        assert again.config.seed == 7


def test_two_cannot_train_in_one_folder(tmp_path: Path) -> None:
    run = _create(tmp_path)
    with pytest.raises(UserError, match="Another process trains") as raised:
        run_folder.open_existing(run.folder)
    assert str(os.getpid()) in raised.value.why

    program = "import sys; from engine.grpo import run_folder; run_folder.open_existing(sys.argv[1])"
    command = [sys.executable, "-c", program, str(run.folder)]
    child = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "Another process trains" in child.stderr

    run.close()
    run.close()
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
    run_folder.open_existing(run.folder).close()


def test_the_lock_ends_with_a_killed_process(tmp_path: Path) -> None:
    with _create(tmp_path) as run:
        pass
    program = (
        "import os, sys; from engine.grpo import run_folder;"
        "run = run_folder.open_existing(sys.argv[1]); os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", program, str(run.folder)]
    assert subprocess.run(command, check=False, timeout=60).returncode == -9

    run_folder.open_existing(run.folder).close()


def test_events_and_samples_are_lines_that_others_can_read_at_once(tmp_path: Path) -> None:
    samples = [{"text": "两\u2028lines\n", "score": 0.1 + 0.2}, {"text": "half a pair: \ud83d"}]
    with _create(tmp_path) as run:
        run.append_event(Note("one"))
        run.append_event(Note("half a pair: \ud83d"))
        run.append_samples(samples)
        run.append_samples([])

        events = (run.folder / "events.jsonl").read_bytes().decode().split("\n")
        lines = (run.folder / "samples.jsonl").read_bytes().decode().split("\n")
    assert [from_json(line) for line in events[:-1]] == [Note("one"), Note("half a pair: \ud83d")]
    assert [json.loads(line) for line in lines[:-1]] == samples
    assert events[-1] == lines[-1] == ""


def test_a_resumed_run_goes_on_after_its_last_line(tmp_path: Path) -> None:
    with _create(tmp_path) as run:
        run.append_event(Note("one"))
    with run_folder.open_existing(run.folder) as again:
        again.append_event(Note("two"))

    lines = (run.folder / "events.jsonl").read_text("utf-8").splitlines()
    assert [from_json(line) for line in lines] == [Note("one"), Note("two")]


def test_rewinding_gives_the_folder_of_the_checkpoint(tmp_path: Path) -> None:
    with _create(tmp_path) as run:
        run.append_event(Note("before"))
        run.append_samples([{"text": "before"}])
        sizes = run.sizes()
        expected = {name: (run.folder / name).read_bytes() for name in sizes}
        for step in (5, 10):
            checkpoint.save(run.checkpoints, step, {"adapters": {"a": mx.zeros(2)}}, {"sizes": sizes})
        run.append_event(Note("after"))
        run.append_samples([{"text": "after"}])
    with (run.folder / "events.jsonl").open("ab") as file:
        file.write(b'{"event": "no')

    with run_folder.open_existing(run.folder) as again:
        again.rewind(5, checkpoint.load(run.checkpoints / "000005").state["sizes"])
        assert {name: (run.folder / name).read_bytes() for name in sizes} == expected
        assert [path.name for path in run.checkpoints.iterdir()] == ["000005"]

        again.append_event(Note("anew"))
        assert (run.folder / "events.jsonl").read_bytes().startswith(expected["events.jsonl"])

        again.rewind(0, {})
        assert again.sizes() == {"events.jsonl": 0, "samples.jsonl": 0}
        assert list(run.checkpoints.iterdir()) == []


def test_a_file_that_lost_lines_loses_no_more_than_the_half_written_one(tmp_path: Path) -> None:
    with _create(tmp_path) as run:
        run.append_event(Note("one"))
        run.append_event(Note("two"))
        sizes = run.sizes()
        whole = (run.folder / "events.jsonl").read_bytes()
        (run.folder / "events.jsonl").write_bytes(whole[:-4])
        (run.folder / "samples.jsonl").unlink()

    with run_folder.open_existing(run.folder) as again:
        again.rewind(0, sizes | {"samples.jsonl": 100})

        assert (run.folder / "events.jsonl").read_bytes() == whole.splitlines(keepends=True)[0]
        assert (run.folder / "samples.jsonl").read_bytes() == b""


_FULL = """
import resource, signal, sys
from engine.errors import UserError
from engine.events import Note
from engine.grpo import run_folder
run = run_folder.open_existing(sys.argv[1])
before = run.sizes()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
for write in (
    lambda: run.append_event(Note("x" * 9_000)),
    lambda: run.append_samples([{"text": "x"}, {"text": "x" * 9_000}]),
    lambda: run.replace_config(run.config.model_copy(update={"system_prompt": "x" * 9_000})),
):
    try:
        write()
    except UserError as error:
        print(error.what, error.why)
assert run.sizes() == before
run.append_event(Note("small"))
"""


def test_where_nothing_more_can_be_written_nothing_half_is(tmp_path: Path) -> None:
    with _create(tmp_path) as run:
        run.append_event(Note("one"))
    config = (run.folder / "config.toml").read_bytes()

    child = subprocess.run(
        [sys.executable, "-c", _FULL, str(run.folder)], capture_output=True, text=True, check=False, timeout=60
    )

    assert child.returncode == 0, child.stderr
    assert child.stdout.count(os.strerror(errno.EFBIG)) == 3
    assert "samples.jsonl" in child.stdout
    lines = (run.folder / "events.jsonl").read_text("utf-8").splitlines()
    assert [from_json(line) for line in lines] == [Note("one"), Note("small")]
    assert (run.folder / "config.toml").read_bytes() == config
    assert not list(run.folder.glob("*.partial"))


def test_a_config_is_not_changed_in_place(tmp_path: Path) -> None:
    with _create(tmp_path) as run, pytest.raises(ValidationError):
        run.config.max_steps = 1


_KILLED_WRITING = """
import os, sys
os.fsync = lambda _: os.kill(os.getpid(), 9)
from engine.grpo import run_folder
from engine.grpo.settings import TrainConfig
if sys.argv[2:]:
    run_folder.create(TrainConfig(model_name="starter", output_dir=sys.argv[1], run_name=sys.argv[2]))
else:
    run = run_folder.open_existing(sys.argv[1])
    run.replace_config(run.config)
"""


def _killed_writing(*arguments: str) -> None:
    command = [sys.executable, "-c", _KILLED_WRITING, *arguments]
    assert subprocess.run(command, check=False, timeout=60).returncode == -9


def test_a_process_killed_while_it_began_a_run_does_not_take_its_name(tmp_path: Path) -> None:
    _killed_writing(str(tmp_path), "mine")
    left = {path.name for path in (tmp_path / "mine").iterdir()}
    assert left == {".lock", ".config.toml.partial"}
    with _create(tmp_path, run_name="mine") as run:
        assert {path.name for path in run.folder.iterdir()} == {".lock", "config.toml", "events.jsonl", "samples.jsonl"}


def test_half_written_settings_are_cleared_away_on_resume(tmp_path: Path) -> None:
    with _create(tmp_path) as run:
        before = {path.name for path in run.folder.iterdir()}
    _killed_writing(str(run.folder))
    assert {path.name for path in run.folder.iterdir()} == before | {".config.toml.partial"}
    with run_folder.open_existing(run.folder) as again:
        assert {path.name for path in again.folder.iterdir()} == before


@pytest.mark.parametrize("moment", ["writing", "swapping", "swapped"])
def test_half_written_models_are_cleared_away_on_resume(moment: str, tmp_path: Path) -> None:
    with _create(tmp_path) as run:
        before = {path.name for path in run.folder.iterdir()}
    parts = {"writing": ("model", ".model-x/new"), "swapping": (".model-x/old", ".model-x/new")}
    for part in (*parts.get(moment, ("model", ".model-x/old")), ".fused-y/new"):
        (run.folder / part).mkdir(parents=True)
        (run.folder / part / "weights").write_text(part)
    with run_folder.open_existing(run.folder):
        assert {path.name for path in run.folder.iterdir()} == before | {"model"}
    # In the middle of a swap the new model is whole, and the old one is away.
    expected = ".model-x/new" if moment == "swapping" else "model"
    assert (run.folder / "model" / "weights").read_text() == expected


def test_a_record_that_goes_on_is_not_told_again_how_it_began(tmp_path: Path) -> None:
    began = TrainingStarted("/runs/one", "starter", "full", 5, 0, 10, resumed=False)
    with _create(tmp_path) as run:
        run.append_news([Note("no sharing"), began])
        run.append_event(Note("a step"))
    again = TrainingStarted("/runs/one", "starter", "full", 5, 4, 10, resumed=True)
    longer = TrainingStarted("/runs/one", "starter", "full", 5, 4, 20, resumed=True)
    with run_folder.open_existing(run.folder) as resumed:
        resumed.append_news([Note("damaged"), Note("no sharing"), again])
        resumed.append_news([Note("a step"), longer])
    lines = (run.folder / "events.jsonl").read_text("utf-8").splitlines()
    said = [Note("no sharing"), began, Note("a step"), Note("damaged"), Note("a step"), longer]
    assert [from_json(line) for line in lines] == said


@pytest.mark.parametrize(
    ("event", "saved"),
    [
        (CheckpointSaved(2, "/runs/one"), True),
        (TrainingStopped("/runs/one", 3), True),
        (TrainingStopped("/runs/one", 0), False),
        (Note('{"event": "checkpoint_saved"'), False),
    ],
)
def test_a_record_tells_whether_there_was_a_checkpoint(event: Event, saved: bool, tmp_path: Path) -> None:
    with _create(tmp_path) as run:
        assert not run.has_saved()
        run.append_event(event)
        assert run.has_saved() == saved


def test_a_record_with_other_bytes_than_text_goes_on(tmp_path: Path) -> None:
    with _create(tmp_path) as run:
        run.append_news([Note("half a pair: \ud83d")])
    with (run.folder / "events.jsonl").open("ab") as file:
        file.write(b"\xff\xfe\n")
    with run_folder.open_existing(run.folder) as resumed:
        resumed.append_news([Note("half a pair: \ud83d"), Note("more")])
    lines = (run.folder / "events.jsonl").read_bytes().splitlines()
    assert lines[1] == b"\xff\xfe"
    assert from_json(lines[2].decode()) == Note("more")
