"""Chooses a preset and says whether the conversation still follows it. Knows presets, no file and no conversation."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QMenu, QSizePolicy, QToolButton, QWidget

from engine.chat.presets import Preset
from gui import theme
from gui.text import tr


class PresetButton(QToolButton):
    """The name of the preset; its menu offers others and keeps what was changed."""

    chosen = Signal(str)  # a name, or "" for none
    save_wanted = Signal()
    update_wanted = Signal()
    delete_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "choice")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._presets: Sequence[Preset] = ()
        self._own: Collection[str] = ()
        self._name, self._changed = "", False
        self.clicked.connect(self.open_menu)
        theme.current().changed.connect(self._restyle)
        self._restyle()
        self.show_preset("", changed=False)

    def set_presets(self, presets: Sequence[Preset], own: Collection[str]) -> None:
        """Offer these; those called as in `own` are the person's, and may be changed."""
        self._presets, self._own = presets, own

    def show_preset(self, name: str, *, changed: bool) -> None:
        """Name the preset of the conversation, "" for none; `changed`: the conversation has settings of its own."""
        self._name, self._changed = name, changed
        shown = name or tr("No preset")
        text = tr("{name} · changed", name=shown) if changed and name else shown
        self.setText(text.replace("&", "&&"))
        self.setAccessibleName(tr("Preset: {name}", name=text))
        about = next((preset.description for preset in self._presets if preset.name == name), "")
        tip = tr(about) or tr("Choose a system prompt, sampling and model that belong together")
        self.setToolTip(f"<qt>{html.escape(tip)}</qt>")

    def open_menu(self) -> QMenu:
        """Offer all presets, and what can be done with the one in use."""
        menu = QMenu(self)
        menu.setLayoutDirection(Qt.LayoutDirection.LeftToRight)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        group = QActionGroup(menu)
        for name, tip in (("", ""), *((preset.name, preset.description) for preset in self._presets)):
            action = group.addAction(menu.addAction(name.replace("&", "&&") or tr("No preset")))
            action.setToolTip(f"<qt>{html.escape(tr(tip))}</qt>" if tip else "")
            action.setCheckable(True)
            action.setChecked(name == self._name)
            action.triggered.connect(lambda _=False, name=name: self.chosen.emit(name))
            if not name:
                menu.addSeparator()
        menu.addSeparator()
        if self._name and self._changed:
            menu.addAction(tr("Undo the Changes"), lambda: self.chosen.emit(self._name))
        menu.addAction(tr("Save as Preset…"), self.save_wanted.emit)
        if self._name in self._own:
            shown = self._name.replace("&", "&&")
            menu.addAction(tr("Update {name}", name=shown), self.update_wanted.emit).setEnabled(self._changed)
            menu.addAction(tr("Delete {name}", name=shown), self.delete_wanted.emit)
        menu.popup(self.mapToGlobal(QPoint(0, self.height() + 2)))
        return menu

    def _restyle(self) -> None:
        self.setIcon(theme.icon("chevron-down", theme.current().colours.muted))
