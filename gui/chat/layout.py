"""Where the parts of the chat page sit. Knows their sizes, nothing of what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout

from gui import theme

if TYPE_CHECKING:
    from gui.chat.page import ChatPage

_LIST_WIDTH = 216
_COMPOSER_WIDTH = 784


def place_parts(page: ChatPage) -> QStackedWidget:
    """Lay the page out; the stack that shows either the welcome or the transcript."""
    page.list.setFixedWidth(_LIST_WIDTH)
    stack = QStackedWidget()
    stack.addWidget(page.welcome)
    stack.addWidget(page.transcript)
    foot = QHBoxLayout()
    foot.setContentsMargins(theme.HUGE, theme.TINY, theme.HUGE, theme.SMALL)
    page.composer.setMaximumWidth(_COMPOSER_WIDTH)
    foot.addStretch(1)
    foot.addWidget(page.composer, 100)
    foot.addStretch(1)
    middle = QVBoxLayout()
    middle.setContentsMargins(0, 0, 0, 0)
    middle.setSpacing(0)
    middle.addWidget(page.header)
    middle.addWidget(stack, 1)
    middle.addLayout(foot)
    row = QHBoxLayout(page)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(0)
    row.addWidget(page.list)
    row.addLayout(middle, 1)
    row.addWidget(page.inspector)
    return stack
