"""Finds the LaTeX formulas of a piece of Markdown and puts marks in their place. Knows no widget and typesets nothing.

The marks pass through a Markdown reader unchanged, which would otherwise take a formula's backslashes and underscores
for its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Code points that are no characters, and which no harmless text brings along.
MARK = "\ufdd2"
_DIGITS = "\ufde0\ufde1\ufde2\ufde3\ufde4\ufde5\ufde6\ufde7\ufde8\ufde9\ufdea\ufdeb\ufdec\ufded\ufdee\ufdef"
_MARKS = re.compile(f"{MARK}([{_DIGITS}]{{3}})")
MARK_LENGTH, _MOST = 4, 16**3
_LONGEST = 4_000  # characters of a formula

_ENVIRONMENTS = (
    "equation|align|aligned|alignat|flalign|gather|gathered|multline|eqnarray|split|displaymath|math|array|cases"
    "|[pbvBV]?matrix|smallmatrix"
)
_TOKEN = re.compile(
    rf"(?P<ticks>`+)|\\begin\{{(?P<name>(?:{_ENVIRONMENTS})\*?)\}}|(?P<open>\\[\[(])|\\.|(?P<dollars>\$+)", re.DOTALL
)
# As in pandoc: no space within the dollars, and no letter or digit around them, but for a "th" or a plural's "s".
_INLINE = re.compile(
    r"\$(?![\s$])(?P<latex>(?:[^$\\\n`]|\\[^\n])+)(?<!\s)\$(?!\$)(?=(?:th|st|nd|rd|s)?(?![A-Za-z0-9]))"
)
_BLANK = re.compile(r"\n[ \t>]*\n")
_QUOTE = re.compile(r"\n[ \t]*(?:>[ \t]?)+")
_MATHEMATICAL = re.compile(r"[\\^_=+<>{}*/|]|\A\W*[A-Za-z]?\W*\Z")
_AMOUNT_AND_WORDS = re.compile(r"[\d.,]+(?:\W.*)?\s[A-Za-z]{2,}|[\d.,]+.*\|")


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula: what there is to typeset, how it was written, and whether it stands on a line of its own."""

    latex: str
    source: str
    display: bool


def extract(markdown: str) -> tuple[str, list[Formula]]:
    """The text, a harmless one, with a mark in each formula's place, and the formulas by the number of their mark.

    A formula whose end was not written yet is text, as is what stands in code.
    """
    if "$" not in markdown and "\\" not in markdown:
        return markdown, []
    found: list[Formula] = []
    parts, start = [], 0
    # Neither code within a line nor a formula goes on beyond a blank line.
    for blank in _BLANK.finditer(markdown):
        parts += [_replace(markdown[start : blank.start()], found), blank[0]]
        start = blank.end()
    parts.append(_replace(markdown[start:], found))
    return "".join(parts), found


def is_unfinished(text: str) -> bool:
    """Whether a text ends within a formula on lines of its own."""
    paragraph = text[text.rfind("\n\n") + 1 :]
    if paragraph.count("$$") % 2:
        return True
    return any(paragraph.rfind(begin) > paragraph.rfind(end) for begin, end in (("\\[", "\\]"), ("\\begin{", "\\end{")))


def number_of(mark: str) -> int:
    """Which formula a mark stands for."""
    number = 0
    for digit in mark[1:MARK_LENGTH]:
        number = 16 * number + _DIGITS.index(digit)
    return number


def restore(text: str, formulas: list[Formula]) -> str:
    """The text with the formulas as they were written."""
    return _MARKS.sub(lambda mark: formulas[number_of(mark[0])].source, text)


def _mark(number: int) -> str:
    return MARK + "".join(_DIGITS[number >> shift & 15] for shift in (8, 4, 0))


def _replace(text: str, found: list[Formula]) -> str:
    """Replace the formulas of a paragraph."""
    ends = _Ends(text)
    parts, done, at = [], 0, 0
    while (token := _TOKEN.search(text, at)) is not None and len(found) < _MOST:
        at = token.end()
        if token["ticks"]:
            at = ends.of_code(token.end(), len(token[0]))
            continue
        formula = _formula_at(text, token, ends)
        if formula is None:
            continue
        at = token.start() + len(formula.source)
        parts += [text[done : token.start()], _mark(len(found))]
        found.append(formula)
        done = at
    return "".join([*parts, text[done:]])


def _formula_at(text: str, token: re.Match[str], ends: _Ends) -> Formula | None:
    """The formula that begins with this token, if one does."""
    if token["dollars"] == "$":
        return _between_dollars(text, token.start())
    if token["dollars"] == "$$":
        close = "$$"
    elif token["open"]:
        close = "\\]" if token[0] == "\\[" else "\\)"
    elif token["name"]:
        close = f"\\end{{{token['name']}}}"
    else:
        return None
    end = ends.of_formula(close, token.end())
    latex = text[token.end() : max(end, token.end())]
    # What is no formula is a bracket that Markdown would have taken for a link.
    if not latex.strip() or (token["open"] and not _MATHEMATICAL.search(latex)):
        return None
    if text.startswith(">") or "\n>" in text:
        latex = _QUOTE.sub("\n", latex)
    if token["name"]:
        latex = f"{token[0]}{latex}{close}"
    return Formula(latex.strip(), text[token.start() : end + len(close)], display=token[0] != "\\(")


def _between_dollars(text: str, start: int) -> Formula | None:
    if start and text[start - 1].isascii() and text[start - 1].isalnum():
        return None
    match = _INLINE.match(text, start)
    if match is None or _AMOUNT_AND_WORDS.match(match["latex"]):
        return None
    return Formula(match["latex"], match[0], display=False)


class _Ends:
    """Where things end in a text; each search that finds nothing is made once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._missing: dict[str, int] = {}

    def of_code(self, start: int, length: int) -> int:
        """Where inline code ends that began before `start` with so many backticks; `start` where it does not."""
        ticks = "`" * length
        if self._missing.get(ticks, len(self._text)) <= start:
            return start
        for run in re.compile("`+").finditer(self._text, start):
            if len(run[0]) == length:
                return run.end()
        self._missing[ticks] = start
        return start

    def of_formula(self, close: str, start: int) -> int:
        """Where the next `close` begins; -1 where there is none near enough."""
        if self._missing.get(close, len(self._text)) <= start:
            return -1
        beyond = start + _LONGEST + len(close)
        end = self._text.find(close, start, beyond)
        while end >= 0 and self._is_escaped(end):
            end = self._text.find(close, end + 1, beyond)
        if end < 0 and beyond >= len(self._text):
            self._missing[close] = start
        return end

    def _is_escaped(self, at: int) -> bool:
        before = at
        while before and self._text[before - 1] == "\\":
            before -= 1
        return (at - before) % 2 == 1
