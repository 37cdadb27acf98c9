"""The walls between the rooms: which module may import which. An AST scan, which sees lazy imports too."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
QT = {"PySide6", "shiboken6", "qasync", "pyqtgraph", "superqt"}
MODEL_CODE = {"mlx", "mlx_lm", "torch", "transformers", "safetensors", "tokenizers", "huggingface_hub"}
PLAIN_DATA = {
    "engine.events",
    "engine.training_events",
    "engine.conversion_events",
    "engine.run_events",
    "engine.monitor.requests",
    "engine.grpo.controls",
    "engine.grpo.settings",
    "engine.grpo.task_settings",
    "engine.jobs",
    "engine.workers",
    "engine.config",
    "engine.errors",
    "engine.convert.estimate",
    "engine.convert.settings",
    "engine.library",
    "engine.places",
    "engine.chat.conversations",
    "engine.chat.presets",
    "engine.chat.requests",
    "engine.chat_events",
}


def imports(source: str) -> Iterator[str]:
    """Every module a source imports, at its top or inside a function, as dotted names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what a module depends on"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def violations(path: str, source: str) -> list[str]:
    """The imports of a file that its place does not allow."""
    found = []
    for name in imports(source):
        package = name.split(".")[0]
        if path.startswith("engine/"):
            wrong = package == "gui" or (package in QT and path != "engine/workers.py")
        elif path.startswith("gui/"):
            allowed = any(name == door or name.startswith(f"{door}.") for door in PLAIN_DATA)
            wrong = package in MODEL_CODE or (package == "engine" and not allowed)
        else:
            wrong = False
        if path == "engine/cli.py":
            rooms = ("engine.session", "engine.hub", "engine.memory", "engine.doctor", "engine.chat.streaming")
            wrong |= package in MODEL_CODE or name.startswith(rooms) or name.startswith("engine.workers")
        if path.startswith("engine/") and not path.startswith("engine/cli"):
            wrong |= name.startswith("engine.cli")
        if wrong:
            found.append(f"{path} imports {name}")
    return found


def files() -> list[Path]:
    return sorted([*ROOT.glob("engine/**/*.py"), *ROOT.glob("gui/**/*.py"), ROOT / "mlx_grpo.py"])


def test_every_import_goes_through_a_door() -> None:
    assert len(files()) > 20
    assert [wrong for path in files() for wrong in violations(str(path.relative_to(ROOT)), path.read_text())] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("engine/session.py", "from PySide6.QtCore import QObject"),
        ("engine/chat/x.py", "def f():\n    import gui.window"),
        ("engine/jobs.py", "import engine.cli"),
        ("gui/chat/page.py", "def f():\n    import mlx.core as mx"),
        ("gui/window.py", "from engine.session import load"),
        ("gui/window.py", "from engine import memory"),
        ("gui/app.py", "import transformers"),
        ("engine/cli.py", "from engine import session"),
        ("engine/cli.py", "import mlx.core"),
    ],
)
def test_a_broken_wall_is_seen(path: str, source: str) -> None:
    assert violations(path, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("engine/workers.py", "from PySide6.QtCore import QObject"),
        ("gui/chat/page.py", "from engine import jobs\nfrom engine.chat.conversations import Message"),
        ("gui/chat/page.py", "from engine.workers import Job"),
        ("engine/session.py", "import mlx.core as mx"),
    ],
)
def test_a_door_is_open(path: str, source: str) -> None:
    assert violations(path, source) == []


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_line_works_without_qt() -> None:
    block = "import sys\nfor name in ('PySide6', 'shiboken6'): sys.modules[name] = None\n"
    assert "engine" in run_python(block + "import engine.cli\nprint(engine.cli.__name__)")


@pytest.mark.parametrize("module", ["gui.app", "gui.window", "engine.cli"])
def test_start_up_loads_no_model_code(module: str) -> None:
    heavy = run_python(f"import sys, {module}\nprint([m for m in {sorted(MODEL_CODE)} if sys.modules.get(m)])")
    assert heavy.strip() == "[]"


def test_no_model_code_before_the_first_paint() -> None:
    """The order of imports in a real start: what `-X importtime` prints before the window's first paint."""
    code = """
import sys
from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QApplication
from gui import app
from gui.desk import Desk
from gui.window import MainWindow

class Watch(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint:
            sys.stderr.write("first paint\\n")
            sys.stderr.flush()
            application.removeEventFilter(self)
            window.close()
        return False

application = app.make_application([])
watch = Watch()
desk = Desk()
window = MainWindow(desk)
application.installEventFilter(watch)
window.show()
application.exec()
"""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    before, painted, _ = done.stderr.partition("first paint")
    assert painted
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in before.splitlines() if "|" in line}
    assert "PySide6" in loaded
    assert loaded & MODEL_CODE == set()


def test_modules_say_what_they_do_and_stay_small() -> None:
    for path in files():
        source = path.read_text()
        docstring = ast.get_docstring(ast.parse(source)) or ""
        assert docstring.splitlines()[:1], f"{path.name} has no docstring"
        assert len(source.splitlines()) <= 360, f"{path.relative_to(ROOT)} is too long: is it two rooms?"
