"""A form in a window with one field of every kind, and the hands of a person: for the tests of forms."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from gui.form import Form


class Inner(BaseModel):
    """A model inside another."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    depth: int = Field(3, ge=1, le=9, title="Depth")


class Everything(BaseModel):
    """One field of every kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: float = Field(1e-6, gt=0, title="Learning rate", description="How far a step goes; a < b.")
    share: float = Field(0.5, gt=0, le=1, title="Share", json_schema_extra={"step": 0.25, "unit": "parts"})
    count: int = Field(4, ge=2, title="Count", json_schema_extra={"group": "Numbers"})
    layers: int = Field(16, ge=1, le=64, title="Layers", json_schema_extra={"group": "Numbers"})
    clip: float | None = Field(None, gt=0, title="Clip", json_schema_extra={"empty": "Off"})
    on: bool = Field(False, title="Switch")
    kind: Literal["grpo", "float32", "dr-grpo"] = Field(
        "grpo", title="Kind", json_schema_extra={"labels": {"grpo": "GRPO"}}
    )
    maybe: Literal["yes", "no"] | None = Field(None, title="Maybe")
    name: str = Field("", title="Name", max_length=5)
    alias: str | None = Field(None, title="Alias")
    text: str = Field("", title="Text", json_schema_extra={"multiline": True})
    stop: tuple[str, ...] = Field((), title="Stop strings")
    inner: Inner = Field(Inner(depth=5), title="Inside")
    rare: int = Field(1, ge=0, le=5, title="Rare", json_schema_extra={"advanced": True})
    untitled_one: int = 7


class Bench:
    """A form in a window, and what it emitted."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.emitted: list[Any] = []
        form.changed.connect(self.emitted.append)

    def find(self, kind: type, title: str) -> Any:
        """The one control of a kind with a title."""
        children: list[QWidget] = self.form.findChildren(kind)
        (found,) = [child for child in children if child.accessibleName() == title]
        return found

    def complaints(self) -> list[str]:
        """The sentences that are shown."""
        labels = self.form.findChildren(QLabel)
        return [label.text() for label in labels if label.property("role") == "complaint" and label.isVisible()]

    def resets(self) -> list[str]:
        """The fields with a way back."""
        names = [button.accessibleName() for button in self.form.findChildren(QToolButton) if button.isVisible()]
        return [name.removeprefix("Reset ") for name in names if name.startswith("Reset ")]


def bench(qtbot: QtBot, model: BaseModel, **how: Any) -> Bench:
    """A shown form of a model."""
    made = Bench(Form(model, **how))
    qtbot.addWidget(made.form)
    made.form.resize(280 if how.get("compact") else 640, made.form.sizeHint().height())
    with qtbot.waitExposed(made.form):
        made.form.show()
    made.form.activateWindow()
    return made


def retype(qtbot: QtBot, control: QWidget, text: str) -> None:
    """Replace what a control holds, as a person does."""
    control.setFocus()
    qtbot.keyClick(control, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    if not text:
        qtbot.keyClick(control, Qt.Key.Key_Delete)
    qtbot.keyClicks(control, text)


def wheel(control: QWidget, turn: int = 120) -> None:
    """Turn the wheel over the middle of a control, wherever that leads."""
    window = control.window()
    QTest.wheelEvent(window.windowHandle(), control.mapTo(window, control.rect().center()), QPoint(0, turn))
