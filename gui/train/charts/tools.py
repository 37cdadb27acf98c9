"""The strip above the charts: what the axis counts, smoothing, powers of ten, all of it, saving. Knows no chart."""

from __future__ import annotations

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QMenu, QToolButton, QWidget

from gui import theme
from gui.controls import Choice, Slider
from gui.parts import words
from gui.text import number, tr
from gui.train.charts.series import STEPS, TIME

SPANS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500, 1000)
_NARROW = 620


class Tools(QWidget):
    """What a person sets for all charts at once."""

    axis_chosen = Signal(str)
    span_chosen = Signal(int)
    log_chosen = Signal(bool)
    fit_wanted = Signal()
    save_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._roomy = True
        self.axis = Choice()
        self.axis.setMinimumWidth(84)
        self.axis.setAccessibleName(tr("To the right"))
        self.axis.setToolTip(tr("What the charts count to the right: steps, or the time spent on training."))
        self.axis.addItem(tr("Steps"), STEPS)
        self.axis.addItem(tr("Time"), TIME)
        self.axis.currentIndexChanged.connect(self._choose_axis)
        tip = tr(
            "Each point becomes the average of about so many points before it, the newest counting most. The figures"
            " themselves stay visible behind the line."
        )
        self._word = words(tr("Smoothing"), "muted", tip=tip)
        self._word.setWordWrap(False)
        self.smoothing = Slider(len(SPANS) - 1)
        self.smoothing.setMaximumWidth(140)
        self.smoothing.setAccessibleName(tr("Smoothing"))
        self.smoothing.setToolTip(self._word.toolTip())
        self.smoothing.valueChanged.connect(self._choose_span)
        self.value = QLabel()
        self.value.setProperty("role", "muted")
        self.value.setToolTip(self._word.toolTip())
        self.log = QCheckBox(tr("Log scale"))
        self.log.setToolTip(tr("Upwards each line is ten times the one below. What is not above 0 is not shown."))
        self.log.toggled.connect(self.log_chosen)
        self.fit = QToolButton()
        self.fit.setText(tr("Show All"))
        self.fit.setToolTip(tr("Shows all steps again. Dragging over a chart shows a part of them."))
        self.fit.setAccessibleName(tr("Show all steps"))
        self.fit.clicked.connect(self.fit_wanted)
        self.save = QToolButton(popupMode=QToolButton.ToolButtonPopupMode.InstantPopup)
        self.save.setIconSize(QSize(18, 18))
        self.save.setToolTip(tr("Save the charts"))
        self.save.setAccessibleName(tr("Save the charts"))
        menu = QMenu(self)
        for text, what in (
            (tr("Save All as Picture (PNG)…"), "png"),
            (tr("Save All as Drawing (SVG)…"), "svg"),
            (tr("Save All Figures (CSV)…"), "csv"),
        ):
            action = menu.addAction(text)
            action.setData(what)
        menu.triggered.connect(self._save)
        self.save.setMenu(menu)
        self._lay_out()
        theme.current().changed.connect(self._restyle)
        self._restyle()
        self._say()

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SMALL)
        row.addWidget(self.axis)
        row.addSpacing(theme.SMALL)
        row.addWidget(self._word)
        row.addWidget(self.smoothing)
        row.addWidget(self.value)
        row.addSpacing(theme.SMALL)
        row.addWidget(self.log)
        row.addStretch(1)
        row.addWidget(self.fit)
        row.addWidget(self.save)

    @property
    def span(self) -> int:
        """Over how many points each is averaged, 1 for none."""
        return SPANS[self.smoothing.value()]

    def set_zoomed(self, zoomed: bool) -> None:
        """Whether there is more than is shown."""
        self.fit.setVisible(zoomed)

    def minimumSizeHint(self) -> QSize:
        """What is needed without the words that can be left out."""
        return QSize(400, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Leave words out where there is little room."""
        super().resizeEvent(event)
        roomy = self.width() >= _NARROW
        if roomy != self._roomy:
            self._roomy = roomy
            self._fit()

    def _fit(self) -> None:
        self._word.setVisible(self._roomy)
        self.smoothing.setMinimumWidth(80 if self._roomy else 56)
        self._say()

    def _choose_axis(self) -> None:
        self.axis_chosen.emit(self.axis.currentData())

    def _choose_span(self, position: int) -> None:
        self._say()
        self.span_chosen.emit(SPANS[position])

    def _say(self) -> None:
        text = tr("off") if self.span == 1 else tr("{count} points", count=number(self.span))
        self.smoothing.setAccessibleDescription(text)
        widest = tr("{count} points", count=number(SPANS[-1])) if self._roomy else number(SPANS[-1])
        self.value.setText(text if self._roomy or self.span == 1 else number(self.span))
        # Wide enough for any, so that nothing moves under the slider.
        self.value.setFixedWidth(self.value.fontMetrics().horizontalAdvance(widest) + 2)

    def _save(self, action: QAction) -> None:
        self.save_wanted.emit(action.data())

    def _restyle(self) -> None:
        self.save.setIcon(theme.icon("download"))
