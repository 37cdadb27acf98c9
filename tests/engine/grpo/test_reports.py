"""Figures reach TensorBoard and Weights & Biases, once each, and nothing of theirs is left running."""

from __future__ import annotations

import math
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.grpo.reports import Reports
from engine.grpo.settings import TrainConfig
from engine.training_events import Evaluated, StepFinished

_CONFIG = TrainConfig(model_name="starter")


def _step(step: int, reward: float = 0.5) -> StepFinished:
    return StepFinished(
        step=step,
        steps=10,
        epoch=0.1,
        loss=-0.25,
        reward=reward,
        reward_spread=0.5,
        rewards=(("correctness", 1.5, 0.25), ("integer", 0.5, math.nan)),
        flat_groups=0.0,
        replaced=0,
        kl=None,
        entropy=0.75,
        ratio=1.0,
        clipped_low=0.0,
        clipped_high=0.0,
        gradient_norm=0.125,
        learning_rate=1e-6,
        completions=8,
        tokens=100,
        mean_length=12.5,
        shortest=3,
        longest=20,
        cut_short=0.0,
        rollout_seconds=1.0,
        reward_seconds=0.0,
        update_seconds=1.0,
        elapsed=2.0,
        peak_memory=1 << 40,
        rows=(1, 2),
    )


def _evaluated(step: int, when: str = "during", accuracy: float = 0.5) -> Evaluated:
    return Evaluated(
        when=when,  # type: ignore[arg-type]
        step=step,
        rows=10,
        accuracy=accuracy,
        low=0.25,
        high=0.75,
        format_rate=1.0,
        mean_reward=2.0,
        mean_length=10.0,
        cut_short=0.0,
        seconds=1.0,
        elapsed=2.0,
        generations=4,
        sampled_accuracy=0.5,
        pass_at_k=((1, 0.5), (4, 0.875)),
    )


def _tensorboard(run: Path) -> dict[str, dict[int, float]]:
    """What TensorBoard shows of a run's event files: by name and step, less what a restart took back."""
    from tensorboardX.proto import event_pb2

    shown: dict[str, dict[int, float]] = {}
    for file in sorted((run / "tensorboard").iterdir(), key=lambda file: file.stat().st_mtime_ns):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack_from("<Q", data)
            event = event_pb2.Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            if event.session_log.status == event_pb2.SessionLog.START:
                shown = {
                    name: {step: value for step, value in values.items() if step < event.step}
                    for name, values in shown.items()
                }
            for value in event.summary.value:
                assert event.step not in shown.setdefault(value.tag, {})
                shown[value.tag][event.step] = value.simple_value
    return shown


def _wandb(run: Path) -> list[dict[int, dict[str, str]]]:
    """The figures of each offline part of the run, by step, as JSON texts."""
    from wandb.proto import wandb_internal_pb2

    parts = []
    for file in sorted(run.glob("wandb/offline-run-*/*.wandb")):
        part: dict[int, dict[str, str]] = {}
        for data in _records(file.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(data)
            if record.WhichOneof("record_type") == "history":
                values = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
                part.setdefault(record.history.step.num, {}).update(values)
        parts.append(part)
    return parts


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a file in the log format of LevelDB: blocks of 32 KiB; this one begins with 7 bytes of its own."""
    place, record = 7, b""
    while place + 7 <= len(data):
        if 0x8000 - place % 0x8000 < 7:
            place += 0x8000 - place % 0x8000
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        record += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {1, 4}:  # whole, or the last piece
            yield record
            record = b""


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")


def test_tensorboard_shows_every_figure_under_its_step(tmp_path: Path) -> None:
    threads = threading.enumerate()
    reports = Reports(("tensorboard",), tmp_path, _CONFIG)
    reports.evaluated(_evaluated(0, "before"))
    reports.step(_step(1))
    reports.step(_step(2, 0.75))
    reports.evaluated(_evaluated(2))
    reports.evaluated(_evaluated(2, "quick"))
    while_open = _tensorboard(tmp_path)
    reports.close()
    reports.close()

    shown = _tensorboard(tmp_path)
    assert shown.keys() == while_open.keys()
    assert shown["train/reward"] == {1: 0.5, 2: 0.75}
    assert shown["rewards/correctness/mean"] == {1: 1.5, 2: 1.5}
    assert math.isnan(shown["rewards/integer/spread"][1])
    assert shown["train/peak_memory"][1] == float(1 << 40)
    assert shown["evaluation/accuracy"] == {0: 0.5, 2: 0.5}
    assert shown["evaluation/pass@4"] == {0: 0.875, 2: 0.875}
    assert shown["quick_evaluation/accuracy"] == {2: 0.5}
    assert not {"train/kl", "train/step", "train/steps", "train/rows", "evaluation/when"} & shown.keys()
    assert threading.enumerate() == threads


@pytest.mark.parametrize("step", [0, 1, 2])
def test_tensorboard_forgets_the_steps_that_a_resume_takes_back(tmp_path: Path, step: int) -> None:
    first = Reports(("tensorboard",), tmp_path, _CONFIG)
    for done in (1, 2, 3):
        first.step(_step(done, 0.25))
    first.close()

    second = Reports(("tensorboard",), tmp_path, _CONFIG, step=step)
    for done in range(step + 1, 5):
        second.step(_step(done, 0.75))
    second.close()

    expected = {done: 0.25 if done <= step else 0.75 for done in (1, 2, 3, 4)}
    assert _tensorboard(tmp_path)["train/reward"] == expected


@pytest.mark.usefixtures("offline")
def test_wandb_keeps_every_figure_in_one_run_over_a_resume(tmp_path: Path) -> None:
    hooks, threads = (sys.exit, sys.excepthook, signal.getsignal(signal.SIGINT)), threading.enumerate()
    first = Reports(("wandb",), tmp_path, _CONFIG)
    first.step(_step(1))
    first.step(_step(2, 0.75))
    first.evaluated(_evaluated(2))
    first.close()
    identity = (tmp_path / "wandb_id").read_text("utf-8")
    second = Reports(("wandb",), tmp_path, _CONFIG, step=2)
    second.step(_step(3))
    second.close()
    second.close()

    steps = {step: part for parts in _wandb(tmp_path) for step, part in parts.items()}
    assert sorted(steps) == [1, 2, 3]
    assert steps[2]["train/reward"] == "0.75"
    assert steps[2]["evaluation/accuracy"] == "0.5"
    assert (tmp_path / "wandb_id").read_text("utf-8") == identity
    assert {file.stem for file in tmp_path.glob("wandb/offline-run-*/*.wandb")} == {f"run-{identity}"}
    assert (sys.exit, sys.excepthook, signal.getsignal(signal.SIGINT)) == hooks
    assert set(threading.enumerate()) <= set(threads)
    children = subprocess.run(["ps", "-A", "-o", "ppid=,args="], capture_output=True, text=True, check=True).stdout
    assert not [line for line in children.splitlines() if line.split()[0] == str(os.getpid()) and "wandb" in line]


@pytest.mark.usefixtures("offline")
def test_both_at_once_on_a_thread_that_is_not_the_main_one(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def run() -> None:
        reports = Reports(("tensorboard", "wandb", "wandb"), tmp_path, _CONFIG)
        reports.step(_step(1))
        reports.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()

    assert _tensorboard(tmp_path)["train/reward"] == {1: 0.5}
    assert _wandb(tmp_path)[0][1]["train/reward"] == "0.5"
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(("name", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(UserError, match=package) as raised:
        Reports((name,), tmp_path, _CONFIG)
    assert f"pip install {package}" in raised.value.remedy


def test_nobody_logged_in_is_said_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    threads = threading.enumerate()

    with pytest.raises(UserError, match="nobody is logged in"):
        Reports(("tensorboard", "wandb"), tmp_path, _CONFIG)
    assert set(threading.enumerate()) <= set(threads)


@pytest.mark.usefixtures("offline")
def test_what_wandb_refuses_is_said_in_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "a/b")
    hooks, threads = (sys.exit, sys.excepthook), threading.enumerate()

    with pytest.raises(UserError, match="did not accept") as raised:
        Reports(("wandb",), tmp_path, _CONFIG)
    assert "Invalid project name" in raised.value.why
    assert (sys.exit, sys.excepthook) == hooks
    assert set(threading.enumerate()) <= set(threads)


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("a file")

    with pytest.raises(UserError, match="File exists"):
        Reports(("tensorboard",), tmp_path, _CONFIG)


def test_a_run_that_reports_nowhere_imports_nothing(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from engine.grpo.reports import Reports;"
        "from engine.grpo.settings import TrainConfig; Reports((), Path(), TrainConfig()).close();"
        "assert not {'wandb', 'tensorboardX', 'numpy', 'mlx'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []
