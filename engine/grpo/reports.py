"""A run's figures in TensorBoard and Weights & Biases, through their own libraries. Knows no trainer.

Both packages are optional and imported only where a run asks for them. The axis of every figure is the step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any, Protocol

from engine import errors
from engine.errors import UserError
from engine.grpo.settings import TrainConfig
from engine.training_events import Evaluated, StepFinished

_PROJECT = "mlx-grpo"
_PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb"}


class _Destination(Protocol):
    """Where figures go."""

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Keep these figures, named GROUP/NAME, under a step."""

    def close(self) -> None:
        """Bring everything to its place and end what was started."""


class Reports:
    """Passes a run's figures on to the destinations that its configuration names."""

    def __init__(self, names: tuple[str, ...], run: Path, config: TrainConfig, step: int = 0) -> None:
        """Open the destinations.

        Args:
            names: "tensorboard", "wandb", both or none.
            run: the run's folder, which holds what the destinations keep on this computer.
            config: shown beside the figures where the destination can.
            step: how many steps the run has; figures of later ones, from before a resume, are replaced.

        Raises:
            UserError: a package is missing, or Weights & Biases cannot be used.
        """
        self._destinations: list[_Destination] = []
        with contextlib.ExitStack() as opened:
            for name in dict.fromkeys(names):
                destination = _open(name, run, config, step)
                opened.callback(destination.close)
                self._destinations.append(destination)
            opened.pop_all()

    def step(self, event: StepFinished) -> None:
        """Report a step.

        Raises:
            UserError: the disk is full.
        """
        figures = _numbers("train", event)
        for name, mean, spread in event.rewards:
            figures |= {f"rewards/{name}/mean": mean, f"rewards/{name}/spread": spread}
        self._write(event.step, figures)

    def evaluated(self, event: Evaluated) -> None:
        """Report an evaluation; those on fewer rows have a group of their own.

        Raises:
            UserError: the disk is full.
        """
        group = "quick_evaluation" if event.when == "quick" else "evaluation"
        figures = _numbers(group, event)
        figures |= {f"{group}/pass@{k}": share for k, share in event.pass_at_k or ()}
        self._write(event.step, figures)

    def close(self) -> None:
        """End every destination; no thread or process of theirs is left. Safe to call more than once."""
        destinations, self._destinations = self._destinations, []
        with contextlib.ExitStack() as closing:
            for destination in destinations:
                closing.callback(destination.close)

    def _write(self, step: int, figures: dict[str, float]) -> None:
        for destination in self._destinations:
            destination.write(step, figures)


class _TensorBoard:
    """Writes event files by hand: the library's summary writer would keep a thread that cannot be waited for."""

    def __init__(self, run: Path, step: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter  # type: ignore[import-untyped]
        from tensorboardX.proto import event_pb2, summary_pb2  # type: ignore[import-untyped]

        self._event, self._summary = event_pb2, summary_pb2
        folder = run / "tensorboard"
        try:
            folder.mkdir(exist_ok=True)
            resumed = any(folder.iterdir())
            # The library names files by the second, and would write over one of the same second.
            self._writer = EventsWriter(str(folder / "events"), f".{step}.{secrets.token_hex(4)}")
        except OSError as error:
            raise errors.explain(error) from error
        if resumed:
            started = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            # TensorBoard forgets what earlier files say of this step and later ones.
            first = step + 1 if step else 0
            self._writer.write_event(event_pb2.Event(wall_time=time.time(), step=first, session_log=started))

    def write(self, step: int, figures: dict[str, float]) -> None:
        values = [self._summary.Summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
        summary = self._summary.Summary(value=values)
        try:
            self._writer.write_event(self._event.Event(wall_time=time.time(), step=step, summary=summary))
            self._writer.flush()
        except OSError as error:
            raise errors.explain(error) from error

    def close(self) -> None:
        self._writer.close()


class _WeightsAndBiases:
    """One run there for one run here: its identity is kept in the run's folder, so that a resume goes on in it."""

    def __init__(self, run: Path, config: TrainConfig) -> None:
        # It would send reports of its own errors to its makers.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        hooks = sys.exit, sys.excepthook
        try:
            self._run = _begin(run, config)
        except wandb.errors.Error as error:
            wandb.teardown()
            raise UserError(
                "Weights & Biases did not accept the run.",
                "{reason}",
                "Check the connection and the login, set WANDB_MODE=offline, or leave wandb out of report_to.",
                reason=errors.in_short(error),
            ) from error
        except BaseException:
            wandb.teardown()
            raise
        finally:
            # It puts itself before the program's own handling of errors, and never leaves.
            sys.exit, sys.excepthook = hooks

    def write(self, step: int, figures: dict[str, float]) -> None:
        # What it has of a run that is resumed from further back cannot be changed, and is the same.
        if step >= self._run.starting_step:
            self._run.log(figures, step=step)

    def close(self) -> None:
        import wandb

        self._run.finish()
        # Its process and threads outlive the run otherwise.
        wandb.teardown()


def _begin(run: Path, config: TrainConfig) -> Any:
    """The run there, begun or gone on with.

    Raises:
        UserError: nobody is logged in.
        wandb.errors.Error: the service was not reached, or refused.
    """
    import wandb

    if os.environ.get("WANDB_MODE", "online") == "online" and not wandb.login(prompt=False):
        raise UserError(
            "Weights & Biases cannot be used: nobody is logged in.",
            "The run would have nowhere to send its figures to.",
            "Log in with: wandb login. Or set WANDB_MODE=offline, or leave wandb out of report_to.",
        )
    return wandb.init(
        project=os.environ.get("WANDB_PROJECT", _PROJECT),
        dir=str(run),
        id=_identity(run / "wandb_id"),
        name=run.name,
        resume="allow",
        config=config.model_dump(mode="json"),
        # Standard output belongs to the events; what is not sent in time stays on disk for `wandb sync`.
        settings=wandb.Settings(silent=True, console="off", finish_timeout=60.0),
    )


def _open(name: str, run: Path, config: TrainConfig, step: int) -> _Destination:
    try:
        return _TensorBoard(run, step) if name == "tensorboard" else _WeightsAndBiases(run, config)
    except ImportError as error:
        raise UserError(
            "The run cannot report to {name}: the package {package} is not installed.",
            "{reason}",
            "Install it with: pip install {package}. Or leave {name} out of report_to.",
            name=name,
            package=_PACKAGES[name],
            reason=errors.in_short(error),
        ) from error


def _identity(file: Path) -> str:
    """What Weights & Biases calls this run, the same at every resume."""
    try:
        if not file.exists():
            file.write_text(secrets.token_hex(4), "utf-8")
        return file.read_text("utf-8").strip()
    except OSError as error:
        raise errors.explain(error) from error


def _numbers(group: str, event: Any) -> dict[str, float]:
    """The numbers of an event but its steps, by group and field."""
    fields = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    return {
        f"{group}/{name}": float(value)
        for name, value in fields.items()
        if isinstance(value, int | float) and name not in {"step", "steps"}
    }
