"""A training run from its start, or from a checkpoint, to its saved model. Knows files and order, no mathematics.

The state between two steps is all there is: weights, moments, the data cursor and the step's number. Randomness is a
function of the seed and the step, so that a run that was killed and resumed is the run that was not.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from engine import backend
from engine.errors import UserError
from engine.events import Event, ModelLoaded, Note, Progress
from engine.grpo import checkpoint, run_folder
from engine.grpo.run import Run, State, Stopwatch
from engine.grpo.run_folder import RunFolder
from engine.grpo.settings import TrainConfig
from engine.grpo.steering import Steering, applied
from engine.live import LivePolicies
from engine.training_events import CheckpointSaved, StepFinished, TrainingFinished, TrainingStarted

if TYPE_CHECKING:
    from engine.grpo.policy import Policy
    from engine.grpo.update import Updater

# Said while a run goes on, but not part of its record.
_PASSING = (Progress, ModelLoaded)
# What the weights in a checkpoint are weights of.
_FIXED = ("model_name", "train_type", "lora_rank", "lora_scale", "lora_layers", "lora_keys")


def train(config: TrainConfig, resume: Path | None = None, live: LivePolicies | None = None) -> Iterator[Event]:
    """Train as configured; closing it early saves a checkpoint of the last whole step, and so does a command to stop.

    Args:
        config: of a new run; of one to go on with, its own settings with what is to change from here on.
        resume: the folder, or the name, of a run to go on with.
        live: where a chat of the same thread finds the policy while it trains.

    Yields:
        Progress of everything, and the run's record: TrainingStarted, StepFinished, Evaluated, CheckpointSaved,
        at last TrainingFinished.

    Raises:
        UserError: something of the input is at fault, the run diverged, or the disk is full; checkpoints stay.
    """
    backend.prepare()
    watch = Stopwatch()
    folder = run_folder.create(config) if resume is None else run_folder.open_existing(resume, config.output_dir)
    untouched = resume is None
    started, early = False, list[Event]()
    with folder:
        if config != folder.config:
            _require_same_weights(folder.config, config)
            folder.replace_config(config)
        steering = Steering(folder.folder)
        events = _run(folder, watch, steering, live or LivePolicies())
        try:
            for event in events:
                if not isinstance(event, _PASSING):
                    early.append(event)
                    started = started or isinstance(event, TrainingStarted)
                    if started:
                        # Not before: files are cut to the checkpoint's until then.
                        folder.append_news(early)
                        early.clear()
                    untouched = untouched and not isinstance(event, StepFinished)
                watch.stop()
                yield event
                stopped = yield from steering.hold()
                watch.go_on()
                if stopped and not isinstance(event, TrainingFinished):
                    events.close()
                    note = Note("The run was stopped as asked, and is saved up to its last whole step.")
                    if untouched:
                        note = Note("The run was stopped as asked, before its first step. Nothing of it is kept.")
                    elif started:
                        folder.append_event(note)
                    yield note
                    break
        finally:
            events.close()
            if untouched and not folder.checkpoints.exists():
                # Nothing came of it, so nothing is left of it.
                shutil.rmtree(folder.folder, ignore_errors=True)


def _run(folder: RunFolder, watch: Stopwatch, steering: Steering, live: LivePolicies) -> Generator[Event, None, None]:
    from engine.grpo import data, forecast, memory_limits
    from engine.grpo.policy import open_policy
    from engine.grpo.reports import Reports
    from engine.grpo.rewards import RewardSet
    from engine.grpo.update import Updater

    config = folder.config
    with ExitStack() as stack:
        yield from backend.imports()
        task = yield from data.load(config)
        rewards = yield from RewardSet.load(config)
        stack.callback(rewards.close)
        plan = yield from forecast.planned(config, task, timed=False)
        forecast.require(plan)
        policy = yield from open_policy(config)
        stack.callback(policy.close)
        if config.share_prompts and not policy.shares_prompts:
            alone = config.model_copy(update={"share_prompts": False})
            forecast.require((yield from forecast.planned(alone, task, timed=False)))
        stack.enter_context(memory_limits.for_training())
        updater = Updater(policy, config)
        state = yield from _restore(folder, policy, updater)
        watch.set(state.elapsed)
        reports = Reports(config.report_to, folder.folder, config, state.step)
        stack.callback(reports.close)
        run = Run(folder, config, task, rewards, policy, updater, reports, watch, state, steering)
        stack.enter_context(live.shown(folder.folder, policy))
        yield from run.steps()


def _require_same_weights(before: TrainConfig, now: TrainConfig) -> None:
    """Refuse settings under which the weights of the run's checkpoints would not fit the model.

    Raises:
        UserError: names the first such setting.
    """
    for name in _FIXED:
        if getattr(before, name) != getattr(now, name):
            raise UserError(
                "{name} cannot change in a run that has begun.",
                "Its checkpoints hold the weights of {before!r}.",
                "Leave {name} as it is, or start a new run.",
                name=name,
                before=getattr(before, name),
            )


def _restore(folder: RunFolder, policy: Policy, updater: Updater) -> Generator[Event, None, State]:
    """Weights, moments and state of the newest checkpoint; the beginning where there is none."""
    newest, notes = checkpoint.latest(folder.checkpoints)
    yield from notes
    if newest is None:
        folder.rewind(0, {})
        return State()
    saved = checkpoint.load(newest)
    state = dict(saved.state)
    folder.rewind(saved.step, state.pop("sizes"))
    if state.get("said"):
        # Written to the record after the checkpoint was.
        folder.append_event(CheckpointSaved(saved.step, str(newest), state["best_step"] == saved.step))
    found = State(**state)
    if applied(folder.config, found.changes).kl_coeff and not policy.has_reference:
        # These are still the weights that the run began with.
        policy.keep_first()
    # Checkpoints of adapters had the name of those of weights once.
    policy.put(saved.tensors.get("adapters") or saved.tensors["weights"])
    updater.put_state(saved.tensors["optimizer"])
    return found


def evaluate_model(model: str, adapter: str, config: TrainConfig) -> Iterator[Event]:
    """Evaluate a model, with or without an adapter, on the held-out rows of a configuration.

    Raises:
        UserError: something of the input is at fault, or there are no held-out rows.
    """
    backend.prepare()
    yield from backend.imports()
    from engine.grpo import data, evaluation, steps
    from engine.grpo.policy import open_policy
    from engine.grpo.rewards import RewardSet

    with ExitStack() as stack:
        task = yield from data.load(config)
        if not task.held_out:
            raise UserError(
                "There is nothing to evaluate on.",
                "The data has no held-out rows.",
                "Name eval_split or eval_file, or set eval_fraction above 0.",
            )
        rewards = yield from RewardSet.load(config)
        stack.callback(rewards.close)
        policy = yield from open_policy(config, model=model, adapter=adapter, trained=False)
        stack.callback(policy.close)
        rows = evaluation.choose(task.held_out, config.eval_samples or len(task.held_out), config.seed)
        key = steps.key_for(config.seed, 0, steps.EVALUATION)
        yield (
            yield from evaluation.evaluate(policy, rows, rewards, config, when="after", step=0, key=key, elapsed=0.0)
        )


def plan(config: TrainConfig) -> Iterator[Event]:
    """What a run would do and need, as far as model and data are on this computer; nothing is trained.

    Yields:
        Notes, at last TrainingPlanned.
    """
    from engine.grpo import forecast

    yield from forecast.forecast(config)
