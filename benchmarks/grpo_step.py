"""One GRPO step beside mlx-lm-lora's, same job, same run: wall time and peak memory of MLX, each in a fresh process.

Run: python -m benchmarks.grpo_step [--rounds N] [--steps N] [--plain-sampling] [CASE ...]
The peer is installed from the package registry into an environment of its own in the cache folder, once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import grpo_peer
from benchmarks.conversion import apart

PEER = "5.10.2"
PROMPTS, GENERATIONS, TOKENS = 4, 8, 64
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 688,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
}
# Takes the arguments of both programs.
REWARD = "def characters(completions, **columns):\n    return [float(len(text)) for text in completions]\n"
# Its command line samples so and offers nothing else.
PEER_SAMPLING = {"temperature": 1.0, "top_p": 0.95, "top_k": 20}
PLAIN_SAMPLING = {"temperature": 1.0, "top_p": 1.0, "top_k": 0}


@dataclass(frozen=True)
class Case:
    """A job for both: tokens of each prompt, KL factor, vocabulary; our micro-batches; and the figures wanted of us.

    The peer's micro-batches are always as many rows as there are prompts.
    """

    prompt: int
    beta: float
    vocabulary: int
    micro_batch_tokens: int
    step: float | None
    rollout: float | None
    update_peak: float


CASES = {
    "p128": Case(128, 0.1, 2000, 640, 3.0, 3.5, 0.5),
    "p128-beta0": Case(128, 0.0, 2000, 640, 3.0, 3.5, 0.5),
    "p512": Case(512, 0.1, 2000, 1024, 4.5, 3.5, 0.5),
    "vocabulary32k": Case(128, 0.1, 32_000, 640, None, None, 0.35),
}


def peer_python() -> Path:
    """The interpreter of the peer's environment, with the same MLX as ours; made if it is not there."""
    import platformdirs

    linux = platform.system() == "Linux"
    names = {"mlx": "mlx[cpu]" if linux else "mlx"} | {
        name: name for name in ("mlx-lm", "numpy", "transformers", "tokenizers", "datasets")
    }
    pins = [f"{shown}=={version(name)}" for name, shown in names.items()] + [f"mlx-lm-lora=={PEER}"]
    mark = hashlib.sha256(" ".join([*pins, sys.version]).encode()).hexdigest()[:12]
    folder = Path(platformdirs.user_cache_dir("MLX-GRPO", appauthor=False)) / "benchmarks" / f"mlx-lm-lora-{mark}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"installing mlx-lm-lora {PEER} into {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-qq", *pins], check=True)
        (folder / "complete").touch()
    return python


def make_model(folder: Path, vocabulary: int) -> None:
    """A random float32 Llama whose tokens are words; its special tokens lie beyond its vocabulary, so none is drawn."""
    import numpy as np
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder.mkdir()
    words = {f"w{number}": number for number in range(vocabulary)} | {"<unk>": vocabulary, "</s>": vocabulary + 1}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<unk>",
        "eos_token": "</s>",
        "chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(special), "utf-8")
    config = CONFIG | {"vocab_size": vocabulary, "eos_token_id": vocabulary + 1}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")

    hidden, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    keys = hidden * CONFIG["num_key_value_heads"] // CONFIG["num_attention_heads"]
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, hidden)}
    for number in range(CONFIG["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        shapes |= {f"{layer}.self_attn.{name}_proj.weight": (hidden, hidden) for name in "qo"}
        shapes |= {f"{layer}.self_attn.{name}_proj.weight": (keys, hidden) for name in "kv"}
        shapes |= {f"{layer}.mlp.{name}_proj.weight": (inner, hidden) for name in ("gate", "up")}
        shapes[f"{layer}.mlp.down_proj.weight"] = (hidden, inner)
    generator = np.random.default_rng(0)
    weights = {name: generator.normal(0, 0.02, shape).astype(np.float32) for name, shape in shapes.items()}
    norms = [
        f"model.layers.{number}.{at}_layernorm.weight" for number in range(4) for at in ("input", "post_attention")
    ]
    weights |= {name: np.ones(hidden, np.float32) for name in [*norms, "model.norm.weight"]}
    save_file(weights, folder / "model.safetensors")


def make_job(work: Path, name: str, steps: int, sampling: dict[str, float], compiled: bool) -> dict[str, Any]:
    """The files of a case, and what both programs are told."""
    case = CASES[name]
    model = work / f"model-{case.vocabulary}"
    if not model.exists():
        apart(make_model, model, case.vocabulary)
    draw = random.Random(name)  # noqa: S311
    rows = [
        {"question": " ".join(f"w{draw.randrange(2000)}" for _ in range(case.prompt)), "answer": "w1"}
        for _ in range(PROMPTS * steps)
    ]
    data = work / f"{name}.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    reward = work / "reward.py"
    reward.write_text(REWARD, "utf-8")
    return sampling | {
        "model": str(model),
        "data": str(data),
        "reward_file": str(reward),
        "reward": "characters",
        "beta": case.beta,
        "prompt": case.prompt,
        "prompts": PROMPTS,
        "generations": GENERATIONS,
        "micro_batch_tokens": case.micro_batch_tokens,
        "tokens": TOKENS,
        "steps": steps,
        "rank": 8,
        "scale": 10.0,
        "learning_rate": 1e-5,
        "seed": 0,
        "compile": compiled,
    }


def run_ours(job: dict[str, Any]) -> None:
    """A training run of ours, measured from outside."""
    from engine import backend

    backend.prepare()

    from engine.grpo import rollout, trainer
    from engine.grpo.settings import TrainConfig
    from engine.training_events import StepFinished

    config = TrainConfig(
        model_name=job["model"],
        output_dir=str(Path(job["output"]).with_suffix(".runs")),
        seed=job["seed"],
        precision="float32",
        train_type="lora",
        lora_rank=job["rank"],
        lora_scale=job["scale"],
        dataset=job["data"],
        eval_split="",
        eval_fraction=0.0,
        eval_samples=0,
        system_prompt="",
        completion_prefill="",
        max_prompt_length=job["prompt"],
        rewards=(job["reward"],),
        reward_file=job["reward_file"],
        num_generations=job["generations"],
        max_new_tokens=job["tokens"],
        temperature=job["temperature"],
        top_p=job["top_p"],
        top_k=job["top_k"],
        batch_size=job["prompts"],
        gradient_accumulation_steps=1,
        kl_coeff=job["beta"],
        importance_correction="none",
        micro_batch_tokens=job["micro_batch_tokens"],
        learning_rate=job["learning_rate"],
        max_steps=job["steps"],
        save_steps=0,
    )
    meter = grpo_peer.Meter()
    generate = rollout.generate

    def measured(*arguments: Any, **options: Any) -> Generator[Any, None, list[rollout.Rollout]]:
        meter.begin()
        made = yield from generate(*arguments, **options)
        meter.end("rollout")
        meter.count(sum(len(each.tokens) for each in made))
        return made

    rollout.generate = measured
    for event in trainer.train(config):
        if isinstance(event, StepFinished):
            meter.end("update", event.peak_memory)
    meter.write(job["output"])


def run(program: str, job: dict[str, Any], python: Path, work: Path) -> dict[str, list[float]]:
    """One program's figures of every step but the first, from a process of its own."""
    asked, output = work / "job.json", work / "figures.json"
    asked.write_text(json.dumps(job | {"output": str(output)}), "utf-8")
    output.unlink(missing_ok=True)
    command = {
        "ours": [sys.executable, "-m", "benchmarks.grpo_step", "--job", str(asked)],
        "peer": [str(python), grpo_peer.__file__, str(asked)],
    }[program]
    environment = os.environ | {"MLX_GRPO_HOME": str(work / "home"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    figures: dict[str, list[float]] = json.loads(output.read_text("utf-8"))
    expected = job["prompts"] * job["generations"] * job["tokens"]
    assert set(figures["tokens"]) == {expected}, f"{program} made {figures['tokens']} tokens, not {expected} a step"
    assert len(figures["update"]) == len(figures["rollout"]) == job["steps"], figures
    figures["step"] = [sum(parts) for parts in zip(figures["rollout"], figures["update"], strict=True)]
    return {name: values[1:] for name, values in figures.items()}


def compare(name: str, job: dict[str, Any], programs: Iterable[str], python: Path, work: Path, rounds: int) -> None:
    """Both programs in turn, each first in every other round."""
    case = CASES[name]
    runs: dict[str, list[dict[str, float]]] = {program: [] for program in programs}
    for number in range(rounds):
        for program in sorted(runs, reverse=bool(number % 2)):
            figures = run(program, job, python, work)
            runs[program].append({part: statistics.median(values) for part, values in figures.items()})
    print(
        f"{name}: {PROMPTS} prompts of {case.prompt} tokens x {GENERATIONS} completions of {TOKENS}, "
        f"beta {case.beta}, vocabulary {case.vocabulary}; {rounds} rounds",
        flush=True,
    )
    at_least = {"step": case.step, "rollout": case.rollout}
    for part in ("step", "rollout", "update"):
        show(
            f"{part}, s", {program: [each[part] for each in made] for program, made in runs.items()}, at_least.get(part)
        )
    for part, wanted in (("rollout_peak", None), ("update_peak", case.update_peak)):
        columns = {program: [each[part] / 1e6 for each in made] for program, made in runs.items()}
        show(f"{part.replace('_', ' ')}, MB", columns, wanted, times=False)


def show(what: str, columns: dict[str, list[float]], wanted: float | None, *, times: bool = True) -> None:
    """Medians with ranges, and the ratio round by round: how many times faster we are, or our share of the memory."""
    cells = [
        f"{program} {statistics.median(values):7.2f} [{min(values):.2f}..{max(values):.2f}]"
        for program, values in columns.items()
    ]
    line = f"  {what:16} " + "   ".join(f"{cell:32}" for cell in cells)
    if len(columns) == 2:
        pairs = zip(columns["ours"], columns["peer"], strict=True)
        ratios = [peer / mine if times else mine / peer for mine, peer in pairs]
        line += f"ratio {statistics.median(ratios):.2f} [{min(ratios):.2f}..{max(ratios):.2f}]"
        if wanted is not None:
            line += f"   wanted {'>=' if times else '<='} {wanted}"
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; all if none is named")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each program")
    parser.add_argument("--steps", type=int, default=2, help="measured steps of each process, after one that warms up")
    parser.add_argument("--only", choices=("ours", "peer"), help="measure one program alone")
    parser.add_argument("--plain-sampling", action="store_true", help="no top-k and top-p, which the peer always has")
    parser.add_argument("--peer-compile", action="store_true", help="let the peer use mx.compile on the CPU")
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        run_ours(json.loads(arguments.job.read_text("utf-8")))
        return
    if unknown := set(arguments.cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    programs = (arguments.only,) if arguments.only else ("ours", "peer")
    python = peer_python() if "peer" in programs else Path()
    sampling = PLAIN_SAMPLING if arguments.plain_sampling else PEER_SAMPLING
    with tempfile.TemporaryDirectory(prefix="mlx-grpo-benchmark-") as folder:
        work = Path(folder)
        for name in arguments.cases or CASES:
            job = make_job(work, name, arguments.steps + 1, sampling, arguments.peer_compile)
            compare(name, job, programs, python, work, arguments.rounds)


if __name__ == "__main__":
    main()
