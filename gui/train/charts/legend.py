"""Which colour is which run. Knows names and colours."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRect, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui import theme
from gui.text import tr
from gui.train.charts import colours

_MARK, _GAP = 16, 6


class Legend(QWidget):
    """A stroke and a name for each run, in one line; long names lose their middle."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.current().changed.connect(self.update)
        self.hide()

    def show_names(self, names: Sequence[str]) -> None:
        """Name these runs; hidden where there is only one."""
        self.names = list(names)
        self.setAccessibleName(tr("Runs: {names}", names=", ".join(names)))
        self.setToolTip("\n".join(names))
        self.setVisible(len(self.names) > 1)
        self.update()

    def sizeHint(self) -> QSize:
        """One line."""
        return QSize(200, 22)

    def paintEvent(self, _: QPaintEvent) -> None:
        """As much of each name as there is room for."""
        if not self.names:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.ui_font(theme.BODY))
        metrics = painter.fontMetrics()
        share = max(40, self.width() // len(self.names) - _MARK - _GAP - theme.LARGE)
        left, middle = 2.0, self.height() / 2
        for name, colour in zip(self.names, colours.of_runs(len(self.names)), strict=True):
            text = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, share)
            wide = metrics.horizontalAdvance(text) + 2
            painter.setPen(QPen(QColor(colour), 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            painter.drawLine(QPointF(left + 1, middle), QPointF(left + _MARK - 2, middle))
            painter.setPen(QColor(theme.current().colours.text))
            painter.drawText(
                QRect(int(left) + _MARK + _GAP, 0, wide, self.height()), Qt.AlignmentFlag.AlignVCenter, text
            )
            left += _MARK + _GAP + wide + theme.LARGE
