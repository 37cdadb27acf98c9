"""The command `batch`: its options and what it hands to jobs. Knows no model."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from engine import cli_signals, config, jobs
from engine.chat.requests import BatchSource, PlanBatch, RunBatch
from engine.cli import Adapter, Json, Model, Precision, Trust, app, job, leave, present
from engine.cli_options import options_of
from engine.config import Sampling

Prompts = Annotated[
    str, typer.Option("--prompts", "-p", metavar="FILE", help="A file of lines, JSONL or CSV; - reads standard input.")
]
Out = Annotated[
    str,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="The JSONL file to write; without it the answers are printed, and kept in a folder of the program.",
    ),
]


@app.command()
@options_of(Sampling, "sampling")
def batch(
    sampling: dict[str, Any],
    prompts: Prompts,
    model: Model = "starter",
    out: Out = "",
    template: Annotated[
        str, typer.Option(help="How a row is said, columns in braces: {question}. Without it: the column prompt.")
    ] = "",
    system: Annotated[str, typer.Option(help="What the model is told about how to answer; columns as above.")] = "",
    reference: Annotated[
        str, typer.Option(metavar="COLUMN", help="Where right answers are; answer or reference if there is one.")
    ] = "",
    samples: Annotated[int, typer.Option("--samples", "-n", min=1, help="Answers to each prompt.")] = 1,
    reward: Annotated[
        list[str] | None,
        typer.Option("--reward", metavar="NAME", help="Score each answer by this; a name or FILE.py:FUNCTION."),
    ] = None,
    rows_at_once: Annotated[
        int, typer.Option(min=0, help="Answers written side by side; 0 takes what pays, 1 computes as a chat does.")
    ] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the file of --out.")] = False,
    again: Annotated[
        list[int] | None,
        typer.Option("--again", min=0, metavar="ROW", help="Answer this row of the file of --out again, from 0."),
    ] = None,
    adapter: Adapter = "",
    trust_remote_code: Trust = False,
    precision: Precision = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be asked and do nothing.")] = False,
    json: Json = False,
) -> None:
    """Answer many prompts, several at once, into a file that can be gone on with."""

    def request() -> jobs.Request:
        # Bytes that are no text are told where the prompts are read.
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape") if prompts == "-" else ""
        source = BatchSource("" if prompts == "-" else prompts, text, template, system, reference)
        if dry_run:
            return PlanBatch(source)
        return RunBatch(
            jobs.LoadModel(model, precision, adapter=adapter, trust_remote_code=trust_remote_code, fetch=True),
            source,
            out,
            config.build(Sampling, sampling),
            samples,
            tuple(reward or ()),
            rows_at_once,
            resume,
            tuple(again or ()),
        )

    leave(present(cli_signals.stoppable(job(request)), json=json, stream=not out))
