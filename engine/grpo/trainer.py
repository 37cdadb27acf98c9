"""A training run from its start, or from a checkpoint, to its saved model. Knows files and order, no mathematics.

The state between two steps is all there is: weights, moments, the data cursor and the step's number. Randomness is a
function of the seed and the step, so that a run that was killed and resumed is the run that was not.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from engine import backend
from engine.errors import UserError, failed
from engine.events import Event, ModelLoaded, Progress
from engine.grpo import checkpoint, resuming, run_folder
from engine.grpo.resuming import Origin
from engine.grpo.run import Run, State, Stopwatch, length
from engine.grpo.run_folder import RunFolder
from engine.grpo.settings import TrainConfig
from engine.grpo.steering import Steering, applied
from engine.live import LivePolicies
from engine.training_events import TrainingFailed, TrainingFinished, TrainingStarted, TrainingStopped

if TYPE_CHECKING:
    from engine.grpo.policy import Policy
    from engine.grpo.update import Updater

# Said while a run goes on, but not part of its record.
_PASSING = (Progress, ModelLoaded)


def train(
    config: TrainConfig, resume: Path | None = None, live: LivePolicies | None = None, given: Collection[str] = ()
) -> Iterator[Event]:
    """Train as configured; closing it early saves a checkpoint of the last whole step, and so does a command to stop.

    Args:
        config: of a new run; of one to go on with, its own settings with what is to change from here on.
        resume: the folder, or the name, of a run to go on with.
        live: where a chat of the same thread finds the policy while it trains.
        given: names of settings that a run to go on with is given anew, also with the values they had: they come before
            what was changed while it trained.

    Yields:
        Progress of everything, and the run's record: TrainingStarted, StepFinished, Evaluated, CheckpointSaved,
        at last TrainingFinished, or TrainingStopped after a command to stop.

    Raises:
        UserError: something of the input is at fault, the run diverged, or the disk is full; checkpoints stay.
    """
    backend.prepare()
    watch = Stopwatch()
    folder = run_folder.create(config) if resume is None else run_folder.open_existing(resume, config.output_dir)
    kept = resume is not None
    with folder:
        record, steering = _Record(folder), Steering(folder.folder)
        events = _run(folder, config, resuming.find(folder, config, given), watch, steering, live or LivePolicies())
        try:
            for event in events:
                record.add(event)
                watch.stop()
                yield event
                stopped = yield from steering.hold()
                watch.go_on()
                if stopped and not isinstance(event, TrainingFinished):
                    events.close()
                    kept = kept or folder.checkpoints.exists()
                    end = TrainingStopped(str(folder.folder) if kept else "", checkpoint.last_step(folder.checkpoints))
                    if record.begun and kept:
                        folder.append_event(end)
                    yield end
                    break
        except GeneratorExit:
            raise
        except BaseException as error:
            # What a person mends can go on.
            kept = kept or record.begun
            record.end(error)
            raise
        finally:
            events.close()
            if not kept and not folder.checkpoints.exists():
                # Nothing came of it, so nothing is left of it.
                shutil.rmtree(folder.folder, ignore_errors=True)


class _Record:
    """The events of a run, of which nothing is written before it begins: files are cut to the checkpoint's until then.

    Attributes:
        begun: whether the run has begun.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._early: list[Event] = []
        self.begun = False

    def add(self, event: Event) -> None:
        if isinstance(event, _PASSING):
            return
        self._early.append(event)
        self.begun = self.begun or isinstance(event, TrainingStarted)
        if self.begun:
            self._folder.append_news(self._early)
            self._early.clear()

    def end(self, error: BaseException) -> None:
        """Say why the run ended, for whoever looks at it later; a run that goes on takes it back."""
        if self.begun and isinstance(error, Exception):
            # A full disk is no reason to hide what went wrong.
            said = failed(error)
            with contextlib.suppress(UserError):
                self._folder.append_event(TrainingFailed(said.what, said.why, said.remedy, said.fault, said.details))


def _run(
    folder: RunFolder, config: TrainConfig, origin: Origin, watch: Stopwatch, steering: Steering, live: LivePolicies
) -> Generator[Event, None, None]:
    from engine.grpo import data, forecast, memory_limits
    from engine.grpo.policy import open_policy
    from engine.grpo.reports import Reports
    from engine.grpo.rewards import RewardSet
    from engine.grpo.update import Updater

    with ExitStack() as stack:
        yield from backend.imports()
        task = yield from data.load(config)
        resuming.require_length(length(config, len(task.train)), origin.step)
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
        state = yield from _restore(folder, config, origin, policy, updater)
        watch.set(state.elapsed)
        reports = Reports(config.report_to, folder.folder, config, state.step)
        stack.callback(reports.close)
        run = Run(folder, config, task, rewards, policy, updater, reports, watch, state, steering)
        stack.enter_context(live.shown(folder.folder, policy))
        yield from run.steps()


def _restore(
    folder: RunFolder, config: TrainConfig, origin: Origin, policy: Policy, updater: Updater
) -> Generator[Event, None, State]:
    """Weights, moments and state of the run's origin; nothing on the disk changes before they are known to fit."""
    yield from origin.notes
    if origin.checkpoint is None:
        resuming.take_up(folder, origin, config)
        return State()
    tensors = checkpoint.load(origin.checkpoint).tensors
    # Checkpoints of adapters had the name of those of weights once.
    weights = tensors.get("adapters") or tensors["weights"]
    resuming.require_fit(origin.checkpoint, weights, policy.trainable())
    resuming.take_up(folder, origin, config)
    found = State(**{name: value for name, value in origin.state.items() if name in State.__slots__})
    if applied(config, found.changes).kl_coeff and not policy.has_reference:
        # These are still the weights that the run began with.
        policy.keep_first()
    policy.put(weights)
    updater.put_state(tensors["optimizer"])
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
        rows = evaluation.rows_for(policy, task.held_out, config.eval_samples or len(task.held_out), config)
        if not rows:
            raise UserError(
                "There is nothing to evaluate on.",
                "All prompts of the held-out rows are longer than max_prompt_length, {limit} tokens.",
                "Raise max_prompt_length, or take rows with shorter prompts.",
                limit=config.max_prompt_length,
            )
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
