"""The look of a report: its frame, and pieces of it with every text made harmless. Knows no run.

The page is one file: no script, nothing from elsewhere, light or dark as the reader's system is, and fit for paper.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import resources

# Control characters have no place in HTML; they are shown as their pictures.
_CONTROLS = {code: 0x2400 + code for code in range(32) if code not in (9, 10)} | {0x7F: 0x2421}
_CONTROLS |= dict.fromkeys((*range(0x80, 0xA0), 0xFFFE, 0xFFFF), 0xFFFD)


def page(title: str, body: Iterable[str]) -> str:
    """The whole document."""
    style = (Path(resources.__path__[0]) / "report.css").read_text("utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        # Whatever a text holds, a browser runs and fetches nothing for it.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def text(said: object) -> str:
    """Any text as HTML that shows it and does nothing."""
    return escape(_clean(str(said)))


def passage(said: str, limit: int, before: str = "") -> str:
    """A text of several lines as it stands, a very long one without its end; `before` stood there already."""
    cut = len(said) - limit
    rest = f'<span class="muted"> … {cut:,} more characters</span>' if cut > 0 else ""
    given = f'<span class="muted">{text(before[:limit])}</span>' if before else ""
    return f'<pre dir="auto">{given}{text(said[:limit])}{rest}</pre>'


def section(title: str, *parts: str) -> str:
    """A part of the page with its heading; nothing where it is empty."""
    inside = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{text(title)}</h2>\n{inside}\n</section>" if inside else ""


def paragraph(said: str, kind: str = "") -> str:
    """A paragraph."""
    return f'<p class="{kind}">{text(said)}</p>' if kind else f"<p>{text(said)}</p>"


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Names and values in a grid; those without a value are left out."""
    cells = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in pairs if value)
    return f'<dl class="facts">{cells}</dl>' if cells else ""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, figures: int = 0) -> str:
    """A table of texts, its last `figures` columns set to the right; nothing where it has no rows."""
    if not rows:
        return ""
    first = len(heads) - figures

    def cells(texts: Sequence[str], tag: str) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        return "".join(
            f"<{tag}{scope}{' class=figure' if place >= first else ''}>{text(said)}</{tag}>"
            for place, said in enumerate(texts)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{cells(heads, "th")}</tr></thead><tbody>{body}</tbody></table></div>'


def folded(title: str, inside: str) -> str:
    """What is shown when the reader wants it; nothing where it is empty."""
    return f"<details><summary>{text(title)}</summary>{inside}</details>" if inside else ""


def at_home(said: str) -> str:
    """A text without the path of this person's home folder, which is nobody else's concern."""
    home = str(Path.home())
    return re.sub(rf"{re.escape(home)}(?=/|$)", "~", said) if len(home) > 1 else said


def _clean(said: str) -> str:
    """Half of a surrogate pair has no UTF-8, and control characters no place on a page."""
    sound = said.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n")
    return sound.translate(_CONTROLS)
