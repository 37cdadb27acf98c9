"""The commands `convert` and `fuse`: their options and what they hand to jobs. Knows no model."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Annotated, Any

import typer

from engine import cli_signals, config, jobs
from engine.cli import Json, app, job, leave, present
from engine.cli_options import options_of
from engine.conversion_events import ModelConverted
from engine.convert.settings import ConversionSettings
from engine.events import Event

_SPELLINGS = {
    "quantize": ("-q", "--quantize"),
    "bits": ("--bits", "--q-bits"),
    "group_size": ("--group-size", "--q-group-size"),
    "mode": ("--mode", "--q-mode"),
    "recipe": ("--recipe", "--quant-predicate"),
    "dequantize": ("-d", "--dequantize"),
    "strict": ("--strict/--relaxed",),
    "trust_remote_code": ("--trust-remote-code",),
}

Source = Annotated[
    str,
    typer.Option(
        "--hf-path", "--model", help="A model folder, a .gguf or .pt file, a nanochat folder, or a Hugging Face id."
    ),
]
Output = Annotated[str, typer.Option("--mlx-path", "--output-dir", metavar="OUT", help="The folder to write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a model that is in the output folder.")]


@app.command()
@options_of(ConversionSettings, "chosen", spellings=_SPELLINGS, without=("check",))
def convert(
    chosen: dict[str, Any],
    hf_path: Source,
    mlx_path: Output = "mlx_model",
    revision: Annotated[str | None, typer.Option(help="A branch, tag or commit of a Hugging Face id.")] = None,
    check: Annotated[
        bool | None, typer.Option("--check/--no-check", help=ConversionSettings.model_fields["check"].description)
    ] = None,
    upload_repo: Annotated[str, typer.Option(metavar="ID", help="Then upload it to this Hugging Face id.")] = "",
    public: Annotated[bool, typer.Option("--public", help="Let everyone see what is uploaded.")] = False,
    overwrite: Overwrite = False,
    report: Annotated[bool, typer.Option("--report", help="Measure what this and other settings cost.")] = False,
    text: Annotated[str, typer.Option(metavar="FILE", help="Measure on this text instead of the bundled one.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and do nothing.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", hidden=True)] = False,
    json: Json = False,
) -> None:
    """Turn a checkpoint of any kind into an MLX model."""
    chosen["check"] = {None: "auto", True: "always", False: "never"}[check]
    # Who names bits, a group size, a mode or a recipe wants it quantised.
    wanted = (chosen["bits"], chosen["group_size"], chosen["recipe"], chosen["mode"] != "affine")
    chosen["quantize"] = chosen["quantize"] or any(wanted)

    def events() -> Generator[Event, None, None]:
        settings = config.build(ConversionSettings, chosen)
        if dry_run:
            yield from job(lambda: jobs.LookAt(hf_path, mlx_path, settings, revision))
            return
        bench = jobs.Workbench()
        if upload_repo:
            from engine import hub_upload

            hub_upload.require(upload_repo)
        request = jobs.Convert(hf_path, mlx_path, settings, revision, overwrite, report or bool(text), text, fetch=True)
        folder = ""
        for event in jobs.start(request, bench):
            folder = event.folder if isinstance(event, ModelConverted) else folder
            yield event
        if upload_repo:
            yield from jobs.start(jobs.Upload(folder, upload_repo, private=not public), bench)

    leave(present(_stoppable(events()), json=json, verbose=verbose))


@app.command()
def fuse(
    model: Annotated[str, typer.Option("--model", "-m", help="The model the adapter was trained from.")],
    adapter: Annotated[str, typer.Option("--adapter", "--adapter-path", metavar="FOLDER", help="The adapter.")],
    mlx_path: Annotated[str, typer.Option("--mlx-path", "--save-path", metavar="OUT", help="The folder to write.")],
    dequantize: Annotated[
        bool, typer.Option("-d", "--dequantize", help="Leave the result whole, not quantised.")
    ] = False,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Merge an adapter into the weights of its model."""
    events = job(lambda: jobs.Fuse(model, adapter, mlx_path, dequantize, overwrite))
    leave(present(_stoppable(events), json=json))


def _stoppable(events: Generator[Event, None, None]) -> Iterator[Event]:
    """The events, which the first signal to stop ends with everything cleared up; later ones cannot disturb that."""
    received: list[int] = []

    def stop(number: int, _: object) -> None:
        if not received:
            received.append(number)
            raise KeyboardInterrupt

    with cli_signals.handled(stop), closing(events):
        for event in events:
            if received:
                # Other people's code may have swallowed the exception.
                raise KeyboardInterrupt
            yield event
