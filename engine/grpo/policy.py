"""The model of a run: what of it is trained, and what it was before. Knows no rollout and no loss."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.utils import tree_flatten, tree_unflatten

from engine import backend
from engine.architectures.rope import Rope
from engine.errors import UserError, in_short
from engine.events import Event, Note
from engine.grpo import lean_layers, model_calls, sampling_copies, saving
from engine.grpo.logprobs import SplitModel
from engine.grpo.settings import TrainConfig
from engine.grpo.sharing_trial import can_share
from engine.session import ModelSession, open_session

if TYPE_CHECKING:
    from engine.library import ModelFiles

TrainType = Literal["lora", "dora", "full"]
# Balances the use of experts from outside: it has no gradient, and weight decay alone would undo it.
_BALANCING = ("e_score_correction_bias", "expert_bias", "router_bias")


class Policy:
    """A loaded model with its trainable weights set apart; belongs to the thread that made it.

    `shares_prompts` tells whether the completions of a group may share their prompt's keys and values, `turns_as_long`
    whether short texts are given the rotary factors of long ones, `samples_rounded` whether completions are sampled
    from rounded weights; `chat` is what a person talks to while the policy trains, until its weights change.
    """

    def __init__(self, session: ModelSession, config: TrainConfig, *, trained: bool = True) -> None:
        self.files: ModelFiles = session.files
        self.model: Any = session.model
        self.tokenizer = session.tokenizer
        self._session, self._config = session, config
        self.chat: ModelSession | None = None
        self.memory_limit = config.memory_limit * 1024**2
        self.turns_as_long = _turn_alike(self.model, config)
        self.train_type: TrainType = _train_type(config, self.model)
        if trained:
            self._prepare(config)
        else:
            self.model.freeze()
        lean_layers.install(self.model)
        self.model.eval()
        self.split = SplitModel(self.model)
        self.vocabulary = int(self.split.head(self._some_hidden()).shape[-1])
        model_calls.install(self.model)
        trial = (self.model, self.split, self.tokenizer, self._computing_type())
        self.shares_prompts = config.share_prompts and can_share(*trial)
        self.end_tokens = frozenset(int(token) for token in self.tokenizer.eos_token_ids)
        self._first: dict[str, mx.array] = {}
        if config.kl_coeff > 0 and trained:
            self.keep_first()
        self._copy: Any = None
        self.samples_rounded = False
        # A GPU has the products of adapters for little, and its memory is what is scarce.
        self._merges = not backend.has_gpu() and sampling_copies.can_merge(self.model)

    def trainable(self) -> dict[str, mx.array]:
        """The weights that training changes, by name."""
        leaves: Any = tree_flatten(self.model.trainable_parameters())
        return dict(leaves)

    def put(self, weights: dict[str, mx.array]) -> None:
        """Set trainable weights, such as those of a checkpoint; they take the types of those there are."""
        now = self.trainable()
        self._set({name: array.astype(now[name].dtype) for name, array in weights.items()})
        self.changed()

    def changed(self) -> None:
        """Say that the weights are others now: what was computed with the earlier ones is of no use."""
        self.chat = None

    def keep_first(self, weights: dict[str, mx.array] | None = None) -> None:
        """Keep these weights, or those of now, for `reference`, where it cannot find them by leaving adapters out."""
        if self.train_type == "full":
            self._first = self.trainable() if weights is None else weights

    @property
    def has_reference(self) -> bool:
        """Whether `reference` has what it needs."""
        return self.train_type != "full" or bool(self._first)

    def _set(self, weights: dict[str, mx.array]) -> None:
        self.model.update(tree_unflatten(list(weights.items())))

    @property
    def sampling_model(self) -> Any:
        """The model that completions are sampled from: this one, or a copy of it."""
        return self.model if self._copy is None else self._copy

    @contextmanager
    def rounded(self) -> Iterator[None]:
        """Inside, completions are sampled from a 4-bit copy of the weights as they are now."""
        self._copy, self.samples_rounded = sampling_copies.rounded(self.model), True
        try:
            yield
        finally:
            self._copy, self.samples_rounded = None, False

    @contextmanager
    def merged(self) -> Iterator[None]:
        """Inside, adapters are in the weights that completions are sampled from, where that is faster."""
        if self._copy is not None or not self._merges:
            yield
            return
        self._copy = sampling_copies.merged(self.model)
        try:
            yield
        finally:
            self._copy = None

    def after_rollout(self) -> None:
        """Give the caches of a rollout back, which the update has other uses for."""
        mx.clear_cache()

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Inside, the model is the untrained one: the same weights with the adapters off, or the first ones."""
        if self.train_type == "full":
            now = self.trainable()
            self._set(self._first)
            try:
                yield
            finally:
                self._set(now)
            return
        adapters = [(name, module) for name, module in self.model.named_modules() if "lora_a" in module]
        bare = [(name, module["embedding" if "embedding" in module else "linear"]) for name, module in adapters]
        self.model.update_modules(tree_unflatten(bare))
        try:
            yield
        finally:
            self.model.update_modules(tree_unflatten(adapters))

    def adapter_config(self) -> dict[str, Any]:
        """What mlx_lm needs to put the adapters on a model again."""
        return {
            "fine_tune_type": self.train_type,
            "num_layers": self._layers(),
            "lora_parameters": self._lora_parameters(),
            "model": str(self.files.folder),
        }

    def save(self, folder: Path, *, fused: bool = False) -> None:
        """Write what was trained into an empty folder, loadable by mlx_lm and the chat.

        Adapters are written alone, or `fused`: merged into the model's weights and those written.
        """
        if self.train_type == "full":
            saving.save_whole(folder, self.files, self.model)
        elif fused:
            adapters = [(name, module) for name, module in self.model.named_modules() if "lora_a" in module]
            self.model.update_modules(tree_unflatten([(name, module.fuse()) for name, module in adapters]))
            try:
                saving.save_whole(folder, self.files, self.model)
            finally:
                self.model.update_modules(tree_unflatten(adapters))
        else:
            saving.write_arrays(folder / "adapters.safetensors", self.trainable())
            (folder / "adapter_config.json").write_text(json.dumps(self.adapter_config(), indent=2) + "\n", "utf-8")

    def close(self) -> int:
        """Give the memory back; the number of bytes freed."""
        self._first, self._copy, self.chat = {}, None, None
        del self.model, self.split
        return self._session.close()

    def _prepare(self, config: TrainConfig) -> None:
        if self.train_type == "full":
            if _is_quantised(self.model) or not all(_is_floating(array) for array in _arrays(self.model)):
                raise UserError(
                    "The weights of {name} cannot be trained.",
                    "They are quantised: rounded to a few bits, they cannot change by small steps.",
                    'Train adapters on it (train_type = "lora"), or take the model before its quantisation.',
                    name=self.files.name,
                )
            self.model.unfreeze()
            self.model.freeze(keys=list(_BALANCING))
            return
        self.model.freeze()
        from mlx_lm.tuner.utils import linear_to_lora_layers

        dtype = self._computing_type()
        try:
            linear_to_lora_layers(
                self.model, self._layers(), self._lora_parameters(), use_dora=self.train_type == "dora"
            )
        except (ValueError, KeyError) as error:
            raise UserError(
                "Adapters of this kind cannot be put on {name}.",
                "{reason}",
                'Choose train_type = "lora", or name other modules in lora_keys.',
                name=self.files.name,
                reason=in_short(error),
            ) from error
        if not self.trainable():
            raise UserError(
                "Nothing of {name} would be trained.",
                "No module has one of the names in lora_keys.",
                "Leave lora_keys empty, which adapts every linear module, or name modules that the model has.",
                name=self.files.name,
            )
        self._set(_drawn(self.trainable(), mx.random.key(config.seed), dtype))
        mx.eval(self.model.trainable_parameters())

    def _layers(self) -> int:
        there = len(self.model.layers)
        return min(self._config.lora_layers, there) or there

    def _lora_parameters(self) -> dict[str, Any]:
        config = self._config
        named = {"keys": sorted(config.lora_keys)} if config.lora_keys else {}
        return {"rank": config.lora_rank, "scale": config.lora_scale, "dropout": config.lora_dropout, **named}

    def _computing_type(self) -> mx.Dtype:
        """The type of activations; adapters of another one would raise all that follows to float32."""
        types = [array.dtype for array in _arrays(self.model) if _is_floating(array)]
        found: mx.Dtype = max(set(types), key=types.count)
        return found

    def _some_hidden(self) -> mx.array:
        return self.split.hidden(mx.zeros((1, 1), mx.int32))


def open_policy(
    config: TrainConfig, *, model: str = "", adapter: str = "", trained: bool = True
) -> Generator[Event, None, Policy]:
    """Load the model of a run and set its trainable weights apart.

    Args:
        model: another model than the run's, to evaluate.
        trained: whether it will be; an evaluated model may hold an adapter and be quantised.

    Raises:
        UserError: as `engine.session.open_session`; or nothing of the model could be trained.
    """
    session = yield from open_session(
        model or config.model_name,
        precision=config.precision,
        memory_limit=config.memory_limit * 1024**2,
        adapter=adapter,
        trust_remote_code=config.trust_remote_code,
    )
    try:
        policy = Policy(session, config, trained=trained)
    except (AttributeError, TypeError, ValueError) as error:
        # Classes of mlx_lm that expect to find their modules as they made them.
        raise UserError(
            "{name} cannot be trained in this way.",
            "Its architecture does not take it: {reason}.",
            "Name the modules to adapt in lora_keys, such as self_attn.q_proj, or choose another train_type.",
            name=session.files.name,
            reason=in_short(error),
        ) from error
    if policy.turns_as_long:
        yield Note(
            "This model reads long texts with other rotary factors than short ones: all texts of this run are read as "
            f"long ones, of {_longest(config):,} tokens."
        )
    if not policy.tokenizer.has_chat_template:
        yield Note("This model has no chat template: prompts are given to it as plain text, User: and Assistant:.")
    if trained and config.share_prompts and not policy.shares_prompts:
        yield Note("This architecture does not allow sharing prompts: each group is computed by itself.")
    return policy


def _longest(config: TrainConfig) -> int:
    """The tokens of the longest text that a run may come to."""
    return config.max_prompt_length + max(config.longest_completion, config.eval_max_new_tokens)


def _turn_alike(model: Any, config: TrainConfig) -> bool:
    """Fix rotary factors that change with a text's length, where a text of the run may reach that length.

    Rollouts give tokens the factors of the length so far, a pass over a whole text those of its end: the same tokens
    would have other probabilities.
    """
    changed = [module.keep(_longest(config)) for module in model.modules() if isinstance(module, Rope)]
    return any(changed)


def _train_type(config: TrainConfig, model: Module) -> TrainType:
    if config.train_type != "auto":
        return config.train_type
    return "lora" if _is_quantised(model) else "full"


def _is_quantised(model: Any) -> bool:
    return any(hasattr(module, "bits") and "scales" in module for module in model.modules())


def _arrays(model: Any) -> list[mx.array]:
    leaves: Any = tree_flatten(model.parameters())
    return [array for _, array in leaves]


def _is_floating(array: mx.array) -> bool:
    return mx.issubdtype(array.dtype, mx.floating)


def _drawn(weights: dict[str, mx.array], key: mx.array, dtype: mx.Dtype) -> dict[str, mx.array]:
    """Adapters as mlx_lm begins them, drawn from `key` instead of MLX's global state."""
    drawn = {}
    for name, array in sorted(weights.items()):
        if name.endswith("lora_a"):
            key, own = mx.random.split(key)
            # The input width is the larger axis of an adapter's first matrix, whichever way it lies.
            bound = max(array.shape[-2:]) ** -0.5
            array = mx.random.uniform(-bound, bound, array.shape, key=own)  # noqa: PLW2901
        drawn[name] = array.astype(dtype)
    return drawn
