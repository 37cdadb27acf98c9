"""Tells one running process from another that later has its number. Knows nothing of what a process does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def identity(pid: int) -> str:
    """A running process as `pid start-time`, because its pid alone is given again; "" where none runs."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        # Not permitted: the pid has gone to another user.
        return ""
    try:
        state, start = _state_and_start(pid)
    except FileNotFoundError:
        return ""
    except OSError:
        # A sandbox may forbid looking; then the pid has to do.
        return f"{pid} "
    # A zombie has ended; only its parent has not asked yet.
    return "" if state.startswith("Z") else f"{pid} {start}"


def _state_and_start(pid: int) -> tuple[str, str]:
    if sys.platform == "linux":
        # The fields stand behind the program's name, which may itself hold spaces and brackets.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return fields[0], fields[19]
    listed = subprocess.run(
        ["/bin/ps", "-o", "state=", "-o", "lstart=", "-p", str(pid)],
        env={"LC_ALL": "C", "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
    )
    # Where listing is forbidden both are empty, and the pid alone must do.
    state, _, start = listed.stdout.strip().partition(" ")
    return state, start.strip()
