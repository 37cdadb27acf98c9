"""Finds the editor for a field of a settings model by the field's type. Knows no particular setting."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any, Literal

from gui.fields import ChipsEditor, ChoiceEditor, Editor, Facts, NumberEditor, SwitchEditor, TextEditor
from gui.list_fields import ManyEditor, PairsEditor, PathEditor

_SIMPLE: dict[Any, Callable[[Facts], Editor]] = {
    bool: SwitchEditor,
    int: NumberEditor,
    float: NumberEditor,
    str: TextEditor,
    dict[str, str]: PairsEditor,
}


def editor(facts: Facts) -> Editor:
    """The editor for a field.

    Raises:
        TypeError: there is none for its type.
    """
    found = _SIMPLE.get(facts.kind) if not (facts.kind is bool and facts.optional) else None
    if "path" in facts.extra:
        found = PathEditor
    elif typing.get_origin(facts.kind) is Literal:
        found = ChoiceEditor
    elif typing.get_origin(facts.kind) is tuple:
        member = _bare(typing.get_args(facts.kind)[0])
        found = ManyEditor if typing.get_origin(member) is Literal else ChipsEditor if member is str else None
    if found is None:
        raise TypeError(f"no editor for the field {facts.name} of type {facts.kind}")
    return found(facts)


def _bare(kind: Any) -> Any:
    """A type without what is annotated to it."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind
