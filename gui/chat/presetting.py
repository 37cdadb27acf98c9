"""Brings presets to the side panel and from it: choose, save, update, delete. Knows no file, only their room."""

from __future__ import annotations

import dataclasses

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QInputDialog

from engine.chat import presets
from engine.chat.presets import Preset
from gui.chat.conversing import Conversing
from gui.chat.loading import Loading
from gui.chat.preset_button import PresetButton
from gui.desk import Desk
from gui.text import tr

_LONGEST = 60


class Presetting(QObject):
    """The presets and the one that the conversation in view began with."""

    chosen = Signal()  # another manner is in force

    def __init__(self, desk: Desk, talk: Conversing, loading: Loading, button: PresetButton) -> None:
        super().__init__(button)
        self._desk, self._talk, self._loading, self._button = desk, talk, loading, button
        self._presets: dict[str, Preset] = {}
        button.chosen.connect(self.choose)
        button.save_wanted.connect(self.ask_for_name)
        button.update_wanted.connect(lambda: self.save(talk.manner.preset))
        button.delete_wanted.connect(self.delete)
        talk.shown.connect(self.show)
        talk.changed.connect(self.show)
        loading.changed.connect(self.show)

    def read(self) -> None:
        """Read the presets anew."""
        self._presets = {preset.name: preset for preset in presets.all_presets()}
        self._button.set_presets(list(self._presets.values()), presets.own_names())
        self.show()

    def show(self) -> None:
        """Name the preset of the conversation in view, and say whether it is still followed."""
        manner = self._talk.manner
        preset = self._presets.get(manner.preset)
        # One that was deleted meanwhile is named no more.
        self._button.show_preset(
            preset.name if preset else "", changed=preset is not None and not self._follows(preset)
        )

    def choose(self, name: str) -> None:
        """Answer the conversation by this preset from now on; "" takes what the settings say."""
        settings, preset = self._desk.settings, self._presets.get(name)
        chosen = preset or Preset(system_prompt=settings.system_prompt, sampling=settings.sampling)
        self._talk.change(
            dataclasses.replace(
                self._talk.manner, system_prompt=chosen.system_prompt, sampling=chosen.sampling, preset=chosen.name
            )
        )
        self.chosen.emit()
        if chosen.model and chosen.model != self._loading.model:
            self._loading.load(chosen.model)

    def ask_for_name(self) -> None:
        """Let the person name a new preset of what is set now."""
        dialog = QInputDialog(self._button.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setWindowTitle(tr("Save as Preset"))
        dialog.setLabelText(tr("System prompt, sampling and model are kept under this name."))
        dialog.setOkButtonText(tr("Save"))
        dialog.setTextValue(self._talk.manner.preset)
        dialog.textValueSelected.connect(lambda name: self.save(name.strip()[:_LONGEST]))
        dialog.open()

    def save(self, name: str) -> None:
        """Keep what is set now under a name."""
        if not name:
            return
        manner, old = self._talk.manner, self._presets.get(name)
        presets.save(
            Preset(
                name=name,
                description=old.description if old is not None else "",
                system_prompt=manner.system_prompt,
                model=self._loading.model,
                sampling=manner.sampling,
            )
        )
        self._talk.change(dataclasses.replace(manner, preset=name))
        self.read()
        self._desk.notices.tell(tr("The preset {name} was saved.", name=name))

    def delete(self) -> None:
        """Forget the preset in use; the conversation stays as it is."""
        preset = self._presets.get(self._talk.manner.preset)
        if preset is None:
            return
        presets.delete(preset.name)
        self.read()
        self._desk.notices.tell(
            tr("The preset {name} was deleted.", name=preset.name), tr("Undo"), lambda: self._bring_back(preset)
        )

    def _bring_back(self, preset: Preset) -> None:
        presets.save(preset)
        self.read()

    def _follows(self, preset: Preset) -> bool:
        manner = self._talk.manner
        same = (manner.system_prompt, manner.sampling) == (preset.system_prompt, preset.sampling)
        return same and preset.model in ("", self._loading.model)
