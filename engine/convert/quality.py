"""Measures what each setting costs against the unquantised model, on a text. Knows no file of a model and no view.

The bundled text, resources/quality_text.txt, was written for this program: prose, a dialogue, arithmetic, code, JSON,
Chinese and six other languages, none of it published elsewhere, so that no model learnt it by heart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import backend
from engine.assemble import Assembled
from engine.chat.prompts import encode_text
from engine.conversion_events import QualityMeasured
from engine.convert.quality_settings import compared
from engine.convert.quantise import dequantise, is_quantised, transform
from engine.convert.settings import ConversionSettings
from engine.errors import UserError
from engine.events import Event, Note, Progress

if TYPE_CHECKING:
    import mlx.core as mx
    from mlx.nn.layers.base import Module

# The text is measured in windows of this many tokens, spread evenly over it.
_WINDOW = 128
_WINDOWS = 4
_FEWEST_TOKENS = 64
_LONGEST_TEXT = 100_000
# What the unquantised model predicts is kept for all settings; a large vocabulary gets fewer windows.
_KEPT_BYTES = 512 * 1024**2
_SECONDS_PER_EVENT = 0.1
_TIMED_STEPS = 32
_TIMED_SECONDS = 1.0
# A CPU takes some 7 s a token for a billion quantised weights; nothing waits that long.
_TIMED_ON_CPU = 300_000_000

Opener = Callable[[], Generator[Event, None, Assembled]]


def measure(
    assemble: Opener, tokenizer: Any, settings: ConversionSettings, text: str = ""
) -> Generator[Event, None, list[QualityMeasured]]:
    """Measure the chosen and the neighbouring settings; the rows, the unquantised model's first, then by bits.

    The Kullback-Leibler divergence is KL(source || setting) over the whole vocabulary in float32, in nats, its mean
    over the positions; perplexity is exp of the mean negative log-likelihood of the next token in nats. On a GPU the
    quantised kernels are measured; on a CPU, where they are slow, the same numbers dequantised to float32.

    Args:
        assemble: opens the model anew each time, with weights that nobody evaluated; one is in memory at a time.
        tokenizer: of the model; the token it puts before a text is put before each window.
        text: what to measure on; "" takes the bundled text.

    Yields:
        Progress, QualityMeasured as soon as a setting is done, Note for a neighbour that cannot be measured.

    Raises:
        UserError: the text is too short, or the chosen setting does not fit the model.
    """
    others = compared(settings)
    report = _Report(*_tokens(tokenizer, text or bundled_text()), settings, len(others) + 1)
    try:
        yield report.progress(0)
        source = yield from report.source((yield from _opened(assemble)))
        yield source
        rows = [source]
        if not settings.quantize and not source.chosen:
            others.insert(0, settings)
            report.total += 1
        for setting in others:
            report.number += 1
            row = yield from report.row((yield from _opened(assemble)), setting)
            yield row
            rows += [row] if isinstance(row, QualityMeasured) else []
        return rows
    finally:
        report.predictions.clear()
        _free()


def bundled_text() -> str:
    """The text that is measured on where the person gives none."""
    import resources

    return (Path(resources.__path__[0]) / "quality_text.txt").read_text("utf-8")


@dataclass(slots=True)
class _Report:
    """A measurement under way.

    `begin` are the tokens before each window, `ids` the text's. `predictions` holds what the unquantised model says of
    each of the `windows`: log-probabilities in float32 of shape (time, vocabulary).
    """

    begin: list[int]
    ids: list[int]
    settings: ConversionSettings
    total: int
    number: int = 0
    label: str = ""
    windows: list[list[int]] = field(default_factory=list)
    predictions: list[mx.array] = field(default_factory=list)

    def progress(self, share: float) -> Progress:
        """How far it is, `share` being that of the present setting."""
        return Progress("Measuring quality", self.number + share, self.total, "steps", self.label)

    def source(self, assembled: Assembled) -> Generator[Event, None, QualityMeasured]:
        """The row of the unquantised model, whose predictions are kept."""
        settings = self.settings
        packed = is_quantised(assembled.model)
        assembled = dequantise(assembled) if packed else assembled
        self.label = _dtype(assembled.model)
        self.windows = _windows(self.begin, self.ids, assembled.config)
        as_stored = settings.dtype in {"stored", self.label} and (settings.dequantize or not packed)
        row = yield from self._measured(assembled, chosen=as_stored and not settings.quantize)
        if row is None:
            raise UserError(
                "The quality of this model cannot be measured.",
                "Even unquantised it computes no numbers (NaN or infinity) on this text.",
                "Get the model again, or convert it to float32.",
            )
        return row

    def row(self, assembled: Assembled, setting: ConversionSettings) -> Generator[Event, None, QualityMeasured | Note]:
        """The row of a setting, or why there is none."""
        self.label = setting.label() or setting.dtype
        chosen = setting.label() == self.settings.label()
        try:
            assembled = transform(assembled, setting)
        except UserError as error:
            if chosen:
                raise
            return Note(f"{self.label}: {error.what}")
        row = yield from self._measured(assembled, chosen=chosen)
        return row or Note(f"{self.label}: this setting computes no numbers (NaN or infinity) on this text.")

    def _measured(self, assembled: Assembled, *, chosen: bool) -> Generator[Event, None, QualityMeasured | None]:
        import mlx.core as mx
        from mlx_lm.utils import compute_bits_per_weight

        model = assembled.model
        size, bits = sum(array.nbytes for array in _arrays(model)), float(compute_bits_per_weight(model))
        slow = not backend.has_gpu()
        packed = is_quantised(model)
        if slow and not packed:
            model.set_dtype(mx.float32)
        yield from self._read(model, 0.0, 0.3)
        speed = yield from self._speed(model, _TIMED_ON_CPU if slow and packed else math.inf)
        if slow and packed:
            # The scales first, so that nothing is rounded to their type.
            model.set_dtype(mx.float32)
            model = dequantise(assembled).model
            model.set_dtype(mx.float32)
            yield from self._read(model, 0.3, 0.6)
        tokens, divergence, agreement, surprise = yield from self._compared(model)
        if not math.isfinite(divergence + surprise):
            return None
        return QualityMeasured(
            setting=self.label,
            chosen=chosen,
            size=size,
            bits=round(bits, 3),
            divergence=max(0.0, divergence),
            agreement=agreement,
            perplexity=math.exp(min(surprise, 700.0)),
            tokens_per_second=speed,
            tokens=tokens,
        )

    def _read(self, model: Module, start: float, end: float) -> Generator[Event, None, None]:
        """Evaluate the weights one by one."""
        import mlx.core as mx

        arrays = _arrays(model)
        told = 0.0
        for done, array in enumerate(arrays):
            mx.eval(array)
            if time.monotonic() - told > _SECONDS_PER_EVENT:
                told = time.monotonic()
                yield self.progress(start + (end - start) * done / len(arrays))

    def _speed(self, model: Module, most_parameters: float) -> Generator[Event, None, float]:
        """Tokens a second, decoding one at a time; 0 for a model with more parameters than are worth waiting for."""
        import mlx.core as mx
        from mlx_lm.models.cache import make_prompt_cache
        from mlx_lm.utils import get_total_parameters

        if get_total_parameters(model) > most_parameters:
            return 0.0
        cache = make_prompt_cache(model)
        token = mx.array([self.windows[0][:1]])
        seconds: list[float] = []
        while len(seconds) <= _TIMED_STEPS and sum(seconds[1:]) < _TIMED_SECONDS:
            yield self.progress(0.3)
            started = time.perf_counter()
            token = mx.argmax(model(token, cache=cache)[:, -1:], axis=-1)
            mx.eval(token)
            seconds.append(time.perf_counter() - started)
        # The first step also builds kernels and the cache.
        return (len(seconds) - 1) / sum(seconds[1:])

    def _compared(self, model: Module) -> Generator[Event, None, tuple[int, float, float, float]]:
        """Number of predictions, and the means of divergence, agreement and negative log-likelihood over them."""
        import mlx.core as mx

        totals = [0.0, 0.0, 0.0]
        tokens = number = 0
        while number < len(self.windows):
            yield self.progress(0.6 + 0.4 * number / len(self.windows))
            window = self.windows[number]
            found = _log_probabilities(model, window)
            if number == len(self.predictions):
                self.predictions.append(found)
                self.windows = self.windows[: max(1, _KEPT_BYTES // found.nbytes)]
            source = self.predictions[number]
            # Where the source says "never", its share of the divergence is 0 whatever the other says.
            divergence = mx.where(source > -mx.inf, mx.exp(source) * (source - found), 0).sum()
            agreement = (mx.argmax(source, axis=-1) == mx.argmax(found, axis=-1)).sum()
            likelihood = mx.take_along_axis(found, mx.array(window[1:])[:, None], axis=-1).sum()
            for at, value in enumerate((divergence, agreement, -likelihood)):
                totals[at] += float(value)
            tokens += len(window) - 1
            number += 1
        return tokens, totals[0] / tokens, totals[1] / tokens, totals[2] / tokens


def _opened(assemble: Opener) -> Generator[Event, None, Assembled]:
    """The model anew, when the last one's memory was given back."""
    _free()
    assembled = yield from assemble()
    # What assembled it holds the weights too, in a cycle, and would keep each that is evaluated.
    backend.collect_garbage()
    return assembled


def _log_probabilities(model: Any, window: list[int]) -> mx.array:
    """What the model predicts after each token but the last: log-probabilities of shape (time, vocabulary), float32."""
    import mlx.core as mx

    logits = model(mx.array([window[:-1]]))[0].astype(mx.float32)
    found: mx.array = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    mx.eval(found)
    return found


def _tokens(tokenizer: Any, text: str) -> tuple[list[int], list[int]]:
    """What the tokenizer puts before every text, and the tokens of the text."""
    ids = encode_text(tokenizer, text[:_LONGEST_TEXT])
    count = 1 if ids and ids[0] == tokenizer.bos_token_id else 0
    if len(ids) - count < _FEWEST_TOKENS:
        raise UserError(
            "The text is too short to measure quality on.",
            "It is {tokens} tokens long; at least {fewest} are needed, and more than {good} bring nothing.",
            "Give a text of a few hundred words, or none to use the one that comes with the program.",
            tokens=len(ids) - count,
            fewest=_FEWEST_TOKENS,
            good=_WINDOW * _WINDOWS,
        )
    return ids[:count], ids[count:]


def _windows(begin: list[int], ids: list[int], config: dict[str, Any]) -> list[list[int]]:
    """Pieces of the text, spread evenly over it, none longer than the model's context."""
    context = config.get("max_position_embeddings") or config.get("n_positions") or _WINDOW
    # Of one token nothing follows that could be measured.
    length = max(2, min(_WINDOW, int(context) - len(begin), len(ids)))
    count = min(_WINDOWS, len(ids) // length)
    starts = [(len(ids) - length) * number // max(1, count - 1) for number in range(count)]
    return [begin + ids[start : start + length] for start in starts]


def _arrays(model: Any) -> list[mx.array]:
    from mlx.utils import tree_flatten

    leaves: Any = tree_flatten(model.parameters())
    return [array for _, array in leaves]


def _dtype(model: Any) -> str:
    """The type that most weights have."""
    sizes: dict[str, int] = {}
    for array in _arrays(model):
        name = str(array.dtype).rpartition(".")[2]
        sizes[name] = sizes.get(name, 0) + array.size
    return max(sizes, key=lambda name: sizes[name])


def _free() -> None:
    import mlx.core as mx

    backend.collect_garbage()
    mx.clear_cache()
