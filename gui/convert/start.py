"""Where a conversion begins: a place to drop on, two buttons and a field for a Hub id. Knows names, reads no file."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from gui import theme
from gui.drops import hub_name, large_icon
from gui.parts import WIDTH, button, words
from gui.text import tr


class StartView(QWidget):
    """The empty state of the page."""

    chosen = Signal(list)  # paths, or an id

    def __init__(self) -> None:
        super().__init__()
        area = _DropArea()
        folder, file = button(tr("Choose Folder…")), button(tr("Choose File…"))
        folder.clicked.connect(self.ask_for_folder)
        file.clicked.connect(self.ask_for_files)
        buttons = QHBoxLayout()
        buttons.setSpacing(theme.SMALL)
        buttons.addStretch()
        buttons.addWidget(folder)
        buttons.addWidget(file)
        buttons.addStretch()
        area.rows.addLayout(buttons)
        area.rows.addStretch(1)
        self.name = QLineEdit(placeholderText="HuggingFaceTB/SmolLM2-135M-Instruct")
        self.name.setAccessibleName(tr("Hugging Face id or address"))
        self.name.setMinimumHeight(22)
        self.look = button(tr("Look"), primary=True)
        self.look.setToolTip(tr("See what this model is, before anything is converted"))
        self.complaint = words(role="complaint")
        self.complaint.hide()
        self.name.textChanged.connect(self._update)
        self.name.returnPressed.connect(self._take_name)
        self.look.clicked.connect(self._take_name)
        line = QHBoxLayout()
        line.setSpacing(theme.SMALL)
        line.addWidget(self.name, 1)
        line.addWidget(self.look)
        inner = QWidget()
        inner.setMaximumWidth(WIDTH)
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, theme.HUGE, 0, theme.HUGE)
        column.setSpacing(theme.SMALL)
        title = words(tr("Convert a model"), "title")
        about = words(
            tr("Turn any checkpoint into a model for this computer. What you drop stays as it is; the result is new."),
            "muted",
        )
        column.addWidget(title)
        column.addWidget(about)
        column.addSpacing(theme.SMALL)
        column.addWidget(area, 1)
        column.addSpacing(theme.MEDIUM)
        column.addWidget(words(tr("Or name a model on Hugging Face, or paste its address"), "muted"))
        column.addLayout(line)
        column.addWidget(self.complaint)
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.HUGE, 0, theme.HUGE, 0)
        row.addStretch()
        row.addWidget(inner, 1000)
        row.addStretch()
        self._update()

    def ask_for_folder(self) -> None:
        """Let the person choose a model's folder."""
        folder = QFileDialog.getExistingDirectory(self, tr("Choose a Model's Folder"))
        if folder:
            self.chosen.emit([folder])

    def ask_for_files(self) -> None:
        """Let the person choose model files."""
        pattern = tr("Models") + " (*.safetensors *.gguf *.pt *.bin)"
        files, _ = QFileDialog.getOpenFileNames(
            self, tr("Choose a Model File"), "", f"{pattern};;{tr('All files')} (*)"
        )
        if files:
            self.chosen.emit(files)

    def _update(self) -> None:
        self.look.setEnabled(bool(self.name.text().strip()))
        self.complaint.hide()

    def _take_name(self) -> None:
        text = self.name.text().strip()
        source = hub_name(text) or (text if text.startswith(("/", "~", "./")) else "")
        if source:
            self.name.clear()
            self.chosen.emit([source])
        elif text:
            self.complaint.setText(tr("Write it as owner/model, or paste the address of the model's page."))
            self.complaint.show()


class _DropArea(QWidget):
    """The dashed field one drops on; the window takes the drop, wherever it is."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumHeight(230)
        self.rows = QVBoxLayout(self)
        self.rows.setContentsMargins(theme.HUGE, theme.HUGE, theme.HUGE, theme.HUGE)
        self.rows.setSpacing(theme.MEDIUM)
        self._mark = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        title = words(tr("Drop a model here"), "heading")
        what = words(tr("A folder, or a file: .safetensors, .gguf, .pt or .bin"), "muted")
        self.rows.addStretch(1)
        for label in (self._mark, title, what):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            self.rows.addWidget(label)
        theme.current().changed.connect(self._restyle)
        self._restyle()

    def paintEvent(self, _: QPaintEvent) -> None:
        """The ground and its dashed border."""
        colours, painter = theme.current().colours, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(QColor(colours.code))
        edge = QColor(colours.muted)
        edge.setAlpha(150)
        painter.setPen(QPen(edge, 1.5, Qt.PenStyle.DashLine))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 14, 14)

    def _restyle(self) -> None:
        self._mark.setPixmap(large_icon("convert", theme.current().colours.accent))
