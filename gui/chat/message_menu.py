"""The menu of what else can be done with a message. Knows the names of the actions, not what they do."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QMenu, QWidget

from gui.text import tr

# The name of an action, how the menu calls it, and whether it changes the conversation, which waits for an answer.
ENTRIES = (
    ("edit", "Edit the Answer…", True),
    ("branch", "Branch into a New Conversation", False),
    ("", "", False),
    ("tokens", "Show the Tokens…", False),
    ("score", "Score the Answer…", False),
    ("compare", "Compare with Other Models…", False),
    ("", "", False),
    ("copy markdown", "Copy as Markdown", False),
    ("export", "Export the Conversation…", False),
)


def open_menu(button: QWidget, ask: Callable[[str], object], *, busy: bool) -> QMenu:
    """Open the menu below a button; `ask` gets the name of what was chosen. `busy`: an answer is under way."""
    menu = QMenu(button)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    for name, words, waits in ENTRIES:
        if not name:
            menu.addSeparator()
            continue
        action = menu.addAction(tr(words))
        action.setEnabled(not (waits and busy))
        action.triggered.connect(lambda _=False, name=name: ask(name))
    menu.popup(button.mapToGlobal(QPoint(0, button.height())))
    return menu
