"""Puts right what single classes of mlx_lm compute otherwise than transformers. Knows no weights but by name.

Each mend changes a model that its class has just built: a layer gets another class, or another layer in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any


def mend(model: Any, described: Any, names: Collection[str]) -> None:
    """Make a fresh model compute what transformers computes.

    Args:
        model: as built by mlx_lm's class; changed in place.
        described: transformers' configuration object.
        names: of the checkpoint's tensors.
    """
    text = described.get_text_config(decoder=True)
    change = _MENDS.get(text.model_type)
    if change is not None:
        change(model, text, names)


def _jamba(model: Any, _: Any, __: Collection[str]) -> None:
    """mlx_lm normalises the chosen experts' weights to 1; transformers' JambaTopKRouter does not."""
    import mlx.core as mx
    from mlx_lm.models.jamba import JambaSparseMoeBlock

    class Block(JambaSparseMoeBlock):  # type: ignore[misc]
        def __call__(self, x: mx.array) -> Any:
            scores = mx.softmax(self.router(x), axis=-1, precise=True)
            return _experts(self.switch_mlp, x, scores, scores, self.num_experts_per_tok, normalise=False)

    for layer in model.layers:
        if isinstance(layer.feed_forward, JambaSparseMoeBlock):
            layer.feed_forward.__class__ = Block


def _qwen2_moe(model: Any, described: Any, _: Collection[str]) -> None:
    """mlx_lm never normalises the weights of chosen experts and has no dense layers; transformers has settings."""
    import mlx.core as mx
    from mlx_lm.models.qwen2_moe import MLP, Qwen2MoeSparseMoeBlock

    class Block(Qwen2MoeSparseMoeBlock):  # type: ignore[misc]
        def __call__(self, x: mx.array) -> Any:
            scores = mx.softmax(self.gate(x), axis=-1, precise=True)
            shared = mx.sigmoid(self.shared_expert_gate(x)) * self.shared_expert(x)
            return _experts(self.switch_mlp, x, scores, scores, self.top_k, normalise=True) + shared

    for index, layer in enumerate(model.layers):
        if index in described.mlp_only_layers or (index + 1) % described.decoder_sparse_step:
            layer.mlp = MLP(described.hidden_size, described.intermediate_size)
        elif described.norm_topk_prob:
            layer.mlp.__class__ = Block


def _ernie(model: Any, described: Any, names: Collection[str]) -> None:
    """mlx_lm drops the bias of the router's choice (transformers' Ernie4_5_MoeTopKRouter)."""
    import mlx.core as mx
    from mlx_lm.models.ernie4_5_moe import Ernie4_5_MoeMLP

    class Block(Ernie4_5_MoeMLP):  # type: ignore[misc]
        def __call__(self, x: mx.array) -> Any:
            scores = self.gate_act(self.gate(x).astype(mx.float32))
            found = _experts(self.switch_mlp, x, scores, scores + self.choice_bias, self.k, normalise=True)
            return found if self.shared_experts is None else found + self.shared_experts(x)

    for index, layer in enumerate(model.layers):
        if f"model.layers.{index}.mlp.choice_bias" in names and isinstance(layer.mlp, Ernie4_5_MoeMLP):
            layer.mlp.__class__ = Block
            layer.mlp.choice_bias = mx.zeros((described.moe_num_experts,))


def _experts(experts: Any, x: Any, scores: Any, preference: Any, count: int, *, normalise: bool) -> Any:
    """What the `count` experts of the highest preference give, weighted by their scores.

    Shapes: x (batch, time, hidden); scores and preference (batch, time, experts); result as x.
    """
    import mlx.core as mx

    chosen = mx.stop_gradient(mx.argpartition(-preference, kth=count - 1, axis=-1)[..., :count])
    weights = mx.take_along_axis(scores, chosen, axis=-1)
    if normalise:
        weights = weights / mx.maximum(weights.sum(axis=-1, keepdims=True), 1e-12)
    return (experts(x, chosen) * weights[..., None]).sum(axis=-2).astype(x.dtype)


def _grouped_norms(model: Any, described: Any, _: Collection[str]) -> None:
    """mlx_lm normalises over all channels at once; transformers' Mamba-2 mixers within each group."""
    import mlx.core as mx
    from mlx.nn.layers.activations import silu

    groups = getattr(described, "mamba_n_groups", None) or described.n_groups
    gate_last = getattr(described, "mamba_norm_before_gate", False)
    for _, module in model.named_modules():
        kind = type(module)
        if not kind.__name__.endswith("RMSNormGated"):
            continue

        class Grouped(kind):  # type: ignore[misc, valid-type]
            def __call__(self, hidden_states: mx.array, gate: mx.array | None = None) -> Any:
                opened = 1.0 if gate is None else silu(gate)
                channels = hidden_states if gate_last else hidden_states * opened
                epsilon: Any = self.__dict__.get("eps", self.__dict__.get("variance_epsilon"))
                normed = mx.fast.rms_norm(mx.unflatten(channels, -1, (groups, -1)), None, epsilon).flatten(-2)
                return normed * self.weight * (opened if gate_last else 1.0)

        module.__class__ = Grouped


def _gemma3n(model: Any, described: Any, names: Collection[str]) -> None:
    """Layers that take their keys and values from another have none of their own in newer checkpoints."""
    first = described.num_hidden_layers - described.num_kv_shared_layers
    for index, layer in enumerate(model.layers):
        if index >= first and not any(name.endswith(f"layers.{index}.self_attn.k_proj.weight") for name in names):
            for key in ("k_proj", "v_proj", "k_norm"):
                layer.self_attn.pop(key)
    inner = model.model.language_model
    kind = type(inner)

    class Shared(kind):  # type: ignore[misc, valid-type]
        """Computes with a cache always: without one, mlx_lm's layers have nothing to share."""

        def __call__(self, inputs: Any = None, cache: Any = None, input_embeddings: Any = None) -> Any:
            return super().__call__(inputs, cache or self.make_cache(), input_embeddings)

    if first < described.num_hidden_layers:
        inner.__class__ = Shared


def _gpt2(model: Any, described: Any, _: Collection[str]) -> None:
    """mlx_lm knows one scale of attention; transformers' GPT2Attention has settings for it."""
    for index, layer in enumerate(model.layers):
        if not described.scale_attn_weights:
            layer.attn.scale = 1.0
        if described.scale_attn_by_inverse_layer_idx:
            layer.attn.scale /= index + 1


def _halves(model: Any, described: Any, _: Collection[str]) -> None:
    """mlx_lm rotates neighbours; transformers has a setting for rotating halves."""
    for layer in model.layers:
        layer.self_attn.rope.traditional = described.rope_interleave


def _bitnet(model: Any, described: Any, names: Collection[str]) -> None:
    """Weights that are not packed need ordinary linear layers."""
    from mlx.nn.layers.linear import Linear
    from mlx_lm.models.bitlinear_layers import BitLinear

    if any(name.endswith(".weight_scale") for name in names):
        return
    for _, module in model.named_modules():
        for name, child in module.children().items():
            if isinstance(child, BitLinear):
                module[name] = Linear(child.in_features, child.out_features, bias="bias" in child)


def _norms(model: Any, _: Any, __: Collection[str]) -> None:
    """Norms kept in float32 shall not make everything after them float32."""
    import mlx.core as mx
    from mlx.nn.layers.normalization import RMSNorm

    class Norm(RMSNorm):
        def __call__(self, x: mx.array) -> Any:
            return super().__call__(x).astype(x.dtype)  # type: ignore[no-untyped-call]

    for _, module in model.named_modules():
        if type(module) is RMSNorm:
            module.__class__ = Norm


_MENDS: dict[str, Callable[[Any, Any, Collection[str]], None]] = {
    "bitnet": _bitnet,
    "deepseek_v3": _halves,
    "ernie4_5_moe": _ernie,
    "falcon_h1": _grouped_norms,
    "gemma3n_text": _gemma3n,
    "glm4_moe_lite": _halves,
    "gpt2": _gpt2,
    "jamba": _jamba,
    "granitemoehybrid": _grouped_norms,
    "mamba2": _grouped_norms,
    "qwen2_moe": _qwen2_moe,
    "qwen3_5_moe_text": _norms,
    "qwen3_5_text": _norms,
    "qwen3_next": _norms,
}
