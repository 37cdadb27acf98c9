"""What is shown where there are no completions: why, and what to do. Knows what was read, and reads nothing."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from engine.events import Failed
from engine.run_events import SamplesRead
from gui import theme
from gui.parts import FailureCard, button, words
from gui.text import number, tr

_WIDTH = 420


def remarks(read: SamplesRead, notes: list[str], *, live: bool) -> str:
    """What is wrong with the file of a step that is shown, "" where nothing is; nothing of it is lost."""
    told = [tr(note) for note in notes]
    if read.unknown == 1:
        told.append(tr("One line of this step could not be understood and is left out here."))
    elif read.unknown:
        told.append(
            tr("{count} lines of this step could not be understood and are left out here.", count=number(read.unknown))
        )
    # Of a run that trains the last line may be under way.
    if read.torn and not live and read.step == read.last:
        told.append(tr("The last line of the file is half-written, as after a power cut, and is left out here."))
    return " ".join(told)


class StatePage(QWidget):
    """A sentence or two in the middle; `acted` is emitted when what it proposes is wanted, `step` is where to go."""

    acted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.step = 0
        self.title, self.words = words(role="heading"), words(role="muted")
        self.failure = FailureCard()
        self.action = button("")
        self.action.clicked.connect(self.acted)
        holder = QWidget()
        holder.setMaximumWidth(_WIDTH)
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SMALL)
        for label in (self.title, self.words):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            column.addWidget(label)
        column.addWidget(self.failure)
        column.addWidget(self.action, 0, Qt.AlignmentFlag.AlignHCenter)
        row = QHBoxLayout()
        row.addStretch()
        row.addWidget(holder, 1000)
        row.addStretch()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(theme.LARGE, theme.LARGE, theme.LARGE, theme.HUGE)
        outer.addStretch(2)
        outer.addLayout(row)
        outer.addStretch(3)
        self.say("")

    def say(self, title: str, text: str = "", action: str = "", step: int = 0) -> None:
        """Say this; `action` is what can be done, and goes to a step unless that is 0."""
        self.step = step
        self.title.setText(title)
        self.words.setText(text)
        self.action.setText(action)
        self.action.setAccessibleName(action or tr("Nothing to do"))
        self.title.show()
        self.words.setVisible(bool(text))
        self.action.setVisible(bool(action))
        self.failure.hide()

    def fail(self, failure: object) -> None:
        """Say why the completions cannot be read."""
        self.say("", action=tr("Try again"))
        self.title.hide()
        if isinstance(failure, Failed):
            self.failure.show_failure(failure)
            self.failure.show()

    def explain(self, read: SamplesRead, *, live: bool, recorded: int) -> None:
        """Say why a step has no completions; `recorded` is the last step of the run's record."""
        if read.last and read.step > 0:
            near = min(max(read.step, read.first), read.last)
            here = tr("Step {step} has no completions.", step=number(read.step))
            kept = tr("They are kept of steps {first} to {last}.", first=number(read.first), last=number(read.last))
            if near != read.step:
                self.say(here, kept, tr("Go to step {step}", step=number(near)), near)
            else:
                self.say(here, kept)
        elif not read.kept:
            self.say(
                tr("This run keeps no completions."),
                tr("“Keep every completion” is off in its settings, so only the figures are there."),
            )
        elif live and not recorded:
            self.say(tr("The first step is under way."), tr("What the model writes appears here when it is done."))
        elif read.missing and recorded:
            self.say(
                tr("The completions of this run are not there."),
                tr("Its folder holds no file samples.jsonl. It may not have been copied along with the rest."),
                tr("Look again"),
            )
        elif read.torn and not read.last:
            self.say(
                tr("There is no whole completion yet."),
                tr("The only line of the file is half-written."),
                tr("Look again"),
            )
        else:
            self.say(
                tr("There are no completions yet."),
                tr("They appear here with the first step.") if live else tr("The run ended before its first step."),
            )
