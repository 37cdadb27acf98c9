"""Speculative decoding beside plain decoding, pair by pair: where guesses pay on this machine, and where they do not.

Each target is SmolLM2-135M-Instruct in the type that the machine computes in. Its drafts: itself in 4 bits (it agrees
often, and may be no faster), its first layers alone (fast, and agrees seldom). The deep target is the same model behind
layers that add nothing, at several times the cost: with the model itself as draft it is the most that guessing can do.

Run: python -m benchmarks.speculation [--rounds N] [--tokens N]
"""

from __future__ import annotations

import argparse
import statistics

from engine import backend

backend.prepare()

import mlx.core as mx
from mlx.nn.layers.quantized import quantize
from mlx.utils import tree_flatten, tree_unflatten

from engine.chat import prompts
from engine.chat.streaming import stream_reply
from engine.config import Sampling
from engine.events import ReplyFinished
from engine.session import ModelSession, drain, open_session

DEEPER = 4
QUESTION = "Explain how a sailing ship can go against the wind, and what its crew must do for it."


def opened() -> ModelSession:
    from tests.real_model import smollm2

    session = drain(open_session(str(smollm2.folder())))
    session.tokenizer.eos_token_ids = []  # an answer of full length each time
    return session


def in_four_bits() -> ModelSession:
    session = opened()
    quantize(session.model, group_size=64, bits=4)
    mx.eval(session.model.parameters())
    return session


def first_layers(count: int) -> ModelSession:
    session = opened()
    session.model.model.layers = session.model.model.layers[:count]
    return session


def deep() -> ModelSession:
    """Each layer several times over, of which only the first changes anything."""
    session, layers = opened(), []
    for layer in session.model.model.layers:
        layers.append(layer)
        for _ in range(DEEPER - 1):
            idle = type(layer)(session.model.args, layer.use_sliding)
            weights = dict(tree_flatten(layer.parameters()))
            for name in ("self_attn.o_proj.weight", "mlp.down_proj.weight"):
                weights[name] = mx.zeros_like(weights[name])
            # Arrays of their own, so that they cost what layers cost.
            idle.update(tree_unflatten([(name, array + 0) for name, array in weights.items()]))
            layers.append(idle)
    session.model.model.layers = layers
    mx.eval(session.model.parameters())
    return session


def measure(name: str, target: ModelSession, draft: ModelSession, rounds: int, tokens: int) -> None:
    """Speeds in turn, plain and with guesses, greedy and drawn."""
    ids = prompts.encode_chat(target.tokenizer, [("user", QUESTION)])
    for temperature in (0.0, 0.7):
        sampling = Sampling(temperature=temperature, max_tokens=tokens, seed=7)
        pairs, texts, last = [], set(), None
        for _ in range(rounds + 1):
            draft.pause, speeds = 0, []
            for guesses in (None, draft):
                *_, last = stream_reply(target, ids, sampling, draft=guesses)
                assert isinstance(last, ReplyFinished)
                speeds.append(last.tokens_per_second)
                texts.add(last.text)
            pairs.append(speeds)
        assert isinstance(last, ReplyFinished)
        ratios = [guessed / plain for plain, guessed in pairs[1:]]  # the first warms up
        plain, guessed = (statistics.median(column) for column in zip(*pairs[1:], strict=True))
        share = last.accepted / last.drafted if last.drafted else 0.0
        among = last.drafted / 3 + last.accepted  # each round gives one token more than it accepts
        kept_on = "to the end" if among > tokens - 20 else f"given up after {among:.0f} tokens"
        print(
            f"  {name:34} T={temperature}   plain {plain:6.1f}   with guesses {guessed:6.1f} tokens/s   "
            f"x{statistics.median(ratios):.2f} [{min(ratios):.2f}..{max(ratios):.2f}]   "
            f"{last.accepted} of {last.drafted} accepted ({share:.0%}), {kept_on}   "
            f"{'same text' if len(texts) == 1 else f'{len(texts)} texts'}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=160)
    arguments = parser.parse_args()
    target = opened()
    measure("itself in 4 bits", target, in_four_bits(), arguments.rounds, arguments.tokens)
    measure("its first 8 of 30 layers", target, first_layers(8), arguments.rounds, arguments.tokens)
    measure(f"{DEEPER} times as deep, guessed by itself", deep(), target, arguments.rounds, arguments.tokens)


if __name__ == "__main__":
    main()
