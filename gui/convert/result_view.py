"""The wizard's last page: what came out, whether it is right, and what to do with it. Knows events, runs nothing."""

from __future__ import annotations

import sys

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPlainTextEdit, QVBoxLayout

from engine import jobs
from gui import theme
from gui.convert import words as say
from gui.convert.conversion import Conversion
from gui.convert.quality_panel import QualityPanel
from gui.desk import Desk
from gui.disclosure import Disclosure
from gui.parts import Card, FactsCard, Pane, PathLabel, WarningCard, button, words
from gui.text import duration, number, parameters, short_path, size, tr


class ResultView(Pane):
    """Size before and after, the verdict of the check, what was left out, and what it costs."""

    chat_wanted = Signal()
    shown_wanted = Signal()
    upload_wanted = Signal()
    another_wanted = Signal()

    def __init__(self, desk: Desk, conversion: Conversion) -> None:
        super().__init__()
        self._conversion = conversion
        self._verdict_mark, self._verdict = QLabel(), words(role="strong")
        self._reason = words(role="muted")
        verdict = Card()
        line = QHBoxLayout()
        line.setSpacing(theme.SMALL)
        line.addWidget(self._verdict_mark)
        line.addWidget(self._verdict, 1)
        verdict.rows.addLayout(line)
        verdict.rows.addWidget(self._reason)
        self.facts, self.notes = FactsCard(), WarningCard()
        self.left_out = Card()
        self._list = QPlainTextEdit(readOnly=True)
        self._list.setAccessibleName(tr("Weights that were left out"))
        self._list.setFont(theme.code_font(theme.CAPTION))
        self._list.setFixedHeight(120)
        self._left_out_title = words(role="strong")
        column: QVBoxLayout = self.left_out.rows
        column.addWidget(self._left_out_title)
        column.addWidget(words(tr("The architecture has no place for them, so nothing depends on them."), "muted"))
        column.addWidget(Disclosure(tr("Show their names"), self._list))
        column.addWidget(self._list)
        self.quality = QualityPanel(desk, tr("Measure Quality"), self._request)
        self.quality.measured.connect(conversion.keep_quality)
        for widget in (verdict, self.notes, self.facts, self.left_out, self.quality):
            self.rows.addWidget(widget)
        self.rows.addStretch()
        self.chat = button(tr("Chat Now"), primary=True)
        reveal = button(tr("Show in Finder") if sys.platform == "darwin" else tr("Open Folder"))
        upload = button(tr("Upload…"))
        another = button(tr("Convert Another"))
        self.footer.addWidget(another)
        self.footer.addStretch()
        for made, signal in (
            (upload, self.upload_wanted),
            (reveal, self.shown_wanted),
            (self.chat, self.chat_wanted),
            (another, self.another_wanted),
        ):
            made.clicked.connect(signal)
            if made is not another:
                self.footer.addWidget(made)
        theme.current().changed.connect(self._restyle)

    def show_result(self) -> None:
        """Show what the conversion gave."""
        result, plan = self._conversion.converted, self._conversion.plan
        if result is None or plan is None:
            return
        self.title.setText(tr("{name} is ready", name=result.name))
        phrase, sentence = say.verdict(self._conversion.checked)
        self._verdict.setText(phrase)
        self._reason.setText(sentence)
        self._reason.setVisible(bool(sentence))
        self.notes.show_sentences(tuple(self._conversion.notes))
        self.facts.clear()
        share = number(100 * result.size / max(1, plan.source_bytes))
        sizes = tr("{before} before, {after} now", before=size(plan.source_bytes), after=size(result.size))
        self.facts.add(tr("Size"), f"{sizes} ({share} %)")
        self.facts.add(tr("Bits a weight"), number(result.bits, 2), tr("Of all weights, the unquantised ones too."))
        self.facts.add(tr("Parameters"), parameters(result.parameters), tr("The numbers a model consists of."))
        self.facts.add(tr("Time"), duration(max(1, result.seconds)))
        self.facts.add(tr("Folder"), PathLabel(short_path(result.folder)))
        self.left_out.setVisible(bool(result.left_out))
        count = len(result.left_out)
        one, many = tr("One weight was left out"), tr("{count} weights were left out", count=number(count))
        self._left_out_title.setText(one if count == 1 else many)
        self._list.setPlainText("\n".join(result.left_out))
        self.quality.show_figures(self._conversion.quality)
        self._restyle()

    def verdict_text(self) -> str:
        """The verdict as it is shown."""
        return f"{self._verdict.text()}\n{self._reason.text()}"

    def _request(self, text: str) -> jobs.MeasureQuality | None:
        done = self._conversion.request
        return jobs.MeasureQuality(done.source, done.settings, text=text) if done is not None else None

    def _restyle(self) -> None:
        colours, checked = theme.current().colours, self._conversion.checked
        verdict = checked.verdict if checked else "not checked"
        name, colour = {
            "same": ("check", colours.good),
            "different": ("warning", colours.error),
            "not checked": ("info", colours.muted),
        }[verdict]
        self._verdict_mark.setPixmap(theme.icon(name, colour).pixmap(20, 20))
