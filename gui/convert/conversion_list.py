"""The column of conversions: what waits, runs and is done. Knows conversions, starts none."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui import theme
from gui.convert.conversion import Conversion
from gui.remedies import wants_download
from gui.text import tr

_WIDTH = 216
_STATE = Qt.ItemDataRole.UserRole + 1
_STATES = {
    "looking": "Looking…",
    "downloading": "Downloading…",
    "choosing": "Waits for your settings",
    "waiting": "Waits for its turn",
    "running": "Converting…",
    "done": "Done",
    "failed": "Failed",
}


class ConversionList(QWidget):
    """Every conversion since the program started, the newest at the bottom."""

    chosen = Signal(object)  # a Conversion
    removed = Signal(object)  # a Conversion
    wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("conversations")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedWidth(_WIDTH)
        title = QLabel(tr("Conversions"))
        title.setProperty("role", "section")
        self._new = QToolButton()
        self._new.setToolTip(tr("Convert another model"))
        self._new.setAccessibleName(tr("Convert another model"))
        self._new.clicked.connect(self.wanted)
        self._remove = QToolButton()
        self._remove.setToolTip(tr("Take this one off the list (Delete)"))
        self._remove.setAccessibleName(tr("Take this conversion off the list"))
        self._remove.clicked.connect(self._remove_current)
        self.view = _View()
        self.view.setAccessibleName(tr("Conversions"))
        self.view.currentItemChanged.connect(self._on_current)
        self.view.itemClicked.connect(self._on_current)
        self.view.delete_pressed.connect(self._remove_current)
        head = QHBoxLayout()
        head.setContentsMargins(theme.LARGE, theme.MEDIUM, theme.SMALL, theme.TINY)
        head.setSpacing(0)
        head.addWidget(title, 1)
        head.addWidget(self._remove)
        head.addWidget(self._new)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.view, 1)
        self._items: dict[Conversion, QListWidgetItem] = {}
        theme.current().changed.connect(self._restyle)
        self._restyle()

    def add(self, conversion: Conversion) -> None:
        """List a conversion."""
        item = QListWidgetItem(self.view)
        self._items[conversion] = item
        conversion.changed.connect(lambda: self._show(conversion))
        self._show(conversion)

    def drop(self, conversion: Conversion) -> None:
        """List it no more."""
        self.view.takeItem(self.view.row(self._items.pop(conversion)))

    def choose(self, conversion: Conversion | None) -> None:
        """Mark the one that is in view; None where none is."""
        self.view.blockSignals(True)
        if conversion is None:
            self.view.setCurrentRow(-1)
        else:
            self.view.setCurrentItem(self._items[conversion])
        self.view.blockSignals(False)
        self._update()

    def texts(self) -> list[tuple[str, str]]:
        """The names and states, from top to bottom."""
        items = [self.view.item(row) for row in range(self.view.count())]
        return [(item.text(), item.data(_STATE)) for item in items]

    def _show(self, conversion: Conversion) -> None:
        item = self._items.get(conversion)
        if item is None:
            return
        state = tr(_STATES[conversion.state])
        if conversion.failure is not None and wants_download(conversion.failure):
            state = tr("Must be downloaded first")
        item.setText(conversion.name)
        item.setData(_STATE, state)
        item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{conversion.name}: {state}")
        item.setToolTip(f"{conversion.source}\n{state}")
        self._update()

    def _on_current(self, current: QListWidgetItem | None, _before: object = None) -> None:
        for conversion, item in self._items.items():
            if item is current:
                self.chosen.emit(conversion)
                self._update()
                return

    def _remove_current(self) -> None:
        conversion = self._current()
        # Hours of work do not end by one key: a running one has its own button.
        if conversion is not None and conversion.state != "running":
            self.removed.emit(conversion)

    def _current(self) -> Conversion | None:
        current = self.view.currentItem()
        return next((conversion for conversion, item in self._items.items() if item is current), None)

    def _update(self) -> None:
        conversion = self._current()
        self._remove.setEnabled(conversion is not None and conversion.state != "running")

    def _restyle(self) -> None:
        self._new.setIcon(theme.icon("plus"))
        self._remove.setIcon(theme.icon("trash"))


class _View(QListWidget):
    delete_pressed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setItemDelegate(_Delegate(self))
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.delete_pressed.emit()
            return
        super().keyPressEvent(event)


class _Delegate(QStyledItemDelegate):
    """Two lines: the name, its middle left out where it is long, and the state."""

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """The ground, the name and the state."""
        colours, rect = theme.current().colours, QRectF(option.rect).adjusted(0, 1, 0, -1)
        state = option.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if state & QStyle.StateFlag.State_Selected:
            painter.setBrush(QColor(colours.selected))
            painter.drawRoundedRect(rect, 6, 6)
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(QColor(colours.hover))
            painter.drawRoundedRect(rect, 6, 6)
        inner = rect.adjusted(8, 6, -8, -6)
        font = theme.ui_font()
        painter.setFont(font)
        painter.setPen(QColor(colours.text))
        name = QFontMetrics(font).elidedText(index.data(), Qt.TextElideMode.ElideMiddle, int(inner.width()))
        painter.drawText(inner, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft, name)
        painter.setFont(theme.ui_font(theme.CAPTION))
        painter.setPen(QColor(colours.muted))
        painter.drawText(inner, Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignLeft, index.data(_STATE))
        painter.restore()

    def sizeHint(self, _option: QStyleOptionViewItem, _index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Room for two lines."""
        return QSize(100, 50)
