"""Does what a person tells a run while it trains. Knows no window, and no step from the inside.

Commands come between events of the run, and all that changes what it computes is done between two steps. What was
changed is part of the run's state: a checkpoint holds it, and a run that goes on from there goes on with it.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.events import Event, Note, Progress
from engine.grpo import controls
from engine.grpo.controls import Command
from engine.grpo.settings import TrainConfig
from engine.training_events import SettingChanged

if TYPE_CHECKING:
    import mlx.core as mx

    from engine.grpo.policy import Policy

# A chat on the same thread waits at most so long for its first token while a run is paused through its folder.
_PAUSE_SECONDS = 0.2
Changes = dict[str, list[float]]
"""For each changed setting its value in config.toml when it was changed, and its value now."""


class Steering:
    """The commands of one session of a run, and what they have done to its settings."""

    def __init__(self, folder: Path) -> None:
        self._reader = controls.Reader(folder)
        self._waiting: list[Command | UserError] = []
        self._paused = self._stopped = False

    def hold(self) -> Generator[Event, None, bool]:
        """Wait while the run is paused; whether it is to stop here.

        Yields:
            Progress, several times a second while paused, and nothing else.
        """
        self._look(at_once=False)
        while self._paused and not self._stopped:
            yield Progress("Paused", 0)
            time.sleep(_PAUSE_SECONDS)
            self._look(at_once=True)
        return self._stopped

    def obey(self, step: int, changes: Changes, written: TrainConfig, policy: Policy) -> Generator[Event, None, bool]:
        """Do between two steps what was asked for; whether to save a checkpoint.

        The learning rate is that of the whole schedule: each later step takes the rate that it would have had, had the
        run been given this `learning_rate` from its start. Warm-up and decay keep their places, so that in the middle
        of a cosine's fall the next step takes half of it.

        Args:
            step: how many steps are done.
            changes: those of before; new ones are entered before they are said.
            written: the settings in config.toml.

        Yields:
            SettingChanged for each change, a Note for what cannot be done.
        """
        self._look(at_once=True)
        asked, self._waiting = self._waiting, []
        save = False
        for command in asked:
            if isinstance(command, UserError):
                yield _refusal(command)
            elif command.command == "checkpoint":
                save = step > 0
                if not save:
                    yield Note("There is nothing to save before the first step.")
            else:
                before = getattr(applied(written, changes), command.name)
                try:
                    if command.name == "kl_coeff" and command.value:
                        yield from _have_reference(policy, written)
                except UserError as error:
                    yield _refusal(error)
                    continue
                if command.value != before:
                    changes[command.name] = [getattr(written, command.name), command.value]
                    yield SettingChanged(step, command.name, before, command.value)
        return save

    def _look(self, *, at_once: bool) -> None:
        for command in self._reader.read(at_once=at_once):
            match command:
                case Command("stop"):
                    self._stopped = True
                case Command("pause" | "resume" as word):
                    self._paused = word == "pause"
                case _:
                    self._waiting.append(command)


def applied(written: TrainConfig, changes: Changes) -> TrainConfig:
    """The settings in config.toml with the changes on them; one that was written anew since then counts."""
    return written.model_copy(
        # A count stays a whole number: commands know of one type alone.
        update={
            name: type(getattr(written, name))(now)
            for name, (then, now) in changes.items()
            if getattr(written, name) == then
        }
    )


def _have_reference(policy: Policy, config: TrainConfig) -> Generator[Event, None, None]:
    """Make sure that the policy of before the training can be computed.

    Raises:
        UserError: its weights are not there any more, or too large to be in memory twice.
    """
    if policy.has_reference:
        return
    from mlx.utils import tree_flatten

    from engine.session import open_session

    session = yield from open_session(
        str(policy.files.folder),
        precision=config.precision,
        memory_limit=policy.memory_limit,
        trust_remote_code=config.trust_remote_code,
    )
    leaves: Any = tree_flatten(session.model.parameters())  # type: ignore[no-untyped-call]
    first: dict[str, mx.array] = dict(leaves)
    policy.keep_first({name: first[name] for name in policy.trainable()})


def _refusal(error: UserError) -> Note:
    return Note(" ".join(part for part in (error.what, error.why, error.remedy) if part))
