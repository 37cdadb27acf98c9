"""What the program that typesets formulas can read, what it refuses, and how it is spoken to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import gui
from gui.chat.formula_setter import typeset

# ziamath reads its font in a way that Python has come to advise against; the program ignores warnings.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.parametrize(
    "latex",
    [
        "x",
        r"\frac{a}{b}",
        r"\sqrt[3]{x}",
        r"\sum_{i=1}^{n} i",
        r"\begin{align} a &= b \\ &= c \end{align}",
        r"\begin{alignat}{2} a &= b & c \end{alignat}",
        r"\begin{equation} \label{a} a = b \tag{1} \end{equation}",
        r"\begin{gather*} a \\ b \end{gather*}",
        r"\begin{cases} 1 & x < 2 \\ 0 & \text{else} \end{cases}",
        r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}",
        r"\hat{A}_t = \operatorname{clip}(r_t, 1-\epsilon, 1+\epsilon)",
        r"\mathbb{E}\left[\mathcal{L}\right] \boxed{42} 100\%",
    ],
)
def test_what_models_write_is_drawn(latex: str) -> None:
    drawing = typeset(latex, display=True, size=14)
    assert drawing is not None
    svg, width, ascent, descent = drawing
    assert svg.startswith("<svg")
    assert width > 5
    assert ascent + descent > 5


def test_letters_stand_on_the_base_line() -> None:
    small, tall = typeset("x", display=False, size=14), typeset("x_{y}", display=False, size=14)
    assert small is not None
    assert tall is not None
    assert small[3] < 3 < tall[3]
    large = typeset("x", display=False, size=28)
    assert large is not None
    assert large[1] > 1.5 * small[1]


@pytest.mark.parametrize(
    "latex",
    [
        "",
        r"\frac{1}",
        r"\left( x",
        "a_",
        "&",
        "x" * 2_001,
        "中文",
        r"\def\a{\a\a}\a",
        r"\newcommand{\a}{xx}\a",
        r"\let\a\b",
        r"\href{file:///etc/passwd}{x}",
        r"\includegraphics{/etc/passwd}",
        r"\input{/etc/passwd}",
        r"\rule{9999em}{9999em}",
        r"\style{x}{y}",
        "{" * 900 + "}" * 900,
        r"\sqrt{" * 30 + "x" + "}" * 30,
        r"\frac{1+" * 12 + "x" + "}{2}" * 12,
        r"\left(" * 100 + r"\right)" * 100,
        r"\hspace{99999999em}x" * 3,
        "\\sqrt" * 300,
        "x'" * 900,
    ],
)
def test_what_is_broken_or_dear_is_refused(latex: str) -> None:
    assert typeset(latex, display=True, size=14) is None


def test_it_answers_line_by_line_without_qt() -> None:
    script = (
        "import sys; from gui.chat import formula_setter; formula_setter.main();"
        "sys.exit(any(name.startswith('PySide6') for name in sys.modules))"
    )
    lines = [json.dumps({"latex": latex, "display": True, "size": 14}) for latex in ("x\n+ y", "\\frac", "\ud800")]
    answer = subprocess.run(
        [sys.executable, "-c", script],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path(gui.__path__[0]).parent,
    )
    first, second, third = (json.loads(line) for line in answer.stdout.splitlines())
    assert first[0].startswith("<svg")
    assert second is None
    assert third is None
