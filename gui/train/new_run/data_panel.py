"""The data of a run as its model will read it. Knows what a preview found, and reads nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QWidget

from gui import theme
from gui.parts import FailureCard, button, words
from gui.text import number, tr
from gui.train.new_run.column import Column
from gui.train.new_run.draft import Draft
from gui.train.new_run.preview import Preview
from gui.train.new_run.prompt_card import PromptCard, Rule
from gui.train.new_run.words import in_words


class DataPanel(Column):
    """The first rows of the run, and some that it is judged by."""

    settings_wanted = Signal()

    def __init__(self, draft: Draft, preview: Preview) -> None:
        super().__init__(tr("Data"))
        self._draft, self._preview = draft, preview
        self._shown: tuple[object, ...] = ()
        self.about = words(role="muted")
        change = button(tr("Change the Data…"))
        change.clicked.connect(self.settings_wanted)
        head = QHBoxLayout()
        head.setSpacing(theme.MEDIUM)
        head.addWidget(self.about, 1)
        head.addWidget(change)
        self.progress = QProgressBar(textVisible=False)
        self.progress.setAccessibleName(tr("Progress"))
        self.failure = FailureCard()
        self.again = button(tr("Try Again"))
        self.again.clicked.connect(preview.again)
        self.notes = words(role="caption")
        self.rows.addLayout(head)
        for widget in (self.progress, self.failure, self.again, self.notes):
            self.rows.addWidget(widget)
        self.rows.addStretch()
        self.cards: list[QWidget] = []
        self._to_come: list[Callable[[], QWidget]] = []
        self._filling = QTimer(self, interval=0)
        self._filling.timeout.connect(self._fill_next)
        draft.changed.connect(self._ask)
        preview.changed.connect(self._show)
        self._show()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._ask()

    def _ask(self) -> None:
        if self.isVisible():
            self._preview.ask(self._draft.config)

    def _show(self) -> None:
        preview = self._preview
        busy, failed = preview.busy, preview.failure is not None and not preview.busy
        self.progress.setVisible(busy)
        if preview.share is None:
            self.progress.setRange(0, 0)
        else:
            self.progress.setRange(0, 1000)
            self.progress.setValue(int(1000 * preview.share))
        self.failure.setVisible(failed)
        self.again.setVisible(failed)
        if failed and preview.failure is not None:
            self.failure.show_failure(in_words(preview.failure))
        self.notes.setText("\n".join(preview.notes))
        self.notes.setVisible(bool(preview.notes) and not busy)
        self._say()
        if self._shown != preview.rows:
            self._shown = preview.rows
            self._fill()

    def _say(self) -> None:
        preview = self._preview
        if preview.busy:
            stage = tr(preview.stage) if preview.stage else tr("Reading the data")
            self.about.setText(f"{stage}…")
        elif preview.rows:
            self.about.setText(
                tr("The first rows of the run, as the model reads them. Pale marks are its special tokens.")
            )
        else:
            self.about.setText("")

    def _fill(self) -> None:
        for card in self.cards:
            self.rows.removeWidget(card)
            card.hide()
            card.deleteLater()
        self.cards = []
        limit = self._draft.config.max_prompt_length
        rows = self._preview.training_rows
        held_out = [row for row in self._preview.rows if row.held_out]
        self._to_come = [partial(PromptCard, row, limit) for row in rows]
        if rows and all(row.too_long for row in rows):
            sentence = tr("All of these {count} rows are too long.", count=number(len(rows)))
            self._to_come.insert(0, partial(words, sentence, "complaint"))
        if held_out:
            title = tr("Held out: the run is judged by these, and never learns from them")
            self._to_come.append(partial(Rule, title))
            self._to_come += [partial(PromptCard, row, limit) for row in held_out]
        self._filling.start()

    def _fill_next(self) -> None:
        """One card in a turn of the window's loop: a long prompt takes a while to lay out."""
        if self._to_come:
            card = self._to_come.pop(0)()
            self.rows.insertWidget(self.rows.count() - 1, card)
            self.cards.append(card)
        else:
            self._filling.stop()
