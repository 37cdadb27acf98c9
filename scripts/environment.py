"""Makes or mends .venv until it matches pyproject.toml and constraints.txt; knows nothing of the app itself.

The base Python that `find_python.sh` names runs this, never the environment's own. Where nothing changed it only
looks. An environment that was left half-made, moved or damaged is made anew; one whose pins changed is mended.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMP = VENV / "set-up.json"
INPUTS = ("pyproject.toml", "constraints.txt", "scripts/environment.py")
# These would send pip's files elsewhere, or another Python's modules in here.
MISLEADING = {"PIP_PREFIX", "PIP_TARGET", "PIP_USER", "PYTHONHOME", "PYTHONPATH"}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def wanted() -> dict[str, str]:
    """What a finished environment was made from."""
    digest = hashlib.sha256()
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    # A console script holds the folder's name, so a moved environment must not pass.
    return {
        "inputs": digest.hexdigest(),
        "python": f"{platform.python_version()} {os.path.realpath(sys.executable)}",
        "folder": str(VENV),
    }


def contents() -> set[str]:
    """The names in bin and in the two upper levels of site-packages: an undone install lacks some of them."""
    patterns = ("bin/*", "lib/*/site-packages/*", "lib/*/site-packages/*/*")
    names = (str(path.relative_to(VENV)) for pattern in patterns for path in VENV.glob(pattern))
    return {name for name in names if "__pycache__" not in name}


def read_stamp() -> dict[str, Any]:
    try:
        stamp: dict[str, Any] = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp


def write_stamp() -> None:
    draft = STAMP.with_suffix(".draft")
    draft.write_text(json.dumps({**wanted(), "contents": sorted(contents())}))
    draft.replace(STAMP)


def runs() -> bool:
    try:
        return subprocess.run([VENV_PYTHON, "-I", "-c", ""], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def fault(stamp: dict[str, Any]) -> str:
    """Why .venv has to be made anew, or nothing."""
    if not VENV.exists():
        return "there is none yet"
    if not stamp:
        return "its set-up was not finished"
    now = wanted()
    if stamp.get("folder") != now["folder"]:
        return "it comes from another folder"
    if stamp.get("python") != now["python"]:
        return "another Python is used"
    if not runs():
        return "its Python does not run"
    gone = sorted(set(stamp.get("contents", [])) - contents())
    return f"{gone[0]} is gone" if gone else ""


def call(lock: int, *command: str | Path) -> None:
    """Run one step; it holds the lock too, so that no other set-up starts while an orphan of ours still works."""
    environment = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    subprocess.run(command, check=True, cwd=ROOT, env=environment, pass_fds=[lock], stdin=subprocess.DEVNULL)


def install(lock: int) -> None:
    flags = ("-qq", "--no-input", "--disable-pip-version-check", "--constraint", "constraints.txt")
    pip = (VENV_PYTHON, "-I", "-m", "pip", "install", *flags)
    # The pip that comes with Python may be too old to know dependency groups.
    call(lock, *pip, "pip", "setuptools")
    call(lock, *pip, "--no-build-isolation", "--editable", ".", "--group", "dev")


def make_anew(lock: int) -> None:
    if VENV.is_dir() and not VENV.is_symlink():
        STAMP.unlink(missing_ok=True)
        shutil.rmtree(VENV)
    else:
        VENV.unlink(missing_ok=True)
    call(lock, sys.executable, "-I", "-m", "venv", "--prompt", "mlx-grpo", VENV)
    install(lock)


def mend(lock: int) -> None:
    # Without its stamp the environment counts as half-made, should this be killed.
    aside = STAMP.replace(STAMP.with_suffix(".aside"))
    try:
        install(lock)
    except subprocess.CalledProcessError as error:
        # pip that gives up by itself (the network is away) leaves what was there.
        if error.returncode > 0:
            aside.replace(STAMP)
        raise


def set_up(lock: int) -> None:
    stamp = read_stamp()
    reason = fault(stamp)
    if not reason and stamp.get("inputs") == wanted()["inputs"]:
        return
    started = time.monotonic()
    if reason:
        say(f"Making .venv with Python {platform.python_version()} ({reason}); this takes some minutes ...")
        make_anew(lock)
    else:
        say("Mending .venv (what it is made from has changed) ...")
        mend(lock)
    write_stamp()
    say(f"The environment is ready after {time.monotonic() - started:.0f} s.")


def unfit() -> str:
    """Why no environment can be made on this machine, or nothing."""
    # The oldest systems that MLX has wheels for.
    for name, release, oldest in ("macOS", platform.mac_ver()[0], "14.0"), ("glibc", platform.libc_ver()[1], "2.35"):
        if release and [int(part) for part in release.split(".")[:2]] < [int(part) for part in oldest.split(".")]:
            return f"MLX needs {name} {oldest} or later, and this system has {release}: update the system first."
    return ""


def main() -> int:
    if sys.prefix != sys.base_prefix or sys.argv[1:]:
        # An environment that makes itself anew would saw off the branch it sits on.
        say("This is not run by itself: use `make environment`.")
        return 2
    # So that `subprocess` ends pip too, instead of leaving it at work alone.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if reason := unfit():
        say(reason)
        return 2
    try:
        # The lock is on this very file: the kernel lets go of it whatever becomes of its holders.
        lock = os.open(__file__, os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up is at work on this folder; waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        set_up(lock)
    except subprocess.CalledProcessError:
        say(
            "Setting up failed; the cause stands above. If the network was away, run the same command again; "
            "after a change of the dependencies in pyproject.toml, run `make lock` first."
        )
        return 1
    except OSError as error:
        say(f"Setting up failed: {error}. See that this folder is yours and the disk has room, and run it again.")
        return 1
    except KeyboardInterrupt:
        say("Setting up was interrupted; the next run makes .venv anew.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
