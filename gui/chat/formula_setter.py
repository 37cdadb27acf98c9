"""A program that typesets formulas: a line of JSON in, a line of JSON out. Knows ziamath, and neither Qt nor a window.

It is a process of its own, since reading LaTeX in a thread of the window's would hold up every second frame, and since
a formula that takes too long can be ended only with its process.
"""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_LONGEST = 2_000  # characters; what is longer stays text
_DEAREST = 1_500  # letters to lay out; each takes less than a millisecond
_WIDEST, _TALLEST = 6_000, 3_000
_ENLARGED = 1.15  # the letters of the formulas' font are smaller than those of the window's
# What defines commands, names an address, or draws boxes of any size has no place in an answer's formulas.
_REFUSED = re.compile(
    r"\\(?:[gex]?def|let|(?:re)?new|provide|Declare|href|url|include|input|rule|style|class|html|css)"
)
_SHAPES = {"svg", "g", "path", "rect", "line"}
_DOUBLED = {"math", "mrow", "mfenced", "msqrt", "mtd", "mstyle", "mpadded", "menclose", "merror"}
_TAG = re.compile(r"\\tag\*?\s*\{([^{}]*)\}")
_NAMES = re.compile(r"\\label\s*\{[^{}]*\}|\\(?:nonumber|notag)(?![A-Za-z])")
_WHOLE = re.compile(r"\\begin\{(equation|displaymath|math)(\*?)\}(.*)\\end\{\1\2\}", re.DOTALL)
# What ziamath does not know, or would number.
_ALIGNED = re.compile(
    r"\\(begin|end)\{(?:align|alignat|flalign|eqnarray|split|gather|gathered|multline)\*?\}(?:\{\d+\})?"
)

Drawing = tuple[str, float, float, float]


def typeset(latex: str, *, display: bool, size: int) -> Drawing | None:
    """The formula as SVG, its width, and how far it reaches above and below its base line, in pixels.

    None where it cannot be read, or is too large. The time is bounded: ziamath lays out each row twice, so that its
    cost doubles with each level of depth.
    """
    if len(latex) > _LONGEST or _REFUSED.search(latex):
        return None
    try:
        drawing = _draw(_prepared(latex), display, size)
    except ImportError:
        raise
    except Exception:
        # Whatever a model wrote that ziamath stumbles over stays as it was written.
        return None
    if drawing is None or any(shape.tag not in _SHAPES for shape in drawing.iter()):
        return None
    _, top, width, height = (float(number) for number in drawing.attrib["viewBox"].split())
    if not (0 < width <= _WIDEST and 0 < height <= _TALLEST):
        return None
    return ElementTree.tostring(drawing, encoding="unicode"), width, -top, height + top


def _draw(latex: str, display: bool, size: int) -> Element | None:
    from ziafont.config import config
    from ziamath.escapes import unescape
    from ziamath.tex import tex2mml
    from ziamath.zmath import Math

    config.svg2, config.precision = False, 2
    element = ElementTree.fromstring(unescape(tex2mml(latex, inline=not display)))  # noqa: S314
    if not _is_affordable(element):
        return None
    formula = Math(element, size=size * _ENLARGED)
    letters = "".join(element.itertext())
    if any(ord(letter) > 127 and not formula.font.glyphindex(letter) for letter in letters):
        return None
    return formula.svgxml()


def _prepared(latex: str) -> str:
    """The formula without what only numbers it."""
    whole = _WHOLE.fullmatch(latex.strip())
    latex = _ALIGNED.sub(r"\\\1{align*}", whole[3] if whole else latex)
    return _TAG.sub(r"\\qquad (\\text{\1})", _NAMES.sub("", latex)).strip()


def _is_affordable(element: Element) -> bool:
    waiting, cost = [(element, 1)], 0
    while waiting and cost <= _DEAREST:
        each, factor = waiting.pop()
        if each.tag.rpartition("}")[2] in _DOUBLED:
            factor *= 2
        children = list(each)
        cost += 0 if children else factor + len(each.text or "") // 4
        waiting += [(child, factor) for child in children]
    return cost <= _DEAREST


def main() -> None:
    """Answer each line with one, until there are no more."""
    os.nice(5)
    # What a library prints is no answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        answers.write(json.dumps(typeset(**json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
