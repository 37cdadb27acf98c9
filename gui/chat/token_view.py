"""The dialog that shows how likely each token of an answer was. Knows the request and its events, no model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QDialog, QHBoxLayout, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from engine.chat.conversations import Message
from engine.chat.requests import InspectAnswer
from engine.chat_events import TokenScored
from engine.events import Event, Failed, ModelLoaded, Progress, PromptRead
from engine.workers import Job
from gui import theme
from gui.chat.token_view_card import TokenCard, TokenRow
from gui.chat.token_view_flow import TokenFlow, shown
from gui.chat.token_view_layout import visible
from gui.chat.token_view_scale import BOUNDS, Legend, percent
from gui.desk import Desk
from gui.parts import FactsCard, FailureCard, OneLine, WarningCard, button, words
from gui.text import number, tr
from gui.train.samples.marks import displayable

_UNLIKELY = 8
_LINGER = 220  # milliseconds in which the mouse may come from the token to its card
_SIDE = 216


class TokenView(QDialog):
    """The tokens of one stored answer, as the model in use holds them for likely."""

    continued = Signal(int, tuple)  # the message, and the ids that another answer is to begin with

    def __init__(self, desk: Desk, message: Message, model: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Tokens"))
        self._message, self._model = message, model
        self._busy = False
        self.flow, self.legend = TokenFlow(), Legend()
        self.card = TokenCard(self)
        self.card.installEventFilter(self)
        self.hint, self.failure = WarningCard(), FailureCard()
        self.failure.hide()
        self.bar = QProgressBar(textVisible=False)
        self.bar.setAccessibleName(tr("Progress"))
        self.state = OneLine("caption")
        self.figures = FactsCard()
        self.unlikely = [TokenRow() for _ in range(_UNLIKELY)]
        self._about = OneLine("muted")
        self._linger = QTimer(self, singleShot=True, interval=_LINGER)
        self._linger.timeout.connect(self._leave)
        self._lay_out()
        self._connect()
        self._show_model(_last_part(model))
        self._warn()
        self._job: Job | None = desk.compute.submit(InspectAnswer(desk.load_request(model), desk.database, message.id))
        self._job.events.connect(self._on_events)
        self._job.ended.connect(self._on_ended)
        self._show_progress(Progress("Starting the engine", 0))
        self.resize(880, 600)

    @property
    def running(self) -> bool:
        """Whether tokens are still to come."""
        return self._job is not None

    def set_busy(self, busy: bool) -> None:
        """Whether an answer is under way in the conversation, which another one has to wait for."""
        self._busy = busy

    def done(self, result: int) -> None:
        """Close; what is still computing ends."""
        if self._job is not None:
            self._job.cancel()
        super().done(result)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape takes the card away first."""
        if event.key() == Qt.Key.Key_Escape and self.card.isVisible():
            self._leave()
            return
        super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.card.hide()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The card stays while the mouse is on it."""
        if watched is self.card and event.type() == QEvent.Type.Enter:
            self._linger.stop()
        elif watched is self.card and event.type() == QEvent.Type.Leave:
            self._linger.start()
        return super().eventFilter(watched, event)

    def hideEvent(self, event: QHideEvent) -> None:
        self.card.hide()
        super().hideEvent(event)

    # What comes

    def _on_events(self, events: tuple[Event, ...]) -> None:
        tokens = [event for event in events if isinstance(event, TokenScored)]
        if tokens:
            self.flow.add(tokens)
        for event in events:
            if isinstance(event, Progress | PromptRead):
                self._show_progress(event)
            elif isinstance(event, ModelLoaded):
                self._show_model(_last_part(event.name))

    def _on_ended(self, ending: object) -> None:
        self._job = None
        self.bar.hide()
        self.state.show_text("")
        if isinstance(ending, Failed):
            self.failure.show_failure(ending)
            self.failure.show()
            self.flow.setVisible(bool(self.flow.tokens))
        self._sum_up()

    def _show_progress(self, event: Progress | PromptRead) -> None:
        what = tr("Reading the prompt") if isinstance(event, PromptRead) else tr(event.what)
        self.state.show_text(f"{what}…")
        self.bar.setRange(0, 1000 if event.total else 0)
        if event.total:
            self.bar.setValue(int(1000 * event.done / event.total))

    def _show_model(self, name: str) -> None:
        self._about.show_text(tr("How likely each token was to {model} in its place", model=name))

    def _warn(self) -> None:
        writer = self._message.model
        if writer and writer != self._model:
            sentence = tr(
                "Another model wrote this answer: {writer}. The figures are those of the model in use.",
                writer=_last_part(writer),
            )
            self.hint.show_sentences((sentence,))

    def _sum_up(self) -> None:
        tokens = self.flow.tokens
        self._side.setVisible(bool(tokens))
        if not tokens:
            return
        logprobs = [token.logprob for token in tokens]
        mean = sum(map(math.exp, logprobs)) / len(logprobs)
        perplexity = math.exp(min(700.0, -sum(logprobs) / len(logprobs)))
        self.figures.clear()
        self.figures.add(tr("Tokens"), number(len(tokens)))
        self.figures.add(tr("Mean probability"), percent(mean))
        about = tr("Among so many equally likely tokens the model chose on average; 1 is certain.")
        self.figures.add(tr("Perplexity"), number(perplexity, 2 if perplexity < 100 else 0), about)
        first, *others = sorted(tokens, key=lambda token: token.logprob)[:_UNLIKELY]
        least = [first, *(token for token in others if math.exp(token.logprob) < BOUNDS[-1])]
        for row, token in zip(self.unlikely, least, strict=False):
            text = visible(displayable(shown(token)))
            name = tr("Go to token {number}: {token}", number=token.position + 1, token=text)
            row.show_token(shown(token), math.exp(token.logprob), name)
            row.setProperty("token", token.position)
        self._side.show_rows(len(least))

    # What a person does

    def _on_pointed(self, token: int) -> None:
        if token < 0:
            self._linger.start()
        else:
            self._linger.stop()
            self._show_card(token)

    def _show_card(self, token: int) -> None:
        place = self.flow.place_of(token)
        place.moveTopLeft(self.flow.mapTo(self, place.topLeft()))
        self.card.show_token(self.flow.tokens[token], place, self.flow.geometry(), going_on=not self._busy)

    def _enter(self) -> None:
        self._show_card(self.flow.current)
        self.card.focus_first()

    def _leave(self) -> None:
        focused = self.card.isAncestorOf(self.focusWidget()) if self.focusWidget() is not None else False
        self.card.hide()
        if focused:
            self.flow.setFocus(Qt.FocusReason.OtherFocusReason)

    def _continue(self, position: int, token: int) -> None:
        before = [one.token for one in self.flow.tokens[:position]]
        self.continued.emit(self._message.id, (*before, token))
        self.accept()

    def _jump(self, row: TokenRow) -> None:
        self.flow.setFocus(Qt.FocusReason.OtherFocusReason)
        self.flow.go_to(int(row.property("token")))

    def _connect(self) -> None:
        self.flow.pointed.connect(self._on_pointed)
        self.flow.moved.connect(self._show_card)
        self.flow.entered.connect(self._enter)
        self.card.continued.connect(self._continue)
        self.card.left.connect(self._leave)
        for row in self.unlikely:
            row.clicked.connect(partial(self._jump, row))

    def _lay_out(self) -> None:
        close = button(tr("Close"))
        close.clicked.connect(self.reject)
        self._side = _Side(self.figures, self.unlikely)
        middle = QHBoxLayout()
        middle.setSpacing(theme.LARGE)
        middle.addWidget(self.flow, 1)
        middle.addWidget(self._side)
        self.bar.setFixedWidth(120)
        self.state.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        about = QHBoxLayout()
        about.setSpacing(theme.SMALL)
        about.addWidget(self._about, 1)
        about.addWidget(self.state)
        about.addWidget(self.bar)
        foot = QHBoxLayout()
        foot.setSpacing(theme.SMALL)
        foot.addWidget(self.legend)
        foot.addStretch()
        foot.addWidget(close)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.HUGE, theme.LARGE, theme.HUGE, theme.LARGE)
        column.setSpacing(theme.MEDIUM)
        column.addWidget(words(tr("Tokens of the answer"), "heading"))
        column.addLayout(about)
        column.addWidget(self.hint)
        column.addWidget(self.failure)
        column.addLayout(middle, 1)
        column.addLayout(foot)
        self._side.hide()
        self.setMinimumSize(680, 440)


class _Side(QWidget):
    """The figures, and as many of the least likely tokens as there is room for."""

    def __init__(self, figures: FactsCard, rows: Sequence[TokenRow]) -> None:
        super().__init__()
        self._figures, self._rows, self._count = figures, rows, 0
        self.setFixedWidth(_SIDE)
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.setSizePolicy(policy)
        figures.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._title = words(tr("Least likely"), "section")
        side = QVBoxLayout(self)
        side.setContentsMargins(0, 0, 0, 0)
        side.setSpacing(0)
        side.addWidget(figures)
        side.addSpacing(theme.MEDIUM)
        side.addWidget(self._title)
        side.addSpacing(theme.TINY)
        for row in rows:
            side.addWidget(row)
        side.addStretch()

    def show_rows(self, count: int) -> None:
        """Show so many rows at most."""
        self._count = count
        self._fit()

    def event(self, event: QEvent) -> bool:
        """Find out anew how much there is room for."""
        if event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest):
            self._fit()
        return super().event(event)

    def _fit(self) -> None:
        taken = self._figures.sizeHint().height() + self._title.sizeHint().height() + theme.MEDIUM + theme.TINY
        room = max(1, (self.height() - taken) // self._rows[0].sizeHint().height())
        for place, row in enumerate(self._rows):
            row.setVisible(place < min(room, self._count))


def _last_part(model: str) -> str:
    """The last part of a folder or Hub id."""
    return model.rstrip("/").rsplit("/", 1)[-1] or model
