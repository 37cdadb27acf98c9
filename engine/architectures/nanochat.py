"""Computes nanochat's GPT, whatever it grew from October 2025 to July 2026. Knows no file and infers nothing.

Every formula is that of nanochat/gpt.py (github.com/karpathy/nanochat) at the commit where the feature came in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.embedding import Embedding
from mlx.nn.layers.linear import Linear
from mlx_lm.models.base import BaseModelArgs, create_attention_mask, scaled_dot_product_attention
from mlx_lm.models.cache import KVCache

from engine.errors import UserError

# What torch's rms_norm adds to the mean square where nothing else is said: the distance of float32 from 1 upwards.
EPSILON = 2.0**-23


@dataclass
class ModelArgs(BaseModelArgs):  # type: ignore[misc]
    """What config.json says; the defaults are the architecture of October 2025.

    `windows` gives for each layer how many positions before its own a token sees, None being all; [] is None for each.
    `value_embedding_layers` are the layers whose values are mixed with an embedding of the token, through a gate that
    reads the first `value_gate_width` channels and reaches up to `value_gate_scale`. `smear_width` is the channels the
    gate of the previous embedding reads, 0 for none. `backout_layer` is the one whose output is taken back at the end.
    transformers' port has the first architecture alone, and these names for what it shares.

    Raises:
        UserError: the rotary embedding is scaled; nanochat never did that.
    """

    model_type: str
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    vocab_size: int
    intermediate_size: int
    num_key_value_heads: int | None = None
    max_position_embeddings: int = 2048
    rope_theta: float = 10000.0
    rope_scaling: dict[str, Any] | None = None
    rms_norm_eps: float = EPSILON
    final_logit_softcapping: float | None = 15.0
    query_key_scale: float = 1.0
    windows: Sequence[int | None] = ()
    residual_lambdas: bool = False
    value_embedding_layers: Sequence[int] = field(default_factory=tuple)
    value_gate_width: int = 0
    value_gate_scale: float = 0.0
    smear_width: int = 0
    backout_layer: int | None = None

    def __post_init__(self) -> None:
        if (self.rope_scaling or {}).get("rope_type", "default") != "default":
            raise UserError(
                "This nanochat model asks for a scaled rotary embedding.",
                "Its rope_scaling is {scaling}, which no nanochat has.",
                "Convert the original checkpoint, or take rope_scaling out of config.json if it came there by mistake.",
                scaling=self.rope_scaling,
            )


def normalised(x: mx.array, epsilon: float) -> mx.array:
    """RMSNorm without weights (Zhang & Sennrich 2019, arXiv:1910.07467) over the last axis of any shape."""
    return mx.fast.rms_norm(x, None, epsilon)


class Attention(Module):
    """Causal attention whose queries and keys are rotated first and normalised then; optionally windowed."""

    def __init__(self, arguments: ModelArgs, layer: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        width, heads = arguments.hidden_size, arguments.num_attention_heads
        self.heads, self.key_heads = heads, arguments.num_key_value_heads or heads
        self.head_width = width // heads
        self.epsilon = arguments.rms_norm_eps
        # Softmax sees query x key, so a factor on each is its square on their product.
        self.scale = arguments.query_key_scale**2 / math.sqrt(self.head_width)
        self.c_q = Linear(width, heads * self.head_width, bias=False)
        self.c_k = Linear(width, self.key_heads * self.head_width, bias=False)
        self.c_v = Linear(width, self.key_heads * self.head_width, bias=False)
        self.c_proj = Linear(heads * self.head_width, width, bias=False)
        half = self.head_width // 2
        # Negative: nanochat turns by -theta.
        self._wavelengths = -mx.exp(mx.arange(half, dtype=mx.float32) * (math.log(arguments.rope_theta) / half))
        self.gate_width = self.gate_scale = 0.0
        if layer in arguments.value_embedding_layers:
            self.gate_width, self.gate_scale = arguments.value_gate_width, arguments.value_gate_scale
            self.ve_gate = Linear(self.gate_width, self.key_heads, bias=False)
            self.value_embed = Embedding(arguments.vocab_size, self.key_heads * self.head_width)

    def __call__(self, x: mx.array, ids: mx.array, mask: mx.array | str | None, cache: Any) -> mx.array:
        """Shapes: x and the result (batch, time, width), ids (batch, time), the mask broadcasts to (.., time, keys)."""
        batch, time, _ = x.shape

        def by_head(y: mx.array, heads: int) -> mx.array:
            return y.reshape(batch, time, heads, self.head_width).transpose(0, 2, 1, 3)

        queries, keys = by_head(self.c_q(x), self.heads), by_head(self.c_k(x), self.key_heads)
        values = by_head(self.c_v(x), self.key_heads)
        if self.gate_width:
            gate = self.gate_scale * mx.sigmoid(self.ve_gate(x[..., : self.gate_width]))
            embedded = by_head(self.value_embed(ids).astype(x.dtype), self.key_heads)
            values = values + gate.transpose(0, 2, 1)[..., None] * embedded
        position = cache.offset if cache is not None else 0
        queries = normalised(self._rotated(queries, position), self.epsilon)
        keys = normalised(self._rotated(keys, position), self.epsilon)
        if cache is not None:
            keys, values = cache.update_and_fetch(keys, values)
        y = scaled_dot_product_attention(queries, keys, values, cache=cache, scale=self.scale, mask=mask)
        return self.c_proj(y.transpose(0, 2, 1, 3).reshape(batch, time, -1))

    def _rotated(self, x: mx.array, position: int | mx.array) -> mx.array:
        return mx.fast.rope(
            x, self.head_width, traditional=False, base=None, scale=1.0, offset=position, freqs=self._wavelengths
        )


class MLP(Module):
    """Two layers with a squared ReLU between them (So et al. 2021, arXiv:2109.08668)."""

    def __init__(self, arguments: ModelArgs) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.c_fc = Linear(arguments.hidden_size, arguments.intermediate_size, bias=False)
        self.c_proj = Linear(arguments.intermediate_size, arguments.hidden_size, bias=False)

    def __call__(self, x: mx.array) -> mx.array:
        """Shapes: (batch, time, width) both."""
        return self.c_proj(mx.square(mx.maximum(self.c_fc(x), 0)))


class Block(Module):
    """Attention and MLP, each on a normalised copy of the stream and added to it."""

    def __init__(self, arguments: ModelArgs, layer: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.attn = Attention(arguments, layer)
        self.mlp = MLP(arguments)
        self.epsilon = arguments.rms_norm_eps

    def __call__(self, x: mx.array, ids: mx.array, mask: mx.array | str | None, cache: Any) -> mx.array:
        """Shapes: as `Attention`."""
        x = x + self.attn(normalised(x, self.epsilon), ids, mask, cache)
        return x + self.mlp(normalised(x, self.epsilon))


class Trunk(Module):
    """The token embedding and the blocks, under the names they have in checkpoints."""

    def __init__(self, arguments: ModelArgs) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.wte = Embedding(arguments.vocab_size, arguments.hidden_size)
        self.h = [Block(arguments, layer) for layer in range(arguments.num_hidden_layers)]


class Model(Module):
    """nanochat's GPT with the features its configuration names."""

    def __init__(self, arguments: ModelArgs) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.args = arguments
        self.model_type = arguments.model_type
        self.transformer = Trunk(arguments)
        self.lm_head = Linear(arguments.hidden_size, arguments.vocab_size, bias=False)
        self.windows = list(arguments.windows) or [None] * arguments.num_hidden_layers
        if arguments.residual_lambdas:
            self.resid_lambdas = mx.ones(arguments.num_hidden_layers)
            self.x0_lambdas = mx.zeros(arguments.num_hidden_layers)
        if arguments.smear_width:
            self.smear_gate = Linear(arguments.smear_width, 1, bias=False)
            self.smear_lambda = mx.zeros(1)
        if arguments.backout_layer is not None:
            self.backout_lambda = mx.zeros(1)

    def __call__(self, inputs: mx.array, cache: list[Any] | None = None) -> mx.array:
        """Float32 logits of shape (batch, time, vocabulary) for ids of shape (batch, time)."""
        return self.head(self.hidden(inputs, cache))

    def hidden(self, inputs: mx.array, cache: list[Any] | None = None) -> mx.array:
        """What the logits are made of, (batch, time, width), for ids of shape (batch, time)."""
        layers = self.transformer.h
        caches: list[Any] = [None] * (len(layers) + 1) if cache is None else cache
        x = self._embedded(inputs)
        if self.args.smear_width:
            x = self._smeared(x, inputs, caches[len(layers)])
        masks = {window: self._mask(x, caches[0], window) for window in set(self.windows)}
        first, taken_back = x, None
        for number, (layer, window) in enumerate(zip(layers, self.windows, strict=True)):
            if self.args.residual_lambdas:
                kept, again = (scale[number].astype(x.dtype) for scale in (self.resid_lambdas, self.x0_lambdas))
                x = kept * x + again * first
            x = layer(x, inputs, masks[window], caches[number])
            if number == self.args.backout_layer:
                taken_back = x
        if taken_back is not None:
            x = x - self.backout_lambda.astype(x.dtype) * taken_back
        return normalised(x, self.args.rms_norm_eps)

    def head(self, hidden: mx.array) -> mx.array:
        """Float32 logits (batch, time, vocabulary) of hidden states (batch, time, width)."""
        logits = self.lm_head(hidden).astype(mx.float32)
        cap = self.args.final_logit_softcapping
        return logits if cap is None else cap * mx.tanh(logits / cap)

    def _embedded(self, ids: mx.array) -> mx.array:
        """Normalised embeddings, in the type of the matrices: checkpoints keep a coarser one for the embedding."""
        x = self.transformer.wte(ids)
        matrix = self.lm_head.get("scales", self.lm_head.weight)
        if mx.issubdtype(matrix.dtype, mx.floating):
            x = x.astype(matrix.dtype)
        return normalised(x, self.args.rms_norm_eps)

    def _smeared(self, x: mx.array, ids: mx.array, cache: Any) -> mx.array:
        """Each embedding with a gated share of the one before it; the first of a text has none before it."""
        time = ids.shape[1]
        before = mx.concatenate([ids[:, :1], ids[:, :-1]], axis=1)
        positions = mx.arange(time)
        if cache is not None:
            positions = mx.expand_dims(mx.array(cache.offset), -1) + positions
            column = ids[:, None, :, None]
            known = cache.update_and_fetch(column, column)[0][:, 0, :, 0]
            if known.shape[1] > time:
                before = known[:, -time - 1 : -1]
        gate = self.smear_lambda.astype(x.dtype) * mx.sigmoid(self.smear_gate(x[..., : self.args.smear_width]))
        return x + mx.where(positions[..., None] > 0, gate, 0) * self._embedded(before)

    def _mask(self, x: mx.array, cache: Any, window: int | None) -> mx.array | str | None:
        """The mask of a layer that sees `window` positions before its own; no array where the text is shorter."""
        known = 0 if cache is None else cache.offset
        if window is not None and isinstance(known, int) and known + x.shape[1] <= window + 1:
            window = None
        mask: mx.array | str | None = create_attention_mask(
            x, cache, window_size=None if window is None else window + 1
        )
        return mask

    @property
    def layers(self) -> list[Block]:
        """The blocks, first to last."""
        return self.transformer.h

    def make_cache(self) -> list[KVCache]:
        """An empty cache: keys and values of each layer, and for the smear the token ids themselves.

        Ids rather than the last embedding, so that the cache can be cut back to any length like the others.
        """
        return [KVCache() for _ in range(len(self.layers) + bool(self.args.smear_width))]

    def sanitize(self, weights: dict[str, mx.array]) -> dict[str, mx.array]:
        """Names as this class has them: a value embedding lies beside the gate that lets it in."""

        def renamed(name: str) -> str:
            head, _, rest = name.partition(".")
            layer, _, leaf = rest.partition(".")
            return f"transformer.h.{layer}.attn.value_embed.{leaf}" if head == "value_embeds" else name

        return {renamed(name): array for name, array in weights.items()}

    @property
    def quant_predicate(self) -> Callable[[str, Module], bool]:
        """Gates read a dozen channels and steer everything: they are not quantised."""
        return lambda path, _: not path.endswith("gate")

    @property
    def cast_predicate(self) -> Callable[[str], bool]:
        """The per-layer scalars stay float32, as nanochat keeps them."""
        return lambda path: "lambda" not in path
