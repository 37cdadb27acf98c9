"""Tries whether the completions of a group may share their prompt's keys and values. Knows no training.

What decides it is what a model computes, not what its architecture is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mlx.core as mx

from engine.grpo.shared_prompts import CompletionCache, PromptCache

if TYPE_CHECKING:
    from mlx_lm.tokenizer_utils import TokenizerWrapper

    from engine.grpo.logprobs import SplitModel

# What attention over parts may differ from attention in one piece, for logits of about one.
_TOLERANCE = 1e-3
# In 16 bits.
_ROUNDED_TOLERANCE = 0.1
# A sentence, not any tokens: on those it never learned a 16-bit model differs from itself by more than that.
_TEXT = "How much is 17 plus 25? The answer is a number that one can write down, and it is not a large one."


def can_share(model: Any, split: SplitModel, tokenizer: TokenizerWrapper, dtype: mx.Dtype) -> bool:
    """Whether completions over shared prompts get the logits that each row alone gets.

    Args:
        dtype: of the model's activations, whose rounding is allowed for.
    """
    try:
        alone, *shared = _trial(model, split, tokenizer)
    except Exception:  # an architecture with other caches may fail anywhere
        return False
    largest: Any = mx.abs(alone).max().item()
    allowed = (_TOLERANCE if dtype == mx.float32 else _ROUNDED_TOLERANCE) * (1.0 + largest)
    return all(bool(mx.allclose(found, alone, rtol=0, atol=allowed).item()) for found in shared)


def _trial(model: Any, split: SplitModel, tokenizer: TokenizerWrapper) -> tuple[mx.array, mx.array, mx.array]:
    """Logits of four completions over two prompts: each row alone, as updates and as rollouts compute them."""
    from mlx_lm.models.cache import KVCache

    vocabulary = split.head(split.hidden(mx.zeros((1, 1), mx.int32))).shape[-1]
    known_text = tokenizer.encode(_TEXT, add_special_tokens=False) or [0]
    ids = [int(token) % vocabulary for token in (known_text * 16)[:16]]
    prompts = mx.array([ids[:6], [*ids[6:10], 0, 0]])
    lengths = (6, 4)
    completions = mx.array([ids[start : start + 3] for start in range(10, 14)])
    rows = [mx.concatenate([prompts[row // 2, : lengths[row // 2]], completions[row]])[None] for row in range(4)]
    alone = mx.concatenate([model(row)[:, -3:] for row in rows])
    collected = [PromptCache() for _ in model.layers]
    split.hidden(prompts, collected)
    known = [(cache.keys, cache.values) for cache in collected]
    caches = CompletionCache.of_layers(known, mx.array(lengths), 2, padded=True)
    at_once = split.head(split.hidden(completions, caches))
    layers = [KVCache() for _ in model.layers]
    model(prompts, cache=layers)
    read = [(layer.keys[..., :6, :], layer.values[..., :6, :]) for layer in layers]
    caches = CompletionCache.of_layers(read, mx.array(lengths), 2, padded=True)
    one_by_one = [model(completions[:, place : place + 1], cache=caches) for place in range(3)]
    found = (alone, at_once, mx.concatenate(one_by_one, axis=1))
    whole, shared, decoded = (logits.astype(mx.float32) for logits in found)
    return whole, shared, decoded
