"""Which class computes a configuration, and what asking for it must not do."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import architectures
from engine.errors import UserError
from tests.support import tiny_tokenizers


def test_the_tokenizer_of_an_olmo_opens_without_a_package_of_its_own(tmp_path: Path) -> None:
    from mlx_lm.utils import load_tokenizer

    folder = tiny_tokenizers.write_folder(tmp_path, "olmo", {"tokenizer_class": "PreTrainedTokenizerFast"})
    tiny_tokenizers.byte_level().save(str(folder / "tokenizer.json"))
    assert architectures.classes({"model_type": "olmo"})[0].__module__ == "engine.architectures.olmo"
    tokenizer = load_tokenizer(folder)
    assert tokenizer.decode(tokenizer.encode("Hello world")) == "Hello world"


def test_a_module_without_a_model_is_an_unknown_kind() -> None:
    with pytest.raises(UserError, match="cannot run"):
        architectures.classes({"model_type": "rope_utils"})
