"""How much memory a run holds at once, from its settings and the model's shape. Loads no model.

The factors below count the arrays that MLX holds at once per unit of the shape. They were fitted to measured peaks of
rollouts and updates on Llama models of 3 to 8 layers, adapters and whole weights, with and without recomputation, in
float32 and bfloat16 on a CPU; the forecast peaks lie within 15 % of the measured ones. In
bfloat16 on an H200, for 24 layers x 896, they did too but for recomputed layers, which took 1.45 times the forecast:
memory is given back late there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import backend
from engine.grpo.model_shape import Shape, adapted_parameters, trainable_parameters

if TYPE_CHECKING:
    from engine.grpo.settings import TrainConfig

# Arrays kept for the gradient, per token and layer, of the widths of the residual stream and of the inner layer.
_KEPT_WIDTH, _KEPT_INNER = 2.9, 2.7
# In 16 bits, where MLX's own norms and gates keep what lies between their steps; of whole weights and of adapters.
_KEPT_INNER_WHOLE, _KEPT_INNER_ADAPTED = 3.5, 5.4
# Arrays of one layer's gradient while it is computed: per token, and of attention weights, which are computed again.
_LAYER_GRADIENT, _GRADIENT_SCORES = 1.7, 1.7
# What a recomputed layer holds while its gradient is taken, in what it would have kept.
_RECOMPUTED = 1.6
# Arrays of logits: of all tokens where they fit into one chunk, else of a chunk.
_LOGITS, _LOGITS_CHUNK = 3.3, 9.3
# Where the head is trained in chunks: their gradients' sum, the next one's and the two added.
_HEAD_GRADIENTS = 2.3
# The share of a model's gradients that is there at the peak, which comes before all layers have theirs.
_GRADIENTS_AT_PEAK = 0.5
# Arrays as large as one of a layer's matrices that are there at once while the weights change.
_APPLIED = 12
# While a token is sampled: arrays of logits, and layers whose cache is there twice.
_SAMPLED_LOGITS, _COPIED_LAYERS = 4.3, 2
# While a piece of a prompt is read: arrays of the inner width, and of attention weights.
_READ_INNER, _READ_SCORES = 4.1, 1.5
# Tokens by which mlx_lm's own caches grow, where prompts are not shared.
_MLX_GROWTH = 256
ROWS_AT_ONCE = 64
"""Rows that an evaluation answers side by side where `rollout_batch_size` does not say."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that a run holds: `weights` with all copies, `moments` and `gradients` of the optimiser, and per phase.

    `applied` is what is there besides weights and moments while the weights change.
    """

    weights: int = 0
    moments: int = 0
    gradients: int = 0
    kv_cache: int = 0
    rollout: int = 0
    activations: int = 0
    applied: int = 0

    @property
    def rollout_peak(self) -> int:
        """All that is held while completions are sampled."""
        return self.weights + self.moments + self.rollout

    @property
    def update_peak(self) -> int:
        """All that is held while gradients are computed, or while the weights change by them."""
        return self.weights + self.moments + max(self.gradients + self.activations, self.applied)

    @property
    def peak(self) -> int:
        """The most that is held at any time."""
        return max(self.rollout_peak, self.update_peak)


def train_type_of(config: TrainConfig, shape: Shape | None) -> str:
    """What is trained; "auto" only where it depends on a model that is not on this computer."""
    if config.train_type != "auto" or shape is None:
        return config.train_type
    return "lora" if shape.quantised else "full"


def forecast_memory(config: TrainConfig, shape: Shape, prompt_tokens: int = 0) -> Memory:
    """The bytes of a run whose prompts and completions are all as long as they may be."""
    train_type = train_type_of(config, shape)
    full = train_type == "full"
    width = shape.computing_width(config.precision)
    weights = shape.weight_bytes(width)
    count = trainable_parameters(config, shape, train_type)
    trained = count * width
    # Moments and gradients are float32, and 16-bit weights are rounded from float32 ones.
    moments = count * 4 * (2 if width == 4 else 3)
    whole = weights + (0 if full else trained) + (weights if full and config.kl_coeff > 0 else 0)
    prompt = prompt_tokens or config.max_prompt_length
    parts, size = packed(config, prompt)
    batches = math.ceil(config.prompts_per_step * math.ceil(config.num_generations / size) / parts)
    accumulated = count * 4 if batches > 1 else 0
    # What is accumulated, or at the end of an update all gradients at once.
    share = 1.0 if config.gradient_checkpointing else _GRADIENTS_AT_PEAK
    activations = _activations(config, shape, width, prompt, parts, size, full)
    kv_cache, rollout = _rollouts(config, shape, width, prompt)
    if config.quantize_for_rollouts:
        rollout += shape.parameters * 9 // 16
    elif not full and width == 4 and not shape.quantised and not backend.has_gpu():
        # Adapters are merged into a copy of the weights beside which they stand.
        rollout += 4 * adapted_parameters(config, shape)
    if config.num_iterations > 1:
        # What to go back to, should the step not come to its end.
        whole, moments = whole + trained, 2 * moments
    return Memory(
        weights=whole,
        moments=moments,
        gradients=accumulated + int(trained * (share if full else 1.0)),
        kv_cache=kv_cache,
        rollout=rollout,
        activations=activations,
        applied=count * 4 + int(min(_APPLIED * 4 * shape.hidden * shape.inner, count * 4)),
    )


def packed(config: TrainConfig, prompt: int) -> tuple[int, int]:
    """How many (parts of) groups the largest micro-batch holds, and the completions in each, as `packing` does it."""
    completion, budget, shared = config.longest_completion, config.micro_batch_tokens, config.share_prompts
    fitting = max(1, (budget - prompt) // completion if shared else budget // (prompt + completion))
    count = math.ceil(config.num_generations / min(fitting, config.num_generations))
    size = math.ceil(config.num_generations / count)
    parts = max(1, budget // (prompt * (1 if shared else size) + size * completion))
    return min(parts, config.prompts_per_step * count), size


def kept_values(config: TrainConfig, shape: Shape, prompt: int, parts: int, size: int) -> tuple[int, float, float]:
    """Tokens of `parts` groups of `size` completions, the numbers a layer keeps of them, and the scores it computes."""
    from engine.grpo.attention import BLOCK

    completion = config.longest_completion
    before = prompt - 1
    if config.share_prompts:
        scored = parts * size * completion
        tokens = parts * before + scored
        scores = scored * (prompt + completion)
    else:
        tokens = parts * size * (before + completion)
        scores = tokens * min(BLOCK, prompt + completion)
    inner = _KEPT_INNER
    if shape.computing_width(config.precision) < 4:
        inner = _KEPT_INNER_WHOLE if train_type_of(config, shape) == "full" else _KEPT_INNER_ADAPTED
    widths = _KEPT_WIDTH * shape.attention_width + inner * shape.inner
    return tokens, tokens * widths, float(shape.heads * scores)


def _activations(config: TrainConfig, shape: Shape, width: int, prompt: int, parts: int, size: int, full: bool) -> int:
    """Bytes of the largest micro-batch beside weights and gradients."""
    tokens, layer, scores = kept_values(config, shape, prompt, parts, size)
    gradient = _LAYER_GRADIENT * tokens * (shape.hidden + 3 * shape.inner) + _GRADIENT_SCORES * scores * 4 / width
    kept = shape.layers * layer
    if config.gradient_checkpointing:
        kept = shape.layers * (tokens * shape.hidden + 2 * shape.key_width * parts * prompt)
        gradient += _RECOMPUTED * layer
    scored = parts * size * config.longest_completion
    return int(width * kept + max(width * gradient, _head(shape, width, scored, full)))


def _head(shape: Shape, width: int, scored: int, full: bool) -> float:
    """Bytes of logits and their gradients, which are float32, for this many tokens."""
    from engine.grpo.logprobs import chunk_size

    chunk = chunk_size(shape.vocabulary, shape.hidden)
    if scored <= chunk:
        return _LOGITS * 4 * scored * shape.vocabulary
    gradients = shape.vocabulary * shape.hidden * width if full else 0
    return _LOGITS_CHUNK * 4 * chunk * shape.vocabulary + _HEAD_GRADIENTS * gradients


def _rollouts(config: TrainConfig, shape: Shape, width: int, prompt: int) -> tuple[int, int]:
    """Bytes of the largest KV cache, and of all that rollouts need beside the weights, evaluations among them."""
    found = [
        _rollout(
            config, shape, width, prompt, config.prompts_per_step, config.num_generations, config.longest_completion
        )
    ]
    longest = config.eval_max_new_tokens or config.longest_completion
    for generations in {1, config.eval_generations} if config.eval_samples else ():
        groups = min(config.eval_samples, max(1, (config.rollout_batch_size or ROWS_AT_ONCE) // generations))
        found.append(_rollout(config, shape, width, prompt, groups, generations, longest))
    return max(cache for cache, _ in found), max(whole for _, whole in found)


def _rollout(
    config: TrainConfig, shape: Shape, width: int, prompt: int, groups: int, generations: int, longest: int
) -> tuple[int, int]:
    """Bytes of the KV cache and of a whole rollout of this many groups."""
    from engine.grpo.rows import PIECE
    from engine.grpo.shared_prompts import GROWTH

    token = 2 * shape.key_width * width
    grown = 1 + GROWTH * math.ceil((longest - 1) / GROWTH)
    if config.share_prompts:
        rows = min(groups * generations, config.rollout_batch_size or groups * generations)
        if rows < groups * generations:
            # A buffer's front is cut one token after its oldest rows have ended.
            grown = 1 + GROWTH * math.ceil(longest / GROWTH)
        own = rows * grown
        # Rows of more prompts than these are fewer instead.
        groups = math.ceil(rows / generations)
        read = groups * prompt
    else:
        # One prompt after the other, each copied to all its rows.
        groups, read, rows = 1, 0, min(generations, config.rollout_batch_size or generations)
        own = rows * _MLX_GROWTH * math.ceil((prompt + longest) / _MLX_GROWTH)
    kv_cache = shape.layers * token * (read + own)
    piece = groups * min(prompt, PIECE)
    reading = shape.layers * token * groups * prompt + width * piece * (
        _READ_INNER * shape.inner + 2 * shape.hidden + _READ_SCORES * shape.heads * prompt
    )
    copied = _COPIED_LAYERS if config.share_prompts else 1
    sampling = kv_cache + copied * token * own + _SAMPLED_LOGITS * 4 * rows * shape.vocabulary
    return kv_cache, int(max(reading, sampling))
