"""Carries the manner of a conversation between side panel, gauge and conversation. Knows presets, not how they look."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from PySide6.QtCore import QObject

from engine.config import Sampling, WhenFull
from gui.chat.composer import Composer
from gui.chat.conversing import Conversing
from gui.chat.inspector import Inspector
from gui.chat.loading import Loading
from gui.chat.manner import Manner
from gui.chat.presetting import Presetting
from gui.desk import Desk


class Manners(QObject):
    """What the person sets for the conversation in view, and what is shown of it."""

    def __init__(
        self, desk: Desk, talk: Conversing, loading: Loading, inspector: Inspector, composer: Composer
    ) -> None:
        super().__init__(inspector)
        self._desk, self._talk, self._loading = desk, talk, loading
        self._inspector, self._composer = inspector, composer
        self._defaults = talk.manner
        inspector.system_prompt_changed.connect(lambda text: self._change(system_prompt=text))
        inspector.sampling_changed.connect(self.set_sampling)
        inspector.speculative_changed.connect(self._set_speculative)
        composer.gauge.chosen.connect(self._set_when_full)
        desk.settings_changed.connect(self._on_settings)
        self.presetting = Presetting(desk, talk, loading, inspector.preset)
        talk.shown.connect(self.show)
        self.presetting.chosen.connect(self.show)
        talk.fitted.connect(self._show_fit)
        talk.answering_changed.connect(self._show_speculation)
        loading.changed.connect(self._show_fit)
        self.show()

    def show(self) -> None:
        """Show how the conversation in view is answered."""
        manner = self._talk.manner
        self._inspector.show_settings(manner.system_prompt, manner.sampling)
        self._composer.gauge.set_choice(manner.when_full, self._desk.settings.when_full)

    def set_sampling(self, sampling: Sampling) -> None:
        """Choose tokens in another way from now on."""
        self._change(sampling=sampling)

    def _set_when_full(self, choice: WhenFull | Literal[""]) -> None:
        self._change(when_full=choice)
        self.show()

    def _set_speculative(self, on: bool) -> None:
        self._desk.change_settings(self._desk.settings.model_copy(update={"speculative": on}))

    def _change(self, **values: Any) -> None:
        self._talk.change(dataclasses.replace(self._talk.manner, **values))

    def _on_settings(self) -> None:
        settings = self._desk.settings
        self._composer.set_send_key(settings.send_key)
        self._composer.gauge.set_choice(self._talk.manner.when_full, settings.when_full)
        self._show_speculation()
        defaults = Manner.of_settings(settings)
        if self._talk.id is None and defaults != self._defaults:
            self._defaults = defaults
            self._talk.change(defaults)
            self.show()

    def _show_speculation(self) -> None:
        answer = next((message for message in reversed(self._talk.path) if message.stats is not None), None)
        effect = self._talk.speeds.effect(answer) if answer is not None else ""
        self._inspector.show_speculation(self._desk.settings.speculative, effect)

    def _show_fit(self) -> None:
        fit, loaded = self._talk.fit, self._loading.loaded
        self._composer.gauge.show_use(fit.tokens, fit.window or (loaded.context if loaded is not None else 0))
