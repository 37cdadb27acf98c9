"""Speculative decoding: the same answers as without, whatever the draft guesses."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mlx_lm.models.cache import KVCache, RotatingKVCache

from engine import library, memory, places
from engine.chat import drafts, prompts, speculation
from engine.chat.requests import ChatOptions
from engine.chat.streaming import stream_reply
from engine.config import Sampling
from engine.events import Event, ModelLoaded, Note, ReplyFinished, Token
from engine.jobs import Generate, LoadModel, Workbench, start
from engine.session import ModelSession, drain, open_session
from tests.engine.tiny import make_model

QUESTION = "What is 47 + 38?"


@pytest.fixture(scope="module")
def starter() -> ModelSession:
    return drain(open_session("starter"))


@pytest.fixture(scope="module")
def twin() -> ModelSession:
    """The best draft there can be: the model itself."""
    return drain(open_session("starter"))


@pytest.fixture(scope="module")
def stranger() -> ModelSession:
    """The worst one: of the same words, with weights that say something else."""
    import mlx.core as mx

    session = drain(open_session("starter"))
    session.model.load_weights([(name, array * 0.5) for name, array in _weights(session)])
    mx.eval(session.model.parameters())
    return session


def _weights(session: ModelSession) -> list[tuple[str, object]]:
    from mlx.utils import tree_flatten

    return list(tree_flatten(session.model.parameters()))


def endless(session: ModelSession) -> ModelSession:
    """No token ends its answers."""
    session.tokenizer._eos_token_ids = set()
    return session


def answer(
    session: ModelSession, sampling: Sampling, draft: ModelSession | None, prefix: tuple[int, ...] = ()
) -> tuple[list[Token], ReplyFinished]:
    session.prompts.trim_to(n_sequences=0)
    ids = prompts.encode_chat(session.tokenizer, [("user", QUESTION)])
    events: list[Event] = list(stream_reply(session, ids, sampling, draft=draft, prefix=prefix))
    finished = events[-1]
    assert isinstance(finished, ReplyFinished)
    # One without an id says only that the answer waits.
    return [event for event in events if isinstance(event, Token) and event.token is not None], finished


@pytest.mark.parametrize("kind", ["twin", "stranger"])
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.0, max_tokens=80),
        Sampling(temperature=1.3, seed=5, max_tokens=80),
        Sampling(temperature=1.0, top_p=0.9, top_k=20, seed=6, max_tokens=80),
        Sampling(temperature=1.0, repetition_penalty=1.5, seed=7, max_tokens=80),
    ],
)
def test_the_answer_is_the_same(
    kind: str, sampling: Sampling, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = endless(drain(open_session("starter")))
    draft: ModelSession = request.getfixturevalue(kind)
    monkeypatch.setattr(speculation, "_SOON", 10_000)
    plain, without = answer(session, sampling, None)
    guessed, finished = answer(session, sampling, draft)
    assert finished.text == without.text
    assert [token.token for token in guessed] == [token.token for token in plain]
    assert [token.logprob for token in guessed if token.logprob] == pytest.approx(
        [token.logprob for token in plain if token.logprob], abs=1e-4
    )
    assert (without.drafted, without.accepted) == (0, 0)
    assert finished.drafted > 25
    share = finished.accepted / finished.drafted
    assert share > 0.95 if kind == "twin" else share < 0.7
    assert finished.plain_speed > 0


def test_guesses_that_do_not_pay_are_given_up(stranger: ModelSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the rest of the answer is the one without them."""
    monkeypatch.setattr(stranger, "pause", 0)
    session = endless(drain(open_session("starter")))
    sampling = Sampling(temperature=1.0, seed=3, max_tokens=200)
    plain, _ = answer(session, sampling, None)

    class Slow:
        """A clock for which a token with guesses takes longer than one without."""

        now, calls = 0.0, 0

        def perf_counter(self) -> float:
            self.calls += 1
            self.now += 0.001 * self.calls**2
            return self.now

    monkeypatch.setattr(speculation, "time", Slow())
    guessed, finished = answer(session, sampling, stranger)
    assert [token.token for token in guessed] == [token.token for token in plain]
    assert 0 < finished.drafted < 60
    # It is some answers later that they are tried again.
    tried = [answer(session, sampling, stranger)[1].drafted > 0 for _ in range(4)]
    assert tried == [False, False, False, True]


def test_a_cache_after_guesses_serves_the_next_turn(twin: ModelSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speculation, "_SOON", 10_000)
    session = endless(drain(open_session("starter")))
    ids = prompts.encode_chat(session.tokenizer, [("user", QUESTION)])
    sampling = Sampling(temperature=0.0, max_tokens=100)
    *_, first = stream_reply(session, ids, sampling, draft=twin)
    assert isinstance(first, ReplyFinished)
    turns = [("user", QUESTION), ("assistant", first.text), ("user", "And 1 + 1?")]
    ids = prompts.encode_chat(session.tokenizer, turns)
    *_, second = stream_reply(session, ids, sampling, draft=twin)
    session.prompts.trim_to(n_sequences=0)
    *_, fresh = stream_reply(session, ids, sampling)
    assert isinstance(second, ReplyFinished)
    assert isinstance(fresh, ReplyFinished)
    assert second.cached_tokens > fresh.cached_tokens == 0
    assert second.text == fresh.text


def test_an_answer_that_is_stopped_among_guesses_leaves_a_right_cache(
    twin: ModelSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speculation, "_SOON", 10_000)
    session = endless(drain(open_session("starter")))
    ids = prompts.encode_chat(session.tokenizer, [("user", QUESTION)])
    sampling = Sampling(temperature=1.0, seed=2, max_tokens=100)
    whole = [event.token for event in stream_reply(session, ids, sampling) if isinstance(event, Token)]
    for length in range(14, 24):
        session.prompts.trim_to(n_sequences=0)
        steps, heard = stream_reply(session, ids, sampling, draft=twin), []
        for event in steps:
            heard += [event.token] if isinstance(event, Token) and event.token is not None else []
            if len(heard) == length:
                break
        steps.close()
        assert heard == whole[:length]
        again = [event.token for event in stream_reply(session, ids, sampling) if isinstance(event, Token)]
        assert again == whole


def test_short_answers_are_written_without_guesses(twin: ModelSession, starter: ModelSession) -> None:
    _, finished = answer(starter, Sampling(temperature=0.0, max_tokens=20), twin)
    assert finished.drafted == 0


def test_other_words_are_told(starter: ModelSession, twin: ModelSession) -> None:
    assert speculation.same_vocabulary(starter, twin)
    other = drain(open_session("starter"))
    other.tokenizer.add_tokens(["another"])
    assert not speculation.same_vocabulary(starter, other)


def test_an_answer_goes_on_from_a_beginning(starter: ModelSession) -> None:
    """As if it had drawn it: the same seed goes on as it did."""
    sampling = Sampling(temperature=1.0, seed=8, max_tokens=40)
    plain, whole = answer(starter, sampling, None)
    ids = tuple(token.token for token in plain if token.token is not None)
    for length in (1, 3, len(ids)):
        tokens, finished = answer(starter, sampling, None, ids[:length])
        assert finished.text == whole.text
        assert [token.token for token in tokens if token.token is not None] == list(ids)
        assert all(token.logprob is None for token in tokens[:length])
        assert (finished.completion_tokens, finished.prompt_tokens) == (whole.completion_tokens, whole.prompt_tokens)


def test_a_beginning_that_ends_the_answer_is_the_answer(starter: ModelSession) -> None:
    end = min(starter.tokenizer.eos_token_ids)
    ids = starter.tokenizer.encode("85", add_special_tokens=False)
    tokens, finished = answer(starter, Sampling(max_tokens=40), None, (*ids, end))
    assert (finished.text, finished.stop_reason) == ("85", "end")
    assert "".join(token.text for token in tokens) == "85"


@contextlib.contextmanager
def caches(session: ModelSession, make: Callable[[], Any]) -> Iterator[None]:
    """Inside, each layer of the model has a cache of this kind."""
    kind, layers = type(session.model), len(session.model.layers)
    kind.make_cache = lambda _: [make() for _ in range(layers)]  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del kind.make_cache  # type: ignore[attr-defined]


def test_a_sliding_window_that_fills_up_ends_the_guessing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has left the window could not be brought back."""
    monkeypatch.setattr(speculation, "_SOON", 10_000)
    session, draft = endless(drain(open_session("starter"))), drain(open_session("starter"))
    sampling = Sampling(temperature=1.0, seed=4, max_tokens=150)
    for window, guessed in ((120, True), (60, False)):
        with caches(session, partial(RotatingKVCache, max_size=window)):
            plain, _ = answer(session, sampling, None)
            tokens, finished = answer(session, sampling, draft)
        assert [token.token for token in tokens] == [token.token for token in plain]
        assert (finished.drafted > 0) == guessed
        assert finished.drafted < window


def test_caches_that_cannot_be_cut_back_are_told_once(twin: ModelSession) -> None:
    class Whole(KVCache):
        def is_trimmable(self) -> bool:
            return False

    session = endless(drain(open_session("starter")))
    ids = prompts.encode_chat(session.tokenizer, [("user", QUESTION)])
    sampling = Sampling(temperature=0.0, max_tokens=80)
    with caches(session, Whole):
        said = [[e for e in stream_reply(session, ids, sampling, draft=twin) if isinstance(e, Note)] for _ in range(2)]
    assert [len(notes) for notes in said] == [1, 0]
    assert "guesses ahead" in said[0][0].text


def test_guesses_are_checked_against_compressed_caches(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a draft may know more words than there are in the vocabulary."""
    monkeypatch.setattr(speculation, "_SOON", 10_000)
    folder = tmp_path_factory.mktemp("models")
    session = endless(drain(open_session(str(make_model(folder / "one", hidden_size=128)))))
    draft = drain(open_session(str(make_model(folder / "two", vocab_size=2048))))
    sampling = Sampling(temperature=1.0, top_k=5, seed=4, max_tokens=80)
    ids = prompts.encode_chat(session.tokenizer, [("user", QUESTION)])
    found = []
    for guesses in (None, draft):
        session.prompts.trim_to(n_sequences=0)
        events = list(stream_reply(session, ids, sampling, kv_bits=8, draft=guesses))
        found.append([event.token for event in events if isinstance(event, Token) and event.token is not None])
        finished = events[-1]
        assert isinstance(finished, ReplyFinished)
        assert (finished.drafted > 0) == (guesses is not None)
    assert found[0] == found[1]
    assert session.quantises


@pytest.fixture
def bench() -> Iterator[Workbench]:
    bench = Workbench()
    yield bench
    list(bench.clear())


def ask(bench: Workbench, model: str, draft: str) -> list[Event]:
    sampling = Sampling(temperature=0.0, max_tokens=80, repetition_penalty=1.3)
    request = Generate(LoadModel(model), QUESTION, sampling=sampling, options=ChatOptions(draft=draft))
    return list(start(request, bench))


def test_the_smallest_model_of_the_same_words_is_found_and_opened_quietly(
    bench: Workbench, tmp_path: Path, home: Path
) -> None:
    large = make_model(tmp_path / "large", hidden_size=256, intermediate_size=512)
    assert drafts.find(large, 1) is None
    make_model(places.models_folder() / "other words")
    stored = json.loads((places.models_folder() / "other words" / "tokenizer.json").read_text())
    stored["added_tokens"].pop()
    (places.models_folder() / "other words" / "tokenizer.json").write_text(json.dumps(stored))
    small = make_model(places.models_folder() / "small", hidden_size=16, intermediate_size=16)
    # The same words, in a file that was written in another way.
    (small / "tokenizer.json").write_text(json.dumps(json.loads((small / "tokenizer.json").read_text()), indent=4))
    assert drafts.find(large, library.describe(large).weights) == small
    events = ask(bench, str(large), "auto")
    assert [event.name for event in events if isinstance(event, ModelLoaded)] == ["large"]
    assert not any(isinstance(event, Note) for event in events)
    assert not any(isinstance(event, ModelLoaded) for event in ask(bench, str(large), "auto"))
    list(bench.clear())


@pytest.mark.parametrize(
    ("draft", "words"),
    [("auto", "No small model"), ("/nowhere/at/all", "cannot be used"), ("other", "another vocabulary")],
)
def test_without_a_draft_the_answer_is_written_and_the_reason_said_once(
    bench: Workbench, tmp_path: Path, home: Path, draft: str, words: str
) -> None:
    model = str(make_model(tmp_path / "one"))
    if draft == "other":
        folder = make_model(tmp_path / draft)
        stored = json.loads((folder / "tokenizer.json").read_text())
        stored["model"]["vocab"] = {f"{word}x": number for word, number in stored["model"]["vocab"].items()}
        stored["model"]["merges"] = []
        (folder / "tokenizer.json").write_text(json.dumps(stored))
        draft = str(folder)
    for count in (1, 0):
        events = ask(bench, model, draft)
        notes = [event.text for event in events if isinstance(event, Note)]
        assert len(notes) == count
        assert all(words in note for note in notes)
        assert isinstance(events[-1], ReplyFinished)
        assert events[-1].drafted == 0


def test_a_draft_is_given_no_more_memory_than_there_is(bench: Workbench, tmp_path: Path) -> None:
    model = str(make_model(tmp_path / "one"))
    request = Generate(LoadModel(model, memory_limit=memory.needed(0) + 400_000), QUESTION, sampling=Sampling(seed=1))
    options = ChatOptions(draft=str(make_model(tmp_path / "two", hidden_size=64)))
    events = list(start(dataclasses.replace(request, options=options), bench))
    assert any(isinstance(event, Note) and "memory" in event.text for event in events)
