"""Events as lines for a terminal. Knows no job and prints nothing itself."""

from __future__ import annotations

from engine import places
from engine.conversion_events import ConversionPlanned, ModelChecked, ModelConverted, ModelUploaded, QualityMeasured
from engine.events import Event, Failed, Finding, ModelFetched, ModelFound, ModelLoaded, Note, ReplyFinished
from engine.memory import in_words
from engine.training_events import TrainingFinished

QUALITY_HEADER = " setting          size  bits  KL divergence  same top token  perplexity  tokens/s"


def remark(event: Event) -> str | None:
    """What is said beside the result, on standard error."""
    match event:
        case Note():
            return event.text
        case ConversionPlanned():
            return _plan(event)
        case ModelChecked():
            return _verdict(event)
        case ModelConverted() | ModelUploaded():
            return _finished(event)
        case Failed():
            where = f"Details are in {places.log_file()}" if event.fault == "bug" else ""
            return "\n".join(part for part in (event.what, event.why, event.remedy, where) if part)
    return None


def result(event: Event) -> str | None:
    """What a script wants to read, on standard output."""
    match event:
        case ModelFound():
            bits = f"{event.bits} bits" if event.bits else "not quantised"
            return f"{event.name}  {event.model_type}, {event.weights / 1e6:,.0f} MB, {bits}"
        case ModelFetched() | ModelConverted():
            return event.folder
        case ModelUploaded():
            return event.address
        case TrainingFinished():
            return event.fused or event.model
        case Finding():
            mark = {"ok": "ok   ", "hint": "hint ", "wrong": "WRONG"}[event.state]
            return f"{mark}  {event.subject}: {event.found}" + (f"\n       {event.remedy}" * bool(event.remedy))
    return None


def loaded(event: ModelLoaded) -> str:
    """One line on a model that was loaded."""
    return f"{event.name}: {event.parameters / 1e6:,.1f} million parameters, {event.bits:g} bits"


def reply(event: ReplyFinished) -> str:
    """One line on how an answer went."""
    return (
        f"{event.completion_tokens} tokens, {event.tokens_per_second:.1f} tokens/s, "
        f"first token after {event.first_token_seconds:.2f} s, "
        f"{event.prompt_tokens} prompt tokens ({event.cached_tokens} known), ended by: {event.stop_reason}, "
        f"seed {event.seed}"
    )


def quality(event: QualityMeasured) -> str:
    """One row of the table under `QUALITY_HEADER`."""
    speed = f"{event.tokens_per_second:9.1f}" if event.tokens_per_second else "        -"
    mark = "*" if event.chosen else " "
    return (
        f"{mark}{event.setting:<13} {in_words(event.size):>8} {event.bits:5.2f} {event.divergence:14.4f} "
        f"{event.agreement:15.1%} {event.perplexity:11.2f} {speed}"
    )


def _plan(event: ConversionPlanned) -> str:
    template = "with" if event.has_chat_template else "without"
    rows = [
        ("Source", event.source),
        ("Kind", f"{event.kind}, {event.model_type}"),
        ("Parameters", f"{event.parameters / 1e6:,.1f} million, {event.dtype}, {_files(event.shards)}"),
        ("Tokenizer", f"{event.tokenizer or 'none'}, {template} chat template"),
        ("Context", f"{event.context:,} tokens" if event.context else "not stated"),
        (
            "Size",
            f"{in_words(event.source_bytes)} -> {in_words(event.result_bytes)} ({event.result_bits:g} bits per weight)",
        ),
        ("Memory", f"about {in_words(event.peak_memory)} at most"),
        ("Disk", f"{in_words(event.disk_needed)} of {in_words(event.free_disk)} free"),
        ("Check", "against the source" if event.checked else "none"),
        ("Output", event.output),
        *(("Note", warning) for warning in event.warnings),
    ]
    return "\n".join(f"{name:<11} {text}" for name, text in rows)


def _finished(event: ModelConverted | ModelUploaded) -> str:
    if isinstance(event, ModelConverted):
        left_out = "".join(f"\nLeft out: {name}" for name in event.left_out)
        return f"{in_words(event.size)}, {event.bits:g} bits per weight, {event.seconds:.1f} s{left_out}"
    sent = "Sent" if event.sent else "Nothing was sent; it would be"
    return f"{sent}: {_files(event.files)}, {in_words(event.size)}, {'private' if event.private else 'public'}"


def _verdict(event: ModelChecked) -> str:
    if event.verdict == "same":
        return (
            f"Checked: the same as the source (difference {event.error:.1e} of the largest logit, "
            f"{event.agreement:.1%} same top token, {event.positions} positions, prompts up to {event.longest} tokens)"
        )
    return ("Not checked: " if event.verdict == "not checked" else "DIFFERENT: ") + event.reason


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
