"""The settings of the run that is being put together, and where they came from. Knows no widget and no file."""

from __future__ import annotations

from typing import Any, NamedTuple

from PySide6.QtCore import QObject, Signal

from engine.grpo.settings import TrainConfig


class Origin(NamedTuple):
    """Settings as they were before a person changed any, and where they came from: a recipe, or a run or a file."""

    config: TrainConfig
    name: str
    recipe: bool = False


class Draft(QObject):
    """One for the life of the view.

    Attributes:
        config: the settings as they stand, always valid.
        origin: what they began as, None before anything was chosen.
        put_aside: what a person had changed when another beginning was chosen, the latest last.
    """

    began = Signal()  # from other settings
    changed = Signal()  # one or more of them, also with `began`

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.config = TrainConfig()
        self.origin: Origin | None = None
        self.put_aside: list[tuple[TrainConfig, Origin]] = []

    def begin(self, config: TrainConfig, name: str, *, recipe: bool = False) -> None:
        """Begin with these settings; what was changed before is put aside."""
        self.put_aside += self._changes()
        self._become(config, Origin(config, name, recipe))

    def bring_back(self) -> None:
        """Go on with what was put aside; what was changed since then takes its place."""
        if self.put_aside:
            config, origin = self.put_aside.pop()
            self.put_aside += self._changes()
            self._become(config, origin)

    def change(self, values: dict[str, Any]) -> None:
        """Give some settings other values.

        Raises:
            pydantic.ValidationError: they are not valid.
        """
        self.take(TrainConfig.model_validate(dict(self.config) | values))

    def take(self, config: TrainConfig) -> None:
        """Have these settings, of the same origin."""
        if config != self.config:
            self.config = config
            self.changed.emit()

    def _changes(self) -> list[tuple[TrainConfig, Origin]]:
        """The settings as they stand, where a person changed any."""
        origin = self.origin
        return [(self.config, origin)] if origin is not None and self.config != origin.config else []

    def _become(self, config: TrainConfig, origin: Origin) -> None:
        self.config, self.origin = config, origin
        self.began.emit()
        self.changed.emit()
