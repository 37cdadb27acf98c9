"""The commands `train` and `eval`: their options and what they hand to jobs. Knows no model."""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from engine import cli_render, cli_signals, cli_training_report, jobs, places
from engine.cli import Adapter, Json, Model, app, job, leave, present
from engine.errors import UserError
from engine.events import Event, Note
from engine.grpo import config_file
from engine.grpo.settings import TrainConfig
from engine.training_events import Evaluated, TrainingStarted, TrainingStopped

_CONFIG_HELP = f"A TOML file, or one that comes with the program: {', '.join(config_file.BUILT_IN)}."

Config = Annotated[str | None, typer.Option("--config", "-c", metavar="FILE", help=_CONFIG_HELP)]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be given many times.")
]


@app.command()
def train(
    config: Config = None,
    assignments: Assignments = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with the run in this folder.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, what it needs and all settings; train nothing.")
    ] = False,
    given: Annotated[str | None, typer.Option(hidden=True)] = None,
    json: Json = False,
) -> None:
    """Improve a model at a task by reinforcement learning (GRPO)."""

    def events() -> Generator[Event, None, None]:
        run, settings, named = _asked(resume, config, assignments or [])
        if given is not None:
            # Another process of the program, which hands over all settings, says which of them are new.
            named = [name for name in given.split(",") if name]
        yield from job(lambda: jobs.Train(settings, run, dry_run, fetch=not dry_run, given=tuple(named)))
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


def _asked(resume: str | None, config: str | None, assignments: list[str]) -> tuple[str, TrainConfig, Collection[str]]:
    """The run to go on with, "" for a new one, its settings, and the names of those that were given."""
    if resume is not None and not resume.strip():
        raise UserError(
            "--resume needs the folder or name of a run.",
            "What it was given is empty, as a variable of the shell that was never set is.",
            "Name the run to go on with, or leave --resume out to begin a new one.",
        )
    if resume is None or config is not None:
        settings = config_file.load(config, assignments)
        return resume or "", settings, settings.model_fields_set
    # A run that goes on keeps its own settings.
    folder = _folder_of(resume)
    return str(folder), config_file.of_run(folder, assignments), config_file.names(assignments)


def _folder_of(name: str) -> Path:
    """The folder of a run, named by itself or by its name in the program's folder of runs."""
    from engine.grpo import run_names

    folders = (places.expand(name).absolute(), run_names.runs_folder() / name)
    for folder in folders:
        if (folder / config_file.RUN).is_file():
            return folder
    raise UserError(
        "There is no training run {name}.",
        "{file} is neither in {folder} nor in {other}.",
        "Give the folder that the run named when it began.",
        name=name,
        file=config_file.RUN,
        folder=folders[0],
        other=folders[1],
    )


def save_when_stopped(events: Generator[Event, None, None]) -> Generator[Event, None, None]:
    """The events; the first signal to stop closes them at the next one, so that the run is saved, a second at once.

    Raises:
        KeyboardInterrupt: the run was stopped, by a signal or through its folder.
    """
    received: list[int] = []

    def stop(number: int, _: object) -> None:
        received.append(number)
        if len(received) > 1:
            raise KeyboardInterrupt

    run = ""
    with cli_signals.handled(stop), closing(events):
        for event in events:
            run = event.run if isinstance(event, TrainingStarted) else run
            yield event
            if isinstance(event, TrainingStopped):
                raise KeyboardInterrupt
            if received:
                events.close()
                if run:
                    # Before its first step nothing of it is left.
                    kept = run if Path(run).exists() else ""
                    yield Note(cli_training_report.stopped(kept, "its last whole step"))
                raise KeyboardInterrupt
