"""Turns a checkpoint into an MLX model folder, step by step. Knows the order of the steps; each has its own room."""

from __future__ import annotations

import errno
import json
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine import adapters, backend, places
from engine.assemble import Assembled, assemble
from engine.conversion_events import ConversionPlanned, ModelChecked, ModelConverted, QualityMeasured
from engine.convert import check, journal, plan, quality, quantise, tokenizer_trial
from engine.convert.look import look, reader
from engine.convert.model_card import RECORD
from engine.convert.settings import ConversionSettings
from engine.convert.source import Source
from engine.convert.write import write_weights
from engine.errors import UserError
from engine.events import Event, Progress


def planned(
    name: str, output: str, settings: ConversionSettings, revision: str | None = None
) -> tuple[Source, ConversionPlanned]:
    """Look at a checkpoint and plan its conversion."""
    source = look(name, settings, revision)
    if settings.overrides() and source.kind != "nanochat":
        raise UserError(
            "{settings} cannot be set for {name}.",
            "Its own files say it; only nanochat checkpoints leave it open.",
            "Leave these settings out.",
            settings=", ".join(settings.overrides()),
            name=source.name,
        )
    return source, plan.make(source, plan.output_folder(output, source, settings), settings)


def convert(
    name: str,
    output: str = "",
    settings: ConversionSettings | None = None,
    *,
    revision: str | None = None,
    overwrite: bool = False,
    report: bool = False,
    text: str = "",
    adapter: str = "",
) -> Generator[Event, None, Path]:
    """Turn the checkpoint of this name into an MLX model; the result is its folder.

    It works in a folder of its own beside `output` and renames it at the end: closed early or failed, nothing is left.

    Args:
        output: the folder to write; "" for one in the program's Models folder.
        overwrite: replace a model that is there.
        report: measure quality first, on the text file `text` or on the bundled text.
        adapter: a folder with a LoRA or DoRA adapter to merge into the weights; "" for none.

    Yields:
        ConversionPlanned, Progress, ModelChecked, QualityMeasured for each setting, at last ModelConverted.

    Raises:
        UserError: the source is damaged or unsupported, or the result would not compute what the source computes.
    """
    started = time.perf_counter()
    settings = settings or ConversionSettings()
    words = _text(text)
    yield Progress("Looking at the checkpoint", 0)
    source, facts = planned(name, output, settings, revision)
    yield facts
    plan.require(facts, overwrite)
    folder = Path(facts.output)
    with journal.unfinished(folder) as work:
        reading = _Reading(source, settings, work / "scratch", adapter)
        with _other_side(reading, facts) as reference:
            yield from backend.imports()
            backend.prepare()
            yield Progress("Writing the tokenizer", 0)
            tokenizer = reader(source.kind).save_tokenizer(source, work, settings)
            yield from tokenizer_trial.opened(work, source, settings)
            verdict = yield from _check(reading, reference, facts)
        measured: list[QualityMeasured] = []
        if report:
            measured = yield from _measure(reading, work, words)
        assembled = yield from reading.open()
        if settings.dequantize and not quantise.is_quantised(assembled.model):
            raise _whole_already(source.name)
        assembled = quantise.cast(assembled, settings.dtype)
        wholes = dict(_leaves(assembled))
        assembled = quantise.transform(assembled, settings)
        left_out = assembled.left_out
        size, bits, parameters = _figures(assembled)
        config = assembled.config | tokenizer
        if not quantise.is_quantised(assembled.model):
            # What the source said of weights that are whole now would mislead whoever loads them.
            config = {key: value for key, value in config.items() if key not in {"quantization", "quantization_config"}}
        if own := config.get("model_file"):
            # The result needs it too; that the person trusts it has been said by now.
            config["model_file"] = Path(own).name
            shutil.copy(source.path / own, work / config["model_file"])
        yield from write_weights(assembled, work, wholes, settings.dtype)
        (work / "config.json").write_text(json.dumps(dict(sorted(config.items())), indent=4), "utf-8")
        _record(work, facts, settings, verdict, measured, bits=bits, left_out=left_out)
        reading.close()
        move(work, folder, replace=overwrite)
    seconds = time.perf_counter() - started
    yield ModelConverted(folder.name, str(folder), size, bits, parameters, left_out, seconds)
    return folder


def measure(
    name: str, settings: ConversionSettings, *, revision: str | None = None, text: str = ""
) -> Generator[Event, None, None]:
    """Measure what the chosen and the neighbouring settings cost, without keeping anything.

    Raises:
        UserError: as `convert`, or the text is too short.
    """
    source = look(name, settings, revision)
    yield from backend.imports()
    backend.prepare()
    with journal.unfinished(places.models_folder() / "quality") as work:
        yield from _measure(_Reading(source, settings, work), work, _text(text))


@dataclass(slots=True)
class _Reading:
    """A source being read: each `open` gives the model anew, with weights that nobody has evaluated yet."""

    source: Source
    settings: ConversionSettings
    scratch: Path
    adapter: str = ""

    def open(self) -> Generator[Event, None, Assembled]:
        self.scratch.mkdir(exist_ok=True)
        weights = yield from reader(self.source.kind).weights(self.source, self.scratch)
        code = self.source.path if self.settings.trust_remote_code else None
        try:
            assembled = assemble(self.source.config, weights, strict=self.settings.strict, code=code)
            if self.adapter:
                adapters.merge(assembled.model, places.expand(self.adapter), dequantize=self.settings.dequantize)
            return assembled
        finally:
            # What the model took it holds; a second holder would keep every evaluated weight in memory.
            weights.clear()
            backend.collect_garbage()

    def close(self) -> None:
        """Remove what reading left on the disk."""
        shutil.rmtree(self.scratch)


@contextmanager
def _other_side(reading: _Reading, facts: ConversionPlanned) -> Iterator[check.Reference | str]:
    """The source computed by transformers, already at work; or why there is nothing to compare with."""
    setting = reading.settings.check
    if facts.kind not in {"hugging face", "mlx"} or "quantization" in reading.source.config:
        yield "There is no second program here that computes this kind of checkpoint."
    elif reading.adapter:
        yield "With the adapter merged in, it computes something else than its source."
    elif setting == "never":
        yield "The check was switched off."
    elif setting == "auto" and not facts.checked:
        yield "The model is too large to be computed twice here."
    else:
        reading.scratch.mkdir()
        with closing(
            check.Reference(reading.source.path, reading.source.config, facts.parameters, reading.scratch)
        ) as reference:
            yield reference


def _check(
    reading: _Reading, reference: check.Reference | str, facts: ConversionPlanned
) -> Generator[Event, None, ModelChecked]:
    """Compare with the source; the verdict.

    Raises:
        UserError: the model would not compute what its source computes.
    """
    if isinstance(reference, str):
        verdict = ModelChecked("not checked", reference)
    else:
        assembled = yield from reading.open()
        verdict = yield from check.compare(reference, assembled)
        del assembled
        backend.collect_garbage()
    yield verdict
    if verdict.verdict == "different":
        raise UserError(
            "{name} was not converted: the result would compute something else than the source.",
            "{reason}",
            "Please report it with the name of this model. --no-check converts it all the same, at your own risk.",
            name=facts.name,
            reason=verdict.reason,
        )
    return verdict


def _measure(reading: _Reading, work: Path, text: str) -> Generator[Event, None, list[QualityMeasured]]:
    from mlx_lm.utils import load_tokenizer

    folder = work / "tokenizer"
    folder.mkdir()
    eos = reader(reading.source.kind).save_tokenizer(reading.source, folder, reading.settings)
    (folder / "config.json").write_text(json.dumps({"model_type": reading.source.config["model_type"]} | eos), "utf-8")
    tokenizer = load_tokenizer(folder, {"trust_remote_code": reading.settings.trust_remote_code})
    measured = yield from quality.measure(reading.open, tokenizer, reading.settings, text)
    shutil.rmtree(folder)
    backend.collect_garbage()
    return measured


def _whole_already(name: str) -> UserError:
    return UserError(
        "{name} has no quantisation to undo.",
        "Its weights are whole already.",
        "Convert it without --dequantize.",
        name=name,
    )


def _text(name: str) -> str:
    """The person's own text, "" for the bundled one."""
    if not name:
        return ""
    path = places.expand(name)
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            "{path} is not a text file.", "{reason}", "Give a plain text file in UTF-8.", path=path, reason=error
        ) from error
    if not text.strip():
        raise UserError("{path} is empty.", "", "Give a text to measure on, or none for the bundled one.", path=path)
    return text


def _figures(assembled: Assembled) -> tuple[int, float, int]:
    """Bytes, bits per weight and number of weights of a model that is not evaluated yet."""
    from mlx_lm.utils import compute_bits_per_weight, get_total_parameters

    bits = round(float(compute_bits_per_weight(assembled.model)), 2)
    return sum(array.nbytes for _, array in _leaves(assembled)), bits, int(get_total_parameters(assembled.model))


def _leaves(assembled: Assembled) -> Any:
    """The arrays of a model, each with its name."""
    from mlx.utils import tree_flatten

    return tree_flatten(assembled.model.parameters())  # type: ignore[no-untyped-call]


def _record(
    work: Path,
    facts: ConversionPlanned,
    settings: ConversionSettings,
    verdict: ModelChecked,
    measured: list[QualityMeasured],
    **figures: Any,
) -> None:
    """Note what was made how, for the model's card on the Hub and for the curious."""
    record = {
        "source": {"name": facts.name, "kind": facts.kind, "dtype": facts.dtype},
        "settings": settings.model_dump(exclude_defaults=True),
        "label": settings.label(),
        "check": asdict(verdict),
        "quality": [asdict(row) for row in measured],
    } | figures
    (work / RECORD).write_text(json.dumps(record, indent=4, ensure_ascii=False), "utf-8")


def move(work: Path, folder: Path, *, replace: bool) -> None:
    """Put the finished folder in its place, if asked in place of the one that is there.

    Raises:
        UserError: another conversion put its result there meanwhile.
    """
    with journal.unfinished(folder) as aside:
        try:
            if replace and folder.exists():
                folder.rename(aside / journal.REPLACED)
            work.rename(folder)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            raise UserError(
                "The output folder was filled meanwhile: {folder}",
                "Another conversion, or another program, wrote there while this one worked.",
                "Let one of them finish first, or give each an output folder of its own.",
                folder=folder,
            ) from error
        finally:
            if not folder.exists() and (aside / journal.REPLACED).exists():
                (aside / journal.REPLACED).rename(folder)
