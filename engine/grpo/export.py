"""Whole models from what a run trained: at its end, and from any of its checkpoints. Knows folders, no training."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import library, places
from engine.conversion_events import ModelConverted
from engine.errors import UserError
from engine.events import Event, Progress
from engine.grpo import checkpoint, config_file, saving
from engine.grpo.settings import TrainConfig

if TYPE_CHECKING:
    from engine.grpo.policy import Policy


def save_policy(folder: Path, policy: Policy, *, fused: bool) -> None:
    """Put what was trained in the place of `folder`, whole or not at all."""
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        made = Path(temporary) / "new"
        made.mkdir()
        policy.save(made, fused=fused)
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        made.rename(folder)


def export(name: str, output: str = "", *, overwrite: bool = False) -> Generator[Event, None, Path]:
    """Write a checkpoint of a run as a whole model folder; the result is that folder.

    Args:
        name: the folder RUN/checkpoints/STEP. Its adapters are merged into the run's model; of full fine-tuning its
            weights take the place of the model's.
        output: the folder to write; "" for one in the program's Models folder, named after run and step.
        overwrite: replace a model that is there.

    Yields:
        Progress, at last ModelConverted.

    Raises:
        UserError: it is no checkpoint, it is damaged, or the run's model is not on this computer any more.
    """
    from engine.convert import conversion
    from engine.convert.settings import ConversionSettings

    folder = places.expand(name).absolute()
    run = folder.parent.parent
    if not (folder / checkpoint.STATE).is_file() or not (run / config_file.RUN).is_file():
        raise UserError(
            "There is no checkpoint of a run in {folder}.",
            "A checkpoint is a folder RUN/checkpoints/STEP, and the run's settings are in RUN/config.toml.",
            "Choose the folder of a step, in the run it belongs to.",
            folder=folder,
        )
    config = config_file.of_run(run)
    output = output or str(places.models_folder() / f"{run.name}-step-{int(folder.name)}")
    if (folder / "adapter_config.json").is_file():
        trusting = ConversionSettings(trust_remote_code=config.trust_remote_code)
        return (
            yield from conversion.convert(config.model_name, output, trusting, overwrite=overwrite, adapter=str(folder))
        )
    return (yield from _export_weights(folder, config, output, overwrite=overwrite))


def _export_weights(folder: Path, config: TrainConfig, output: str, *, overwrite: bool) -> Generator[Event, None, Path]:
    from engine.convert import conversion, journal, plan
    from engine.convert.settings import ConversionSettings
    from engine.session import open_session

    started = time.perf_counter()
    facts = conversion.planned(config.model_name, output, ConversionSettings())[1]
    plan.require(facts, overwrite)
    target = Path(facts.output)
    session = yield from open_session(
        config.model_name,
        precision=config.precision,
        memory_limit=config.memory_limit * 1024**2,
        trust_remote_code=config.trust_remote_code,
    )
    try:
        yield Progress("Reading the checkpoint", 0)
        weights = checkpoint.load(folder).tensors["weights"]
        model: Any = session.model
        model.load_weights(list(weights.items()), strict=False)
        del weights
        with journal.unfinished(target) as work:
            yield Progress("Writing the weights", 0)
            saving.save_whole(work, session.files, model)
            del model
            size = sum(path.stat().st_size for path in library.weight_files(work, target.name))
            conversion.move(work, target, replace=overwrite)
        from mlx_lm.utils import compute_bits_per_weight, get_total_parameters

        bits = round(float(compute_bits_per_weight(session.model)), 2)
        parameters = int(get_total_parameters(session.model))
    finally:
        session.close()
    yield ModelConverted(target.name, str(target), size, bits, parameters, (), time.perf_counter() - started)
    return target
