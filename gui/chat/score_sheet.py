"""The dialog in which rewards judge one stored answer. Knows the request and its events, scores nothing itself."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QProgressBar, QScrollArea, QVBoxLayout, QWidget

from engine.chat.conversations import Message
from engine.chat.requests import ScoreAnswer
from engine.chat_events import AnswerScored
from engine.events import Event, Failed, Progress
from engine.workers import Job
from gui import theme
from gui.chat.score_bars import ScoreBars, figure_of
from gui.chat.score_choice import Judging, ScoreChoice
from gui.desk import Desk
from gui.parts import Card, FailureCard, OneLine, button, words
from gui.text import tr

_CHOICE = 276


class ScoreSheet(QDialog):
    """Rewards to choose on the left, what they give the answer on the right."""

    judged = Signal(object)  # the Judging that was used

    def __init__(self, desk: Desk, message: Message, judging: Judging, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Score the Answer"))
        self._desk, self._message = desk, message
        self._job: Job | None = None
        self.choice, self.bars, self.failure = ScoreChoice(judging), ScoreBars(), FailureCard()
        self.failure.hide()
        self.sum = words(role="strong")
        self.hint = words(tr("Choose rewards and press Score."), "muted")
        self.bar = QProgressBar(textVisible=False)
        self.bar.setAccessibleName(tr("Progress"))
        self.bar.setFixedWidth(120)
        self.state = OneLine("caption")
        self.score, self.stop, self._close = button(tr("Score"), primary=True), button(tr("Stop")), button(tr("Close"))
        self._lay_out()
        self.choice.changed.connect(self._update)
        self.choice.entered.connect(self.score.click)
        self.score.clicked.connect(self.start)
        self.stop.clicked.connect(self.cancel)
        self._close.clicked.connect(self.reject)
        self.resize(720, 520)
        self._update()
        if judging.rewards:
            self.start()

    @property
    def running(self) -> bool:
        """Whether the answer is being judged."""
        return self._job is not None

    def start(self) -> None:
        """Have the chosen rewards judge the answer."""
        self.choice.reference.flush()
        judging = self.choice.judging
        if self._job is not None or not judging.rewards:
            return
        self.failure.hide()
        self.hint.hide()
        request = ScoreAnswer(self._desk.database, self._message.id, judging.rewards, judging.reference)
        self._job = self._desk.compute.submit(request)
        self._job.events.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self.judged.emit(judging)
        self._update()

    def cancel(self) -> None:
        """Judge no further."""
        if self._job is not None:
            self._job.cancel()

    def done(self, result: int) -> None:
        """Close; what is still judging ends."""
        self.cancel()
        super().done(result)

    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, Progress):
                self.state.show_text(f"{tr(event.what)}: {event.detail}" if event.detail else tr(event.what))
            elif isinstance(event, AnswerScored):
                self._show(event)

    def _on_ended(self, ending: object) -> None:
        self._job = None
        if isinstance(ending, Failed):
            self.bars.show_scores(())
            self.sum.setText("")
            self.failure.show_failure(ending)
            self.failure.show()
        self.state.show_text("")
        self._update()

    def _show(self, scored: AnswerScored) -> None:
        self.bars.show_scores(scored.scores)
        given = [score for _, score, _ in scored.scores if score is not None]
        self.sum.setText(tr("Sum: {score}", score=figure_of(sum(given))) if len(given) > 1 else "")

    def _update(self) -> None:
        self.score.setEnabled(not self.running and bool(self.choice.judging.rewards))
        self.score.setVisible(not self.running)
        self.stop.setVisible(self.running)
        self.bar.setVisible(self.running)
        self.bar.setRange(0, 0 if self.running else 1)
        self.hint.setVisible(not self.running and not self.bars.scores and self.failure.isHidden())

    def _lay_out(self) -> None:
        self.choice.setFixedWidth(_CHOICE)
        results = QWidget()
        column = QVBoxLayout(results)
        column.setContentsMargins(0, 0, theme.TINY, 0)
        column.setSpacing(theme.SMALL)
        for widget in (self.failure, self.hint, self.bars, self.sum):
            column.addWidget(widget)
        column.addStretch()
        area = QScrollArea(widgetResizable=True)
        area.setAccessibleName(tr("Scores"))
        area.setWidget(results)
        card = Card()
        card.rows.addWidget(area)
        middle = QHBoxLayout()
        middle.setSpacing(theme.LARGE)
        middle.addWidget(self.choice)
        middle.addWidget(card, 1)
        foot = QHBoxLayout()
        foot.setSpacing(theme.SMALL)
        foot.addWidget(self.bar)
        foot.addWidget(self.state, 1)
        foot.addWidget(self._close)
        foot.addWidget(self.stop)
        foot.addWidget(self.score)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(theme.HUGE, theme.LARGE, theme.HUGE, theme.LARGE)
        outer.setSpacing(theme.MEDIUM)
        outer.addWidget(words(tr("Score the answer"), "heading"))
        about = tr("Each reward judges this answer as it judges one in training.")
        outer.addWidget(words(about, "muted"))
        outer.addLayout(middle, 1)
        outer.addLayout(foot)
        self.setMinimumSize(620, 400)
