"""Tiny random models on disk, made in a moment. Knows file formats, tests nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten

from engine import places

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "rope_theta": 10000.0,
}


def make_model(folder: Path, *, seed: int = 0, endless: bool = False, **changes: Any) -> Path:
    """A random model in `folder` with the starter's tokenizer; `changes` replace keys of its Llama config.

    An `endless` one has no end-of-text token and a long context: its answers go on until they are stopped.
    """
    from mlx_lm.utils import _get_classes

    folder.mkdir(parents=True, exist_ok=True)
    starter = places.starter_folder()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        if (starter / name).exists():
            shutil.copy(starter / name, folder / name)
    if endless:
        (folder / "generation_config.json").unlink(missing_ok=True)
        tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
        tokenizer.pop("eos_token")
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
        (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}\n{% endfor %}")
        changes = {"max_position_embeddings": 200_000} | changes
    vocabulary = json.loads((starter / "config.json").read_text())["vocab_size"]
    config = LLAMA | {"vocab_size": vocabulary} | changes
    config = {key: value for key, value in config.items() if value is not None}
    model_class, arguments = _get_classes(config)
    mx.random.seed(seed)
    weights = dict(tree_flatten(model_class(arguments.from_dict(config)).parameters()))
    mx.eval(weights)
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    (folder / "config.json").write_text(json.dumps(config))
    return folder
