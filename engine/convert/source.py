"""What a checkpoint on disk is, told by looking at it. Reads no weights and imports no MLX."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["hugging face", "mlx", "gguf", "nanochat"]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What a file says of a tensor: `dtype` as MLX names it ("bfloat16") or the GGUF type ("Q4_K"); size in bytes."""

    shape: tuple[int, ...]
    dtype: str
    size: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Source:
    """A checkpoint as it was found.

    `path` is its folder, or the one file it is (.gguf, .pt). `config` has the keys of a Hugging Face config.json.
    `tensors` are keyed by their names in the files. `files` hold the weights. `tokenizer` names the tokenizer's form
    ("tokenizer.json", "sentencepiece", "gguf", "tiktoken"), "" where there is none. `warnings` are sentences for the
    person.
    """

    kind: Kind
    path: Path
    name: str
    config: dict[str, Any]
    tensors: Mapping[str, TensorInfo] = field(repr=False)
    files: tuple[Path, ...]
    tokenizer: str
    has_chat_template: bool
    warnings: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of its weight files."""
        return sum(file.stat().st_size for file in self.files)
