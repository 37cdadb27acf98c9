"""Reads the sizes of a model out of its config.json. Loads no weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.grpo.settings import TrainConfig

_WIDTHS = {"float32": 4, "bfloat16": 2, "float16": 2}
_NESTED = ("text_config", "llm_config", "language_config")

# The share of weight files that is not weights, and of weights that are biases, at most.
_HEADERS = 0.03


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a decoder model.

    `inner` is the width of a token's feed-forward layers together, `experts` how many times that there is; `key_width`
    and `query_width` are of all heads. `stored` is the bytes of the weight files, `stored_width` those of one number in
    them that is not quantised.
    """

    layers: int
    hidden: int
    inner: int
    heads: int
    key_width: int
    query_width: int
    vocabulary: int
    experts: int
    tied: bool
    quantised: bool
    stored: int
    stored_width: int

    @classmethod
    def of(cls, config: dict[str, Any], stored: int = 0) -> Shape | None:
        """The shape that a config.json tells, or None where it does not tell enough.

        Args:
            config: the best is what `engine.model_config.normalised` gives.
            stored: bytes of the weight files; 0 has them computed.
        """
        top = config
        for name in _NESTED:
            if isinstance(config.get(name), dict):
                config = {**config, **config[name]}
        layers, hidden = _number(config, "num_hidden_layers", "n_layer"), _number(config, "hidden_size", "n_embd")
        heads, vocabulary = _number(config, "num_attention_heads", "n_head"), _number(config, "vocab_size")
        if not (layers and hidden and heads and vocabulary):
            return None
        head = _number(config, "head_dim") or hidden // heads
        experts = _number(config, "num_experts", "num_local_experts", "n_routed_experts")
        used = max(1, _number(config, "num_experts_per_tok")) if experts else 1
        inner = _number(config, "intermediate_size", "n_inner") or 4 * hidden
        if experts:
            inner = used * (_number(config, "moe_intermediate_size") or inner)
        number_format = str(config.get("dtype") or config.get("torch_dtype") or top.get("torch_dtype") or "")
        shape = cls(
            layers=layers,
            hidden=hidden,
            inner=inner,
            heads=heads,
            key_width=head * (_number(config, "num_key_value_heads", "n_kv_head") or heads),
            query_width=head * heads,
            vocabulary=vocabulary,
            experts=max(1, experts // used),
            tied=bool(config.get("tie_word_embeddings")),
            quantised="quantization" in top or "quantization_config" in top,
            stored=stored,
            stored_width=_WIDTHS.get(number_format, 2),
        )
        if number_format not in _WIDTHS and not shape.quantised and stored > 3 * shape.parameters_counted:
            return replace(shape, stored_width=4)
        return shape

    @property
    def attention_width(self) -> int:
        """Numbers a token that a layer keeps of its residual stream, queries, keys and values, in halves."""
        return self.hidden + self.query_width + self.key_width

    @property
    def parameters(self) -> int:
        """All weights before quantisation."""
        counted = self.parameters_counted
        if self.quantised or abs(self.stored - counted * self.stored_width) <= _HEADERS * self.stored:
            return counted
        # A model of other parts than a Llama's.
        return self.stored // self.stored_width if self.stored else counted

    @property
    def parameters_counted(self) -> int:
        """The weights that a Llama of this shape has."""
        return self._counted(self.experts)

    @property
    def active_parameters(self) -> int:
        """Weights that one token is multiplied with, the head's among them."""
        embedding = 0 if self.tied else self.vocabulary * self.hidden
        return self._counted(1) - embedding

    def _counted(self, experts: int) -> int:
        layer = sum(inner * outer for inner, outer in self.matrices(experts).values()) + 2 * self.hidden
        embeddings = (1 if self.tied else 2) * self.vocabulary * self.hidden
        return self.layers * layer + embeddings + self.hidden

    def matrices(self, experts: int = 1) -> dict[str, tuple[int, int]]:
        """Input and output width of a layer's matrices, by the names that most architectures have."""
        inner = self.inner * experts
        return {
            "q_proj": (self.hidden, self.query_width),
            "k_proj": (self.hidden, self.key_width),
            "v_proj": (self.hidden, self.key_width),
            "o_proj": (self.query_width, self.hidden),
            "gate_proj": (self.hidden, inner),
            "up_proj": (self.hidden, inner),
            "down_proj": (inner, self.hidden),
        }

    def computing_width(self, precision: str) -> int:
        """Bytes of one number in the type that weights are computed in."""
        if precision in _WIDTHS:
            return _WIDTHS[precision]
        if precision == "auto" and not self.quantised:
            from engine import backend

            return self.stored_width if backend.has_gpu() else 4
        return self.stored_width

    def weight_bytes(self, width: int) -> int:
        """Bytes of the weights in memory, computed in numbers of this width."""
        if self.quantised and self.stored:
            return self.stored
        return self.parameters * width


def trainable_parameters(config: TrainConfig, shape: Shape, train_type: str) -> int:
    """How many weights change."""
    if train_type == "full":
        return shape.parameters
    chosen = _adapted(config, shape)
    layer = sum(config.lora_rank * (inner + outer) for inner, outer in chosen)
    if train_type == "dora":
        layer += sum(outer for _, outer in chosen)
    return layer * _adapted_layers(config, shape)


def adapted_parameters(config: TrainConfig, shape: Shape) -> int:
    """How many weights stand beside adapters."""
    return sum(inner * outer for inner, outer in _adapted(config, shape)) * _adapted_layers(config, shape)


def _adapted(config: TrainConfig, shape: Shape) -> list[tuple[int, int]]:
    """Input and output width of the matrices of a layer that get adapters."""
    names = {key.rpartition(".")[2] for key in config.lora_keys}
    return [sizes for name, sizes in shape.matrices(shape.experts).items() if not names or name in names]


def _adapted_layers(config: TrainConfig, shape: Shape) -> int:
    return min(config.lora_layers, shape.layers) or shape.layers


def _number(config: dict[str, Any], *keys: str) -> int:
    """The first of these keys that holds a number; 0 where none does."""
    for key in keys:
        value = config.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return int(value)
    return 0
