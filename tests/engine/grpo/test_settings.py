"""Every setting of a run is one that something asks for."""

from __future__ import annotations

import ast
from pathlib import Path

from engine.grpo import settings
from engine.grpo.settings import TrainConfig

STATED = Path(settings.__file__)


def asked_for(tree: ast.AST, *holders: str) -> set[str]:
    """What is read as an attribute of a name, or of another attribute, that is one of `holders`."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and (getattr(node.value, "id", "") in holders or getattr(node.value, "attr", "") in holders)
    }


def test_reading_is_told_from_setting_and_naming() -> None:
    source = "a = config.seed\nself._config.fuse()\nconfig.stop = 1\nother.top_k\n'config.min_p'\nf(top_p=1)"
    assert asked_for(ast.parse(source), "config", "_config") == {"seed", "fuse"}


def test_no_key_is_dead() -> None:
    rooms = [path for path in STATED.parent.glob("*.py") if path.name not in {STATED.name, "task_settings.py"}]
    asked = set[str]().union(*(asked_for(ast.parse(path.read_text("utf-8")), "config", "_config") for path in rooms))
    # A key may act through a property of the settings that is asked for.
    for node in ast.walk(ast.parse(STATED.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name in asked:
            asked |= asked_for(node, "self")
    assert set(TrainConfig.model_fields) - asked == set()
