"""What is a formula in a text, and what is money, code or a path."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gui.chat.formulas import MARK, Formula, extract, number_of, restore


def found(text: str) -> list[str]:
    return [formula.latex for formula in extract(text)[1]]


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("so $x^2$ is", ["x^2"]),
        ("$a$, $b$; $5$", ["a", "b", "5"]),
        ("the $n$th and the $x_i$s and 设$x$是", ["n", "x_i", "x"]),
        (r"\(a\) and \[b = 1\]", ["a", "b = 1"]),
        ("$$a$$", ["a"]),
        ("$$\na\n+ b\n$$", ["a\n+ b"]),
        ("> $$\n> a\n> $$", ["a"]),
        (r"\begin{align}a &= b\\ c\end{align}", [r"\begin{align}a &= b\\ c\end{align}"]),
        (r"\begin{equation*}a\end{equation*}", [r"\begin{equation*}a\end{equation*}"]),
        (r"$\$5$", [r"\$5"]),
        (r"\[ a \\[4pt] b \]", [r"a \\[4pt] b"]),
        ("| $|x|$ | $y$ |", ["|x|", "y"]),
    ],
)
def test_formulas(text: str, latex: list[str]) -> None:
    assert found(text) == latex


@pytest.mark.parametrize(
    "text",
    [
        "$5 and $10",
        "It costs $5-$10, or US$3.",
        "between $1,000 and US$2,000",
        "$5 (or $6)",
        "5$ and 6$",
        "$20 per month or 200$",
        "| $5 | $6 |",
        "echo $HOME and $PATH",
        "$HOME/bin:$PATH",
        r"\$a\$",
        "`$x$`",
        "``a ` $x$``",
        "$x^2",
        "$$ x",
        "$ x $",
        "$$$$",
        "$x\ny$",
        "$a\n\nb$",
        "$$a\n\nb$$",
        r"\[see below\]",
        r"\[x",
        r"\(\)",
        r"\\(x\\)",
        r"\begin{itemize}x\end{itemize}",
        r"\begin{align}x",
    ],
)
def test_what_is_no_formula(text: str) -> None:
    assert extract(text) == (text, [])


def test_marks_stand_for_formulas_and_give_them_back() -> None:
    text = "a $x$ b $$y$$ c"
    marked, formulas = extract(text)
    assert formulas == [Formula("x", "$x$", display=False), Formula("y", "$$y$$", display=True)]
    assert marked.count(MARK) == 2
    assert [number_of(marked[at : at + 4]) for at, letter in enumerate(marked) if letter == MARK] == [0, 1]
    assert restore(marked, formulas) == text


symbols = "$ $$ \\( \\) \\[ \\] ` `` \\ > x 5 | { } \\$ \\begin{align} \\end{align}".split()
pieces = st.sampled_from([*symbols, " ", "\n", "\n\n", "a b"])


@settings(max_examples=200, deadline=None)
@given(st.lists(pieces, max_size=60).map("".join))
def test_nothing_is_lost(text: str) -> None:
    marked, formulas = extract(text)
    assert restore(marked, formulas) == text


@pytest.mark.parametrize(
    "piece", ["$", "$$", "$x", "\\(", "\\[ ", "\\begin{align}", "`", "` `` ", "\\", "$`", "\\$$$\\$"]
)
def test_many_beginnings_without_an_end_are_read_in_bounded_steps(piece: str) -> None:
    marked, formulas = extract(piece * 20_000)
    assert restore(marked, formulas) == piece * 20_000
