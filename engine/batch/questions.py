"""What a batch asks, row by row: the prompt and the system prompt as they are said, and the right answer.

Knows the source and its templates, and no model.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.batch.tables import PROMPT, Table, read
from engine.batch.templates import Template, require_column, shown
from engine.chat.requests import BatchSource
from engine.chat_events import BatchPlanned
from engine.errors import UserError
from engine.events import Event

_REFERENCES = ("answer", "reference")
# Rows that a plan shows as they are said.
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Question:
    """A row as it is asked; `problem` says why it cannot be, "" where it can."""

    row: int
    system: str
    prompt: str
    reference: str
    columns: dict[str, Any]
    problem: str = ""


def plan(source: BatchSource) -> Generator[Event, None, None]:
    """Say what a batch would ask.

    Yields:
        progress, at last BatchPlanned.

    Raises:
        UserError: the source, a template or the name of a column is at fault.
    """
    table, reference, questions = yield from ask(source)
    yield BatchPlanned(
        rows=len(questions),
        columns=table.columns,
        reference=reference,
        rendered=tuple((question.system, question.prompt) for question in questions[:_SHOWN]),
        warnings=tuple(_warnings(questions, reference)),
    )


def ask(source: BatchSource) -> Generator[Event, None, tuple[Table, str, list[Question]]]:
    """The table of a source, its column of right answers ("" for none), and what is asked. Raises as `plan` does."""
    table = yield from read(source)
    reference = _reference(source, table)
    prompt = Template(source.template) if source.template else Template.of(_prompt_column(table, reference))
    system = Template(source.system)
    for template in (prompt, system):
        template.require(table.columns)
    return (
        table,
        reference,
        [_question(row, table.rows[row], prompt, system, reference) for row in range(len(table.rows))],
    )


def _reference(source: BatchSource, table: Table) -> str:
    if source.reference:
        require_column(source.reference, table.columns)
        return source.reference
    return next((name for name in _REFERENCES if name in table.columns), "")


def _prompt_column(table: Table, reference: str) -> str:
    """The column that is the prompt."""
    others = [name for name in table.columns if name != reference]
    if PROMPT in table.columns or len(others) == 1:
        return PROMPT if PROMPT in table.columns else others[0]
    raise UserError(
        "It is not clear which column is the prompt.",
        'There is none called "prompt" among: {columns}.',
        "Write a template with the columns in braces, such as {{{example}}}.",
        columns=", ".join(table.columns),
        example=others[0] if others else table.columns[0],
    )


def _question(row: int, values: dict[str, Any], prompt: Template, system: Template, reference: str) -> Question:
    lacking = [name for template in (prompt, system) for name in template.names if name not in values]
    right = shown(values.get(reference)).strip() if reference else ""
    if lacking:
        return Question(row, "", "", right, values, f"Row {row + 1} has no column {lacking[0]}.")
    text = prompt.fill(values)
    return Question(row, system.fill(values), text, right, values, "" if text.strip() else "The prompt is empty.")


def _warnings(questions: Sequence[Question], reference: str) -> Generator[str, None, None]:
    faulty = [question.row + 1 for question in questions if question.problem]
    if faulty:
        yield f"{_rows(faulty)} cannot be asked: a column is missing or the prompt is empty."
    without = [question.row + 1 for question in questions if not question.reference]
    if reference and without:
        yield f"{_rows(without)} without a right answer in the column {reference}."
    seen = {(question.system, question.prompt) for question in questions if not question.problem}
    twice = len(questions) - len(faulty) - len(seen)
    if twice:
        yield "1 row asks what another one asks." if twice == 1 else f"{twice:,} rows ask what others ask."


def _rows(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"Row {numbers[0]:,}"
    listed = ", ".join(f"{number:,}" for number in numbers[:3])
    return f"{len(numbers):,} rows ({listed}{', …' if len(numbers) > 3 else ''})"
