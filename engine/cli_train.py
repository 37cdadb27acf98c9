"""The commands `train` and `eval`: their options and what they hand to jobs. Knows no model."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Annotated

import typer

from engine import cli_render, jobs, places
from engine.cli import Adapter, Json, Model, app, job, leave, present
from engine.errors import UserError
from engine.events import Event, Note
from engine.grpo import config_file
from engine.training_events import Evaluated, TrainingStarted

_CONFIG_HELP = f"A TOML file, or one that comes with the program: {', '.join(config_file.BUILT_IN)}."

_RUN_CONFIG = "config.toml"

Config = Annotated[str | None, typer.Option("--config", "-c", metavar="FILE", help=_CONFIG_HELP)]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be given many times.")
]


@app.command()
def train(
    config: Config = None,
    assignments: Assignments = None,
    resume: Annotated[str, typer.Option(metavar="RUN", help="Go on with the run in this folder.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, what it needs and all settings; train nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Improve a model at a task by reinforcement learning (GRPO)."""

    def events() -> Generator[Event, None, None]:
        run, file = resume, config
        if resume and config is None:
            # A run that goes on keeps its own settings.
            folder = _folder_of(resume)
            run, file = str(folder), str(folder / _RUN_CONFIG)
        settings = config_file.load(file, assignments or ())
        yield from job(lambda: jobs.Train(settings, run, dry_run, fetch=not dry_run))
        if dry_run:
            text = config_file.to_toml(settings)
            if json:
                yield Note(text)
            else:
                cli_render.say_result(text)

    leave(present(save_when_stopped(events()), json=json))


@app.command("eval")
def evaluate(
    model: Model = "",
    adapter: Adapter = "",
    config: Config = None,
    assignments: Assignments = None,
    json: Json = False,
) -> None:
    """Let a model answer the held-out rows of a training configuration."""

    def events() -> Generator[Event, None, None]:
        settings = config_file.load(config, assignments or ())
        request = jobs.Evaluate(model or settings.model_name, adapter, settings, fetch=True)
        for event in job(lambda: request):
            yield event
            if isinstance(event, Evaluated) and not json:
                cli_render.say_result(f"{event.accuracy:.4f}")

    leave(present(events(), json=json))


def _folder_of(name: str) -> Path:
    """The folder of a run, named by itself or by its name in the program's folder of runs."""
    from engine.grpo import run_folder

    folders = (places.expand(name).absolute(), run_folder.runs_folder() / name)
    for folder in folders:
        if (folder / _RUN_CONFIG).is_file():
            return folder
    raise UserError(
        "There is no training run {name}.",
        "{file} is neither in {folder} nor in {other}.",
        "Give the folder that the run named when it began.",
        name=name,
        file=_RUN_CONFIG,
        folder=folders[0],
        other=folders[1],
    )


def save_when_stopped(events: Generator[Event, None, None]) -> Generator[Event, None, None]:
    """The events; the first signal to stop closes them at the next one, so that the run is saved, a second at once."""
    received: list[int] = []

    def stop(number: int, _: object) -> None:
        received.append(number)
        if len(received) > 1:
            raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        # Ignored on purpose, as by nohup, it stays so.
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, stop)
    run = ""
    try:
        for event in events:
            run = event.run if isinstance(event, TrainingStarted) else run
            yield event
            if received:
                events.close()
                if run:
                    again = f"mlx-grpo train --resume {shlex.quote(run)}"
                    yield Note(f"The run was stopped and is saved up to its last whole step. Go on with: {again}")
                raise KeyboardInterrupt
    finally:
        events.close()
        for number, handler in before.items():
            signal.signal(number, handler)
