"""The look of a report: its frame, and pieces of it with every text made harmless. Knows no run.

The page is one file: no script, nothing from elsewhere, light or dark as the reader's system is, and fit for paper.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

# Control characters have no place in HTML; they are shown as their pictures.
_CONTROLS = {code: 0x2400 + code for code in range(32) if code not in (9, 10)} | {0x7F: 0x2421}
_CONTROLS |= dict.fromkeys((*range(0x80, 0xA0), 0xFFFE, 0xFFFF), 0xFFFD)

_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --card: #fff; --soft: #f6f6f9; --line: #e1e1e7; --text: #1d1d22;
  --muted: #66666f; --accent: #5149d6; --good: #1c7a45; --bad: #b3261e; --mark: #8f5a00; }
@media (prefers-color-scheme: dark) { :root { --ground: #1b1b1f; --card: #232328; --soft: #29292f; --line: #39393f;
  --text: #ececf1; --muted: #a0a0ab; --accent: #8c86f5; --good: #5cc98b; --bad: #ff8a80; --mark: #e5b454; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); overflow-wrap: anywhere;
  font: 15px/1.5 -apple-system, BlinkMacSystemFont, "Segoe UI", Inter, "Noto Sans", "Noto Sans CJK SC", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 2px 0 12px; }
h2 { font-size: 19px; margin: 44px 0 14px; }
h3 { font-size: 15px; margin: 0 0 8px; }
p { margin: 0 0 10px; max-width: 46em; }
.over { color: var(--muted); font-size: 13px; margin: 0; }
.lead { font-size: 18px; max-width: none; }
.muted, figcaption span, .note { color: var(--muted); }
.tags { margin: 0 0 12px; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: 6px; }
.tags li { border: 1px solid var(--line); border-radius: 10px; padding: 0 10px; font-size: 13px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 14px 24px; margin: 24px 0 0;
  padding: 18px 20px; border: 1px solid var(--line); border-radius: 12px; background: var(--card); }
.facts div { min-width: 0; }
.facts dt { color: var(--muted); font-size: 13px; }
.facts dd { margin: 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); gap: 16px; }
figure { margin: 0; padding: 14px 16px 8px; border: 1px solid var(--line); border-radius: 12px; background: var(--card);
  display: flex; flex-direction: column; justify-content: space-between; }
figcaption { font-size: 13px; margin: 0 0 8px; }
figcaption b { font-size: 15px; display: block; }
svg { display: block; width: 100%; height: auto; }
svg text { font-size: 11px; fill: var(--muted); font-variant-numeric: tabular-nums; }
svg path { fill: none; stroke-linejoin: round; stroke-linecap: round; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .thin { stroke: var(--accent); stroke-opacity: .45; stroke-width: .8; }
svg .dense { stroke-opacity: .3; stroke-width: .6; }
svg .halo { stroke: var(--card); stroke-opacity: .8; stroke-width: 4.5; }
svg .bold { stroke: var(--accent); stroke-width: 2; }
svg .dot { fill: var(--accent); }
svg .band { fill: var(--accent); fill-opacity: .14; }
svg .mark { stroke: var(--mark); stroke-dasharray: 3 3; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
th { text-align: left; font-weight: 600; color: var(--muted); font-size: 13px; }
th, td { padding: 6px 16px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { white-space: pre-wrap; }
th:last-child, td:last-child { padding-right: 0; }
td.figure, th.figure { text-align: right; white-space: nowrap; }
.group th { color: var(--text); padding-top: 18px; font-size: 15px; }
code, pre { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; }
pre { margin: 0; white-space: pre-wrap; unicode-bidi: isolate; }
.notes { white-space: pre-wrap; padding: 14px 18px; border-radius: 12px; background: var(--soft); max-width: none; }
.sides { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 24px; }
.prompt { padding: 10px 14px; border-radius: 10px; background: var(--soft); margin: 0 0 8px; }
.sample { border: 1px solid var(--line); border-radius: 10px; background: var(--card); margin: 0 0 8px;
  padding: 10px 14px; }
.say { margin: 8px 0 0; font-size: 13px; color: var(--muted); max-width: none; }
.role { font-size: 13px; font-weight: 600; margin: 0 0 4px; }
summary { cursor: pointer; color: var(--accent); margin: 12px 0; }
.note { border-top: 1px solid var(--line); margin-top: 48px; padding-top: 16px; font-size: 13px; max-width: none; }
@page { margin: 14mm; }
@media print {
  :root { --ground: #fff; --card: #fff; --soft: #f6f6f9; --line: #ccc; --text: #000; --muted: #555; --accent: #5149d6; }
  body { font-size: 12px; } main { max-width: none; padding: 0; } h2 { break-after: avoid; }
  figure, .sample, .prompt, .facts, tr { break-inside: avoid; } .prompt, h3 { break-after: avoid; }
  .charts { grid-template-columns: 1fr 1fr; }
}
"""


def page(title: str, body: Iterable[str]) -> str:
    """The whole document."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        # Whatever a text holds, a browser runs and fetches nothing for it.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
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
