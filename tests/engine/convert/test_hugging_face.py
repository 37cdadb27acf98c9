"""Model folders whose weight files hold what MLX does not read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.convert import hugging_face
from engine.convert.source import Source
from engine.errors import UserError
from tests.engine.tiny import make_model

NORM = "model.norm.weight"


def weights(source: Source, scratch: Path) -> dict[str, mx.array]:
    scratch.mkdir(exist_ok=True)
    reading = hugging_face.weights(source, scratch)
    while True:
        try:
            next(reading)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


@pytest.fixture
def arrays(tmp_path: Path) -> dict[str, np.ndarray]:
    folder = make_model(tmp_path / "source")
    return {name: np.array(array) for name, array in dict(mx.load(str(folder / "model.safetensors"))).items()}


def test_one_tensor_of_double_precision_does_not_spoil_the_file(tmp_path: Path, arrays: dict[str, Any]) -> None:
    arrays[NORM] = arrays[NORM].astype(np.float64) / 3
    save_file(arrays, tmp_path / "source" / "model.safetensors")
    for _ in range(2):  # the second reading finds what the first rewrote
        read = weights(hugging_face.examine(tmp_path / "source"), tmp_path / "scratch")
        assert set(read) == set(arrays)
        assert read[NORM].dtype == mx.float32
        assert all(np.array_equal(np.array(read[name]), arrays[name].astype(np.float32)) for name in arrays)


def test_a_tensor_larger_than_its_torch_file_is_refused(tmp_path: Path, arrays: dict[str, Any]) -> None:
    from tests.support.torch_child import torch_child

    file = tmp_path / "source" / "pytorch_model.bin"
    (tmp_path / "source" / "model.safetensors").unlink()
    with torch_child() as torch:
        torch.run("torch.save({'a': torch.zeros(1).expand(2**20, 2**20)}, file)", file=str(file))
    with pytest.raises(UserError, match="larger than the file"):
        hugging_face.examine(tmp_path / "source")
