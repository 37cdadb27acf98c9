"""The commands a person and the build server type, and the pins; `tests/scripts` looks at what they call."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.scripts.shell import ROOT, SPACED, run, script


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `make` in a checkout whose tools only say how they were called."""
    checkout = tmp_path / SPACED
    for tool in ("mlx-grpo", "ruff", "mypy", "pytest"):
        script(checkout / ".venv/bin" / tool, f'echo {tool} "$@" $QT_QPA_PLATFORM; test ! -e fail-{tool}')
    script(checkout / ".venv/bin/python", 'echo python "$@" >&2')
    shutil.copy(ROOT / "Makefile", checkout)

    def call(*arguments: str, system: str = "Linux", **environment: str) -> subprocess.CompletedProcess[str]:
        script(tmp_path / "bin/uname", f"echo {system}")
        path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
        return run("make", "-o", "environment", *arguments, cwd=checkout, PATH=path, **environment)

    return call


def test_without_a_display_the_self_test_runs(make: Callable) -> None:
    said = make("run").stdout.splitlines()
    assert len(said) == 2
    assert "no display" in said[0]
    assert said[1] == "mlx-grpo --self-test offscreen"


@pytest.mark.parametrize(("system", "display"), [("Linux", ":0"), ("Darwin", "")])
def test_with_a_display_the_window_opens(make: Callable, system: str, display: str) -> None:
    ran = make("run", system=system, DISPLAY=display)
    assert ran.stdout == "mlx-grpo\n"
    assert "system_check.py --display" in ran.stderr


def test_the_checks_run_in_order(make: Callable) -> None:
    assert make("-j4", "test", "ARGS=-k window").stdout.splitlines() == [
        "ruff check .",
        "ruff format --check .",
        "mypy",
        "pytest -n 2 --dist worksteal -k window offscreen",
    ]


def test_the_first_red_check_is_the_last(make: Callable, tmp_path: Path) -> None:
    (tmp_path / SPACED / "fail-mypy").touch()
    ran = make("test")
    assert ran.returncode != 0
    assert ran.stdout.splitlines()[-1] == "mypy"


@pytest.mark.parametrize("target", ["run", "test", "lint", "format", "self-test", "bench"])
def test_every_target_sees_to_the_environment_first(target: str) -> None:
    steps = run("make", "-n", target, PATH=os.environ["PATH"]).stdout
    assert "scripts/environment.py" in steps.splitlines()[0]


def test_help_lists_every_target(make: Callable) -> None:
    targets = (ROOT / "Makefile").read_text().partition(".PHONY: ")[2].splitlines()[0].split()
    assert [line.split()[1] for line in make().stdout.splitlines()] == targets


FIND = "scripts/find_python.sh"


@pytest.mark.parametrize(("shell", "name"), [("sh", FIND), ("dash", FIND), ("bash", FIND), ("bash", ".ci/run")])
def test_the_scripts_are_plain_shell(shell: str, name: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    assert run(shell, "-n", name, PATH=os.environ["PATH"]).stderr == ""
    assert os.access(ROOT / name, os.X_OK)


@pytest.mark.parametrize(("user", "asked"), [("0", True), ("1000", False)])
def test_ci_goes_on_where_the_system_cannot_be_mended(tmp_path: Path, user: str, asked: bool) -> None:
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    script(tmp_path / "scripts/find_python.sh", f'echo "{sys.executable}"')
    (tmp_path / "scripts/system_check.py").write_text("print('libone libtwo')\n")
    script(tmp_path / "bin/id", f"echo {user}")
    script(tmp_path / "bin/apt-get", f'echo "$@" >> "{tmp_path}/asked"; exit 100')
    script(tmp_path / "bin/make", 'echo make "$@"')
    ran = run("bash", tmp_path / ".ci/run", PATH=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[-1] == "make test"
    assert (tmp_path / "asked").exists() is asked
    if asked:
        assert (tmp_path / "asked").read_text().endswith("libone libtwo\n")


@pytest.mark.parametrize(("system", "words"), [("linux", "needs macOS"), ("darwin", "not part of this version")])
def test_the_bundle_says_what_it_needs(system: str, words: str) -> None:
    code = f"import runpy, sys; sys.platform = {system!r}; runpy.run_path('setup_py2app.py')"
    ran = run(sys.executable, "-c", code)
    assert ran.returncode == 2
    assert ran.stderr.count("\n") == 1
    assert words in ran.stderr


def pins() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def pinned(system: str, machine: str, version: str) -> dict[str, str]:
    """What one machine gets; a name that is pinned twice there is a broken lock."""
    where = {
        "sys_platform": system,
        "platform_machine": machine,
        "python_version": version,
        "python_full_version": f"{version}.1",
        "platform_python_implementation": "CPython",
    }
    chosen = [pin for pin in pins() if pin.marker is None or pin.marker.evaluate(where)]
    names = [canonicalize_name(pin.name) for pin in chosen]
    assert len(names) == len(set(names))
    return {name: str(pin.specifier).removeprefix("==") for name, pin in zip(names, chosen, strict=True)}


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize(
    ("system", "machine", "own", "other"),
    [("linux", "x86_64", "mlx-cpu", "mlx-metal"), ("darwin", "arm64", "mlx-metal", "mlx-cpu")],
)
def test_every_direct_dependency_is_pinned(system: str, machine: str, own: str, other: str, version: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    direct = [
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    pinned_here = pinned(system, machine, version)
    for requirement in map(Requirement, direct):
        if requirement.marker is None or requirement.marker.evaluate({"sys_platform": system}):
            name = canonicalize_name(requirement.name)
            assert name in pinned_here, f"{name} is not in constraints.txt: run `make lock`"
            assert requirement.specifier.contains(pinned_here[name]), f"{name}: run `make lock`"
    assert own in pinned_here
    assert other not in pinned_here


def test_the_lock_names_no_address_and_no_cuda() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "make lock" in text
    assert "://" not in text
    assert [pin.name for pin in pins() if pin.name.startswith(("nvidia", "cuda", "triton"))] == []
    assert all(str(pin.specifier).startswith("==") and pin.url is None for pin in pins())
