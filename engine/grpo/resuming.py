"""What a run goes on from, and whether it can under its settings. Knows no model and no step.

All is looked at before anything is changed: a run that cannot go on is left as it was.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UserError
from engine.events import Note
from engine.grpo import checkpoint, config_file
from engine.grpo.run_folder import RunFolder
from engine.grpo.settings import TrainConfig
from engine.training_events import CheckpointSaved

if TYPE_CHECKING:
    import mlx.core as mx

# What the weights in a checkpoint are weights of.
_FIXED = ("model_name", "train_type", "lora_rank", "lora_scale", "lora_layers", "lora_keys")


@dataclass(frozen=True, slots=True)
class Origin:
    """The checkpoint that a run goes on from; None is the run's beginning.

    `state` is what the checkpoint holds besides arrays, less the changes that do not count any more; `notes` tell of
    damaged checkpoints that were passed over.
    """

    checkpoint: Path | None = None
    step: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


def find(folder: RunFolder, config: TrainConfig, given: Collection[str] = ()) -> Origin:
    """What the run goes on from under these settings; nothing is changed.

    Args:
        given: names of settings that were given anew: they come before what was changed while the run trained.

    Raises:
        UserError: its checkpoints are lost or damaged, or hold weights that these settings do not fit.
    """
    newest, notes = checkpoint.latest(folder.checkpoints)
    if newest is None:
        _require_never_saved(folder, notes)
        _require_same(fixed(folder.config), config)
        return Origin(notes=notes)
    step, state = checkpoint.state_of(newest)
    # Checkpoints of earlier versions do not say.
    _require_same(state.get("fixed") or fixed(folder.config), config)
    changes = {
        name: change
        for name, change in state.get("changes", {}).items()
        # One whose setting was written anew since then must not come to life again with the old value.
        if name not in given and getattr(config, name) == change[0]
    }
    return Origin(newest, step, state | {"changes": changes}, notes)


def fixed(config: TrainConfig) -> dict[str, Any]:
    """The settings that cannot change in a run that has begun, as a checkpoint keeps them."""
    return config.model_dump(mode="json", include=set(_FIXED))


def require_length(steps: int, done: int) -> None:
    """Refuse to go on to a step that the run has passed.

    Raises:
        UserError: more steps are done than it is to have.
    """
    if done > steps:
        raise UserError(
            "The run has done {done} steps already.",
            "By its settings it is to have {steps}, and steps cannot be taken back.",
            "Resume it with max_steps={done} or more, or begin a new run.",
            done=done,
            steps=steps,
        )


def require_fit(origin: Path, saved: dict[str, mx.array], wanted: dict[str, mx.array]) -> None:
    """Refuse the arrays of a checkpoint that are not those that the model trains.

    Raises:
        UserError: names the first array that differs.
    """
    for name in sorted(saved.keys() | wanted.keys()):
        there, here = (arrays[name].shape if name in arrays else None for arrays in (saved, wanted))
        if there != here:
            raise UserError(
                "The checkpoint {checkpoint} does not fit the model.",
                "The array {name} has the shape {there} in the checkpoint and {here} in the model.",
                "Put the model and the run's settings back as they were, or begin a new run.",
                checkpoint=origin,
                name=name,
                there=there,
                here=here,
            )


def take_up(folder: RunFolder, origin: Origin, config: TrainConfig) -> None:
    """Make the run's folder what it was at its origin, with these settings.

    Raises:
        UserError: the disk is full, or a file cannot be changed.
    """
    where, state = origin.checkpoint, origin.state
    if where is not None:
        # Before the settings: a change that was taken back must not meet the value it was made to.
        checkpoint.restate(where, state)
    if config != folder.config:
        folder.replace_config(config)
    folder.rewind(origin.step, state.get("sizes", {}))
    if where is not None and state.get("said"):
        # Written to the record after the checkpoint was.
        folder.append_event(CheckpointSaved(origin.step, str(where), state["best_step"] == origin.step))


def _require_same(before: dict[str, Any], config: TrainConfig) -> None:
    now = fixed(config)
    for name in _FIXED:
        if name in before and before[name] != now[name]:
            raise UserError(
                "{name} cannot change in a run that has begun.",
                "Its checkpoints hold the weights of {before!r}.",
                "Leave {name} as it is, or start a new run.",
                name=name,
                before=before[name],
            )


def _require_never_saved(folder: RunFolder, notes: tuple[Note, ...]) -> None:
    """A run that ended before its first checkpoint begins anew; one whose checkpoints are gone would lose its record.

    Raises:
        UserError: there were checkpoints.
    """
    if notes or folder.has_saved():
        raise UserError(
            "The run {run} cannot go on: it has no whole checkpoint.",
            "All in {checkpoints} are damaged." if notes else "Its record tells of some, and {checkpoints} has none.",
            "Restore one from a backup, or begin a new run with the settings in {config} under another run_name.",
            run=folder.folder,
            checkpoints=folder.checkpoints,
            config=folder.folder / config_file.RUN,
        )
