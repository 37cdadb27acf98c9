"""What a terminal shows of a batch, as lines. Knows no job and prints nothing itself."""

from __future__ import annotations

from engine.chat_events import BatchAnswered, BatchExported, BatchFinished, BatchPlanned, BatchProgress, BatchStarted
from engine.events import Event, Progress

_SHOWN = 200


def remark(event: Event) -> str | None:
    """What is said beside the result, on standard error."""
    match event:
        case BatchPlanned():
            return _plan(event)
        case BatchStarted():
            kept = f", {event.kept:,} of them are there already" if event.kept else ""
            return f"{_count(event.rows, 'prompt')}, {_count(event.total, 'answer')}{kept}. They go to {event.output}"
        case BatchAnswered(error=error) if error:
            return f"Row {event.row}, sample {event.sample}: {error}"
        case BatchFinished():
            return _finished(event)
        case BatchExported():
            return f"{_count(event.answers, 'answer')} written to {event.path}"
    return None


def answer(event: BatchAnswered) -> str:
    """An answer as the line that is in the batch's file."""
    from engine.batch.answers_file import to_line

    return to_line(event)


def progress(event: BatchProgress) -> Progress:
    """How a batch stands, as the progress of any other job."""
    speed = f", {event.tokens / event.seconds:,.0f} tokens/s" if event.tokens and event.seconds else ""
    return Progress("Answering", event.done, event.total, "answers", f"{event.open} open{speed}")


def _plan(event: BatchPlanned) -> str:
    rows = [
        ("Prompts", f"{event.rows:,}"),
        ("Columns", ", ".join(event.columns)),
        ("Reference", event.reference or "none"),
        *(("Note", warning) for warning in event.warnings),
    ]
    for number, (system, prompt) in enumerate(event.rendered):
        rows += [(f"System {number}", _short(system))] if system else []
        rows.append((f"Prompt {number}", _short(prompt)))
    return "\n".join(f"{name:<11} {text}" for name, text in rows)


def _finished(event: BatchFinished) -> str:
    failed = f", {event.failed:,} could not be had" if event.failed else ""
    speed = f", {event.tokens_per_second:,.1f} tokens/s" if event.tokens else ""
    lines = [f"{_count(event.answers, 'answer')}{failed}; {event.tokens:,} tokens in {event.seconds:.1f} s{speed}"]
    lines += [f"{name}: {mean:.3f} on average" for name, mean in event.means]
    lines += [", ".join(f"pass@{k} {share:.1%}" for k, share in event.pass_at)] if event.pass_at else []
    return "\n".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
