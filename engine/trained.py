"""What a run trained, as a model to open: its checkpoints and its result. Knows folders, loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine import places
from engine.errors import UserError

_ADAPTER = "adapter_config.json"
_CHECKPOINT = "state.json"


@dataclass(frozen=True, slots=True)
class Trained:
    """What is needed to open what a run trained.

    `model` is the model that the run began with and `name` what to call the result. One of the other two is given:
    the folder of an `adapter` to put on the model, or that of a `checkpoint` whose weights take the place of its own.
    """

    name: str
    model: str
    adapter: str = ""
    checkpoint: Path | None = None


def find(name: str) -> Trained | None:
    """What is in the folder RUN/checkpoints/STEP or RUN/model; None for everything that is a model by itself.

    Raises:
        UserError: the run's settings are damaged, or the checkpoint holds no weights.
    """
    folder = places.expand(name.strip())
    if (folder / "config.json").is_file() or not folder.is_dir():
        return None
    folder = folder.absolute()
    step = folder.name if folder.parent.name == "checkpoints" and (folder / _CHECKPOINT).is_file() else ""
    run = folder.parent.parent if step else folder.parent
    adapter = (folder / _ADAPTER).is_file()
    if not (run / "config.toml").is_file() or not (step or adapter):
        return None
    from engine.grpo import config_file

    model = config_file.of_run(run).model_name
    title = f"{run.name}, step {int(step)}" if step.isdecimal() else run.name
    if adapter:
        return Trained(title, model, adapter=str(folder))
    if not (folder / "weights.safetensors").is_file():
        raise UserError(
            "The checkpoint {folder} holds no weights.",
            "Neither adapters nor weights.safetensors are in it.",
            "Choose another checkpoint of the run.",
            folder=folder,
        )
    return Trained(title, model, checkpoint=folder)
