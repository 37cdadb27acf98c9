"""Changes the weights by the completions of a step: gradients, clipping, AdamW. Knows no task and no reward."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import mlx.core as mx
from mlx import optimizers
from mlx.utils import tree_flatten, tree_map, tree_map_with_path, tree_unflatten

from engine.events import Event, Progress
from engine.grpo import dropout, logprobs, packing, recomputing
from engine.grpo.loss import correction_weights, policy_loss
from engine.grpo.packing import Group, MicroBatch
from engine.grpo.settings import TrainConfig
from engine.grpo.shared_prompts import CompletionCache, PromptCache

if TYPE_CHECKING:
    from engine.grpo.policy import Policy


_MASTER = "master."


@dataclass(slots=True)
class UpdateFigures:
    """What an update measured: sums over tokens become means at its end."""

    loss: float = 0.0
    gradient_norm: float = 0.0
    kl: float | None = None
    ratio: float = 0.0
    clipped_low: float = 0.0
    clipped_high: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)

    def are_sound(self, max_kl: float) -> bool:
        """Whether they are numbers, and the KL divergence, where it is measured, is not above this limit (0: none)."""
        finite = math.isfinite(self.loss) and math.isfinite(self.gradient_norm)
        return finite and not (max_kl and self.kl is not None and self.kl > max_kl)


class Updater:
    """The optimiser of a run and how a step's completions become one change of the weights."""

    def __init__(self, policy: Policy, config: TrainConfig) -> None:
        self._policy, self._config = policy, config
        self._model = policy.model
        self.optimizer = optimizers.AdamW(
            config.learning_rate,
            betas=[config.adam_beta1, config.adam_beta2],
            weight_decay=config.weight_decay,
            bias_correction=True,
        )
        # In 16 bits small steps are lost, and AdamW's epsilon is 0.
        self._masters: Any = tree_map(lambda array: array.astype(mx.float32), self._model.trainable_parameters())
        self.optimizer.init(self._masters)
        self._dropouts = dropout.install(policy.model, config.lora_dropout) if config.lora_dropout else []
        if config.gradient_checkpointing:
            recomputing.recompute_layers(policy.model)
        head = logprobs.Weights(policy.model)
        self._head = head if head.names else None
        self._old: list[mx.array] = []
        self._compiled: Any = None
        if compiles := _compiles(config):
            self._compiled = mx.compile(self._gradients, inputs=[policy.model.state])
        # Where shapes are compiled for, they come in steps, so that few of them do.
        self._step = 64 if compiles else 1

    def configure(self, config: TrainConfig) -> None:
        """Take other settings from the next update on; those that the optimiser was made with stay."""
        self._config = config
        if self._compiled is not None:
            # What was compiled has the former settings in it.
            self._compiled = mx.compile(self._gradients, inputs=[self._model.state])

    def state(self) -> dict[str, mx.array]:
        """The optimiser's moments and steps, and the float32 weights that 16-bit ones are rounded from, by name."""
        found = dict(_leaves(self.optimizer.state))
        rounded = any(array.dtype != mx.float32 for _, array in _leaves(self._model.trainable_parameters()))
        return found | {_MASTER + name: array for name, array in _leaves(self._masters) if rounded}

    def put_state(self, state: dict[str, mx.array]) -> None:
        """Go on with the state of a checkpoint, whose weights the model has already."""
        moments = [(name, array) for name, array in state.items() if not name.startswith(_MASTER)]
        self.optimizer.state = tree_unflatten(moments)

        def master(name: str, array: mx.array) -> mx.array:
            return state.get(_MASTER + name, array).astype(mx.float32)

        # By name: a tree made of names lacks the model's empty parts.
        self._masters = tree_map_with_path(master, self._model.trainable_parameters())
        self._model.update(self._rounded())

    def _rounded(self) -> Any:
        """The float32 weights in the model's types."""
        return tree_map(
            lambda master, array: master.astype(array.dtype), self._masters, self._model.trainable_parameters()
        )

    def update(
        self, groups: Sequence[Group], learning_rate: float, key: mx.array, *, again: bool = False
    ) -> Generator[Event, None, UpdateFigures]:
        """One change of the weights by all completions of `groups`; none where the figures are not sound.

        Args:
            learning_rate: of this update.
            key: decides the adapters' dropout.
            again: whether the weights were changed by these completions before.

        Yields:
            Progress, once a micro-batch.
        """
        # Without a KL term a group whose rewards are all equal has no gradient; it counts in the means all the same.
        taught = [group for group in groups if self._config.kl_coeff or group.advantages.any()]
        shared = self._policy.shares_prompts
        batches = packing.pack(taught, self._config.micro_batch_tokens, self._step, shared=shared)
        figures = UpdateFigures()
        tokens, sequences = packing.counted(groups)
        whole = mx.array(float(max(tokens, 1)))
        share_of = self._shares(tokens, sequences)
        total: Any = tree_map(mx.zeros_like, self._model.trainable_parameters()) if not batches else None
        self._model.train()
        try:
            for done, batch in enumerate(batches):
                yield Progress("Updating the weights", done, len(batches), "steps")
                arrays = self._arrays(batch, self._reference(batch))
                if self._config.quantize_for_rollouts and self._config.num_iterations > 1:
                    arrays["old"] = self._before(arrays, done, again)
                if self._dropouts:
                    dropout.set_keys(self._dropouts, mx.random.split(key, done + 1)[done])
                gradients = self._compiled or self._gradients
                loss, metrics, grads = gradients(arrays, whole, share_of(batch))
                total = _added(total, grads)
                # What is held by a name is not given back where it is used up.
                del arrays, grads
                mx.eval(total, loss, metrics)
                self._note(figures, loss, metrics, batch.tokens)
        finally:
            self._model.eval()
        norm = mx.sqrt(sum((mx.square(g).sum() for _, g in _leaves(total)), mx.array(0.0)))
        figures.gradient_norm = _number(norm)
        self._finish(figures, tokens)
        if figures.are_sound(self._config.max_kl):
            limit = self._config.max_grad_norm
            if limit and figures.gradient_norm > limit:
                factor = limit / (figures.gradient_norm + 1e-6)
                total = tree_map(lambda g: g * factor, total)
            self.optimizer.learning_rate = mx.array(learning_rate)
            self._masters = self.optimizer.apply_gradients(total, self._masters)
            del total
            self._model.update(self._rounded())
            self._policy.changed()
            mx.eval(self._model.trainable_parameters(), self._masters, self.optimizer.state)
        return figures

    def _shares(self, tokens: int, sequences: int) -> Any:
        """The weight of a micro-batch's loss in the step's: its part of what its loss is a mean over."""
        kind = self._config.loss_type

        def share(batch: MicroBatch) -> mx.array:
            if kind in {"dapo", "cispo"}:
                return mx.array(1.0)
            if kind == "bnpo":
                return mx.array(batch.tokens / max(tokens, 1))
            return mx.array(batch.rows / max(sequences, 1))

        return share

    def _arrays(self, batch: MicroBatch, reference: mx.array | None) -> dict[str, mx.array]:
        arrays = {name: mx.array(value) for name, value in batch.arrays.items()}
        return arrays if reference is None else arrays | {"reference": reference}

    def _reference(self, batch: MicroBatch) -> mx.array | None:
        if not self._config.kl_coeff:
            return None
        with self._policy.reference():
            self._model.eval()
            found = self.token_logprobs(self._arrays(batch, None), gradient=False)
            mx.eval(found)
        self._model.train()
        return found

    def _before(self, arrays: dict[str, mx.array], number: int, again: bool) -> mx.array:
        """Log-probabilities under the weights of the first update: those of a quantised copy are not the policy's."""
        if not again:
            del self._old[number:]
            self._model.eval()
            self._old.append(self.token_logprobs(arrays, gradient=False))
            mx.eval(self._old[number])
            self._model.train()
        return self._old[number]

    def _gradients(
        self, arrays: dict[str, mx.array], tokens: mx.array, share: mx.array
    ) -> tuple[mx.array, dict[str, mx.array], Any]:
        """Loss, figures and gradients of one micro-batch."""
        model = self._model
        before = model.trainable_parameters()

        def loss_of(weights: Any) -> tuple[mx.array, dict[str, mx.array]]:
            model.update(weights)
            return self._loss(arrays, tokens, share)

        (loss, metrics), gradients = mx.value_and_grad(loss_of)(before)
        model.update(before)
        return loss, metrics, gradients

    def _loss(
        self, arrays: dict[str, mx.array], tokens: mx.array, share: mx.array
    ) -> tuple[mx.array, dict[str, mx.array]]:
        config = self._config
        found = self.token_logprobs(arrays)
        mask = arrays["mask"]
        old = arrays["old"] if config.num_iterations > 1 else None
        weights = None
        if "sampler" in arrays and config.importance_correction != "none":
            policy = mx.stop_gradient(found) if config.quantize_for_rollouts and old is None else arrays["old"]
            weights = correction_weights(
                policy, arrays["sampler"], mask, mode=config.importance_correction, cap=config.importance_cap
            )
        loss, metrics = policy_loss(
            found,
            old,
            arrays.get("reference"),
            arrays["advantages"],
            mask,
            loss_type=config.loss_type,
            importance_sampling_level=config.importance_sampling_level,
            epsilon=config.clip_eps,
            epsilon_high=_upper_clip(config),
            delta=config.clip_delta,
            beta=config.kl_coeff,
            kl_estimator=config.kl_estimator,
            use_bias_correction_kl=config.kl_bias_correction,
            max_completion_length=config.longest_completion,
            num_items=tokens,
            importance_weights=weights,
        )
        return loss * share, metrics

    def token_logprobs(self, arrays: dict[str, mx.array], *, gradient: bool = True) -> mx.array:
        """Log-probabilities (rows, time) of the completions' tokens under the model as it is; 0 at padding.

        Args:
            gradient: whether one is taken.
        """
        policy, config = self._policy, self._config
        inputs, spots = arrays["inputs"], arrays["spots"]
        if policy.shares_prompts:
            collected = [PromptCache() for _ in policy.model.layers]
            policy.split.hidden(arrays["prompts"], collected)
            lengths = arrays["lengths"]
            size = inputs.shape[0] // lengths.shape[0]
            known = [(cache.keys, cache.values) for cache in collected]
            caches = CompletionCache.of_layers(known, lengths, size, padded=True)
            hidden = policy.split.hidden(inputs, caches)
        else:
            hidden = policy.split.hidden(arrays["whole"])
            spots = arrays["whole_spots"]
        width = hidden.shape[-1]
        flat = logprobs.of_tokens(
            policy.split.head,
            hidden.reshape(-1, width)[spots],
            arrays["targets"],
            config.temperature if config.policy_temperature == "sampling" else 1.0,
            policy.vocabulary,
            self._head,
            gradient=gradient,
        )
        # One more entry stands for all padding.
        return mx.concatenate([flat, mx.zeros(1)])[arrays["places"]]

    @staticmethod
    def _note(figures: UpdateFigures, loss: mx.array, metrics: dict[str, mx.array], tokens: int) -> None:
        figures.loss += _number(loss)
        for name, value in metrics.items():
            if name == "ratio_max":
                figures.ratio = max(figures.ratio, _number(value))
            else:
                figures.sums[name] = figures.sums.get(name, 0.0) + _number(value) * tokens

    @staticmethod
    def _finish(figures: UpdateFigures, tokens: int) -> None:
        means = {name: value / max(tokens, 1) for name, value in figures.sums.items()}
        figures.kl = means.get("kl")
        figures.clipped_low = means.get("clipped_low", 0.0)
        figures.clipped_high = means.get("clipped_high", 0.0)


def _added(total: Any, gradients: Any) -> Any:
    """The sum of both in float32; None is nothing yet."""
    gradients = tree_map(lambda array: array.astype(mx.float32), gradients)
    return gradients if total is None else tree_map(mx.add, total, gradients)


def _compiles(config: TrainConfig) -> bool:
    """On CUDA each fusion is compiled at run time, and all of an update had not been after two minutes."""
    return config.use_compile and mx.default_device() == mx.gpu and mx.metal.is_available()


def _number(value: mx.array) -> float:
    return float(value.item())  # type: ignore[arg-type]


def _leaves(tree: Any) -> list[tuple[str, mx.array]]:
    leaves: Any = tree_flatten(tree)
    return list(leaves)


def _upper_clip(config: TrainConfig) -> float | None:
    """The cap that TRL's documentation gives for cispo, where a range of 0.2 would cap every ratio at 0.2."""
    return 5.0 if config.loss_type == "cispo" and config.clip_eps_high is None else config.clip_eps_high


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """The rate of the `step`-th of `steps` updates, counted from 1: a warm-up, then a fall to zero.

    The first update has a share of the rate, not none of it, and the last a little, as in Hugging Face's schedules.
    """
    warm_up = math.ceil(config.warmup_ratio * steps)
    if step <= warm_up:
        return config.learning_rate * step / warm_up
    passed = (step - 1 - warm_up) / max(1, steps - warm_up)
    if config.lr_scheduler_type == "cosine":
        return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * passed))
    if config.lr_scheduler_type == "linear":
        return config.learning_rate * (1.0 - passed)
    return config.learning_rate
