"""Writes one page about a run, to be sent to somebody: what came of it, its curves, samples and settings.

Knows what belongs on the page and in which order; reads no line of a record itself and draws nothing itself.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from engine import errors, places
from engine.events import Event, Progress
from engine.grpo.settings import TrainConfig
from engine.memory import in_words
from engine.monitor import report_curves, report_page, report_samples, report_settings, report_story
from engine.monitor.report_curves import Curve
from engine.monitor.report_page import facts, folded, paragraph, passage, section, table
from engine.monitor.report_samples import Chosen, Shown
from engine.monitor.report_story import Story, duration, share
from engine.run_events import ReportWritten
from engine.training_events import Evaluated

FILE = "report.html"
"""The page's name in the run's folder."""
_PROMPT, _COMPLETION = 2000, 4000  # characters shown at most
_ROWS = 100  # of a table at most
_KINDS = {
    "auto": "all weights, or adapters on a quantised model",
    "full": "all weights",
    "lora": "LoRA adapters",
    "dora": "DoRA adapters",
}
_WHEN = {"before": "before training", "during": "during training", "quick": "quick look", "after": "after training"}
_ENDED = {
    "end": "",
    "length": "cut off at the longest length",
    "stop string": "ended by a stop string",
    "context full": "cut off: the context was full",
}
_MEASURED = (
    ("kl", "KL divergence", "How far the policy has moved from the model it began as, in nats a token.", False),
    ("entropy", "Entropy", "How undecided the policy is between tokens: the mean of −log p of those it chose.", False),
    ("mean_length", "Length", "Tokens of a completion, on average.", False),
    ("cut_short", "Cut short", "The share of completions that reached the longest length.", True),
    (
        "flat_groups",
        "Flat groups",
        "The share of prompts whose completions all scored the same and taught nothing.",
        True,
    ),
    ("loss", "Loss", "What the update made smaller; near 0 by its nature, and no measure of success.", False),
    ("gradient_norm", "Gradient norm", "The size of the update's gradient before it was limited.", False),
    ("clipped_high", "Clipped", "The share of tokens whose ratio was clipped from above.", True),
    ("learning_rate", "Learning rate", "The step size.", False),
)


def write(folder: Path, output: str = "") -> Iterator[Event]:
    """Write the report of the run in a folder.

    Args:
        folder: the run's folder.
        output: the file to write, "" for report.html in the run's folder; one that is there is replaced.

    Yields:
        Progress, and at last ReportWritten.

    Raises:
        UserError: the run cannot be read or holds nothing yet, or the file cannot be written.
    """
    file = places.expand(output).absolute() if output else folder.absolute() / FILE
    story = yield from report_story.gathered(folder)
    yield Progress("Reading samples", 0)
    samples = report_samples.chosen(folder)
    yield Progress("Drawing the curves", 0)
    document = report_page.page(story.name, _body(story, samples))
    _put(file, document)
    yield ReportWritten(str(file))


def _body(story: Story, samples: Chosen) -> Iterator[str]:
    tags = "".join(f"<li>{report_page.text(tag)}</li>" for tag in story.tags)
    yield f'<header><p class="over">Training report</p><h1>{report_page.text(story.name)}</h1>'
    yield f'<ul class="tags">{tags}</ul>' if tags else ""
    yield paragraph(story.summary(), "lead")
    yield f"{_facts(story)}</header>"
    yield section("Notes", f'<p class="notes" dir="auto">{report_page.text(story.notes)}</p>' if story.notes else "")
    yield section("Curves", *_curves(story))
    yield section("Held-out accuracy", _evaluations(story))
    yield section("Samples", *_samples(samples, story.config.completion_prefill if story.config else ""))
    yield section("Settings", *report_settings.settings(story))
    yield section("Changed while it trained", report_settings.changes(story))
    yield section("Checkpoints", report_settings.checkpoints(story))
    yield report_settings.origin(story)


def curves(story: Story) -> Iterator[Curve]:
    """The curves that a run may have, in their order; some may be empty."""
    steps, marks = story.column("step"), tuple(float(change.step) for change in story.changes)
    judged = story.evaluations
    places_, accuracy, low, high = (
        np.array([getattr(one, name) for one in judged], np.float64) for name in ("step", "accuracy", "low", "high")
    )
    about = "The share of held-out problems answered rightly, with its 95 % interval."
    yield Curve("Held-out accuracy", about, places_, accuracy, low, high, percent=True, sharp=True, marks=marks)
    reward, spread = story.column("reward"), story.column("reward_spread")
    about = "The weighted sum of all rewards, and its spread among completions of one prompt."
    yield Curve("Mean reward", about, steps, reward, reward - spread, reward + spread, marks=marks)
    for name in story.rewards if len(story.rewards) > 1 else ():
        mean, spread = story.column(f"rewards/{name}"), story.column(f"rewards/{name}/spread")
        yield Curve(
            f"Reward “{name}”", "Its mean, unweighted, and its spread.", steps, mean, mean - spread, mean + spread
        )
    for name, title, about, percent in _MEASURED:
        values = story.column(name)
        # What never happened is no curve.
        if np.nanmax(np.abs(values), initial=0.0) > 0.0:
            yield Curve(title, about, steps, values, percent=percent, sharp=name == "learning_rate")
    seconds = sum(story.column(f"{part}_seconds") for part in ("rollout", "reward", "update"))
    speed = np.divide(story.column("tokens"), seconds, out=np.full(len(steps), np.nan), where=seconds > 0)
    yield Curve("Speed", "Tokens of completions a second, all work of a step counted.", steps, speed)


def _curves(story: Story) -> Iterator[str]:
    drawn = [curve for curve in curves(story) if not curve.empty]
    if (window := max(map(report_curves.window_of, drawn), default=1)) > 1:
        about = f"A thin line is what each step measured, a bold one the mean of the {window:,} steps around it."
        yield paragraph(f"{about} Dashed lines mark where a setting was changed." if story.changes else about, "muted")
    if drawn:
        yield f'<div class="charts">{"".join(map(report_curves.figure, drawn))}</div>'


def _facts(story: Story) -> str:
    start, config = story.start, story.config
    steps = f"{story.step:,} of {story.steps:,}" if story.steps else f"{story.step:,}"
    memory = story.column("peak_memory")
    trained = _KINDS.get(start.train_type, start.train_type) if start else ""
    if start and start.trainable:
        count = f"{start.trainable:,}"
        trained = f"all {count} weights" if start.train_type == "full" else f"{trained} ({count} weights)"
    asked = story.column("completions")
    return facts(
        [
            ("Status", story.status()),
            ("Model", start.model if start else config.model_name if config else ""),
            ("Trained", trained),
            ("Data", report_page.at_home(config.dataset) if config else ""),
            ("Rewards", _rewards(config) if config else ""),
            ("Steps", steps),
            ("Completions", f"{np.nansum(asked):,.0f}" if len(asked) else ""),
            ("Time", f"{duration(story.seconds)} of training" if story.seconds else ""),
            ("Memory", f"{in_words(int(np.nanmax(memory)))} at most" if np.isfinite(memory).any() else ""),
            ("Begun", report_settings.date(story.written)),
            ("Last step" if not story.live else "Written up to", report_settings.date(story.changed)),
        ]
    )


def _rewards(config: TrainConfig) -> str:
    weights = config.reward_weights or (1.0,) * len(config.rewards)
    return ", ".join(f"{name} × {weight:g}" for name, weight in zip(config.rewards, weights, strict=True))


def _evaluations(story: Story) -> str:
    judged = story.evaluations
    if not judged:
        return paragraph("Nothing was held out to evaluate on, or no evaluation was made yet.", "muted")
    whole = story.whole or judged
    best = max(whole, key=lambda one: one.accuracy)
    telling = sorted({id(one): one for one in (whole[0], best, whole[-1])}.values(), key=lambda one: one.step)
    shown = table(_HEADS, [_evaluation(one, best) for one in telling], figures=6)
    if len(judged) <= len(telling):
        return shown
    every = -(-len(judged) // _ROWS)
    title = f"All {len(judged):,} evaluations" if every == 1 else f"Every {every}th of {len(judged):,} evaluations"
    return shown + folded(title, table(_HEADS, [_evaluation(one, best) for one in judged[::every]], figures=6))


_HEADS = ("When", "Step", "Rows", "Accuracy", "95 % interval", "Right form", "Mean length")


def _evaluation(one: Evaluated, best: Evaluated) -> list[str]:
    when = _WHEN.get(one.when, one.when) + (", the best" if one is best and one.when != "before" else "")
    if one.pass_at_k:
        when += f" ({', '.join(f'pass@{k} {share(part)}' for k, part in one.pass_at_k)})"
    return [
        when,
        f"{one.step:,}",
        f"{one.rows:,}",
        share(one.accuracy),
        f"{share(one.low)} to {share(one.high)}",
        share(one.format_rate),
        f"{one.mean_length:.1f} tokens",
    ]


def _samples(samples: Chosen, prefill: str) -> Iterator[str]:
    if not samples.early:
        yield paragraph("No completions of this run were kept.", "muted")
        return
    about = "Chosen by rule: one prompt with its best, typical and worst completion, and typical ones of other prompts."
    yield paragraph(f"{about} The first prompt is the same at both times." if samples.same_prompt else about, "muted")
    sides = [("At the beginning", samples.early), ("At the end", samples.late)]
    yield "".join(
        [
            '<div class="sides">',
            *(f"<div>{_side(title, shown, prefill)}</div>" for title, shown in sides if shown),
            "</div>",
        ]
    )


def _side(title: str, shown: Sequence[Shown], prefill: str) -> str:
    parts, asked = [f"<h3>{report_page.text(title)}: step {shown[0].step:,}</h3>"], ""
    for one in shown:
        if one.prompt != asked:
            wanted = f'<p class="say">Right answer: {report_page.text(one.answer[:_PROMPT])}</p>' if one.answer else ""
            parts.append(f'<div class="prompt">{passage(one.prompt, _PROMPT)}{wanted}</div>')
            asked = one.prompt
        scores = [f"{name} {'no opinion' if score is None else f'{score:g}'}" for name, score in one.rewards]
        said = [f"Reward {one.reward:g} ({', '.join(scores)})", f"{one.tokens:,} tokens"]
        said += [ended] if (ended := _ENDED.get(one.stop_reason, one.stop_reason)) else []
        role = {"another": "Typical"}.get(one.role, one.role.capitalize())
        parts.append(
            f'<div class="sample"><p class="role">{role}</p>{passage(one.text, _COMPLETION, prefill)}'
            f'<p class="say">{report_page.text(" · ".join(said))}</p></div>'
        )
    return "".join(parts)


def _put(file: Path, document: str) -> None:
    """Write the page whole or not at all."""
    try:
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-", suffix=".partial")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as page:
                page.write(document)
                page.flush()
                os.fsync(page.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(file)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise errors.explain(error) from error
