"""Telling a running process from another that later has its number."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine import processes


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_process_is_known_by_its_number_and_start(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if platform != sys.platform and (platform == "linux" or not Path("/bin/ps").exists()):
        pytest.skip("this system cannot be asked that way")
    monkeypatch.setattr(sys, "platform", platform)
    mine = processes.identity(os.getpid())
    assert mine.startswith(f"{os.getpid()} ")
    assert len(mine.split()) > 1
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        running = processes.identity(child.pid)
        assert running == processes.identity(child.pid) != ""
        child.kill()
        deadline = time.monotonic() + 10
        while processes.identity(child.pid):
            assert time.monotonic() < deadline, "a zombie has ended, though nobody waited for it"
            time.sleep(0.01)
    assert processes.identity(child.pid) == ""
