"""Asks a child process with torch for nanochat checkpoints and for what they compute. Computes nothing itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.torch_child import TorchChild

ROOT = Path(__file__).parents[3]
# Four layers make every pattern show: two value embeddings, a short window, a layer after the one taken back.
CONFIG: dict[str, Any] = {
    "sequence_len": 64,
    "vocab_size": 349,
    "n_layer": 4,
    "n_head": 4,
    "n_kv_head": 2,
    "n_embd": 64,
}
_CALL = """
import sys
sys.path.insert(0, root)
from tests.engine.architectures import nanochat_reference
"""


def config_of(epoch: str) -> dict[str, Any]:
    """What the metadata of such a checkpoint say; D and E round a short window up to 128 tokens, hence the context."""
    pattern = {} if epoch == "A" else {"window_pattern": "SSL"}
    return CONFIG | pattern | ({"sequence_len": 160} if epoch in "DE" else {})


def make(torch: TorchChild, folder: Path, epoch: str, config: dict[str, Any] | None = None, **options: Any) -> Path:
    """A checkpoint as nanochat saves it, without a tokenizer; its model_*.pt."""
    config = config or config_of(epoch)
    step = options.setdefault("step", 650)
    torch.run(
        _CALL + "nanochat_reference.make(torch, folder, epoch, config, **options)",
        root=str(ROOT),
        folder=str(folder),
        epoch=epoch,
        config=config,
        options=options,
    )
    metadata = {"step": step, "model_config": config, "user_config": {"run": "dummy"}}
    (folder / f"meta_{step:06d}.json").write_text(json.dumps(metadata), "utf-8")
    return folder / f"model_{step:06d}.pt"


def logits(
    torch: TorchChild,
    file: Path,
    epoch: str,
    ids: list[list[int]],
    config: dict[str, Any] | None = None,
    **options: Any,
) -> Any:
    """The reference's logits as a numpy array of shape (batch, time, vocabulary)."""
    path = file.with_suffix(".npy")
    torch.run(
        _CALL + "import numpy\n"
        "numpy.save(out, nanochat_reference.logits(torch, file, epoch, config, ids, **options).numpy())",
        root=str(ROOT),
        file=str(file),
        epoch=epoch,
        config=config or config_of(epoch),
        ids=ids,
        out=str(path),
        options=options,
    )
    return np.load(path)
