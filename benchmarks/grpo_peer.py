"""One run of mlx-lm-lora's GRPO trainer, measured from outside; also the meter for ours. Knows nothing of the engine.

Runs in an environment of its own that `benchmarks.grpo_step` makes: python grpo_peer.py JOB.json
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Meter:
    """Seconds and peak bytes of MLX for the two parts of every step."""

    def __init__(self) -> None:
        import mlx.core as mx

        self.mx = mx
        self.started = 0.0
        self.parts: dict[str, list[float]] = {
            name: [] for name in ("rollout", "update", "rollout_peak", "update_peak", "tokens")
        }

    def begin(self) -> None:
        """A part begins."""
        self.mx.reset_peak_memory()
        self.started = time.perf_counter()

    def end(self, part: str, peak: int = 0) -> None:
        """The part ends, and what follows is the next; `peak` is what was read before somebody else reset it."""
        self.parts[part].append(time.perf_counter() - self.started)
        self.parts[f"{part}_peak"].append(max(peak, self.mx.get_peak_memory()))
        self.begin()

    def count(self, tokens: int) -> None:
        """Note how many tokens a rollout gave."""
        self.parts["tokens"].append(tokens)

    def write(self, path: str) -> None:
        Path(path).write_text(json.dumps(self.parts), "utf-8")


def load_openblas() -> None:
    """Put OpenBLAS before the reference BLAS that MLX's Linux wheel brings, one thread as ours has."""
    if sys.platform == "linux":
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        ctypes.CDLL("libopenblas.so.0", mode=ctypes.RTLD_GLOBAL)


def reward_of(path: str, name: str) -> Callable[..., list[float]]:
    """A function from a Python file."""
    found: dict[str, Any] = {}
    # The file is the benchmark's own, and the peer's environment has none of our rooms to load it with.
    exec(compile(Path(path).read_text("utf-8"), path, "exec"), found)  # noqa: S102
    function: Callable[..., list[float]] = found[name]
    return function


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    load_openblas()
    import mlx.core as mx
    import mlx.optimizers
    import numpy as np
    from mlx_lm.tuner.callbacks import TrainingCallback
    from mlx_lm.utils import load
    from mlx_lm_lora.trainer import grpo_trainer
    from mlx_lm_lora.trainer.datasets import GRPODataset
    from mlx_lm_lora.utils import from_pretrained

    if not job["compile"]:
        mx.disable_compile()
    mx.random.seed(job["seed"])
    np.random.seed(job["seed"])
    lora = {"rank": job["rank"], "scale": job["scale"], "dropout": 0.0, "num_layers": -1}
    model, tokenizer, _ = from_pretrained(job["model"], lora_config=lora)
    reference, _ = load(job["model"])  # its command line loads a second model whatever beta is
    rows = [json.loads(line) for line in Path(job["data"]).read_text("utf-8").splitlines()]
    data = GRPODataset(rows, tokenizer, prompt_key="question", text_completion_key="question")

    meter = Meter()
    generate = grpo_trainer.generate_grpo

    def measured(**arguments: Any) -> Any:
        meter.begin()
        completions, texts, indices = generate(**arguments)
        meter.end("rollout")
        meter.count(sum(completion.size for completion in completions))
        return completions, texts, indices

    class Callback(TrainingCallback):  # type: ignore[misc]
        def on_train_loss_report(self, train_info: dict[str, Any]) -> None:
            meter.end("update")

    grpo_trainer.generate_grpo = measured
    grpo_trainer.train_grpo(
        model,
        reference,
        tokenizer,
        mlx.optimizers.AdamW(learning_rate=job["learning_rate"]),
        data,
        reward_funcs=[reward_of(job["reward_file"], job["reward"])],
        args=grpo_trainer.GRPOTrainingArgs(
            iters=job["steps"],
            batch_size=job["prompts"],
            group_size=job["generations"],
            max_completion_length=job["tokens"],
            beta=job["beta"],
            steps_per_report=1,
            steps_per_save=job["steps"] + 1,
            adapter_file=str(Path(job["output"]).with_suffix(".safetensors")),
            temperature=job["temperature"],
            top_p=job["top_p"],
            top_k=job["top_k"],
        ),
        training_callback=Callback(),
        end_answer_token="",
    )
    meter.write(job["output"])


if __name__ == "__main__":
    main()
