"""A form made from any settings model: every field's control, help and limits come from the model. Knows no model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from gui import theme
from gui.disclosure import Disclosure
from gui.editors import editor
from gui.fields import Editor, Facts
from gui.rows import Row
from gui.text import tr

_NO_DEFAULT = object()
_WIDTH = 640  # beyond it a line is too long to be followed by eye


class Form(QWidget):
    """The settings as controls; it always holds a valid model, and marks what was typed and is not valid.

    `compact` is for a side panel: labels above the controls. Without it the labels stand in a column of their own, and
    every group is a card. `defaults` is what a reset goes back to, where that is not the model's own defaults.
    `editors` make the editors of some fields, by name, where that of the field's type will not do. What is advanced is
    folded away, and made when it is first looked at.
    """

    changed = Signal(object)  # the new, valid settings
    judged = Signal()  # whether all of it is valid may be another answer now

    def __init__(
        self,
        settings: BaseModel,
        *,
        compact: bool = False,
        exclude: Collection[str] = (),
        defaults: BaseModel | None = None,
        label_width: int = 0,
        editors: Mapping[str, Callable[[Facts], Editor]] | None = None,
    ) -> None:
        super().__init__()
        self._editors = editors or {}
        self._advanced: Disclosure | None = None
        self._groups: list[tuple[str, QWidget | None, QWidget]] = []  # the name of each, its heading and its rows
        self._settings, self._defaults, self._compact = settings, defaults, compact
        self._cards = not compact and not label_width  # a form inside a form is given its width, and stands in a card
        self.setMaximumWidth(_WIDTH)
        self._label_width = label_width or min(_widest(type(settings), self.fontMetrics()), 180)
        self._wishes: dict[str, Any] = {}  # what was typed and is not valid
        self._complaints: dict[str, str] = {}  # and what is wrong with it
        self._rows: dict[str, Row] = {}
        self._forms: dict[str, Form] = {}
        fields = type(settings).model_fields.items()
        self._facts = {name: Facts.of(name, field, type(settings)) for name, field in fields if name not in exclude}
        self._disabled: set[str] = set()
        self._lay_out()
        for name in self._facts:
            self._show(name)
        self._show_marks()

    @property
    def complaints(self) -> dict[str, str]:
        """What is wrong with each field that is not valid, by the fields' titles."""
        found = {self._facts[name].title: sentence for name, sentence in self._complaints.items()}
        for form in self._forms.values():
            found |= form.complaints
        return found

    @property
    def valid(self) -> bool:
        """Whether everything that was typed and chosen is in force."""
        return not self._wishes and all(form.valid for form in self._forms.values())

    def enable(self, names: Collection[str], enabled: bool) -> None:
        """Let these fields be changed, or not: what has no effect with the rest as it is."""
        self._disabled = self._disabled - set(names) if enabled else self._disabled | set(names)
        for name in names:
            if name in self._rows:
                self._rows[name].setEnabled(enabled)

    def set_defaults(self, defaults: BaseModel) -> None:
        """Have a reset go back to these."""
        self._defaults = defaults
        self._show_marks()

    def search(self, text: str) -> int:
        """Show only the fields that speak of a text, folded ones too; all as they were for "". How many there are."""
        wanted = text.strip().casefold()
        found = {name for name, facts in self._facts.items() if facts.speaks_of(wanted)}
        if self._advanced is not None:
            self._advanced.look(bool(wanted), any(self._facts[name].advanced for name in found))
        for name, row in self._rows.items():
            row.setVisible(name in found)
        for name, form in self._forms.items():
            form.setVisible(name in found)
        for title, heading, body in self._groups:
            here = [facts for facts in self._facts.values() if facts.name in found and facts.group == title]
            body.setVisible(any(not facts.advanced for facts in here))
            if heading is not None:
                heading.setVisible(bool(here))
        return len(found)

    @property
    def current(self) -> BaseModel:
        """The settings as they stand, without a text that is still being typed."""
        return self._settings

    def settings(self) -> BaseModel:
        """The settings as they stand; a text that is still being typed counts, and is emitted first."""
        for row in self._rows.values():
            row.flush()
        for form in self._forms.values():
            form.settings()
        return self._settings

    def set_settings(self, settings: BaseModel) -> None:
        """Show other settings; emits nothing. What is being typed stays where its field does not change."""
        before, self._settings = self._settings, settings
        for name in self._facts:
            if getattr(settings, name) != getattr(before, name):
                self._drop(name)
                self._show(name)
        self._show_marks()

    def reset(self) -> None:
        """Everything back to its default."""
        self.revert()
        defaults = {name: self._default(name) for name in self._facts}
        self._become(self._with({name: value for name, value in defaults.items() if value is not _NO_DEFAULT}))

    def revert(self) -> None:
        """Forget what was typed and is not valid."""
        for form in self._forms.values():
            form.revert()
        for name in list(self._wishes):
            self._drop(name)
            self._show(name)
        self._show_marks()

    def _become(self, settings: BaseModel) -> None:
        before = self._settings
        self.set_settings(settings)
        if settings != before:
            self.changed.emit(settings)

    def _edited(self, name: str, value: Any) -> None:
        self._wishes[name] = value
        before, moved = self._settings, True
        while moved:  # one wish may make another valid
            moved = False
            for key, wish in list(self._wishes.items()):
                try:
                    self._settings = self._with({key: wish})
                except ValidationError as error:
                    self._complaints[key] = self._complaint(key, error)
                else:
                    self._drop(key)
                    moved = True
        self._show_marks()
        if self._settings != before:
            self.changed.emit(self._settings)
        self.judged.emit()

    def _reset_field(self, name: str) -> None:
        self._drop(name)
        self._become(self._with({name: self._default(name)}))
        self._show(name)
        self._show_marks()
        self.judged.emit()

    def _with(self, values: dict[str, Any]) -> BaseModel:
        return type(self._settings).model_validate(dict(self._settings) | values)

    def _drop(self, name: str) -> None:
        self._wishes.pop(name, None)
        self._complaints.pop(name, None)

    def _complaint(self, name: str, error: ValidationError) -> str:
        first = error.errors()[0]
        if first["type"] == "value_error":  # a rule of the model's own, in its own words
            return tr(str(first["ctx"]["error"]))
        return self._facts[name].complaint(first["msg"])

    def _default(self, name: str) -> Any:
        if self._defaults is not None:
            return getattr(self._defaults, name)
        field = type(self._settings).model_fields[name]
        return _NO_DEFAULT if field.is_required() else field.get_default(call_default_factory=True)

    def _show(self, name: str) -> None:
        value = getattr(self._settings, name)
        if name in self._forms:
            self._forms[name].set_settings(value)
        elif name in self._rows:
            self._rows[name].editor.show_value(value)

    def _show_marks(self) -> None:
        for name, row in self._rows.items():
            row.set_complaint(self._complaints.get(name, ""))
            row.set_changed(self._differs(name))
        if self._advanced is not None:
            self._advanced.count(sum(self._differs(name) for name, facts in self._facts.items() if facts.advanced))

    def _differs(self, name: str) -> bool:
        """Whether there is a way back to a default."""
        default = self._default(name)
        return default is not _NO_DEFAULT and (name in self._wishes or getattr(self._settings, name) != default)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SMALL)
        groups: dict[str, list[Facts]] = {}
        for facts in self._facts.values():
            if not facts.advanced:
                groups.setdefault(facts.group, []).append(facts)
        for place, (title, members) in enumerate(groups.items()):
            if place:
                column.addSpacing(theme.SMALL)
            heading, body = self._heading(tr(title)) if title else None, self._group(members)
            if heading is not None:
                column.addWidget(heading)
            column.addWidget(body)
            self._groups.append((title, heading, body))
        if any(facts.advanced for facts in self._facts.values()):
            folded = QWidget()
            QVBoxLayout(folded).setContentsMargins(0, 0, 0, 0)
            self._advanced = Disclosure(tr("Advanced"), folded)
            # First of all that is told of it: what is opened is there before it is shown.
            self._advanced.opened.connect(self._unfold)
            column.addWidget(self._advanced, 0, Qt.AlignmentFlag.AlignLeft)
            column.addWidget(folded)
        column.addStretch()

    def _unfold(self) -> None:
        """Make the rows that were folded away."""
        body = self._advanced.body if self._advanced is not None else None
        layout = body.layout() if body is not None else None
        if layout is None or layout.count():
            return
        members = [facts for facts in self._facts.values() if facts.advanced]
        layout.addWidget(self._group(members))
        for facts in members:
            self._show(facts.name)
            if facts.name in self._disabled:
                self.enable({facts.name}, False)
        self._show_marks()

    def _group(self, members: Iterable[Facts]) -> QWidget:
        body = QFrame()
        column = QVBoxLayout(body)
        column.setSpacing(theme.MEDIUM)
        column.setContentsMargins(0, 0, 0, 0)
        if self._cards:
            body.setProperty("role", "card")
            column.setContentsMargins(theme.LARGE, theme.LARGE, theme.SMALL, theme.LARGE)
        for facts in members:
            column.addWidget(self._nested(facts, column) if facts.nested else self._row(facts))
        return body

    def _row(self, facts: Facts) -> Row:
        make = self._editors.get(facts.name, editor)
        row = Row(facts, 0 if self._compact else self._label_width, make(facts))
        row.editor.edited.connect(partial(self._edited, facts.name))
        row.reset.clicked.connect(partial(self._reset_field, facts.name))
        self._rows[facts.name] = row
        return row

    def _nested(self, facts: Facts, column: QVBoxLayout) -> Form:
        if self._cards and column.count():
            line = QFrame()
            line.setProperty("role", "line")
            line.setFixedHeight(1)
            column.addWidget(line)
        column.addWidget(self._heading(facts.title, inside=True))
        default = self._default(facts.name)
        form = Form(
            getattr(self._settings, facts.name),
            compact=self._compact,
            defaults=None if default is _NO_DEFAULT else default,
            label_width=self._label_width,
        )
        form.changed.connect(partial(self._edited, facts.name))
        self._forms[facts.name] = form
        return form

    def _heading(self, title: str, *, inside: bool = False) -> QLabel:
        heading = QLabel(title)
        heading.setProperty("role", "section" if self._compact or inside else "group")
        return heading


def _widest(model: type[BaseModel], metrics: QFontMetrics) -> int:
    """The width of the longest label, of models inside too, so that all columns of labels end alike."""
    facts = [Facts.of(name, field) for name, field in model.model_fields.items()]
    widths = [_widest(one.kind, metrics) if one.nested else metrics.horizontalAdvance(one.title) for one in facts]
    return max(widths, default=0) + 2
