"""All settings of a run: a form for each group, made when they are looked at, and a field that finds one. Knows no job.

A group is made in one turn of the window's loop and the next one in another, so that none of them holds it up.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QMenu, QVBoxLayout, QWidget

from engine.grpo.settings import TrainConfig
from gui import theme
from gui.form import Form
from gui.parts import button, words
from gui.text import tr
from gui.train.new_run.column import Centred, Column
from gui.train.new_run.draft import Draft
from gui.train.new_run.editors import DatasetEditor, ModelEditor
from gui.train.new_run.model_list import ModelList

# These are chosen where they can be tried.
_ELSEWHERE = frozenset({"rewards", "reward_weights"})


def group_of(name: str) -> str:
    """The group of a setting."""
    extra = TrainConfig.model_fields[name].json_schema_extra
    return str(extra["group"]) if isinstance(extra, dict) else ""


GROUPS = tuple(dict.fromkeys(map(group_of, TrainConfig.model_fields)))


class SettingsPanel(QWidget):
    """The forms of one draft."""

    judged = Signal()  # whether all of it is valid may be another answer now
    rewards_wanted = Signal()
    download_wanted = Signal()

    def __init__(self, draft: Draft, models: ModelList) -> None:
        super().__init__()
        self._draft, self._models = draft, models
        self.forms: dict[str, Form] = {}
        self._holders: dict[str, QWidget] = {}
        self.search = QLineEdit(placeholderText=tr("Find a setting"), clearButtonEnabled=True)
        self.search.setAccessibleName(tr("Find a setting"))
        self.search.textChanged.connect(self._search)
        self._nothing = words(role="muted")
        self._nothing.hide()
        self._column = Column(tr("Settings"))
        self._column.rows.setSpacing(theme.LARGE)
        self._column.rows.addWidget(self._nothing)
        self._column.rows.addStretch()
        self._rewards = button(tr("Choose and Try Rewards…"))
        self._rewards.clicked.connect(self.rewards_wanted)
        page = QVBoxLayout(self)
        page.setContentsMargins(0, theme.MEDIUM, 0, 0)
        page.setSpacing(0)
        page.addWidget(Centred(self._head()))
        page.addWidget(self._column, 1)
        self._building = QTimer(self, interval=0)
        self._building.timeout.connect(self._build_next)
        self._searching = QTimer(self, interval=0)
        self._searching.timeout.connect(self._search_next)
        self._unsearched: list[str] = []
        self._found = 0
        draft.began.connect(self._on_began)
        draft.changed.connect(self._on_changed)

    def _head(self) -> QWidget:
        """The search, and a menu of the groups to go to."""
        groups = button(tr("Go To"))
        groups.setToolTip(tr("Go to a group of settings"))
        menu = QMenu(groups)
        for group in GROUPS:
            menu.addAction(tr(group), partial(self.show_group, group))
        groups.setMenu(menu)
        head = QWidget()
        row = QHBoxLayout(head)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SMALL)
        row.addWidget(self.search, 1)
        row.addWidget(groups)
        return head

    @property
    def valid(self) -> bool:
        """Whether everything that was typed is in force."""
        return all(form.valid for form in self.forms.values())

    @property
    def complaints(self) -> dict[str, str]:
        """What is wrong, by the settings' titles."""
        return {title: sentence for form in self.forms.values() for title, sentence in form.complaints.items()}

    def flush(self) -> None:
        """Take what is being typed."""
        for form in self.forms.values():
            form.settings()

    def build(self) -> None:
        """Make all forms that are not there yet, now."""
        while len(self.forms) < len(GROUPS):
            self._build_next()

    def show_group(self, group: str) -> None:
        """Bring a group to the top of the page."""
        self.search.clear()
        self.build()
        while self._unsearched:
            self._search_next()
        # The place of what was made just now is known after the next turn.
        QTimer.singleShot(0, self, partial(self._scroll_to, group))

    def _scroll_to(self, group: str) -> None:
        self._column.verticalScrollBar().setValue(self._holders[group].y())

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if len(self.forms) < len(GROUPS):
            self._building.start()

    def _build_next(self) -> None:
        group = next((group for group in GROUPS if group not in self.forms), None)
        if group is not None:
            self._build(group)
        if len(self.forms) == len(GROUPS):
            self._building.stop()

    def _build(self, group: str) -> None:
        others = {name for name in TrainConfig.model_fields if group_of(name) != group}
        origin = self._draft.origin
        form = Form(
            self._draft.config,
            exclude=others | _ELSEWHERE,
            defaults=origin.config if origin else None,
            editors={"model_name": self._model_editor, "dataset": partial(DatasetEditor, self._pick)},
        )
        form.setMaximumWidth(16_777_215)  # the column has its own
        form.changed.connect(partial(self._on_edited, group))
        form.judged.connect(self.judged)
        self.forms[group] = form
        holder: QWidget = form
        if group == group_of("rewards"):
            holder = QWidget()
            column = QVBoxLayout(holder)
            column.setContentsMargins(0, 0, 0, 0)
            column.setSpacing(theme.SMALL)
            column.addWidget(form)
            column.addWidget(self._rewards, 0, Qt.AlignmentFlag.AlignLeft)
        self._holders[group] = holder
        self._column.rows.insertWidget(self._column.rows.count() - 1, holder)
        holder.show()
        if self.search.text():
            self._search_in(group)

    def _model_editor(self, facts: Any) -> ModelEditor:
        made = ModelEditor(self._models, facts)
        made.download_wanted.connect(self.download_wanted)
        return made

    def _pick(self, values: dict[str, Any]) -> None:
        self._draft.change(values)

    def _on_edited(self, group: str, settings: TrainConfig) -> None:
        own = {name: value for name, value in settings if group_of(name) == group}
        self._draft.change(own)

    def _on_began(self) -> None:
        for form in self.forms.values():
            form.revert()
            if self._draft.origin is not None:
                form.set_defaults(self._draft.origin.config)

    def _on_changed(self) -> None:
        for form in self.forms.values():
            form.set_settings(self._draft.config)
        self.judged.emit()

    def _search(self, text: str) -> None:
        self._unsearched = list(GROUPS)
        self._found = 0
        self._nothing.hide()
        self._nothing.setText(tr("No setting speaks of “{words}”.", words=text.strip()))
        self._column.verticalScrollBar().setValue(0)
        self._searching.start()

    def _search_next(self) -> None:
        """Search one group: rows that were folded away are made for it, and that takes a while."""
        group = self._unsearched.pop(0) if self._unsearched else ""
        if group in self.forms:
            self._search_in(group)
        if not self._unsearched:
            self._searching.stop()
            self._nothing.setVisible(not self._found and bool(self.forms))

    def _search_in(self, group: str) -> None:
        found = self.forms[group].search(self.search.text())
        self._holders[group].setVisible(bool(found))
        self._found += found
