"""The wizard's first page: what the source is, in plain words. Knows a plan, converts nothing."""

from __future__ import annotations

from PySide6.QtCore import Signal

from engine.conversion_events import ConversionPlanned
from gui import theme
from gui.convert import words as say
from gui.parts import FactsCard, Pane, PathLabel, WarningCard, button, words
from gui.text import number, parameters, short_path, size, tr


class AboutView(Pane):
    """Name, kind, size and what is remarkable."""

    accepted = Signal()
    left = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.kind = words(role="muted")
        self.place = PathLabel(role="caption")
        self.warnings = WarningCard()
        self.facts = FactsCard()
        self.rows.setSpacing(theme.SMALL)
        self.rows.addWidget(self.kind)
        self.rows.addWidget(self.place)
        self.rows.addSpacing(theme.SMALL)
        self.rows.addWidget(self.warnings)
        self.rows.addWidget(self.facts)
        self.rows.addStretch()
        self.forward = button(tr("Continue"), primary=True)
        self.forward.clicked.connect(self.accepted)
        leave = button(tr("Choose Another"))
        leave.clicked.connect(self.left)
        self.footer.addWidget(leave)
        self.footer.addStretch()
        self.footer.addWidget(self.forward)

    def show_plan(self, plan: ConversionPlanned) -> None:
        """Describe this source."""
        self.title.setText(plan.name)
        self.kind.setText(say.kind(plan))
        self.place.set_path(short_path(plan.source))
        self.warnings.show_sentences(plan.warnings)
        facts = self.facts
        facts.clear()
        facts.add(
            tr("Architecture"),
            tr("{name}, {layers} layers", name=plan.model_type, layers=number(plan.layers))
            if plan.layers
            else plan.model_type,
            tr("The family of models it belongs to, which decides how it computes."),
        )
        facts.add(tr("Parameters"), parameters(plan.parameters), tr("The numbers a model consists of."))
        facts.add(tr("Number format"), say.number_format(plan), say.number_format_help(plan))
        files = tr("one file") if plan.shards == 1 else tr("{count} files", count=number(plan.shards))
        facts.add(tr("Size now"), f"{size(plan.source_bytes)}, {files}")
        facts.add(
            tr("Tokenizer"),
            say.tokenizer(plan),
            tr("Cuts text into the pieces that the model reads."),
        )
        facts.add(
            tr("Chat template"),
            tr("yes, made for conversations") if plan.has_chat_template else tr("none, it continues texts"),
            tr("The form in which the model was taught to read a conversation."),
        )
        if plan.context:
            facts.add(
                tr("Context"),
                tr("{count} tokens", count=number(plan.context)),
                tr("How much text it can attend to at once. A token is about three quarters of a word."),
            )
