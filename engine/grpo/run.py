"""The steps of a run and what is said and kept between them. Knows no mathematics and no command line.

The state between two steps is all there is: weights, moments, the data cursor and the step's number.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.errors import UserError
from engine.events import Event, Progress
from engine.grpo import checkpoint, export, resuming, stopping
from engine.grpo.run_folder import RunFolder
from engine.grpo.settings import TrainConfig
from engine.grpo.steering import Changes, Steering, applied
from engine.grpo.stopping import Reason
from engine.training_events import CheckpointSaved, Evaluated, TrainingFinished, TrainingStarted

if TYPE_CHECKING:
    from engine.grpo.data import Task
    from engine.grpo.policy import Policy
    from engine.grpo.reports import Reports
    from engine.grpo.rewards import RewardSet
    from engine.grpo.steps import StepResult
    from engine.grpo.update import Updater


class Stopwatch:
    """Seconds that passed inside the run: not while it waits to be asked for its next event, nor while stopped."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._since: float | None = time.monotonic()

    def stop(self) -> None:
        self._seconds, self._since = self.read(), None

    def go_on(self) -> None:
        self._since = time.monotonic()

    def read(self) -> float:
        return self._seconds + (0.0 if self._since is None else time.monotonic() - self._since)

    def set(self, seconds: float) -> None:
        self._seconds, self._since = seconds, time.monotonic()


@dataclass(slots=True)
class State:
    """What a checkpoint holds besides arrays.

    `judged` and `looked` are the steps of the last evaluation and of the last quick look; `said` is whether the record
    has the checkpoint's CheckpointSaved.
    """

    step: int = 0
    cursor: int = 0
    best: float = -1.0
    best_step: int | None = None
    before: float | None = None
    latest: float | None = None
    judged: int = -1
    looked: int = -1
    elapsed: float = 0.0
    changes: Changes = field(default_factory=dict)
    stale: int = 0
    rewards: list[float] = field(default_factory=list)
    best_reward: float = 0.0
    said: bool = False


class Run:
    """The steps of a run and what is said and kept between them."""

    def __init__(
        self,
        folder: RunFolder,
        config: TrainConfig,
        task: Task,
        rewards: RewardSet,
        policy: Policy,
        updater: Updater,
        reports: Reports,
        watch: Stopwatch,
        state: State,
        steering: Steering,
    ) -> None:
        self._folder, self._task, self._rewards = folder, task, rewards
        self._policy, self._updater, self._reports, self._steering = policy, updater, reports, steering
        self._watch, self._state, self._written = watch, state, config
        self._configure()
        self._steps = length(config, len(task.train))
        self._saved = state.step if state.step else None
        # The step whose checkpoint is in the record; one that a stop left is not.
        self._said = state.step if state.said else None
        # Whether the weights are those after `state.step` steps.
        self._whole = True

    def steps(self) -> Generator[Event, None, None]:
        """All steps that are left, and the end."""
        from engine.grpo import steps
        from engine.grpo.update import learning_rate

        state = self._state
        trainable = sum(array.size for array in self._policy.trainable().values())
        yield TrainingStarted(
            str(self._folder.folder),
            self._policy.files.name,
            self._policy.train_type,
            trainable,
            state.step,
            self._steps,
            state.step > 0,
        )
        reason: Reason | None = None
        try:
            if state.step == 0:
                first = yield from self._evaluate("before")
                state.before = first.accuracy if first else None
            else:
                # What a stop right after the step cut off.
                reason = yield from self._look()
            while state.step < self._steps and not reason:
                config = yield from self._obey()
                number = state.step + 1
                rate = learning_rate(config, number, self._steps)
                # Arrays are never changed in place: keeping them is keeping the weights of before.
                kept = (self._policy.trainable(), self._updater.state()) if config.num_iterations > 1 else None
                try:
                    result = yield from steps.run(
                        self._policy,
                        self._updater,
                        self._task,
                        self._rewards,
                        config,
                        step=number,
                        cursor=state.cursor,
                        learning_rate=rate,
                        clock=self._watch.read,
                    )
                    self._require_sound(result, number)
                except (GeneratorExit, UserError):
                    if kept is not None:
                        self._policy.put(kept[0])
                        self._updater.put_state(kept[1])
                    raise
                state.step, state.cursor = number, result.cursor
                yield from self._tell(result, rate)
                reason = yield from self._look()
            yield from self._finish(reason or "finished")
        except (GeneratorExit, UserError):
            if state.step and self._saved != state.step and self._whole:
                self._save(said=False)
            raise

    def _configure(self) -> None:
        """Take the settings of the file with what was changed since."""
        self._config = applied(self._written, self._state.changes)
        self._updater.configure(self._config)

    def _obey(self) -> Generator[Event, None, TrainConfig]:
        """Do what was asked for since the last step; the settings of the next one."""
        state = self._state
        before = dict(state.changes)
        save = yield from self._steering.obey(state.step, state.changes, self._written, self._policy)
        if state.changes != before:
            self._configure()
            # Without a checkpoint that knows it, a resumed run would take the change back.
            save, self._saved = state.step > 0, None
        if save and self._saved != state.step:
            yield self._save(best=state.best_step == state.step)
        return self._config

    def _tell(self, result: StepResult, rate: float) -> Iterator[Event]:
        from engine.grpo import step_figures, steps

        state, rewards = self._state, self._rewards
        state.elapsed = self._watch.read()
        if self._config.log_jsonl:
            self._folder.append_samples(steps.samples(result, state.step, rewards.names, rewards.weights))
        event = step_figures.figures(
            result,
            rewards,
            step=state.step,
            steps=self._steps,
            rows=len(self._task.train),
            learning_rate=rate,
            elapsed=state.elapsed,
        )
        self._reports.step(event)
        if self._config.early_stop_reward:
            state.rewards = [*state.rewards, event.reward][-self._config.early_stop_window :]
            state.best_reward = stopping.best_mean(self._config, state.rewards, state.best_reward)
        if state.step % self._config.logging_steps == 0 or state.step == self._steps:
            yield event

    def _look(self) -> Generator[Event, None, Reason | None]:
        """Evaluate and save where it is time to; why to end here, None to go on."""
        config, state = self._config, self._state
        due = bool(config.eval_steps) and state.step % config.eval_steps == 0 and state.step < self._steps
        quick = config.eval_every_updates and state.step % config.eval_every_updates == 0 and state.step < self._steps
        better = self._is_better()
        if (due and state.judged != state.step) or (quick and state.step not in {state.judged, state.looked}):
            yield from self._evaluate("during" if due else "quick")
            better = state.best_step == state.step
        if better or (config.save_steps and state.step % config.save_steps == 0 and self._said != state.step):
            yield self._save(best=better)
        if state.step >= self._steps:
            return None
        reached = state.latest if due else None
        return stopping.reason(
            config, reached=reached, stale=state.stale, rewards=state.rewards, best=state.best_reward
        )

    def _is_better(self) -> bool:
        """Whether this step is the best and its checkpoint, which a stop left, was not called so."""
        return self._said != self._state.step and self._state.best_step == self._state.step

    def _evaluate(
        self, when: Literal["before", "during", "quick", "after"]
    ) -> Generator[Event, None, Evaluated | None]:
        from engine.grpo import evaluation, steps

        config, state = self._config, self._state
        count = config.eval_subset_size if when == "quick" and config.eval_samples else config.eval_samples
        rows = evaluation.rows_for(self._policy, self._task.held_out, count, config)
        if not rows:
            return None
        elapsed = self._watch.read()
        found = yield from evaluation.evaluate(
            self._policy,
            rows,
            self._rewards,
            config,
            when=when,
            step=state.step,
            key=steps.key_for(config.seed, state.step, steps.EVALUATION),
            elapsed=elapsed,
            clock=self._watch.read,
        )
        self._watch.set(elapsed)
        if when == "quick":
            state.looked = state.step
        else:
            state.judged, state.latest = state.step, found.accuracy
        if when == "during":
            state.stale = 0 if found.accuracy > max(state.best, state.before or 0.0) else state.stale + 1
        if when in {"during", "after"} and found.accuracy > state.best:
            state.best, state.best_step = found.accuracy, state.step
        self._reports.evaluated(found)
        yield found
        return found

    def _require_sound(self, result: StepResult, number: int) -> None:
        """Stop where figures are no numbers, or the policy has run away; the weights are those of before the step.

        Raises:
            UserError: with the last good checkpoint, which is saved on the way out if it is not there yet.
        """
        figures, limit = result.figures, self._config.max_kl
        # Groups that are all alike have no loss, whatever the weights are.
        self._whole = all(math.isfinite(sum(one.logprobs)) for asked in result.asked for one in asked.rollouts)
        if self._whole and figures.are_sound(limit):
            return
        good = self._state.step if self._whole else self._saved
        kept = str(checkpoint.folder_of(self._folder.checkpoints, good)) if good else "none yet"
        if self._whole and figures.are_sound(0.0):
            raise UserError(
                "The run stopped at step {step}: the policy has moved too far from where it began.",
                "Its KL divergence is {kl:.3g} nats a token, max_kl is {limit:g}. The last good checkpoint is {kept}.",
                "Resume with a lower learning_rate or a higher kl_coeff, or raise max_kl.",
                step=number,
                kl=figures.kl,
                limit=limit,
                kept=kept,
            )
        raise UserError(
            "The run stopped at step {step}: its loss is not a number any more.",
            "The loss is {loss} and the gradient's norm {norm}. The last good checkpoint is {kept}.",
            "Resume with a lower learning_rate or max_grad_norm, or compute in float32 (precision).",
            step=number,
            loss=figures.loss if self._whole else math.nan,
            norm=figures.gradient_norm if self._whole else math.nan,
            kept=kept,
        )

    def _save(self, *, best: bool = False, said: bool = True) -> CheckpointSaved:
        state = self._state
        state.elapsed, state.said = self._watch.read(), said
        kept = {name: getattr(state, name) for name in State.__slots__}
        config_file, name = {}, "weights"
        if self._policy.train_type != "full":
            # As mlx_lm names them: a checkpoint of adapters is an adapter.
            name = "adapters"
            text = json.dumps(self._policy.adapter_config(), indent=2) + "\n"
            config_file = {"adapter_config.json": text.encode()}
        where = checkpoint.save(
            self._folder.checkpoints,
            state.step,
            {name: self._policy.trainable(), "optimizer": self._updater.state()},
            kept | {"sizes": self._folder.sizes(), "fixed": resuming.fixed(self._config)},
            config_file,
        )
        self._saved = state.step
        self._said = state.step if said else self._said
        checkpoint.prune(self._folder.checkpoints, self._config.keep_checkpoints, state.best_step)
        return CheckpointSaved(state.step, str(where), best)

    def _finish(self, reason: Reason) -> Generator[Event, None, None]:
        state, config = self._state, self._config
        better = self._is_better()
        if state.judged != state.step:
            last = yield from self._evaluate("after")
            better = last is not None and state.best_step == state.step
        if self._said != state.step or better:
            yield self._save(best=better)
        yield Progress("Saving the model", 0)
        model = self._folder.folder / "model"
        export.save_policy(model, self._policy, fused=False)
        fused = ""
        if config.fuse and self._policy.train_type != "full":
            fused = str(self._folder.folder / "fused")
            export.save_policy(Path(fused), self._policy, fused=True)
        yield TrainingFinished(
            str(self._folder.folder),
            str(model),
            fused,
            state.step,
            self._steps,
            reason,
            state.before,
            state.latest,
            self._watch.read(),
        )


def length(config: TrainConfig, rows: int) -> int:
    """How many steps a run over this many rows has."""
    return config.max_steps or max(1, math.ceil(rows * config.num_epochs / config.prompts_per_step))
