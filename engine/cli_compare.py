"""The command `compare`: several models answer one prompt with the same seed. Knows no model."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from engine import cli_render, config, jobs
from engine.cli import Json, Precision, System, Trust, app, leave, present
from engine.cli_options import options_of
from engine.config import Sampling
from engine.errors import UserError
from engine.events import Event, Note

_FEWEST = 2


@app.command()
@options_of(Sampling, "sampling")
def compare(
    sampling: dict[str, Any],
    models: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="A model, or a checkpoint of a run; given once for each that answers."),
    ] = None,
    adapters: Annotated[
        list[str] | None,
        typer.Option("--adapter", metavar="FOLDER", help="An adapter; the first model answers with it as well."),
    ] = None,
    prompt: Annotated[str, typer.Option("--prompt", "-p", help="What to answer; - reads standard input.")] = "",
    system: System = "",
    raw: Annotated[bool, typer.Option("--raw", help="Continue the bare text, without the chat template.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print speed and length on standard error.")] = False,
    trust_remote_code: Trust = False,
    precision: Precision = "auto",
    json: Json = False,
) -> None:
    """Have several models answer the same prompt with the same seed."""

    def events() -> Iterator[Event]:
        loads = _loads(models or [], adapters or [], precision, trust_remote_code)
        chosen = config.build(Sampling, sampling)
        if chosen.seed is None:
            chosen = chosen.model_copy(update={"seed": random.SystemRandom().randrange(2**31)})
        text = sys.stdin.read() if prompt == "-" else prompt
        bench = jobs.Workbench()
        for place, load in enumerate(loads):
            name = f"{load.model} with {load.adapter}" if load.adapter else load.model
            if json:
                yield Note(name)
            else:
                cli_render.say_result(("\n" if place else "") + f"── {name}")
            yield from jobs.start(jobs.Generate(load, text, system, raw, chosen), bench)

    leave(present(events(), json=json, verbose=verbose))


def _loads(
    models: Sequence[str], adapters: Sequence[str], precision: str, trust_remote_code: bool
) -> list[jobs.LoadModel]:
    """What answers, one after the other."""
    pairs = [(model, "") for model in models] + [(model, adapter) for model in models[:1] for adapter in adapters]
    if len(pairs) < _FEWEST:
        raise UserError(
            "There is nothing to compare with.",
            "At least two have to answer.",
            "Give --model at least twice, or a --model and an --adapter.",
        )
    return [
        jobs.LoadModel(model, precision, adapter=adapter, trust_remote_code=trust_remote_code, fetch=True)
        for model, adapter in pairs
    ]
