"""Colours, type sizes, spacing and icons, light and dark. Knows widgets' looks, not their contents.

Every colour, size and distance in the window comes from here; one accent colour marks what can be acted on.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from string import Template

from PySide6.QtCore import QByteArray, QObject, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication

import resources
from gui.style import Style

_FOLDER = Path(resources.__file__).parent

# Distances and sizes in device-independent pixels, on a grid of four.
TINY, SMALL, MEDIUM, LARGE, HUGE = 4, 8, 12, 16, 24
RADIUS = 8
CAPTION, BODY, READING, HEADING, TITLE = 11, 13, 14, 16, 22


@dataclass(frozen=True)
class Colours:
    """One appearance. Text on `window`, `sidebar`, `raised` and `code` has a contrast of at least 4.5 to 1."""

    window: str
    sidebar: str
    raised: str
    bubble: str
    code: str
    line: str
    hover: str
    selected: str
    text: str
    muted: str
    accent: str
    accent_hover: str
    on_accent: str
    link: str
    good: str
    warning: str
    error: str
    error_surface: str
    code_keyword: str
    code_string: str
    code_number: str
    code_comment: str
    code_function: str
    code_type: str


LIGHT = Colours(
    window="#ffffff",
    sidebar="#f4f4f6",
    raised="#ffffff",
    bubble="#f0f0f4",
    code="#f6f6f9",
    line="#e1e1e7",
    hover="#e9e9ee",
    selected="#e2e2ea",
    text="#1d1d22",
    muted="#66666f",
    accent="#5149d6",
    accent_hover="#4139c0",
    on_accent="#ffffff",
    link="#4a42cc",
    good="#1c7a45",
    warning="#8f5a00",
    error="#b3261e",
    error_surface="#fdf0ef",
    code_keyword="#8a2fb0",
    code_string="#1c7a45",
    code_number="#a8470d",
    code_comment="#66666f",
    code_function="#2257c5",
    code_type="#0d6c7a",
)
DARK = Colours(
    window="#1b1b1f",
    sidebar="#232328",
    raised="#29292f",
    bubble="#2d2d34",
    code="#232328",
    line="#39393f",
    hover="#2f2f36",
    selected="#3a3a43",
    text="#ececf1",
    muted="#a0a0ab",
    accent="#7a73f0",
    accent_hover="#8c86f5",
    on_accent="#0f0e26",
    link="#a5a0ff",
    good="#5cc98b",
    warning="#e5b454",
    error="#ff8a80",
    error_surface="#3a2423",
    code_keyword="#c9a0ff",
    code_string="#8fd6a0",
    code_number="#f0a875",
    code_comment="#a0a0ab",
    code_function="#86b3ff",
    code_type="#6fd0d8",
)


class Theme(QObject):
    """The appearance in force; `changed` is emitted when it becomes another."""

    changed = Signal()

    def __init__(self, application: QApplication) -> None:
        super().__init__(application)
        self._application = application
        self._wish = "system"
        self._applied = False
        self.colours = LIGHT
        application.setStyle(Style(lambda: self.colours))
        application.setFont(ui_font())
        application.styleHints().colorSchemeChanged.connect(self._follow)
        self._follow()

    def wish(self, appearance: str) -> None:
        """Set `system`, `light` or `dark`."""
        self._wish = appearance
        self._follow()

    @property
    def dark(self) -> bool:
        """Whether the dark appearance is in force."""
        return self.colours is DARK

    def _follow(self) -> None:
        scheme = self._application.styleHints().colorScheme()
        dark = self._wish == "dark" or (self._wish == "system" and scheme == Qt.ColorScheme.Dark)
        colours = DARK if dark else LIGHT
        if self._applied and colours is self.colours:
            # Applying a style sheet costs a visit to every widget.
            return
        self.colours, self._applied = colours, True
        self._application.setPalette(_palette(self.colours))
        self._application.setStyleSheet(_style_sheet(self.colours))
        self.changed.emit()


_theme: list[Theme] = []


def install(application: QApplication) -> Theme:
    """Give the application its looks, before the first widget; one that has them keeps them."""
    if not _theme or _theme[0].parent() is not application:
        _theme[:] = [Theme(application)]
    return _theme[0]


def current() -> Theme:
    """The installed theme."""
    return _theme[0]


def ui_font(pixels: int = BODY, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
    """The system's own interface font; on Linux, where there is no such thing, Inter if it is installed."""
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont)
    if sys.platform == "linux":
        font.setFamilies(["Inter", "Noto Sans", "DejaVu Sans", "Noto Sans CJK SC"])
    font.setPixelSize(pixels)
    font.setWeight(weight)
    return font


def code_font(pixels: int = BODY) -> QFont:
    """The font of code."""
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    families = ["SF Mono", "Menlo"] if sys.platform == "darwin" else ["JetBrains Mono", "DejaVu Sans Mono"]
    font.setFamilies([*families, "monospace"])
    font.setPixelSize(pixels)
    return font


def icon(name: str, colour: str | None = None) -> QIcon:
    """The icon `resources/icons/NAME.svg` in a colour of the theme (its text colour unless told)."""
    return _icon(name, colour or current().colours.text)


@lru_cache(maxsize=256)
def _icon(name: str, colour: str) -> QIcon:
    drawing = (_FOLDER / "icons" / f"{name}.svg").read_text("utf-8").replace("currentColor", colour)
    renderer = QSvgRenderer(QByteArray(drawing.encode()))
    result = QIcon()
    for ratio in (1, 2, 3):
        pixmap = QPixmap(QSize(20, 20) * ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        renderer.render(painter, QRectF(0, 0, 20 * ratio, 20 * ratio))
        painter.end()
        pixmap.setDevicePixelRatio(ratio)
        result.addPixmap(pixmap)
    return result


def _palette(colours: Colours) -> QPalette:
    palette = QPalette()
    role = QPalette.ColorRole
    for key, colour in {
        role.Window: colours.window,
        role.Base: colours.raised,
        role.AlternateBase: colours.code,
        role.Button: colours.raised,
        role.ToolTipBase: colours.raised,
        role.Text: colours.text,
        role.WindowText: colours.text,
        role.ButtonText: colours.text,
        role.ToolTipText: colours.text,
        role.PlaceholderText: colours.muted,
        role.Highlight: colours.accent,
        role.HighlightedText: colours.on_accent,
        role.Accent: colours.accent,
        role.Link: colours.link,
        role.LinkVisited: colours.link,
        role.Light: colours.line,
        role.Midlight: colours.line,
        role.Mid: colours.line,
        role.Dark: colours.line,
        role.Shadow: colours.line,
    }.items():
        palette.setColor(key, QColor(colour))
    for key in (role.Text, role.WindowText, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, key, QColor(colours.muted))
    return palette


def _style_sheet(colours: Colours) -> str:
    sizes = {"caption": CAPTION, "body": BODY, "reading": READING, "heading": HEADING, "title": TITLE, "radius": RADIUS}
    values = {field.name: getattr(colours, field.name) for field in fields(colours)} | sizes
    return Template((_FOLDER / "style.qss").read_text("utf-8")).substitute(values)
