"""Speculative decoding: the same answers as without, whatever the draft guesses."""

from __future__ import annotations

import pytest

from engine.chat import prompts, speculation
from engine.chat.streaming import stream_reply
from engine.config import Sampling
from engine.events import Event, ReplyFinished, Token
from engine.session import ModelSession, drain, open_session

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
    return [event for event in events if isinstance(event, Token)], finished


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
    monkeypatch.setattr(speculation, "_TRIAL", 10_000)
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
    monkeypatch.setattr(speculation, "_TRIAL", 8)
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


def test_a_cache_after_guesses_serves_the_next_turn(twin: ModelSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speculation, "_TRIAL", 10_000)
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
    monkeypatch.setattr(speculation, "_TRIAL", 10_000)
    session = endless(drain(open_session("starter")))
    ids = prompts.encode_chat(session.tokenizer, [("user", QUESTION)])
    sampling = Sampling(temperature=1.0, seed=2, max_tokens=100)
    whole = [event.token for event in stream_reply(session, ids, sampling) if isinstance(event, Token)]
    for length in range(14, 24):
        session.prompts.trim_to(n_sequences=0)
        steps, heard = stream_reply(session, ids, sampling, draft=twin), []
        for event in steps:
            heard += [event.token] if isinstance(event, Token) else []
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
