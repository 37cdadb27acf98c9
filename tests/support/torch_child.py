"""Makes tiny transformers models and computes their logits, in a process of its own where torch may be seen.

Run as a program it answers requests, one JSON line each; imported, `torch_child()` starts it and `TorchChild` asks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class TorchChild:
    """The asking side."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def make(self, folder: Path, config: dict[str, Any], *, seed: int = 0, scale: float = 1.0, **save: Any) -> Path:
        """A random transformers model in `folder`, saved by `save_pretrained(**save)`; no tokenizer.

        `config` names a config class and its arguments: {"class": "LlamaConfig", "hidden_size": 32, ...}; the model is
        AutoModelForCausalLM's, or the class named by "model_class". Weights are drawn anew, normal with a deviation of
        0.08 x scale (norms near 1, biases small), so that logits of a tiny model differ visibly.
        """
        self._ask("make", folder=str(folder), config=config, seed=seed, scale=scale, save=save)
        return folder

    def logits(self, folder: Path, ids: list[list[int]], *, model_class: str = "AutoModelForCausalLM") -> Any:
        """Float32 logits as a numpy array of shape (batch, time, vocabulary), attention computed eagerly."""
        import numpy as np

        path = folder / "torch-logits.npy"
        self._ask("logits", folder=str(folder), ids=ids, out=str(path), model_class=model_class)
        logits = np.load(path)
        path.unlink()
        return logits

    def run(self, code: str, **values: Any) -> Any:
        """Run Python there with `torch`, `transformers` and `values` in sight; `result` comes back."""
        return self._ask("run", code=code, values=values)

    def _ask(self, what: str, **values: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"what": what} | values) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the torch process died"
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]


@contextmanager
def torch_child() -> Iterator[TorchChild]:
    """A running child, ended at the end."""
    words = [sys.executable, "-W", "ignore", str(Path(__file__))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield TorchChild(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


def _make(folder: str, config: dict[str, Any], seed: int, scale: float, save: dict[str, Any]) -> None:
    import torch
    import transformers

    config = dict(config)
    model_class = getattr(transformers, config.pop("model_class", "AutoModelForCausalLM"))
    made = getattr(transformers, config.pop("class"))(**config)
    torch.manual_seed(seed)
    model = model_class.from_config(made) if hasattr(model_class, "from_config") else model_class(made)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if not weight.is_floating_point():
                continue
            spread = torch.randn_like(weight, dtype=torch.float32)
            if weight.dim() > 1:
                weight.copy_(spread * 0.08 * scale)
            elif name.endswith("weight"):
                weight.copy_(1 + 0.1 * spread if weight.float().mean() > 0.5 else 0.1 * spread)
            else:
                weight.add_(0.05 * spread)
    model.save_pretrained(folder, **save)


def _logits(folder: str, ids: list[list[int]], out: str, model_class: str) -> None:
    import numpy as np
    import torch
    import transformers

    loader = getattr(transformers, model_class)
    model, report = loader.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    assert not report["missing_keys"], report
    with torch.no_grad():
        np.save(out, model.eval()(torch.tensor(ids), use_cache=False).logits.float().numpy())


def _answer() -> None:
    import os
    import traceback

    replies, sys.stdout = sys.stdout, sys.stderr
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    import torch
    import transformers

    torch.set_num_threads(1)
    for line in sys.stdin:
        request = json.loads(line)
        what = request.pop("what")
        result = None
        try:
            if what == "run":
                names = {"torch": torch, "transformers": transformers, "result": None} | request["values"]
                exec(request["code"], names)  # noqa: S102  the tests' own code
                result = names["result"]
            else:
                (_make if what == "make" else _logits)(**request)
            reply = {"result": result}
        except Exception:
            reply = {"error": traceback.format_exc()}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    _answer()
