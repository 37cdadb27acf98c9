"""Where rewards are chosen, written and tried. Knows a draft and what a trial says; runs nothing itself."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QWidget

from gui.parts import Card, words
from gui.text import tr
from gui.train.new_run.column import Column
from gui.train.new_run.draft import Draft
from gui.train.new_run.known_rewards import BUILT_IN, Fault, Reward
from gui.train.new_run.preview import Preview
from gui.train.new_run.reward_code import RewardCode
from gui.train.new_run.reward_pick import RewardPick
from gui.train.new_run.trial import Trial
from gui.train.new_run.trial_view import TrialView


class RewardsPanel(Column):
    """The rewards of one draft."""

    judged = Signal()  # whether all of it is valid may be another answer now

    def __init__(self, draft: Draft, preview: Preview, trial: Trial) -> None:
        super().__init__(tr("Rewards"))
        self._draft, self._preview, self._trial = draft, preview, trial
        self.pick, self.code = RewardPick(BUILT_IN), RewardCode()
        self.trial_view = TrialView(trial, preview)
        self.rows.addWidget(
            _intro(
                tr("Rewards"),
                tr("Each gives a finished completion a number. Their sum is what the model learns to raise."),
            )
        )
        self.rows.addWidget(_in_card(self.pick))
        self.rows.addWidget(_intro(tr("Your own"), ""))
        self.rows.addWidget(_in_card(self.code))
        self.rows.addWidget(_intro(tr("Try them"), tr("Before anything is trained, on a row of the data.")))
        self.rows.addWidget(self.trial_view)
        self.rows.addStretch()
        self.pick.edited.connect(self._on_picked)
        self.pick.judged.connect(self.judged)
        self.code.opened.connect(self._on_file)
        self.code.found.connect(self._offer)
        self.code.judged.connect(self.judged)
        self.trial_view.wanted.connect(self._on_wanted)
        trial.changed.connect(self._on_trial)
        draft.changed.connect(self._on_changed)
        self._on_changed()

    @property
    def valid(self) -> bool:
        """Whether at least one reward is chosen and all weights may be."""
        return self.pick.valid

    @property
    def obstacle(self) -> str:
        """Why the run cannot start, "" where it can."""
        if not self.pick.valid:
            return tr("Choose at least one reward, and a number as the weight of each.")
        if self.code.path and self.code.unsaved:
            return tr("Your reward file has changes that are not saved.")
        return ""

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._preview.ask(self._draft.config)

    def _on_changed(self) -> None:
        config = self._draft.config
        if config.reward_file != self.code.path:
            self.code.open(config.reward_file)
        self._offer()
        self.pick.set_chosen(config.rewards, config.reward_weights)
        if self.isVisible():
            self._preview.ask(config)
        self.judged.emit()

    def _offer(self) -> None:
        """All rewards there are, and those that are chosen and are nowhere."""
        config = self._draft.config
        known = [*BUILT_IN, *(one for one in self.code.functions if one.name not in {each.name for each in BUILT_IN})]
        names = {reward.name for reward in known}
        lost = [
            Reward(name, tr("There is no such function in your file.")) for name in config.rewards if name not in names
        ]
        self.pick.set_known([*known, *lost])
        self.pick.set_chosen(config.rewards, config.reward_weights)

    def _on_picked(self, names: tuple[str, ...], weights: tuple[float, ...]) -> None:
        self._draft.change({"rewards": names, "reward_weights": weights})

    def _on_file(self, path: str) -> None:
        """A new file's functions are wanted; without the file, none of them can be."""
        config = self._draft.config
        weights = dict(zip(config.rewards, config.reward_weights or (1.0,) * len(config.rewards), strict=True))
        ours = {reward.name for reward in BUILT_IN}
        chosen = {name: weight for name, weight in weights.items() if name in ours}
        chosen |= {
            reward.name: weights.get(reward.name, 1.0) for reward in self.code.functions if reward.name not in ours
        }
        if not chosen:
            chosen = {BUILT_IN[0].name: 1.0}
        values = tuple(chosen.values())
        self._draft.change(
            {
                "reward_file": path,
                "rewards": tuple(chosen),
                "reward_weights": () if all(value == 1.0 for value in values) else values,
            }
        )

    def _on_wanted(self, row: int, texts: tuple[str, ...], live: int) -> None:
        if self.code.unsaved and not self.code.save():
            return
        self.code.show_fault(None)
        self._trial.start(self._draft.config, row, texts, live)

    def _on_trial(self) -> None:
        fault = next((fault for fault in self._trial.faults if fault.line), None)
        if fault is not None:
            self.code.show_fault(Fault(fault.line, fault.why or fault.what), reveal=True)


def _intro(title: str, about: str) -> QWidget:
    card = Card("")
    card.rows.setContentsMargins(0, 8, 0, 0)
    card.rows.setSpacing(2)
    card.rows.addWidget(words(title, "group"))
    if about:
        card.rows.addWidget(words(about, "muted"))
    return card


def _in_card(inner: QWidget) -> Card:
    card = Card()
    card.rows.addWidget(inner)
    return card
