"""All tiny transformers models that are compared, and those that are refused. Computes nothing."""

from __future__ import annotations

from typing import Any

from tests.engine.architectures.configurations import GPT2, LOCAL, of
from tests.engine.architectures.dense_cases import DENSE
from tests.engine.architectures.expert_cases import EXPERT
from tests.engine.architectures.hybrid_cases import HYBRID
from tests.engine.architectures.part_cases import PARTS

CASES = DENSE | EXPERT | HYBRID | PARTS
# Whose rotation grows with the text: what is in the cache stays as it was, in transformers too.
UNCACHED = ("llama dynamic",)
REFUSED: dict[str, dict[str, Any]] = {
    "gpt_bigcode heads": {"class": "GPTBigCodeConfig", **GPT2, "multi_query": False},
    "phi qk norm": of("Phi", num_key_value_heads=4, qk_layernorm=True),
    "minimax": of("MiniMax", head_dim=8, layer_types=["linear_attention", "full_attention"], **LOCAL),
    "gemma untied": of("Gemma", head_dim=8, tie_word_embeddings=False),
    "cohere untied": of("Cohere", tie_word_embeddings=False),
    "gpt2 untied": {"class": "GPT2Config", **GPT2, "tie_word_embeddings": False},
    "olmoe clip": of("Olmoe", num_experts=4, num_experts_per_tok=2, clip_qkv=0.05),
    "exaone4 windows": of("Exaone4", sliding_window=8, layer_types=["sliding_attention"] * 2),
    "mixtral gelu": of("Mixtral", sliding_window=None, hidden_act="gelu", **LOCAL),
}
