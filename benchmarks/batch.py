"""A batch beside mlx_lm's `batch_generate`, same work, same process: answers to 32 prompts, and 8 answers to each.

Run: python -m benchmarks.batch [--rounds N] [--model FOLDER] [--tokens N] [--sampled] [CASE ...]
Without --model it is measured on a random Llama of 27 million parameters, made on the spot.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.conversion import apart
from engine import backend

backend.prepare()

import mlx.core as mx

from engine.batch.side_by_side import ROWS, SideBySide
from engine.batch.writing import Ask
from engine.config import Sampling
from engine.session import ModelSession, drain, open_session

PROMPTS, PROMPT = 32, 256
CASES = {"prompts": (1, 0.97), "samples": (8, 2.0)}
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 512,
    "intermediate_size": 1376,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 16_002,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "eos_token_id": 16_001,
}


def make_model(folder: Path) -> None:
    """A random float32 Llama whose tokens are words; its end token is never drawn in practice."""
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder.mkdir()
    vocabulary = CONFIG["vocab_size"] - 2
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
    (folder / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    hidden, inner, layers = CONFIG["hidden_size"], CONFIG["intermediate_size"], CONFIG["num_hidden_layers"]
    keys = hidden * CONFIG["num_key_value_heads"] // CONFIG["num_attention_heads"]
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (CONFIG["vocab_size"], hidden)}
    for number in range(layers):
        layer = f"model.layers.{number}"
        shapes |= {f"{layer}.self_attn.{name}_proj.weight": (hidden, hidden) for name in "qo"}
        shapes |= {f"{layer}.self_attn.{name}_proj.weight": (keys, hidden) for name in "kv"}
        shapes |= {f"{layer}.mlp.{name}_proj.weight": (inner, hidden) for name in ("gate", "up")}
        shapes[f"{layer}.mlp.down_proj.weight"] = (hidden, inner)
    generator = np.random.default_rng(0)
    weights = {name: generator.normal(0, 0.02, shape).astype(np.float32) for name, shape in shapes.items()}
    norms = [f"model.layers.{n}.{at}_layernorm.weight" for n in range(layers) for at in ("input", "post_attention")]
    weights |= {name: np.ones(hidden, np.float32) for name in [*norms, "model.norm.weight"]}
    save_file(weights, folder / "model.safetensors")


def ours(session: ModelSession, prompts: list[list[int]], samples: int, sampling: Sampling) -> int:
    """Tokens written by this program."""
    asks = [
        [Ask(row * samples + n, prompt, n, sampling.max_tokens, "length") for n in range(samples)]
        for row, prompt in enumerate(prompts)
    ]
    batch = SideBySide(session, sampling, iter(asks), sharing=samples > 1)
    while batch.advance() is not None:
        pass
    return batch.tokens


def theirs(session: ModelSession, prompts: list[list[int]], samples: int, sampling: Sampling) -> int:
    """Tokens written by mlx_lm."""
    from mlx_lm.generate import batch_generate
    from mlx_lm.sample_utils import make_sampler

    sampler = make_sampler(sampling.temperature, sampling.top_p)
    asked = [prompt for prompt in prompts for _ in range(samples)]
    done = batch_generate(
        session.model,
        session.tokenizer,
        asked,
        max_tokens=sampling.max_tokens,
        sampler=sampler,
        completion_batch_size=ROWS,
        return_token_ids=True,
        stream=mx.default_stream(mx.default_device()),
    )
    assert done.token_ids is not None
    return sum(map(len, done.token_ids))


def compare(session: ModelSession, name: str, sampling: Sampling, rounds: int) -> None:
    """Both in turn, each first in every other round; the first round warms up."""
    samples, wanted = CASES[name]
    ways: dict[str, Callable[..., int]] = {"ours": ours, "theirs": theirs}
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    beginning = np.random.default_rng(0).integers(1, 10_000, 24).tolist()
    for number in range(rounds + 1):
        draw = np.random.default_rng(number)
        # Prompts of different lengths, as a batch has them; the samples' are all as long.
        lengths = draw.integers(PROMPT // 4, PROMPT, PROMPTS) if samples == 1 else [PROMPT] * PROMPTS
        prompts = [beginning + draw.integers(1, 10_000, length - 24).tolist() for length in lengths]
        for way in sorted(ways, reverse=bool(number % 2)):
            mx.clear_cache()
            mx.reset_peak_memory()
            began = time.perf_counter()
            tokens = ways[way](session, prompts, samples, sampling)
            speeds[way].append(tokens / (time.perf_counter() - began))
            print(
                f"    {way:7} {tokens:6} tokens {speeds[way][-1]:8.1f} a second, {mx.get_peak_memory() / 1e6:7.0f} MB"
            )
    ratios = [mine / other for mine, other in zip(speeds["ours"][1:], speeds["theirs"][1:], strict=True)]
    shown = "   ".join(f"{way} {statistics.median(values[1:]):8.1f}" for way, values in speeds.items())
    print(
        f"  {name}: {PROMPTS} prompts x {samples}, {sampling.max_tokens} tokens each; tokens a second: {shown}   "
        f"ratio {statistics.median(ratios):.2f} [{min(ratios):.2f}..{max(ratios):.2f}]   wanted >= {wanted}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; all if none is named")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="", help="a model folder or alias in place of the random one")
    parser.add_argument("--tokens", type=int, default=64, help="tokens of each answer")
    parser.add_argument("--sampled", action="store_true", help="sample by the program's defaults in place of greedily")
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="mlx-grpo-benchmark-") as folder:
        model = arguments.model or str(Path(folder) / "model")
        if not arguments.model:
            apart(make_model, Path(model))
        session = drain(open_session(model))
        sampling = Sampling(temperature=0.0, max_tokens=arguments.tokens)
        sampling = Sampling(max_tokens=arguments.tokens) if arguments.sampled else sampling
        print(f"{session.files.name}, {'sampled' if arguments.sampled else 'greedy'}; {arguments.rounds} rounds")
        for name in arguments.cases or CASES:
            compare(session, name, sampling, arguments.rounds)
        session.close()


if __name__ == "__main__":
    main()
