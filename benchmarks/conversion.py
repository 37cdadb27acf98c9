"""Our conversion beside mlx_lm.convert's, same job, same run: wall time and peak memory, each in a fresh process.

Run: python -m benchmarks.conversion [--rounds N] [--layers N] [--tied]     (default: 3 rounds of 1.1 billion weights)
"""

from __future__ import annotations

import argparse
import json
import math
import mmap
import multiprocessing
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import places

SHARD_BYTES = 600_000_000
# The sizes of a Llama of 1.1 billion weights; 22 layers of them are 2.2 GB in bfloat16.
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 32_000,
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 2048,
    "torch_dtype": "bfloat16",
    "bos_token_id": 1,
    "eos_token_id": 2,
}
JOBS = {"4-bit": ["-q", "--q-bits", "4"], "unquantised": []}


def shapes(layers: int, tied: bool) -> dict[str, tuple[int, ...]]:
    """The tensors of the model by their names."""
    hidden, inner, vocabulary, keys = 2048, 5632, 32_000, 256
    named: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, hidden)}
    for number in range(layers):
        layer = f"model.layers.{number}"
        named |= {
            f"{layer}.self_attn.q_proj.weight": (hidden, hidden),
            f"{layer}.self_attn.k_proj.weight": (keys, hidden),
            f"{layer}.self_attn.v_proj.weight": (keys, hidden),
            f"{layer}.self_attn.o_proj.weight": (hidden, hidden),
            f"{layer}.mlp.gate_proj.weight": (inner, hidden),
            f"{layer}.mlp.up_proj.weight": (inner, hidden),
            f"{layer}.mlp.down_proj.weight": (hidden, inner),
            f"{layer}.input_layernorm.weight": (hidden,),
            f"{layer}.post_attention_layernorm.weight": (hidden,),
        }
    named["model.norm.weight"] = (hidden,)
    return named if tied else named | {"lm_head.weight": (vocabulary, hidden)}


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function run in a process of its own: the system counts our peak as that of all we start."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def make(folder: Path, layers: int, tied: bool) -> None:
    """A sharded random Llama in bfloat16, with the demonstration model's tokenizer."""
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(places.starter_folder() / name, folder)
    config = CONFIG | {"num_hidden_layers": layers, "tie_word_embeddings": tied}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    for name, shape in shapes(layers, tied).items():
        if sum(2 * math.prod(each) for each in shards[-1].values()) + 2 * math.prod(shape) > SHARD_BYTES:
            shards.append({})
        shards[-1][name] = shape
    files = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write(folder / file, shard)
        files |= dict.fromkeys(shard, file)
    total = sum(2 * math.prod(shape) for shard in shards for shape in shard.values())
    index = {"metadata": {"total_size": total}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")


def write(path: Path, shard: dict[str, tuple[int, ...]]) -> None:
    """One safetensors file of random bfloat16 numbers between 0.008 and 0.031, of both signs."""
    import numpy as np

    generator = np.random.default_rng(len(shard))
    header, offset = {}, 0
    for name, shape in shard.items():
        end = offset + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for shape in shard.values():
            bits = generator.integers(0, 2**16, math.prod(shape), np.uint16)
            out.write(memoryview(bits & 0x80FF | 0x3C00))


@dataclass(frozen=True)
class Run:
    """What one conversion took: seconds, and bytes resident at most in its process and all it started."""

    seconds: float
    memory: int


def run(command: list[str], environment: dict[str, str]) -> Run:
    """Carry out a command in a process of its own."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        sampled = [0]
        done = threading.Event()
        watch = threading.Thread(target=watch_memory, args=(child.pid, sampled, done))
        watch.start()
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
        done.set()
        watch.join()
        child.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        assert child.returncode == 0, log.read().decode()[-2000:]
    return Run(seconds, max(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024), *sampled))


def watch_memory(process: int, most: list[int], done: threading.Event) -> None:
    """Keep in `most` the bytes resident in a process and its children together, where the system tells (Linux)."""
    while not done.wait(0.02):
        most[0] = max(most[0], resident(process))


def resident(process: int) -> int:
    """The bytes resident in a process and all it started; 0 where the system does not tell or it has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except (OSError, IndexError):
        return 0
    return pages * mmap.PAGESIZE + sum(resident(int(child)) for child in children)


def weights(folder: Path) -> dict[str, tuple[Path, int, int]]:
    """Where each tensor's bytes are: file, first and last."""
    found = {}
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        for name, entry in header.items():
            start, end = entry["data_offsets"]
            found[name] = path, 8 + length + start, 8 + length + end
    return found


def same_weights(mine: Path, other: Path) -> bool:
    """Whether two models hold the same tensors, byte for byte."""
    ours, theirs = weights(mine), weights(other)
    return ours.keys() == theirs.keys() and all(read(*ours[name]) == read(*theirs[name]) for name in ours)


def read(path: Path, start: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)


def compare(name: str, options: list[str], source: Path, work: Path, rounds: int) -> None:
    """Both programs in turn, each first in every other round."""
    environment = os.environ | {"MLX_GRPO_HOME": str(work / "home"), "HF_HUB_OFFLINE": "1"}
    programs = {
        "mlx_lm": [sys.executable, "-m", "mlx_lm", "convert"],
        "ours": [str(Path(sys.executable).with_name("mlx-grpo")), "convert"],
    }
    runs: dict[str, list[Run]] = {"ours": [], "mlx_lm": []}
    for number in range(rounds):
        for program in sorted(programs, reverse=bool(number % 2)):
            output = work / program
            shutil.rmtree(output, ignore_errors=True)
            command = [*programs[program], "--hf-path", str(source), "--mlx-path", str(output), *options]
            runs[program].append(run(command, environment))
    print(f"{name}, {rounds} rounds")
    show("wall time, s", [[each.seconds for each in runs[program]] for program in ("ours", "mlx_lm")], 1.05)
    show("peak memory, MB", [[each.memory / 1e6 for each in runs[program]] for program in ("ours", "mlx_lm")], 0.5)
    same = apart(same_weights, work / "ours", work / "mlx_lm")
    print(f"  weights byte for byte the same: {'yes' if same else 'NO'}")


def show(what: str, columns: list[list[float]], wanted: float) -> None:
    """Medians, spread, and the ratio round by round."""
    mine, other = columns
    ratios = [own / theirs for own, theirs in zip(mine, other, strict=True)]
    cells = [f"{statistics.median(one):8.1f} [{min(one):.1f}..{max(one):.1f}]" for one in columns]
    print(
        f"  {what:16} ours {cells[0]:28} mlx_lm {cells[1]:28} "
        f"ratio {statistics.median(ratios):.3f} [{min(ratios):.3f}..{max(ratios):.3f}]   wanted <= {wanted}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=22)
    parser.add_argument("--tied", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlx-grpo-benchmark-") as folder:
        work = Path(folder)
        source = work / "source"
        apart(make, source, arguments.layers, arguments.tied)
        sizes = [path.stat().st_size for path in source.glob("*.safetensors")]
        print(f"source: {sum(sizes) / 1e9:.2f} GB in {len(sizes)} files")
        for name, options in JOBS.items():
            compare(name, options, source, work, arguments.rounds)


if __name__ == "__main__":
    main()
