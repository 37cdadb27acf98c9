"""One row of a form: label, controls, unit, help, and the way back to the default. Knows no model."""

from __future__ import annotations

import html
from itertools import pairwise

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QToolButton, QWidget

from gui import theme
from gui.fields import Editor, Facts
from gui.text import tr


class Row(QWidget):
    """A field's controls with everything that belongs to them; with no width the label stands above."""

    def __init__(self, facts: Facts, label_width: int, editor: Editor) -> None:
        super().__init__()
        self.editor = editor
        self.reset = _Reset(facts.title)
        self.reset.clicked.connect(self.editor.take_focus)
        self._complaint = QLabel()
        self._complaint.setProperty("role", "complaint")
        self._label = QLabel(facts.title)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setWordWrap(bool(label_width))
        self._complaint.setWordWrap(True)
        self._complaint.hide()
        tip = f"<qt>{html.escape(facts.help)}</qt>" if facts.help else ""  # rich text, or it would not wrap
        for widget in (self._label, *self.editor.controls):
            widget.setToolTip(tip)
        self._unit = QLabel(facts.unit)
        self._unit.setProperty("role", "muted")
        self._caption = QLabel(facts.help)
        self._caption.setProperty("role", "caption")
        self._caption.setWordWrap(True)
        self._captioned = bool(label_width and facts.help)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(theme.TINY)
        if label_width:
            self._beside(grid, label_width)
        else:
            self._above(grid)
        for first, second in pairwise((*self.editor.controls, self.reset)):
            QWidget.setTabOrder(first, second)

    def set_complaint(self, sentence: str) -> None:
        """Mark the value as wrong and say why; an empty sentence takes the mark away."""
        self.editor.set_wrong(bool(sentence))
        self._complaint.setText(sentence)
        self._complaint.setVisible(bool(sentence))
        self._caption.setVisible(self._captioned and not sentence)

    def set_changed(self, changed: bool) -> None:
        """Whether there is a way back to the default."""
        self.reset.setVisible(changed)

    def flush(self) -> None:
        """Take what is being typed."""
        self.editor.flush()

    def _beside(self, grid: QGridLayout, label_width: int) -> None:
        line = 26  # the height of a control, in whose middle stand its label and its arrow
        self._label.setFixedWidth(label_width)
        self._label.setMinimumHeight(line)
        self._label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.reset.setFixedSize(line, line)
        controls = QHBoxLayout()
        controls.setSpacing(theme.SMALL)
        controls.addWidget(self.editor, 1 if self.editor.wide else 0)
        if self._unit.text():
            controls.addWidget(self._unit)
        if not self.editor.wide:
            controls.addStretch()
        grid.setHorizontalSpacing(theme.MEDIUM)
        grid.setColumnStretch(1, 1)
        grid.addWidget(self._label, 0, 0, Qt.AlignmentFlag.AlignTop)
        grid.addLayout(controls, 0, 1)
        grid.addWidget(self.reset, 0, 2, Qt.AlignmentFlag.AlignTop)
        grid.addWidget(self._complaint, 1, 1)
        grid.addWidget(self._caption, 2, 1)

    def _above(self, grid: QGridLayout) -> None:
        head = QHBoxLayout()
        head.setSpacing(theme.TINY)
        head.addWidget(self._label)
        head.addWidget(self._unit)
        head.addStretch()
        head.addWidget(self.reset)
        grid.addLayout(head, 0, 0)
        if self.editor.small:
            head.addWidget(self.editor)
        else:
            grid.addWidget(self.editor, 1, 0)
        grid.addWidget(self._complaint, 2, 0)
        grid.addWidget(self._caption, 3, 0)


class _Reset(QToolButton):
    """The way back, an arrow against the clock; it keeps its place while it is not shown."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setProperty("role", "reset")
        self.setFixedSize(24, 24)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setToolTip(tr("Reset to the default"))
        self.setAccessibleName(tr("Reset {title}", title=title))
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.setSizePolicy(policy)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The button's ground, and the arrow of "refresh" seen in a mirror."""
        super().paintEvent(event)
        colours, painter = theme.current().colours, QPainter(self)
        painter.translate(self.width(), 0)
        painter.scale(-1, 1)
        mark = theme.icon("refresh", colours.text if self.underMouse() else colours.muted)
        mark.paint(painter, self.rect().adjusted(5, 5, -5, -5))
