"""The command line: a thin shell that renders the events of jobs. Knows no model; the window is handed to it.

Exit status: 0 done, 2 the input is at fault, 1 a bug of ours, 130 interrupted. With `--json` standard output carries
one event a line and nothing else.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Generator, Iterator
from typing import Annotated, Any, Protocol

import typer

from engine import cli_render, config, jobs, places
from engine.cli_options import options_of
from engine.config import Sampling, Settings
from engine.errors import UserError, failed
from engine.events import (
    Cancelled,
    Done,
    Event,
    Failed,
)
from engine.events import to_json as as_json


class OpenWindow(Protocol):
    """Opens the window or drives its self-test; the exit status."""

    def __call__(self, self_test: bool = ..., shots: str | None = ...) -> int: ...


app = typer.Typer(
    name="mlx-grpo",
    help="Convert any checkpoint to MLX, chat with it and improve it by GRPO. With no command the window opens.",
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Model = Annotated[
    str, typer.Option("--model", "-m", help="A model folder, a Hugging Face id, or an alias such as starter.")
]
System = Annotated[str, typer.Option(help="What the model is told about how to answer.")]
Json = Annotated[bool, typer.Option("--json", help="Print one event a line as JSON.")]
Adapter = Annotated[str, typer.Option(metavar="FOLDER", help="A LoRA or DoRA adapter to put on the model.")]
Trust = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run Python code that comes with the model. It can do anything.")
]
Precision = Annotated[str, typer.Option(help=str(Settings.model_fields["precision"].description))]


def run(words: list[str], open_window: OpenWindow | None = None) -> None:
    """Carry out a command line and leave the process with its exit status."""
    for module in ("engine.cli_convert", "engine.cli_train", "engine.cli_compare"):
        importlib.import_module(module)  # its commands enter themselves in `app`
    app(words, obj=open_window, prog_name="mlx-grpo")


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Drive the real window through its workflow on the starter model.")
    ] = False,
    shots: Annotated[str | None, typer.Option(metavar="DIR", help="Where the self-test saves its pictures.")] = None,
) -> None:
    """Open the window where no command is named."""
    if context.invoked_subcommand is None:
        if context.obj is None:
            raise typer.BadParameter("The window is opened by mlx-grpo; here a command is needed. See --help.")
        raise typer.Exit(context.obj(self_test=self_test, shots=shots))


@app.command()
@options_of(Sampling, "sampling")
def generate(
    sampling: dict[str, Any],
    model: Model = "starter",
    prompt: Annotated[str, typer.Option("--prompt", "-p", help="What to answer; - reads standard input.")] = "",
    system: System = "",
    raw: Annotated[bool, typer.Option("--raw", help="Continue the bare text, without the chat template.")] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Print the answer as it comes.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print speed and length on standard error.")] = False,
    chat: Annotated[bool, typer.Option("--chat", hidden=True)] = False,
    adapter: Adapter = "",
    trust_remote_code: Trust = False,
    precision: Precision = "auto",
    json: Json = False,
) -> None:
    """Answer one prompt."""
    load = _load(model, precision, adapter, trust_remote_code)
    if chat:
        _converse(load, system, sampling, json)
        return

    def request() -> jobs.Request:
        text = sys.stdin.read() if prompt == "-" else prompt
        return jobs.Generate(load, text, system, raw, config.build(Sampling, sampling))

    leave(present(job(request), json=json, stream=stream, verbose=verbose))


@app.command()
@options_of(Sampling, "sampling")
def chat(
    sampling: dict[str, Any],
    model: Model = "starter",
    system: System = "",
    adapter: Adapter = "",
    trust_remote_code: Trust = False,
    precision: Precision = "auto",
    json: Json = False,
) -> None:
    """Talk to a model; /help lists what else can be said."""
    _converse(_load(model, precision, adapter, trust_remote_code), system, sampling, json)


@app.command()
def doctor(json: Json = False) -> None:
    """Say what this machine can run, and what is wrong with it."""
    leave(present(job(jobs.Examine), json=json))


models = typer.Typer(help="Models on this computer and on the Hugging Face Hub.", no_args_is_help=True)
app.add_typer(models, name="models")


@models.command("list")
def list_models(json: Json = False) -> None:
    """List the usable models on this computer."""
    leave(present(job(jobs.ListModels), json=json))


@models.command("download")
def download(
    repository: Annotated[str, typer.Argument(metavar="ID", help="A Hugging Face id, owner/model.")],
    revision: Annotated[str | None, typer.Option(help="A branch, tag or commit.")] = None,
    json: Json = False,
) -> None:
    """Fetch a model from the Hugging Face Hub."""
    leave(present(job(lambda: jobs.Download(repository, revision)), json=json))


def _converse(load: jobs.LoadModel, system: str, sampling: dict[str, Any], json: bool) -> None:
    def events() -> Iterator[Event]:
        from engine.chat.terminal import converse

        template = jobs.Generate(load, "", system, sampling=config.build(Sampling, sampling))
        yield from converse(template, jobs.Workbench(), quiet=json)

    leave(present(events(), json=json, stream=True))


def _load(model: str, precision: str, adapter: str, trust_remote_code: bool) -> jobs.LoadModel:
    return jobs.LoadModel(model, precision, adapter=adapter, trust_remote_code=trust_remote_code, fetch=True)


def job(request: Callable[[], jobs.Request]) -> Generator[Event, None, None]:
    """The request's events; made lazily, so that an error in making it is an event too."""
    yield from jobs.start(request(), jobs.Workbench())


def present(steps: Iterator[Event], *, json: bool, stream: bool = False, verbose: bool = False) -> Event:
    """Print events as they come; the ending."""
    show = (lambda event: cli_render.say_result(as_json(event))) if json else cli_render.Renderer(stream, verbose)
    ending: Event = Done()
    try:
        try:
            for event in steps:
                show(event)
        except KeyboardInterrupt:
            # Closing runs the job's `finally` blocks before the process goes.
            steps.close()  # type: ignore[attr-defined]
            ending = Cancelled()
        except BrokenPipeError:
            # A reader that went away (`| head`) has read what it wanted; what is still buffered has nowhere to go.
            steps.close()  # type: ignore[attr-defined]
            cli_render.silence()
    except Exception as exception:
        ending = failed(exception)
        if not isinstance(exception, UserError):
            _log(ending)
    try:
        show(ending)
    except BrokenPipeError:
        cli_render.silence()
    except OSError as exception:
        # Standard output goes to a file on a full disk.
        ending = failed(exception)
        cli_render.Renderer(stream, verbose)(ending)
    return ending


def leave(ending: Event) -> None:
    """Leave with the exit status of an ending."""
    if isinstance(ending, Failed):
        raise typer.Exit(2 if ending.fault == "input" else 1)
    if isinstance(ending, Cancelled):
        raise typer.Exit(130)


def _log(ending: Failed) -> None:
    path = places.log_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError:
        if ending.fault == "bug":
            cli_render.say(ending.details)  # there is no better place for it
        return
    logger = logging.getLogger("mlx_grpo")
    logger.addHandler(handler)
    logger.error("%s %s\n%s", ending.what, ending.why, ending.details)
    logger.removeHandler(handler)
    handler.close()


if __name__ == "__main__":
    # Through its name: the commands enter themselves in the module of that name, not in this second copy.
    importlib.import_module("engine.cli").run(sys.argv[1:])
