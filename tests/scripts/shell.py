"""What the tests of the scripts share: stand-in programs, and commands in an environment of their own."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent.parent
SPACED = "a folder with space"


def script(path: Path, text: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def run(
    *command: str | Path, cwd: Path = ROOT, stdin: int = subprocess.DEVNULL, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command with exactly this environment; a `make` around the tests must not reach into it."""
    return subprocess.run(command, cwd=cwd, env=environment, stdin=stdin, capture_output=True, text=True, check=False)


def load(path: Path) -> ModuleType:
    """A script as a module, though its folder is no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
