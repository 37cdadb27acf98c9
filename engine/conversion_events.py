"""What is said of conversions and uploads: small frozen dataclasses, part of the words of `engine.events`.

Knows no job and no view. Sizes are in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ConversionPlanned:
    """What a checkpoint is and what a conversion would make of it; nothing was read but file headers.

    `kind` is "hugging face", "mlx", "gguf" or "nanochat"; `dtype` the stored number format ("mixed" where there are
    several, the quantisation for quantised ones); `tokenizer` its form ("" where there is none); `context` the tokens
    it attends to. `matrices` are the weights that quantisation applies to, as (role, row length, number of weights),
    the role being "sensitive", "head" or "other" as mixed recipes see it; `other_weights` counts the rest. Sizes are
    in bytes: `source_bytes` now, `result_bytes` after, `peak_memory` meanwhile, `disk_needed` of the `free_disk`,
    `scratch_bytes` of it only meanwhile, for files that MLX cannot read; `weight_bytes` are those of one weight that is
    not quantised, or no longer.
    """

    source: str
    output: str
    kind: str
    name: str
    model_type: str
    parameters: int
    dtype: str
    shards: int
    layers: int
    context: int
    tokenizer: str
    has_chat_template: bool
    source_bytes: int
    result_bytes: int
    result_bits: float
    peak_memory: int
    disk_needed: int
    free_disk: int
    checked: bool
    matrices: tuple[tuple[str, int, int], ...] = ()
    other_weights: int = 0
    largest_tensor: int = 0
    scratch_bytes: int = 0
    weight_bytes: float = 2.0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelChecked:
    """Whether the converted model computes what its source computes.

    `verdict` is "same", "different" or "not checked"; `reason` says why in the latter two. `error` is the largest
    difference of logits relative to the largest logit, `agreement` the share of positions with the same most likely
    token, `positions` how many were compared, `longest` the tokens of the longest prompt.
    """

    verdict: Literal["same", "different", "not checked"]
    reason: str = ""
    error: float = 0.0
    agreement: float = 0.0
    positions: int = 0
    longest: int = 0


@dataclass(frozen=True, slots=True)
class QualityMeasured:
    """What one setting costs, measured against the unquantised model on a text of `tokens` tokens.

    `setting` is its short name ("4-bit"), `chosen` whether it is the person's. `size` is in bytes; `bits` per weight;
    `divergence` the mean Kullback-Leibler divergence in nats per token, `agreement` the share of tokens with the same
    most likely next token, `perplexity` that of this setting, `tokens_per_second` its decoding speed (0: not timed).
    """

    setting: str
    chosen: bool
    size: int
    bits: float
    divergence: float
    agreement: float
    perplexity: float
    tokens_per_second: float
    tokens: int


@dataclass(frozen=True, slots=True)
class ModelConverted:
    """A model was written to a folder: its size in bytes, bits per weight, and the tensors that were left out."""

    name: str
    folder: str
    size: int
    bits: float
    parameters: int
    left_out: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelUploaded:
    """A model is on the Hugging Face Hub at this address; in a dry run (`sent` false) it would be."""

    repository: str
    address: str
    private: bool
    files: int
    size: int
    sent: bool


ConversionEvent = ConversionPlanned | ModelChecked | QualityMeasured | ModelConverted | ModelUploaded
