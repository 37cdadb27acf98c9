"""Forecasts what a run would need and take, and finds smaller settings where it does not fit. Loads no weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine import library, memory, model_config, places
from engine.errors import UserError
from engine.events import Event, Note, Progress
from engine.grpo.memory_model import Memory, forecast_memory, kept_values, train_type_of
from engine.grpo.model_shape import Shape, trainable_parameters
from engine.training_events import TrainingPlanned

if TYPE_CHECKING:
    from engine.grpo.data import Row, Task
    from engine.grpo.settings import TrainConfig
    from engine.library import ModelFiles

# How much of the memory a forecast that may be 15 % off, and all else in the process, leave unused.
_MARGIN = 1.15
_SMALLEST_MICRO_BATCH = 256
_MEASURED_PROMPTS = 200
# What operations other than products take, in softmaxes of all numbers that a gradient needs; fitted on a CPU.
_PASSED_IN_UPDATE, _PASSED_IN_ROLLOUT = 0.8, 0.4


@dataclass(frozen=True, slots=True)
class Machine:
    """What the run may use: bytes of memory, and how fast it is (0: not known).

    FLOP/s of large products and of those of decoding; bytes a second that are put through other operations.
    """

    available: int
    rate: float = 0.0
    decoding_rate: float = 0.0
    passing_rate: float = 0.0


def forecast(config: TrainConfig) -> Generator[Event, None, None]:
    """What a run would do and need, as far as model and data are on this computer.

    Yields:
        Progress and Notes, at last TrainingPlanned.

    Raises:
        UserError: the model or the data are at fault.
    """
    task = None
    if _is_here(config.dataset):
        from engine.grpo import data

        task = yield from data.load(config)
    else:
        yield Note("The data set is not on this computer as a file: its rows are not counted.")
    yield (yield from planned(config, task))


def planned(config: TrainConfig, task: Task | None, *, timed: bool = True) -> Generator[Event, None, TrainingPlanned]:
    """What a run on these data would need, as far as its model is on this computer.

    Args:
        task: None where the data are not on this computer.
        timed: whether to measure this computer's speed, which the time of a step is told from.

    Raises:
        UserError: the model is at fault.
    """
    from engine import backend

    try:
        folder = library.locate(config.model_name)
    except UserError:
        folder = None
    described: dict[str, Any] | None = None
    stored = prompt_tokens = 0
    rates = (0.0, 0.0, 0.0)
    if folder is None:
        yield Note("The model is not on this computer: there is no forecast of memory and time.")
    else:
        yield from backend.imports()
        backend.prepare()
        files = library.describe(folder)
        described, stored = model_config.normalised(model_config.read(folder)), files.weights
        if task:
            prompt_tokens = yield from _longest_prompt(config, files, task.train[:_MEASURED_PROMPTS])
        if timed:
            yield Progress("Measuring the speed of this computer", 0)
            rates = probe(config.rows_at_once)
    machine = Machine(memory.available(config.memory_limit * 1024**2), *rates)
    rows, held_out = (len(task.train), len(task.held_out)) if task else (-1, -1)
    return plan(config, described, machine, stored=stored, rows=rows, held_out=held_out, prompt_tokens=prompt_tokens)


def require(planned: TrainingPlanned) -> None:
    """Refuse a run that will not fit, before its model is loaded.

    Raises:
        UserError: with the settings that would fit.
    """
    if planned.fits or not planned.parameters:
        return
    raise UserError(
        "{name} cannot be trained with these settings in this computer's memory.",
        "It needs about {need} and {there} can be used.",
        "Set {settings}." if planned.suggestion else "Choose a smaller or quantised model, or close other programs.",
        name=planned.model,
        need=memory.in_words(int(planned.peak * _MARGIN)),
        there=memory.in_words(planned.available),
        settings=", ".join(planned.suggestion),
    )


def plan(
    config: TrainConfig,
    model_config: dict[str, Any] | None,
    machine: Machine,
    *,
    stored: int = 0,
    rows: int = -1,
    held_out: int = -1,
    prompt_tokens: int = 0,
) -> TrainingPlanned:
    """What the run would need, and smaller settings where it does not fit.

    Args:
        model_config: as `engine.model_config.normalised` gives it; None where the model is not on this computer.
        stored: bytes of the weight files.
        rows, held_out: how many there are; -1 where the data are not on this computer.
        prompt_tokens: of the longest prompt; 0 takes the longest that the settings allow.
    """
    shape = Shape.of(model_config, stored) if model_config else None
    train_type = train_type_of(config, shape)
    found = forecast_memory(config, shape, prompt_tokens) if shape else Memory()
    fits = _fits(found, machine)
    return TrainingPlanned(
        model=config.model_name,
        train_type=train_type,
        parameters=shape.parameters if shape else 0,
        trainable=trainable_parameters(config, shape, train_type) if shape else 0,
        rows=rows,
        held_out=held_out,
        steps=_steps(config, rows),
        prompts_per_step=config.prompts_per_step,
        generations=config.num_generations,
        weights=found.weights,
        optimizer=found.moments + found.gradients,
        kv_cache=found.kv_cache,
        activations=found.activations,
        peak=found.peak,
        available=machine.available,
        fits=fits,
        seconds_per_step=seconds_per_step(config, shape, machine, prompt_tokens) if shape else 0.0,
        suggestion=() if fits or shape is None else suggest(config, shape, machine, prompt_tokens),
    )


def suggest(config: TrainConfig, shape: Shape, machine: Machine, prompt_tokens: int = 0) -> tuple[str, ...]:
    """Settings as key=value with which the run would fit, as few as possible; none where nothing helps."""
    changes: dict[str, Any] = {}
    for key, values in _smaller(config, shape):
        for value in values:
            changes[key] = value
            if _fits_with(config, changes, shape, machine, prompt_tokens):
                return _needed_of(config, changes, shape, machine, prompt_tokens)
    return ()


def _smaller(config: TrainConfig, shape: Shape) -> list[tuple[str, list[Any]]]:
    """What may be changed to need less memory, that which costs least first."""
    smaller: list[tuple[str, list[Any]]] = [
        ("share_prompts", [] if config.share_prompts else [True]),
        ("micro_batch_tokens", _halved(config.micro_batch_tokens, _SMALLEST_MICRO_BATCH)),
        ("gradient_checkpointing", [] if config.gradient_checkpointing else [True]),
        ("rollout_batch_size", _halved(config.rows_at_once, config.num_generations)),
        ("quantize_for_rollouts", [False] if config.quantize_for_rollouts else []),
        ("train_type", ["lora"] if train_type_of(config, shape) == "full" else []),
        ("max_new_tokens", _halved(config.longest_completion, 64)),
        ("num_generations", _halved(config.num_generations, 4)),
    ]
    return smaller


def _halved(value: int, smallest: int) -> list[int]:
    values = []
    while value // 2 >= smallest:
        value //= 2
        values.append(value)
    return values


def _needed_of(
    config: TrainConfig, changes: dict[str, Any], shape: Shape, machine: Machine, prompt_tokens: int
) -> tuple[str, ...]:
    """The changes without which the run would not fit."""
    needed = dict(changes)
    for key in changes:
        rest = {name: value for name, value in needed.items() if name != key}
        if _fits_with(config, rest, shape, machine, prompt_tokens):
            needed = rest
    return tuple(f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in needed.items())


def _fits_with(
    config: TrainConfig, changes: dict[str, Any], shape: Shape, machine: Machine, prompt_tokens: int
) -> bool:
    return _fits(forecast_memory(config.model_copy(update=changes), shape, prompt_tokens), machine)


def _fits(found: Memory, machine: Machine) -> bool:
    return found.peak * _MARGIN <= machine.available


def seconds_per_step(config: TrainConfig, shape: Shape, machine: Machine, prompt_tokens: int = 0) -> float:
    """An upper bound of a step's time: completions are all as long as they may be; 0 where the machine is not known.

    Two FLOP a weight and token for each pass, as in Kaplan et al. 2020 (arXiv 2001.08361, section 2.1); a gradient
    with respect to activations takes one more pass, and one with respect to weights another.
    """
    if not (machine.rate and machine.decoding_rate and machine.passing_rate):
        return 0.0
    prompt = prompt_tokens or config.max_prompt_length
    groups, generations = config.prompts_per_step, config.num_generations
    written = groups * generations * config.longest_completion
    read = groups * prompt
    passes = 3 if train_type_of(config, shape) == "full" else 2
    passes += int(config.gradient_checkpointing)
    passes += int(config.kl_coeff > 0)
    computed = written + (read if config.share_prompts else read * generations)
    one = 2 * shape.active_parameters
    _, layer, _ = kept_values(config, shape, prompt, groups, generations)
    width = shape.computing_width(config.precision)
    passed = (width * shape.layers * layer + 4 * written * shape.vocabulary) / machine.passing_rate
    update = config.num_iterations * (passes * computed * one / machine.rate + _PASSED_IN_UPDATE * passed)
    rollout = written * one / machine.decoding_rate + read * one / machine.rate + _PASSED_IN_ROLLOUT * passed
    return rollout + update


def probe(rows: int = 32) -> tuple[float, float, float]:
    """FLOP/s in float32 of a large product, of one with up to 512 `rows` as in decoding, and bytes/s of a softmax.

    Takes about a tenth of a second. Call `engine.backend.prepare()` first.
    """
    import mlx.core as mx

    def seconds(work: Callable[[], mx.array]) -> float:
        mx.eval(work())
        started, done = time.perf_counter(), 0
        while (passed := time.perf_counter() - started) < 0.03:
            mx.eval(work())
            done += 1
        return passed / done

    square = mx.ones((1024, 1024))
    rows = min(rows, 512)
    large, small = mx.ones((512, 1024)), mx.ones((rows, 1024))
    flops = 2.0 * 1024 * 1024
    return (
        512 * flops / seconds(lambda: large @ square),
        rows * flops / seconds(lambda: small @ square),
        large.nbytes / seconds(lambda: mx.softmax(large, axis=-1)),
    )


def _steps(config: TrainConfig, rows: int) -> int:
    """How many steps the run has; 0 where that is not known because the rows are not."""
    from engine.grpo.run import length

    return length(config, rows) if rows >= 0 else config.max_steps


def _is_here(dataset: str) -> bool:
    """Whether a data set is read without the network."""
    from engine.grpo import data_files, data_hub, procedural

    built_in = dataset == procedural.ARITHMETIC or dataset.startswith(procedural.REASONING_GYM)
    # A file that is missing counts: it is its reader who says so.
    suffixes = (*data_files.JSON_LINES, *data_files.TABLES, *data_hub.BUILDERS)
    path = places.expand(dataset)
    return built_in or path.exists() or path.suffix.lower() in suffixes


def _longest_prompt(config: TrainConfig, files: ModelFiles, rows: Sequence[Row]) -> Generator[Event, None, int]:
    """The tokens of the longest of these prompts that is not too long to be used; 0 where all are."""
    from engine.grpo import prompts
    from engine.session import load_tokenizer

    yield Progress("Reading the tokenizer", 0, None, "", files.name)
    tokenizer = load_tokenizer(files, model_config.read(files.folder), config.trust_remote_code)
    lengths = []
    for done, row in enumerate(rows):
        yield Progress("Measuring prompts", done, len(rows), "rows")
        lengths.append(len(prompts.encode(tokenizer, row, config)))
    return max((length for length in lengths if length <= config.max_prompt_length), default=0)
