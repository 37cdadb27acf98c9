"""A form made from any settings model: every field's control, help and limits come from the model. Knows no model."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QFrame, QLabel, QToolButton, QVBoxLayout, QWidget

from gui import theme
from gui.fields import Facts
from gui.rows import Row
from gui.text import tr

_NO_DEFAULT = object()
_WIDTH = 640  # beyond it a line is too long to be followed by eye


class Form(QWidget):
    """The settings as controls; it always holds a valid model, and marks what was typed and is not valid.

    `compact` is for a side panel: labels above the controls. Without it the labels stand in a column of their own, and
    every group is a card. `defaults` is what a reset goes back to, where that is not the model's own defaults.
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
    ) -> None:
        super().__init__()
        self._settings, self._defaults, self._compact = settings, defaults, compact
        self._cards = not compact and not label_width  # a form inside a form is given its width, and stands in a card
        self.setMaximumWidth(_WIDTH)
        self._label_width = label_width or min(_widest(type(settings), self.fontMetrics()), 180)
        self._wishes: dict[str, Any] = {}  # what was typed and is not valid
        self._complaints: dict[str, str] = {}  # and what is wrong with it
        self._rows: dict[str, Row] = {}
        self._forms: dict[str, Form] = {}
        fields = type(settings).model_fields.items()
        self._facts = {name: Facts.of(name, field) for name, field in fields if name not in exclude}
        self._lay_out()
        for name in self._facts:
            self._show(name)
        self._show_marks()

    @property
    def valid(self) -> bool:
        """Whether everything that was typed and chosen is in force."""
        return not self._wishes and all(form.valid for form in self._forms.values())

    def enable(self, names: Collection[str], enabled: bool) -> None:
        """Let these fields be changed, or not: what has no effect with the rest as it is."""
        for name in names:
            if name in self._rows:
                self._rows[name].setEnabled(enabled)

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
        else:
            self._rows[name].editor.show_value(value)

    def _show_marks(self) -> None:
        for name, row in self._rows.items():
            default = self._default(name)
            differs = name in self._wishes or getattr(self._settings, name) != default
            row.set_complaint(self._complaints.get(name, ""))
            row.set_changed(differs and default is not _NO_DEFAULT)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SMALL)
        groups: dict[str, list[Facts]] = {}
        for facts in self._facts.values():
            if not facts.extra.get("advanced"):
                groups.setdefault(str(facts.extra.get("group", "")), []).append(facts)
        for place, (title, members) in enumerate(groups.items()):
            if place:
                column.addSpacing(theme.SMALL)
            if title:
                column.addWidget(self._heading(tr(title), "section" if self._compact else "group"))
            column.addWidget(self._group(members))
        advanced = [facts for facts in self._facts.values() if facts.extra.get("advanced")]
        if advanced:
            body = self._group(advanced)
            column.addWidget(Disclosure(tr("Advanced"), body), 0, Qt.AlignmentFlag.AlignLeft)
            column.addWidget(body)
        column.addStretch()

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
        row = Row(facts, 0 if self._compact else self._label_width)
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
        column.addWidget(self._heading(facts.title, "section"))
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

    @staticmethod
    def _heading(title: str, role: str) -> QLabel:
        heading = QLabel(title)
        heading.setProperty("role", role)
        return heading


class Disclosure(QToolButton):
    """Opens and closes what stands below it."""

    def __init__(self, title: str, body: QWidget) -> None:
        super().__init__()
        self.setText(title)
        self.setCheckable(True)
        self.setProperty("role", "disclosure")
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.toggled.connect(body.setVisible)
        self.toggled.connect(self._turn)
        theme.current().changed.connect(self._turn)
        body.hide()
        self._turn()

    def _turn(self) -> None:
        self.setIcon(theme.icon("chevron-down" if self.isChecked() else "chevron-right"))


def _widest(model: type[BaseModel], metrics: QFontMetrics) -> int:
    """The width of the longest label, of models inside too, so that all columns of labels end alike."""
    facts = [Facts.of(name, field) for name, field in model.model_fields.items()]
    widths = [_widest(one.kind, metrics) if one.nested else metrics.horizontalAdvance(one.title) for one in facts]
    return max(widths, default=0) + 2
