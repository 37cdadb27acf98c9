"""Puts right what mlx_lm's Gemma classes compute apart from windows and positions. Knows no weights."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
from mlx_lm.models import gemma2, gemma3_text, recurrent_gemma
from mlx_lm.models.base import create_attention_mask


class Attention2(gemma2.Attention):  # type: ignore[misc]
    """Gemma 2's attention, for batches with a mask each and for models without the soft cap.

    mlx_lm lays a mask of shape (batch, 1, time, keys) against scores of (batch, groups, heads, time, keys), so that
    the batch meets the groups.
    """

    def __call__(self, x: mx.array, mask: mx.array | None = None, cache: Any = None) -> mx.array:
        batch, time, _ = x.shape
        queries, keys, values = (
            project(x).reshape(batch, time, -1, self.head_dim).transpose(0, 2, 1, 3)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        offset = cache.offset if cache is not None else 0
        queries, keys = self.rope(queries, offset=offset), self.rope(keys, offset=offset)
        if cache is not None:
            keys, values = cache.update_and_fetch(keys, values)
        queries = (queries * self.scale).reshape(batch, self.n_kv_heads, self.repeats, time, self.head_dim)
        scores = queries @ mx.expand_dims(keys, 2).swapaxes(-1, -2)
        if self.attn_logit_softcapping is not None:
            scores = mx.tanh(scores / self.attn_logit_softcapping) * self.attn_logit_softcapping
        if mask is not None:
            mask = mx.expand_dims(mask, 2) if mask.ndim == 4 else mask
            scores = mx.where(mask, scores, mx.finfo(scores.dtype).min)
        attended = mx.softmax(scores, precise=True, axis=-1) @ mx.expand_dims(values, 2)
        attended = attended.reshape(batch, self.n_heads, time, self.head_dim)
        result: mx.array = self.o_proj(attended.transpose(0, 2, 1, 3).reshape(batch, time, -1))
        return result


class Model3(gemma3_text.Gemma3Model):  # type: ignore[misc]
    """Gemma 3's decoder, any of its layers windowed, its embeddings scaled as exactly as their type allows.

    mlx_lm rounds the scale to bfloat16 whatever the type (2e-3 off in float32), and expects every sixth layer to be
    there. Each layer makes its own mask (see `windows`).
    """

    def __call__(self, inputs: mx.array, cache: Any = None, input_embeddings: mx.array | None = None) -> mx.array:
        hidden = self.embed_tokens(inputs) if input_embeddings is None else input_embeddings
        hidden = hidden * mx.array(self.args.hidden_size**0.5, hidden.dtype)
        for layer, layer_cache in zip(self.layers, cache or [None] * len(self.layers), strict=True):
            hidden = layer(hidden, None, layer_cache)
        result: mx.array = self.norm(hidden)
        return result


class Griffin(recurrent_gemma.Griffin):  # type: ignore[misc]
    """RecurrentGemma's decoder, its embeddings scaled by a root that transformers rounds to bfloat16."""

    def __call__(self, tokens: mx.array, cache: Any = None) -> mx.array:
        hidden = self.embed_tokens(tokens)
        hidden = hidden * mx.array(hidden.shape[-1] ** 0.5, mx.bfloat16).astype(hidden.dtype)
        caches = cache or [None] * len(self.layers)
        mask = create_attention_mask(hidden, caches[self.swa_idx], window_size=self.window_size)
        for layer, layer_cache in zip(self.layers, caches, strict=True):
            hidden = layer(hidden, mask=mask, cache=layer_cache)
        result: mx.array = self.final_norm(hidden)
        return result


def correct(model: Any) -> None:
    """Put our classes in place of mlx_lm's in a model, in place."""
    ours = {gemma2.Attention: Attention2, gemma3_text.Gemma3Model: Model3, recurrent_gemma.Griffin: Griffin}
    for _, module in model.named_modules():
        if type(module) in ours:
            module.__class__ = ours[type(module)]
    # mlx_lm always caps: this high it changes no logit by more than one part in 100,000.
    if isinstance(model, gemma2.Model) and model.final_logit_softcapping is None:
        model.final_logit_softcapping = 1e4
