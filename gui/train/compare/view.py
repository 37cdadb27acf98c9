"""Asks two models of a run the same thing and shows their answers side by side. Knows a record, and no engine."""

from __future__ import annotations

import html
import tomllib

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from engine import config, jobs
from engine.config import Sampling
from engine.errors import UserError
from engine.events import Event, Failed, Progress, PromptRead, ReplyFinished
from engine.grpo.settings import TrainConfig
from engine.monitor.requests import CompareTexts, ReadConfig
from engine.run_events import ConfigRead, TextsCompared
from engine.workers import Job
from gui import theme
from gui.desk import Desk
from gui.parts import FailureCard, words
from gui.text import number, tr
from gui.train.compare.answer_view import AnswerView
from gui.train.compare.answers import Answers
from gui.train.compare.prompt_bar import PromptBar
from gui.train.compare.questions import Questions
from gui.train.compare.sources import favourite, sources
from gui.train.record import Record

# What a run may be told and a single answer may not.
_MOST_TOP_K, _LONGEST = 1000, 131072
_SHOWN, _TOLD = 200, 1000  # characters of a right answer, and of a system prompt


class CompareView(QWidget):
    """A prompt, two models, two answers, with the same seed."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._record: Record | None = None
        self._settings: TrainConfig | None = None
        self._reading: Job | None = None
        self._comparing: Job | None = None
        self._wish = ""  # a folder to choose once it can be
        self._asked = ""  # the prompt that the answers in view are for
        self.questions = Questions(desk, self)
        self.answers = Answers(desk, self)
        self.bar = PromptBar()
        self.sides = AnswerView(tr("Left")), AnswerView(tr("Right"))
        self.note, self.failure = words(role="caption"), FailureCard()
        self.failure.hide()
        self._lay_out()
        self._connect()
        self._update()

    def show_record(self, record: Record | None) -> None:
        """Compare what this run trained; None for no run."""
        if record is self._record:
            return
        self.answers.stop()
        if self._record is not None:
            self._record.changed.disconnect(self._on_record)
        self._record, self._settings, self._reading, self._wish = record, None, None, ""
        self.failure.hide()
        self._clear()
        if record is None:
            self.questions.forget()
        else:
            record.changed.connect(self._on_record)
            self._reading = self._desk.network.submit(ReadConfig(record.folder))
            self._reading.events.connect(self._on_settings)
            self._reading.ended.connect(self._on_settings_ended)
            self.questions.read(record.folder)
        self._update()

    def choose(self, folder: str) -> None:
        """Have this checkpoint, or result, answer beside the model of before training."""
        self._wish = folder
        self._offer()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        # Checkpoints come and go while the run trains.
        self._on_record()

    # What comes

    def _on_record(self) -> None:
        if self.isVisible() and self._record is not None:
            self._offer()
            keeps = self._settings is not None and self._settings.log_jsonl
            if keeps and not self.questions.all and not self.questions.reading and len(self._record):
                self.questions.read(self._record.folder)

    def _on_settings(self, events: tuple[Event, ...]) -> None:
        if self.sender() is not self._reading:
            return
        for event in events:
            if isinstance(event, ConfigRead):
                try:
                    self._settings = config.build(TrainConfig, tomllib.loads(event.toml))
                except UserError as error:
                    self._fail(Failed(error.what, error.why, error.remedy))
                else:
                    self.bar.seed.set_number(self._settings.seed)
                    self._offer()

    def _on_settings_ended(self, ending: object) -> None:
        if self.sender() is self._reading:
            self._reading = None
            if isinstance(ending, Failed):
                self._fail(ending)

    def _offer(self) -> None:
        if self._record is not None and self._settings is not None and not self.answers.running:
            found = sources(self._record, self._settings)
            self.sides[0].offer(found, found[0])
            self.sides[1].offer(found, favourite(found))
            if self._wish and self.sides[1].choose(self._wish):
                self.sides[0].choose(found[0].model)
                self._wish = ""
                self._clear()
        self._update()

    def _on_progress(self, side: int, event: Progress | PromptRead | None) -> None:
        self.sides[side].show_progress(event)

    def _on_said(self, side: int, text: str) -> None:
        self.sides[side].append(text)

    def _on_answered(self, side: int, reply: ReplyFinished) -> None:
        self.sides[side].finish(reply)

    def _on_failed(self, side: int, failure: Failed) -> None:
        self.sides[side].fail(failure)

    def _on_stopped(self, side: int) -> None:
        self.sides[side].stop()

    def _on_answers_ended(self) -> None:
        texts = [side.said for side in self.sides]
        if all(texts):
            self._comparing = self._desk.network.submit(CompareTexts(texts[0], texts[1]))
            self._comparing.events.connect(self._on_compared)
        self._offer()

    def _on_compared(self, events: tuple[Event, ...]) -> None:
        if self.sender() is not self._comparing:
            return
        for event in events:
            if isinstance(event, TextsCompared):
                together = event.left, event.right
                for side, parts in zip(self.sides, together, strict=True):
                    side.text.show_parts(parts)
                same = all(kind == "same" for parts in together for kind, _ in parts)
                differ = tr("The words in which they differ are marked.")
                self.note.setText(tr("Both answers are the same.") if same else differ)

    # What a person does

    def _ask(self) -> None:
        left, right = (side.source for side in self.sides)
        if self._settings is None or left is None or right is None or self.answers.running:
            return
        self._clear(tr("Waiting for its turn…"))
        self._asked = self.bar.text
        requests = [self._request(source.model, self._settings) for source in (left, right)]
        self.answers.ask((requests[0], requests[1]))
        self._update()

    def _request(self, model: str, settings: TrainConfig) -> jobs.Generate:
        limit = self._desk.settings.memory_limit * 1024**2
        load = jobs.LoadModel(model, settings.precision, limit, trust_remote_code=settings.trust_remote_code)
        sampling = Sampling(
            temperature=self.bar.heat,
            top_p=settings.top_p,
            top_k=min(settings.top_k, _MOST_TOP_K),
            min_p=settings.min_p,
            max_tokens=min(settings.longest_completion, _LONGEST),
            seed=self.bar.number,
            stop=settings.stop,
        )
        return jobs.Generate(load, self.bar.text, settings.system_prompt, sampling=sampling)

    def _next_prompt(self) -> None:
        self.bar.prompt.setPlainText(self.questions.next().prompt)
        self.bar.ask.setFocus()

    def _on_changed(self) -> None:
        if self._asked and self.bar.text != self._asked and not self.answers.running:
            # An answer below another question would mislead.
            self._clear()
        self._update()

    def _on_source(self) -> None:
        if not self.answers.running:
            self._clear()

    # Pieces

    def _clear(self, state: str = "") -> None:
        self._asked, self._comparing = "", None
        for side in self.sides:
            side.clear(state)
        self.note.setText("")

    def _fail(self, failure: Failed) -> None:
        self.failure.show_failure(failure)
        self.failure.show()

    def _update(self) -> None:
        running = self.answers.running
        ready = self._settings is not None and all(side.source is not None for side in self.sides)
        self.bar.set_state(running=running, ready=ready, more=bool(self.questions.all))
        for side in self.sides:
            side.picker.setEnabled(ready and not running)
        self.bar.about.setText(self._about())
        system = self._settings.system_prompt if self._settings is not None else ""
        self.bar.about.setToolTip(f"<qt>{html.escape(system[:_TOLD])}</qt>".replace("\n", "<br>") if system else "")

    def _about(self) -> str:
        question = self.questions.current
        if question is not None and question.prompt == self.bar.text:
            place, count = number(self.questions.place + 1), number(len(self.questions.all))
            said = tr("Prompt {place} of {count} of the last step", place=place, count=count)
            right = tr("right answer: {answer}", answer=question.answer[:_SHOWN]) if question.answer else ""
            return " · ".join(part for part in (said, right) if part)
        if self._settings is None:
            return tr("Reading the run's settings…") if self._reading is not None else ""
        if self._settings.system_prompt:
            return tr("Both are told the run's system prompt, and answer with the same seed.")
        return tr("Both answer with the same seed.")

    def _connect(self) -> None:
        self.bar.asked.connect(self._ask)
        self.bar.stopped.connect(self.answers.stop)
        self.bar.next_wanted.connect(self._next_prompt)
        self.bar.changed.connect(self._on_changed)
        self.questions.changed.connect(self._update)
        for side in self.sides:
            side.chosen.connect(self._on_source)
        self.answers.progressed.connect(self._on_progress)
        self.answers.said.connect(self._on_said)
        self.answers.answered.connect(self._on_answered)
        self.answers.failed.connect(self._on_failed)
        self.answers.stopped.connect(self._on_stopped)
        self.answers.ended.connect(self._on_answers_ended)

    def _lay_out(self) -> None:
        pair = QHBoxLayout()
        pair.setSpacing(theme.MEDIUM)
        for side in self.sides:
            pair.addWidget(side, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(theme.LARGE, theme.MEDIUM, theme.LARGE, theme.MEDIUM)
        column.setSpacing(theme.MEDIUM)
        column.addWidget(self.failure)
        column.addWidget(self.bar)
        column.addLayout(pair, 1)
        column.addWidget(self.note)
