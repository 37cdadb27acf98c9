"""What the engine advises, in the window's words."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import engine
from engine.events import Failed
from gui import remedies
from gui.parts import FailureCard, WarningCard

ROOT = Path(engine.__file__).parent
# These speak to a terminal, or write files that are read elsewhere.
OTHERS = {"jobs.py", "config.py", "starter.py", "model_card.py"}
OPTION = re.compile(r"--[a-z]|mlx-grpo [a-z]")


def advice() -> list[str]:
    """Every sentence of the engine that names an option or a command."""
    found = []
    for path in ROOT.rglob("*.py"):
        if path.name in OTHERS or path.name.startswith(("cli", "doctor")):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        documented = [ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, _DOCUMENTED)]
        found += [text for text in strings if isinstance(text, str) and OPTION.search(text) and text not in documented]
    return found


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


def test_no_sentence_of_the_engine_speaks_of_options_in_the_window() -> None:
    sentences = [text for text in advice() if " " in text.strip("-") and not text.startswith("-")]
    assert len(sentences) > 5
    said = {sentence: remedies.in_window(sentence) for sentence in sentences}
    assert [words for words in said.values() if OPTION.search(words) and "in a terminal" not in words] == []


@pytest.mark.parametrize("pattern", remedies._WORDS)
def test_every_entry_meets_a_sentence_of_the_engine(pattern: str) -> None:
    sentences = [
        node.value
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert any(re.search(pattern, sentence) for sentence in sentences)


def test_values_with_braces_stay_as_they_are() -> None:
    sentence = "Merge it into its model: mlx-grpo fuse --model MODEL --adapter /a/{b} --mlx-path OUT"
    assert remedies.in_window(sentence).endswith(
        "in a terminal: mlx-grpo fuse --model MODEL --adapter /a/{b} --mlx-path OUT"
    )
    assert remedies.in_window("There is no {name} here.") == "There is no {name} here."


@pytest.mark.usefixtures("theme")
def test_errors_and_warnings_are_shown_in_the_windows_words(qtbot: object) -> None:
    card, warnings = FailureCard(), WarningCard()
    card.show_failure(Failed("It is not here.", "", "Download it first: mlx-grpo models download a/b", "input"))
    assert "mlx-grpo" not in card.text()
    assert "Download It" in card.text()
    warnings.show_sentences(("If it was, set the softcap to 20 (--softcap 20).",))
    assert "More settings" in " ".join(label.text() for label in warnings.findChildren(type(card._what)))
