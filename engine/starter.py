"""Trains and writes the starter model, a tiny chat model that calculates badly enough to improve. Knows no window.

`python -m engine.starter [--out DIR] [--seed N]` makes it again: the same bytes for a seed on the same machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine import arithmetic, backend, places, starter_tokenizer
from engine.errors import UserError
from engine.events import Progress
from engine.starter_conversations import sample_conversation, tokenizer_texts

if TYPE_CHECKING:
    import mlx.core as mx
    import numpy as np
    from tokenizers import Tokenizer

    from engine.starter_evaluation import Evaluation

ARCHITECTURE: Final[dict[str, Any]] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": starter_tokenizer.VOCABULARY_SIZE,
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 16,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": starter_tokenizer.CONTEXT_LENGTH,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "mlp_bias": False,
    "torch_dtype": "float32",
}
"""The keys of config.json, without the ids of the special tokens."""

_FILES: Final = frozenset(
    {
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the starter is trained: AdamW with a warm-up and a cosine decay, until the accuracy on the validation
    problems lies in `band`.

    An evaluation above the band goes back to the weights of the one before and goes on at half the learning rate.
    `rows` counts questions in a batch; `multi_turn` is the share of the batches whose conversations ask several.
    """

    band: tuple[float, float] = (0.44, 0.47)
    max_steps: int = 800
    rows: int = 64
    multi_turn: float = 0.3
    learning_rate: float = 4e-3
    warmup_steps: int = 20
    decay_steps: int = 400
    lowest_rate: float = 0.1
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0
    first_evaluation: int = 160
    steps_between_evaluations: int = 10


def train(seed: int, out: Path, recipe: Recipe | None = None) -> Iterator[Progress]:
    """Train a starter model and write it to the folder `out`, in place of a starter that is there.

    Raises:
        UserError: `out` holds something else, or the accuracy did not reach the band within `max_steps`.
    """
    recipe = recipe or Recipe()
    _refuse_foreign_folder(out)
    backend.prepare()
    import mlx.core as mx
    import numpy as np

    from engine.starter_evaluation import evaluate

    problems = arithmetic.split()
    tokenizer = starter_tokenizer.build(tokenizer_texts(problems.train[:200]))
    model = _new_model(mx.random.key(seed))
    accuracy = None
    for step, accuracy in _training_steps(model, tokenizer, problems, recipe, np.random.default_rng(seed)):
        detail = f"validation accuracy {accuracy:.1%}" if accuracy is not None else ""
        yield Progress("Training the starter model", step, None, "steps", detail)
    if accuracy is None or not recipe.band[0] <= accuracy <= recipe.band[1]:
        raise UserError(
            "The starter model did not reach the wanted accuracy.",
            "After {steps} steps {accuracy} of the validation problems were answered rightly.",
            "Try another seed.",
            steps=recipe.max_steps,
            accuracy="none" if accuracy is None else f"{accuracy:.1%}",
        )
    greedy = evaluate(model, tokenizer, problems.held_out)
    sampled = evaluate(model, tokenizer, problems.held_out, temperature=1.0, key=mx.random.key(seed))
    _write(out, model, tokenizer, _readme(seed, model, greedy, sampled))
    yield Progress("Training the starter model", step, step, "steps", f"held-out accuracy {greedy.accuracy:.1%}")


def _training_steps(
    model: Any,
    tokenizer: Tokenizer,
    problems: arithmetic.Split,
    recipe: Recipe,
    random: np.random.Generator,
) -> Iterator[tuple[int, float | None]]:
    """Train `model` in place; yields each step's number and the validation accuracy where it was measured."""
    import mlx.core as mx
    from mlx import nn, optimizers
    from mlx.nn.utils import value_and_grad

    from engine.starter_evaluation import evaluate

    def loss(inputs: mx.array, is_reply: mx.array) -> mx.array:
        losses = nn.losses.cross_entropy(model(inputs[:, :-1]), inputs[:, 1:])
        return (losses * is_reply[:, 1:]).sum() / is_reply.sum()

    loss_and_gradients = value_and_grad(model, loss)
    optimizer = optimizers.AdamW(recipe.learning_rate, betas=[0.9, 0.95], weight_decay=recipe.weight_decay)
    warmup = optimizers.linear_schedule(0.0, 1.0, recipe.warmup_steps)
    decay = optimizers.cosine_decay(1.0, recipe.decay_steps, recipe.lowest_rate)
    peak = recipe.learning_rate
    before = None
    for step in range(1, recipe.max_steps + 1):
        optimizer.learning_rate = peak * warmup(mx.array(step)) * decay(mx.array(step))
        _, gradients = loss_and_gradients(*_batch(tokenizer, problems.train, recipe, random))
        gradients, _ = optimizers.clip_grad_norm(  # type: ignore[no-untyped-call]
            gradients, recipe.max_gradient_norm
        )
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state)
        if step < recipe.first_evaluation or step % recipe.steps_between_evaluations:
            yield step, None
            continue
        accuracy = evaluate(model, tokenizer, problems.validation).accuracy
        yield step, accuracy
        if accuracy > recipe.band[1] and before is not None:
            model.update(before[0])
            optimizer.state = before[1]
            peak /= 2
        elif accuracy >= recipe.band[0]:
            return
        else:
            before = _copy(model.parameters()), _copy(optimizer.state)


def _new_model(key: mx.array) -> Any:
    """A Llama whose matrices are drawn from `key` alone, with a standard deviation of 1/sqrt(inputs)."""
    import mlx.core as mx
    from mlx.utils import tree_flatten, tree_unflatten
    from mlx_lm.models import llama

    model = llama.Model(llama.ModelArgs.from_dict(ARCHITECTURE))
    weights: Any = tree_flatten(model.parameters())
    keys = mx.random.split(key, len(weights))
    drawn = [
        (name, mx.random.normal(weight.shape, key=keys[index]) * weight.shape[-1] ** -0.5)
        for index, (name, weight) in enumerate(weights)
        if weight.ndim == 2
    ]
    model.update(tree_unflatten(drawn))
    mx.eval(model.parameters())
    return model


def _copy(tree: Any) -> Any:
    """The same arrays in containers of their own; arrays themselves are replaced by training, never changed."""
    from mlx.utils import tree_map

    return tree_map(lambda leaf: leaf, tree)


def _batch(
    tokenizer: Tokenizer,
    problems: tuple[arithmetic.Problem, ...],
    recipe: Recipe,
    random: np.random.Generator,
) -> tuple[mx.array, mx.array]:
    """Token ids (conversations x tokens, padded on the right), and 1.0 where a token belongs to a reply."""
    import mlx.core as mx
    import numpy as np

    turns = int(random.integers(2, 4)) if random.random() < recipe.multi_turn else 1
    texts = [
        starter_tokenizer.render(sample_conversation(random, problems, turns))
        for _ in range(max(1, recipe.rows // turns))
    ]
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    length = max(len(encoding.ids) for encoding in encodings)
    pad = tokenizer.token_to_id(starter_tokenizer.PAD)
    inputs = np.full((len(texts), length), pad, np.int32)
    for row, encoding in zip(inputs, encodings, strict=True):
        row[: len(encoding.ids)] = encoding.ids
    marker_ids = [tokenizer.token_to_id(marker) or 0 for marker in starter_tokenizer.ROLES.values()]
    is_marker = np.isin(inputs, marker_ids)
    last_marker = np.maximum.accumulate(np.where(is_marker, np.arange(length), 0), axis=1)
    speaker = np.take_along_axis(inputs, last_marker, axis=1)
    # What follows the assistant's marker, its end token included.
    is_reply = (speaker == tokenizer.token_to_id(starter_tokenizer.ROLES["assistant"])) & ~is_marker & (inputs != pad)
    return mx.array(inputs), mx.array(is_reply.astype(np.float32))


def _write(out: Path, model: Any, tokenizer: Tokenizer, readme: str) -> None:
    """Write all files to a temporary folder beside `out`, then put it in the place of `out`."""
    import mlx.core as mx
    from mlx.utils import tree_flatten

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        folder = Path(temporary) / "new"
        folder.mkdir()
        starter_tokenizer.write(tokenizer, folder)
        special_ids = {
            "bos_token_id": tokenizer.token_to_id(starter_tokenizer.BEGIN),
            "eos_token_id": tokenizer.token_to_id(starter_tokenizer.END),
            "pad_token_id": tokenizer.token_to_id(starter_tokenizer.PAD),
        }
        _write_json(folder / "config.json", {**ARCHITECTURE, **special_ids})
        _write_json(folder / "generation_config.json", special_ids)
        weights = dict(tree_flatten(model.parameters()))
        mx.save_safetensors(str(folder / "model.safetensors"), weights, {"format": "mlx"})
        (folder / "README.md").write_text(readme, "utf-8")
        if out.exists():
            out.rename(Path(temporary) / "old")
        folder.rename(out)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def _refuse_foreign_folder(out: Path) -> None:
    """Whatever is at `out` will be replaced, so it must be nothing or an earlier starter."""
    foreign = [out.name] if out.is_file() else []
    if out.is_dir():
        foreign = sorted(path.name for path in out.iterdir() if path.name not in _FILES)
    if foreign:
        raise UserError(
            "The starter model cannot be written to {out}",
            "Something else is there: {foreign}.",
            "Name a folder that does not exist yet.",
            out=out,
            foreign=", ".join(foreign[:5]),
        )


def _readme(seed: int, model: Any, greedy: Evaluation, sampled: Evaluation) -> str:
    from mlx.utils import tree_flatten

    weights: Any = tree_flatten(model.parameters())
    parameters = sum(weight.size for _, weight in weights)
    return f"""\
# The starter model

A Llama of {parameters:,} float32 weights that adds and subtracts two-digit numbers, not very well: a model that needs
no download, and that reinforcement learning improves within minutes. It is a demonstration, not an assistant.

    What is 47 + 38?
    {arithmetic.reference_reply(arithmetic.Problem(47, "+", 38))}

It answers {greedy.accuracy:.1%} of 500 problems that its training never saw when it takes the likeliest token, and
{sampled.accuracy:.1%} when it samples at temperature 1; {greedy.well_formed:.1%} and {sampled.well_formed:.1%} of these
replies have the form above. To anything else it answers in the same form what it can do.

`python -m engine.starter --seed {seed}` made this folder. The training stops as soon as the accuracy on a validation
set is in the wanted band, so that another machine gives other weights that calculate about as well.
The tokenizer was trained by the same script: byte-level BPE of {starter_tokenizer.VOCABULARY_SIZE} tokens, one for
each digit. No text or data of others went into it; its licence is the program's.
"""


def main() -> int:
    """Train the starter model on the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m engine.starter", description="Train the starter model again.")
    parser.add_argument("--out", type=Path, help="the folder to write (default: the one inside the program)")
    parser.add_argument("--seed", type=int, default=0, help="decides the first weights and the data (default: 0)")
    arguments = parser.parse_args()
    try:
        for event in train(arguments.seed, arguments.out or places.starter_folder()):
            sys.stdout.write(f"\r{event.what}: {event.done:.0f} {event.unit} {event.detail}".ljust(79))
            sys.stdout.flush()
    except UserError as error:
        sys.stderr.write(f"\n{error.what} {error.why} {error.remedy}\n")
        return 2
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
