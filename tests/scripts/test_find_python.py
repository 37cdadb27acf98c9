"""Finding a Python: which ones count, where they are looked for, and what is said when there is none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scripts.shell import ROOT, SPACED, run, script

PRETENDER = """
import sys
me, version, lacks, *arguments = sys.argv[1:]
sys.version_info = (3, int(version), 0, "final", 0)
sys._base_executable = me
if lacks:
    sys.modules[lacks] = None
assert arguments[:2] == ["-I", "-c"]
exec(arguments[2])
"""


def pretend_python(path: Path, version: int, lacks: str = "") -> Path:
    """A Python that reports 3.`version` and cannot import `lacks`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = path.with_suffix(".body.py")
    body.write_text(PRETENDER)
    return script(path, f'exec "{sys.executable}" -I "{body}" "{path}" {version} "{lacks}" "$@"')


@pytest.fixture
def find(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Search a machine that has only what lies in `tmp_path`."""
    (tmp_path / "bin").mkdir()
    environment = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path), "PYTHON_SEARCH_ROOT": str(tmp_path / "root")}

    def search(**more: str) -> subprocess.CompletedProcess[str]:
        return run("/bin/sh", ROOT / "scripts/find_python.sh", cwd=tmp_path, **(environment | more))

    return search


def test_an_old_python_alone_is_refused_in_one_sentence(tmp_path: Path, find: Callable) -> None:
    pretend_python(tmp_path / "bin/python3", 9)
    script(tmp_path / "bin/sw_vers", "")
    found = find()
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.count("\n") == 1
    assert "3.11, 3.12 or 3.13 is needed, and only Python 3.9 was found" in found.stderr
    assert "brew install python@3.12" in found.stderr


@pytest.mark.parametrize(("others", "package"), [({}, "python3 python3-venv"), ({"python3": 10}, "python3.11-venv")])
def test_debian_names_its_own_command(tmp_path: Path, find: Callable, others: dict[str, int], package: str) -> None:
    script(tmp_path / "bin/apt-get", "")
    for name, version in others.items():
        pretend_python(tmp_path / "bin" / name, version)
    found = find()
    assert found.returncode == 2
    assert "sudo apt-get install -y" in found.stderr
    assert package in found.stderr


@pytest.mark.parametrize("part", ["ensurepip", "venv"])
def test_a_python_that_makes_no_environment_does_not_count(tmp_path: Path, find: Callable, part: str) -> None:
    pretend_python(tmp_path / "bin/python3", 12, lacks=part)
    script(tmp_path / "bin/apt-get", "")
    found = find()
    assert found.returncode == 2
    assert "sudo apt-get install -y python3.12-venv" in found.stderr
    whole = pretend_python(tmp_path / "bin/python3.11", 11)
    assert find().stdout.strip() == str(whole)


def test_a_new_python_beside_an_old_one_is_taken(tmp_path: Path, find: Callable) -> None:
    pretend_python(tmp_path / "bin/python3", 9)
    new = pretend_python(tmp_path / "bin/python3.12", 12)
    found = find()
    assert (found.returncode, found.stdout.strip(), found.stderr) == (0, str(new), "")


@pytest.mark.parametrize(("version", "counts"), [(10, False), (11, True), (13, True), (14, False)])
def test_the_versions_that_count(tmp_path: Path, find: Callable, version: int, counts: bool) -> None:
    pretend_python(tmp_path / "bin/python3", version)
    assert (find().returncode == 0) is counts


@pytest.mark.parametrize(
    "place",
    [
        ".pyenv/versions/3.12.1/bin/python",
        "root/opt/homebrew/bin/python3.13",
        "root/usr/local/bin/python3.11",
        "root/Library/Frameworks/Python.framework/Versions/3.12/bin/python3.12",
    ],
)
def test_a_python_that_is_not_on_the_path_is_found(tmp_path: Path, find: Callable, place: str) -> None:
    script(tmp_path / "bin/python3.13", "exit 127")
    there = pretend_python(tmp_path / place, 12)
    assert find().stdout.strip() == str(there)


def test_an_environment_keeps_its_python(tmp_path: Path, find: Callable) -> None:
    pretend_python(tmp_path / "bin/python3.13", 13)
    pretend_python(tmp_path / ".venv/bin/python", 12)
    assert find().stdout.strip().endswith(".venv/bin/python")


def test_a_named_python_is_the_only_one_asked(tmp_path: Path, find: Callable) -> None:
    pretend_python(tmp_path / "bin/python3.13", 13)
    named = pretend_python(tmp_path / SPACED / "python", 12)
    assert find(PYTHON=str(named)).stdout.strip() == str(named)
    pretend_python(named, 9)
    assert "is Python 3.9" in find(PYTHON=str(named)).stderr
    found = find(PYTHON="nonesuch")
    assert found.returncode == 2
    assert "PYTHON=nonesuch does not run" in found.stderr
