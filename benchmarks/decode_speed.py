"""Our session beside mlx_lm on the same model in the same run: decode speed, and what the prompt cache saves.

Run: python -m benchmarks.decode_speed [--rounds N] [MODEL ...]     (default: starter and SmolLM2-135M-Instruct)
"""

from __future__ import annotations

import argparse
import statistics
import time

from engine import backend

backend.prepare()

from mlx_lm.generate import stream_generate
from mlx_lm.sample_utils import make_sampler

from engine.chat import prompts
from engine.chat.streaming import stream_reply
from engine.config import Sampling
from engine.events import ReplyFinished
from engine.session import ModelSession, drain, open_session

SETTINGS = {"temperature": 0.7, "top_p": 0.95}


def ours(session: ModelSession, ids: list[int], tokens: int) -> ReplyFinished:
    """One answer through our session."""
    *_, finished = stream_reply(session, ids, Sampling(max_tokens=tokens, **SETTINGS))
    assert isinstance(finished, ReplyFinished)
    return finished


def theirs(session: ModelSession, ids: list[int], tokens: int) -> float:
    """Decode speed of mlx_lm, in tokens a second from the first token to the last, as ours is counted."""
    sampler = make_sampler(temp=SETTINGS["temperature"], top_p=SETTINGS["top_p"])
    answer = stream_generate(session.model, session.tokenizer, ids, max_tokens=tokens, sampler=sampler)
    times = [time.perf_counter() for _ in answer]
    return (len(times) - 1) / (times[-1] - times[0])


def decode(session: ModelSession, rounds: int, tokens: int) -> None:
    """Speeds in turn, ours and theirs, and the ratio pair by pair."""
    session.tokenizer.eos_token_ids = []  # an answer of full length each time
    ids = prompts.encode_chat(session.tokenizer, [("user", "Tell me about the sea.")])
    pairs = []
    for _ in range(rounds + 1):
        finished = ours(session, ids, tokens)
        pairs.append((finished.tokens_per_second, theirs(session, ids, tokens)))
    pairs = pairs[1:]  # the first warms up
    ratios = [mine / other for mine, other in pairs]
    mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"  decode            ours {mine:8.1f} tokens/s   mlx_lm {other:8.1f} tokens/s   "
        f"ratio {statistics.median(ratios):.3f} [{min(ratios):.3f}..{max(ratios):.3f}]"
    )


def second_turn(session: ModelSession, rounds: int) -> None:
    """Time to first token of a first turn of 1,000 tokens and of the turn that follows it."""
    words = "The sea is wide and blue and deep, and ships sail over it. "
    if session.files.demonstration:
        words = "What is 47 + 38? "
    text = words
    while len(prompts.encode_chat(session.tokenizer, [("user", text)])) < min(1000, session.files.context - 120):
        text += words
    ratios, firsts, seconds = [], [], []
    for _ in range(rounds):
        session.prompts.trim_to(n_sequences=0)
        turns = [("user", text)]
        first = ours(session, prompts.encode_chat(session.tokenizer, turns), 16)
        turns += [("assistant", first.text), ("user", "And what is 12 + 34?")]
        second = ours(session, prompts.encode_chat(session.tokenizer, turns), 16)
        firsts.append(first.first_token_seconds)
        seconds.append(second.first_token_seconds)
        ratios.append(second.first_token_seconds / first.first_token_seconds)
    print(
        f"  first token       turn 1 ({first.prompt_tokens} tokens) {statistics.median(firsts) * 1000:7.1f} ms   "
        f"turn 2 ({second.prompt_tokens - second.cached_tokens} new) {statistics.median(seconds) * 1000:7.1f} ms   "
        f"ratio 1/{1 / statistics.median(ratios):.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    names = arguments.models
    if not names:
        from tests.real_model import smollm2

        names = ["starter", str(smollm2.folder())]
    for name in names:
        session = drain(open_session(name))
        print(session.files.name)
        second_turn(session, arguments.rounds)
        decode(session, arguments.rounds, 400 if session.files.demonstration else 48)
        session.close()


if __name__ == "__main__":
    main()
