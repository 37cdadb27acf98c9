"""Asking on in a long conversation in a fresh process: its KV cache read from disk, beside the whole prompt read anew.

Also what a KV cache takes in memory whole, in 8 and in 4 bits, and how near the answers stay.

Run: python -m benchmarks.reopen [--rounds N] [--tokens N] [MODEL]     (default: SmolLM2-135M-Instruct)
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from engine import backend

backend.prepare()

from engine.chat import prompts, reading
from engine.chat.conversations import Conversations
from engine.chat.requests import ChatOptions
from engine.config import Sampling
from engine.events import ReplyFinished, Token
from engine.jobs import LoadModel, Reply, Workbench, start
from engine.session import ModelSession, drain, open_session

SAMPLING = Sampling(temperature=0.0, max_tokens=4)
DISK = 8 << 30
SENTENCE = "The sea is wide and blue and deep, and ships sail over it to islands that nobody has named. "


def ask(database: Path, model: str, question: str) -> dict[str, float]:
    """Ask on in the one conversation there is; seconds to the first token, from the request with the model loaded."""
    bench = Workbench()
    list(start(LoadModel(model), bench))
    with Conversations(database) as store:
        [conversation] = store.all()
        said = store.add(conversation.id, conversation.leaf, "user", question)
        message = store.add(conversation.id, said.id, "assistant", "", state="writing")
    began, first, ended, finished = time.perf_counter(), 0.0, 0.0, None
    for event in start(
        Reply(LoadModel(model), database, message.id, SAMPLING, options=ChatOptions(kv_disk=DISK)), bench
    ):
        if isinstance(event, Token) and not first:
            first = time.perf_counter() - began
        if isinstance(event, ReplyFinished):
            finished, ended = event, time.perf_counter()
    assert finished is not None
    kept = time.perf_counter() - ended
    list(bench.clear())
    return {"first": first, "prompt": finished.prompt_tokens, "cached": finished.cached_tokens, "keeping": kept}


def asked_elsewhere(database: Path, model: str) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.reopen", "--child", str(database), model]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def reopen(model: str, tokens: int, rounds: int) -> None:
    """Times to the first token in turn, with and without the cache on disk."""
    with tempfile.TemporaryDirectory() as scratch:
        kept, bare = Path(scratch) / "kept" / "c.sqlite3", Path(scratch) / "bare" / "c.sqlite3"
        session = drain(open_session(model))
        text = SENTENCE
        while len(prompts.encode_text(session.tokenizer, text)) < tokens:
            text += SENTENCE
        session.close()
        kept.parent.mkdir()
        with Conversations(kept) as store:
            store.create()
        first = ask(kept, model, text)
        size = sum(file.stat().st_size for file in (kept.parent / "Caches").rglob("*") if file.is_file())
        print(f"  first turn        {first['prompt']:.0f} tokens read in {first['first']:.2f} s")
        print(f"  after the answer  its cache of {size / 1e6:.0f} MB kept in {first['keeping']:.2f} s")
        shutil.copytree(kept.parent, bare.parent, ignore=shutil.ignore_patterns("Caches"))
        times: dict[str, list[float]] = {"disk": [], "whole": []}
        for _ in range(rounds):
            for name, database in (("disk", kept), ("whole", bare)):
                copy = Path(scratch) / "round"
                shutil.copytree(database.parent, copy)
                found = asked_elsewhere(copy / "c.sqlite3", model)
                shutil.rmtree(copy)
                assert (found["cached"] > tokens - 100) == (name == "disk"), found
                times[name].append(found["first"])
    disk, whole = (statistics.median(times[name]) for name in ("disk", "whole"))
    spread = ", ".join(f"{name} {min(values):.3f}..{max(values):.3f}" for name, values in times.items())
    print(
        f"  asking on         from disk {disk:.3f} s   whole prompt {whole:.2f} s   1/{whole / disk:.0f}   [{spread}]"
    )


def precisions(model: str, tokens: int) -> None:
    """What a cache takes in memory, and what compressing it changes of the next token."""
    import mlx.core as mx

    session: ModelSession = drain(open_session(model))
    ids = prompts.encode_text(session.tokenizer, SENTENCE * (tokens // 10))[:tokens]
    exact: Any = None
    for bits in (0, 8, 4):
        steps = reading.read(session, ids, bits)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                cache, _ = end.value
                break
        size = sum(layer.nbytes for layer in cache)
        logits = session.model(mx.array([ids[-1:]]), cache=cache)[0, -1].astype(mx.float32)
        logprobs = logits - mx.logsumexp(logits)
        exact = logprobs if exact is None else exact
        divergence = float((mx.exp(exact) * (exact - logprobs)).sum().item())
        began = time.perf_counter()
        for _ in range(16):
            mx.eval(session.model(mx.array([ids[-1:]]), cache=cache))
        pace = 16 / (time.perf_counter() - began)
        print(
            f"  cache of {len(ids)}    {f'{bits} bits' if bits else 'whole':8} {size / 1e6:7.1f} MB   "
            f"{pace:6.1f} tokens/s   divergence of the next token {divergence:.1e} nats"
        )
    session.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--child", type=Path)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(ask(arguments.child, arguments.model, "And what is 12 + 34?")))
        return
    model = arguments.model
    if not model:
        from tests.real_model import smollm2

        model = str(smollm2.folder())
    print(Path(model).name)
    reopen(model, arguments.tokens, arguments.rounds)
    precisions(model, arguments.tokens)


if __name__ == "__main__":
    main()
