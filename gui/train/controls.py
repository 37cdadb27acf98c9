"""The buttons with which a person reaches into a run. Knows how a run stands, and does nothing by itself."""

from __future__ import annotations

import sys

from PySide6.QtCore import QSize, Qt, Signal, SignalInstance
from PySide6.QtWidgets import QHBoxLayout, QMenu, QPushButton, QToolButton, QWidget

from gui import theme
from gui.parts import button
from gui.text import tr
from gui.train.record import Record
from gui.train.training import Training

_AROUND = 64  # what icon, margins and the space between two buttons take


class Controls(QWidget):
    """What can be done with the run just now: hold it, tell it something, end it, go on with it, use it."""

    pause_wanted = Signal()
    go_on_wanted = Signal()  # after a pause
    stop_wanted = Signal()
    save_wanted = Signal()
    adjust_wanted = Signal()
    resume_wanted = Signal()  # a run that has ended or was interrupted
    chat_wanted = Signal()
    report_wanted = Signal()
    shown_wanted = Signal()
    duplicate_wanted = Signal()
    delete_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._icons: dict[QPushButton, str] = {}
        self.pause = self._button("pause", tr("Pause"), self.pause_wanted, tr("Hold the run where it is."))
        self.go_on = self._button("play", tr("Go On"), self.go_on_wanted, tr("Go on after the pause."))
        self.stop = self._button(
            "stop",
            tr("Stop and Save"),
            self.stop_wanted,
            tr("End the run and keep what it learned; it can go on from there later."),
        )
        self.save = self._button(
            "bookmark", tr("Save Now"), self.save_wanted, tr("Save a checkpoint after the step at hand.")
        )
        self.adjust = self._button(
            "sliders",
            tr("Adjust…"),
            self.adjust_wanted,
            tr("Change the learning rate, the KL factor, the temperature or when to end, from the next step on."),
        )
        self.resume = self._button(
            "play", tr("Resume"), self.resume_wanted, tr("Go on from the last checkpoint."), primary=True
        )
        self.chat = self._button("chat", tr("Chat"), self.chat_wanted, "")
        self.more = QToolButton()
        self.more.setAccessibleName(tr("More"))
        self.more.setToolTip(tr("More"))
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.more)
        menu.addAction(tr("Write a Report…"), self.report_wanted.emit)
        menu.addAction(tr("Show in Finder") if sys.platform == "darwin" else tr("Open Folder"), self.shown_wanted.emit)
        menu.addAction(tr("New Run with These Settings…"), self.duplicate_wanted.emit)
        menu.addSeparator()
        self._delete = menu.addAction(tr("Delete"), self.delete_wanted.emit)
        self.more.setMenu(menu)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SMALL)
        for widget in (*self._icons, self.more):
            row.addWidget(widget, 0, Qt.AlignmentFlag.AlignVCenter)
        theme.current().changed.connect(self._restyle)
        self._restyle()

    def show_run(self, record: Record, training: Training | None) -> None:
        """Offer what can be done with this run."""
        ours = training is not None and training.running
        state = training.state if training is not None else ""
        live = ours or record.live
        self.pause.setVisible(live and state in ("", "starting", "training"))
        # Nobody knows of a run of another process whether it is held; there both are offered.
        self.go_on.setVisible(live and state in ("", "paused"))
        self.stop.setVisible(live)
        self.stop.setEnabled(state != "stopping")
        stepping = live and state in ("", "training", "paused")
        self.save.setVisible(stepping)
        self.adjust.setVisible(stepping)
        done = bool(record.steps) and record.step >= record.steps
        self.resume.setVisible(record.loaded and not live and not record.missing and not done)
        self.chat.setVisible(ours or bool(record.checkpoints) or record.ending is not None)
        self.chat.setEnabled(not ours or state in ("training", "paused"))
        self.chat.setToolTip(
            tr("Chat with the model as it is now, while it trains.") if ours else tr("Chat with what the run trained.")
        )
        self._delete.setEnabled(not live)

    def make_room(self, width: int) -> None:
        """Show icons alone where the words do not fit into this width."""
        shown = [made for made in self._icons if not made.isHidden()]
        words = sum(made.fontMetrics().horizontalAdvance(made.accessibleName()) + _AROUND for made in shown)
        for made in self._icons:
            made.setText(made.accessibleName() if words <= width else "")

    def _button(self, icon: str, text: str, signal: SignalInstance, tip: str, *, primary: bool = False) -> QPushButton:
        made = button(text, primary=primary)
        made.setAccessibleName(text)
        made.setToolTip(tip)
        made.setIconSize(QSize(16, 16))
        made.clicked.connect(signal)
        self._icons[made] = icon
        return made

    def _restyle(self) -> None:
        colours = theme.current().colours
        for made, name in self._icons.items():
            colour = colours.on_accent if made.property("role") == "primary" else colours.text
            made.setIcon(theme.icon(name, colour))
        self.more.setIcon(theme.icon("more"))
