"""Kills a training run at random moments, resumes it until it is done, and compares it with one that ran through.

Each run is the program's own command in a process of its own, ended by SIGKILL; half of the moments are chosen within
the writing of a checkpoint. The model's SHA-256, the samples and the whole record but for times must be those of the
undisturbed run.

Run, from the root of the repository:
    python -m scripts.kill_and_resume --kills 20
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# What a clock or the memory's use decides.
_TIMES = {"elapsed", "seconds", "rollout_seconds", "reward_seconds", "update_seconds", "peak_memory"}
_SETTINGS = {"batch_size": 4, "num_generations": 4, "max_new_tokens": 32, "max_steps": 20, "eval_steps": 0}
_KEPT = {"save_steps": 2, "eval_samples": 20, "max_grad_norm": 1.0}
_LONGEST_RUN = 600.0


def main() -> int:
    """Run the comparison; the exit status is 0 where nothing differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of both runs")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        return _compare(Path(temporary), chosen.kills, random.Random(chosen.seed), chosen.set)  # noqa: S311


def _compare(runs: Path, kills: int, moments: random.Random, settings: list[str]) -> int:
    began = time.monotonic()
    _through(runs, "undisturbed", settings)
    usual = time.monotonic() - began
    whole = runs / "undisturbed"
    _say(f"The undisturbed run took {usual:.1f} s: {_sum(whole)}")
    done = within = ended = 0
    while done < kills:
        # Runs that arrive before their kill are begun again under another name.
        name = f"killed-{ended}"
        arguments = _arguments(runs, name, settings)
        while done < kills:
            saving = done % 2 == 1
            process = _start(arguments)
            hit = _wait(process, runs / name, moments, usual, saving=saving)
            process.send_signal(signal.SIGKILL)
            status = process.wait()
            arguments = _resumed(runs, name, settings)
            if status == 0:
                break
            if status != -signal.SIGKILL:
                _say(f"The run {name} ended by itself, with the exit status {status}.")
                return 1
            done += 1
            within += hit
            _say(f"kill {done:2}: after step {_steps(runs / name)}{', while saving' if hit else ''}")
        ended += 1
        _finish(arguments)
        if not _same(runs / name, whole):
            return 1
    _say(
        f"{done} kills, {within} of them while a checkpoint was written, in {ended} runs: all are bit for bit the same."
    )
    return 0


def _arguments(runs: Path, name: str, settings: list[str]) -> list[str]:
    told = [f"{key}={value}" for key, value in (_SETTINGS | _KEPT).items()]
    told += [f"output_dir={runs}", f"run_name={name}", *settings]
    return ["--config", "configs/starter.toml", *(word for one in told for word in ("--set", one))]


def _resumed(runs: Path, name: str, settings: list[str]) -> list[str]:
    """A run that was killed before it had settings is begun again."""
    folder = runs / name
    return ["--resume", str(folder)] if (folder / "config.toml").exists() else _arguments(runs, name, settings)


def _start(arguments: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "engine.cli", "train", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _finish(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "engine.cli", "train", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_LONGEST_RUN)


def _through(runs: Path, name: str, settings: list[str]) -> None:
    _finish(_arguments(runs, name, settings))


def _wait(
    process: subprocess.Popen[bytes], folder: Path, moments: random.Random, usual: float, *, saving: bool
) -> bool:
    """Wait for the moment of the kill, or the process's end; whether a checkpoint is being written."""
    if not saving:
        deadline = time.monotonic() + moments.uniform(0.0, usual)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        return _is_saving(folder)
    wanted, seen, before = moments.randint(1, 2), 0, False
    while process.poll() is None:
        now = _is_saving(folder)
        seen += now and not before
        before = now
        if now and seen >= wanted:
            # Anywhere within the writing, which takes some milliseconds.
            time.sleep(moments.uniform(0.0, 0.004))
            return _is_saving(folder)
    return False


def _is_saving(folder: Path) -> bool:
    return any((folder / "checkpoints").glob(".*"))


def _same(folder: Path, whole: Path) -> bool:
    """Whether both runs have the same model, the same record and the same samples."""
    if _sum(folder) != _sum(whole):
        _say(f"The models differ: {_sum(folder)} in {folder}, {_sum(whole)} without a kill.")
        return False
    if _events(folder) != _events(whole):
        _say(f"The events of {folder} differ from those without a kill.")
        return False
    if (folder / "samples.jsonl").read_bytes() != (whole / "samples.jsonl").read_bytes():
        _say(f"The samples of {folder} differ from those without a kill.")
        return False
    return True


def _sum(folder: Path) -> str:
    with (folder / "model" / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _events(folder: Path) -> list[dict[str, Any]]:
    """The whole record, less its times and the run's own name."""
    text = (folder / "events.jsonl").read_text("utf-8").replace(str(folder), "")
    return [{key: event[key] for key in event.keys() - _TIMES} for event in map(json.loads, text.splitlines())]


def _steps(folder: Path) -> int:
    """The steps in the record, whose last line may be half a line."""
    file = folder / "events.jsonl"
    return file.read_bytes().count(b'"event": "step_finished"') if file.exists() else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
