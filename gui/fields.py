"""One editor for one field of a settings model, found by the field's type. Knows no particular setting.

An editor shows a value and says what the person made of it, valid or not; whether it is valid the form decides.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from PySide6.QtCore import QKeyCombination, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QWidget

from gui import theme
from gui.controls import Choice, NumberBox, Slider, Switch, mark, number_text
from gui.text import tr
from gui.texts import Chips, TextArea, TextLine

_POSITIONS = 200  # the most that a slider's knob can be brought to
_KEYS = {
    "return": QKeyCombination(Qt.Key.Key_Return),
    "command-return": QKeyCombination(Qt.Modifier.CTRL, Qt.Key.Key_Return),
}


@dataclass(frozen=True)
class Facts:
    """What a model says about one of its fields."""

    name: str
    kind: Any  # the type, without `None`
    optional: bool
    title: str
    help: str
    extra: dict[str, Any]
    low: float | None
    high: float | None
    low_open: bool
    high_open: bool

    @classmethod
    def of(cls, name: str, field: FieldInfo, model: type[BaseModel] | None = None) -> Facts:
        """The facts of a pydantic field; its help calls the fields of its model by their titles."""
        kind, optional = field.annotation, False
        if typing.get_origin(kind) in (typing.Union, types.UnionType):
            kinds = [part for part in typing.get_args(kind) if part is not type(None)]
            optional = len(kinds) < len(typing.get_args(kind))
            kind = kinds[0]
        bounds = {
            key: getattr(item, key) for item in field.metadata for key in ("ge", "gt", "le", "lt") if hasattr(item, key)
        }
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        return cls(
            name=name,
            kind=kind,
            optional=optional,
            title=tr(field.title or name.replace("_", " ").capitalize()),
            help=by_title(tr(field.description), model) if field.description else "",
            extra=dict(extra),
            low=bounds.get("ge", bounds.get("gt")),
            high=bounds.get("le", bounds.get("lt")),
            low_open="gt" in bounds,
            high_open="lt" in bounds,
        )

    @property
    def nested(self) -> bool:
        """Whether the field is a settings model itself."""
        return isinstance(self.kind, type) and issubclass(self.kind, BaseModel)

    @property
    def group(self) -> str:
        """The name of the group it belongs to, "" for none."""
        return str(self.extra.get("group", ""))

    @property
    def advanced(self) -> bool:
        """Whether most people leave the field as it is."""
        return bool(self.extra.get("advanced"))

    def speaks_of(self, text: str) -> bool:
        """Whether the field's name, title or help holds a text, given in lower case."""
        return any(text in words.casefold() for words in (self.name, self.title, self.help))

    @property
    def unit(self) -> str:
        """The unit's name, which may be empty."""
        return tr(self.extra["unit"]) if "unit" in self.extra else ""

    def complaint(self, reason: str) -> str:
        """What is wrong with a value, in plain words; `reason` is the model's own sentence, for what has no bounds."""
        if self.kind not in (int, float):
            return tr(reason)
        low = number_text(self.low, grouped=True) if self.low is not None else ""
        high = number_text(self.high, grouped=True) if self.high is not None else ""
        if low and high and not self.low_open and not self.high_open:
            span = tr("between {low} and {high}", low=low, high=high)
        else:
            above = tr("above {low}", low=low) if self.low_open else tr("from {low}", low=low)
            below = tr("below {high}", high=high) if self.high_open else tr("up to {high}", high=high)
            span = " ".join(part for part, end in ((above, low), (below, high)) if end)
        noun = tr("a whole number") if self.kind is int else tr("a number")
        what = f"{noun} {span}".strip()
        return tr("Enter {what}, or leave this empty.", what=what) if self.optional else tr("Enter {what}.", what=what)


def by_title(text: str, model: type[BaseModel] | None) -> str:
    """A text in which fields are called by their titles, not by the names that files have for them."""
    fields = model.model_fields if model is not None else {}

    def title(found: re.Match[str]) -> str:
        field = fields.get(found[0])
        return tr("“{title}”", title=tr(field.title)) if field is not None and field.title else found[0]

    return re.sub(r"[a-z]+(?:_[a-z0-9]+)+", title, text)


class Editor(QWidget):
    """The controls of one field, side by side."""

    edited = Signal(object)  # what the person made of the value; the form decides whether it is valid
    wide = True  # whether it wants all the width there is
    small = False  # whether it fits behind its label where labels stand above

    def __init__(self, controls: Sequence[QWidget], facts: Facts) -> None:
        super().__init__()
        self.controls = tuple(controls)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.MEDIUM)
        for control in controls:
            control.setAccessibleName(facts.title)
            control.setAccessibleDescription(facts.help)
            row.addWidget(control)

    def show_value(self, value: Any) -> None:
        """Show a valid value; emits nothing."""
        raise NotImplementedError

    def set_wrong(self, wrong: bool) -> None:
        """Mark the controls whose text is at fault, or take the mark away."""
        for control in self.controls:
            mark(control, wrong)

    def take_focus(self) -> None:
        """Be ready for typing. (With a focus proxy instead, Qt's Tab would skip the slider.)"""
        self.controls[-1].setFocus()

    def flush(self) -> None:
        """Say now what is still waiting for a pause of typing."""


class NumberEditor(Editor):
    """A number field, with a slider where the range is one that a slider can show."""

    def __init__(self, facts: Facts) -> None:
        self._whole = facts.kind is int
        step = facts.extra.get("step")
        bounded = facts.low is not None and facts.high is not None and not facts.optional
        span = (facts.high or 0) - (facts.low or 0)
        # What is above nothing and has no step, as a learning rate, goes in powers of ten.
        if step is None and (self._whole or (bounded and not facts.low_open)):
            step = 1 if self._whole else span / 100
        nudge = step or 0
        low = facts.low + nudge if facts.low is not None and facts.low_open else facts.low
        high = facts.high - nudge if facts.high is not None and facts.high_open else facts.high
        empty = tr(facts.extra.get("empty", "None")) if facts.optional else None
        self._box = NumberBox(low, high, whole=self._whole, step=step, empty=empty)
        self._slider: Slider | None = None
        self.wide = False
        if bounded and low is not None and high is not None and step is not None and span <= _POSITIONS * step:
            self._low, self._high, self._step = Decimal(repr(low)), Decimal(repr(high)), Decimal(repr(step))
            self._slider = Slider(ceil((self._high - self._low) / self._step))
            self._slider.valueChanged.connect(self._slid)
            self.wide = True
        super().__init__([self._slider, self._box] if self._slider else [self._box], facts)
        self._box.edited.connect(self._typed)

    def show_value(self, value: Any) -> None:
        """In the field exactly, on the slider as near as it can."""
        self._box.set_number(value)
        self._place(value)

    def set_wrong(self, wrong: bool) -> None:
        """Only the field can hold something wrong."""
        mark(self._box, wrong)

    def _slid(self, position: int) -> None:
        value = min(self._low + position * self._step, self._high)
        number = int(value) if self._whole else float(value)
        self._box.set_number(number)
        self.edited.emit(number)

    def _typed(self, value: object) -> None:
        self._place(value)
        self.edited.emit(value)

    def _place(self, value: object) -> None:
        if self._slider and isinstance(value, (int, float)):
            with QSignalBlocker(self._slider):
                self._slider.setValue(round((Decimal(repr(value)) - self._low) / self._step))
            self._slider.update()


class ChoiceEditor(Editor):
    """A combo box of the values that are allowed."""

    wide = False

    def __init__(self, facts: Facts) -> None:
        self._box = Choice()
        self._values: list[Any] = [*([None] if facts.optional else []), *typing.get_args(facts.kind)]
        self._box.addItems([label(value, facts) for value in self._values])
        super().__init__([self._box], facts)
        self._box.view().setAccessibleName(facts.title)
        self._box.activated.connect(self._chosen)

    def show_value(self, value: Any) -> None:
        """Choose a value."""
        self._box.setCurrentIndex(self._values.index(value))

    def _chosen(self, place: int) -> None:
        self.edited.emit(self._values[place])


class SwitchEditor(Editor):
    """A switch."""

    wide, small = False, True

    def __init__(self, facts: Facts) -> None:
        self._switch = Switch()
        super().__init__([self._switch], facts)
        self._switch.clicked.connect(self._clicked)

    def show_value(self, value: Any) -> None:
        """Turn it on or off."""
        self._switch.setChecked(value)

    def _clicked(self, checked: bool) -> None:
        self.edited.emit(checked)


class TextEditor(Editor):
    """A line of text, or several."""

    def __init__(self, facts: Facts) -> None:
        self._optional = facts.optional
        empty = tr(facts.extra["empty"]) if "empty" in facts.extra else ""
        self._text = TextArea(empty) if facts.extra.get("multiline") else TextLine(empty)
        super().__init__([self._text], facts)
        self._text.written.connect(self._written)

    def show_value(self, value: Any) -> None:
        """Show a text."""
        self._text.set_text(value or "")

    def flush(self) -> None:
        """Do not wait for a pause."""
        self._text.flush()

    def _written(self, text: str) -> None:
        self.edited.emit(text if text or not self._optional else None)


class ChipsEditor(Editor):
    """Several texts."""

    def __init__(self, facts: Facts) -> None:
        self._chips = Chips(tr(facts.extra.get("empty", "Type and press Return")))
        super().__init__([self._chips], facts)
        self._chips.line.setAccessibleName(facts.title)
        self._chips.line.setAccessibleDescription(facts.help)
        self._chips.edited.connect(self.edited)

    def show_value(self, value: Any) -> None:
        """Show the texts."""
        self._chips.set_texts(tuple(value))

    def take_focus(self) -> None:
        """The line behind the chips."""
        self._chips.line.setFocus()

    def flush(self) -> None:
        """Take the text that is being typed."""
        self._chips.flush()


def label(value: Any, facts: Facts) -> str:
    """The plain words for a value that can be chosen."""
    if value is None or value == "":
        return tr(facts.extra.get("empty", "None"))
    if value in facts.extra.get("labels", {}):
        return tr(facts.extra["labels"][value])
    if value in _KEYS:
        return QKeySequence(_KEYS[value]).toString(QKeySequence.SequenceFormat.NativeText)
    words = str(value).replace("-", " ").replace("_", " ")
    # A name with a figure in it, such as bfloat16, is a technical one and keeps its spelling.
    return str(value) if any(sign.isdigit() for sign in words) else tr(words.capitalize())
