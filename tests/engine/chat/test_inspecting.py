"""How likely each token of an answer was: as streaming said it, and as a direct softmax says it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mlx.core as mx
import pytest

from engine import jobs
from engine.chat import inspecting, prompts
from engine.chat.conversations import Conversations
from engine.chat.requests import InspectAnswer
from engine.chat.streaming import stream_reply
from engine.chat_events import TokenScored
from engine.config import Sampling
from engine.errors import UserError
from engine.events import Event, PromptRead, ReplyFinished, Token
from engine.jobs import LoadModel, Reply, Workbench
from engine.session import ModelSession, drain, open_session
from tests.engine.tiny import make_model

FREE = Sampling(temperature=1.2, seed=5, max_tokens=90)


@pytest.fixture(name="bench")
def _bench() -> Iterator[Workbench]:
    bench = Workbench()
    yield bench
    list(bench.clear())


@pytest.fixture(scope="module")
def starter() -> ModelSession:
    return drain(open_session("starter"))


def only(events: list[Event]) -> list[TokenScored]:
    return [event for event in events if isinstance(event, TokenScored)]


def asked(session: ModelSession, text: str) -> list[int]:
    return prompts.encode_chat(session.tokenizer, [("user", text)])


def streamed(session: ModelSession, ids: list[int], sampling: Sampling) -> list[Token]:
    events = stream_reply(session, ids, sampling)
    return [event for event in events if isinstance(event, Token) and event.token is not None]


def stored(database: Path, text: str = "What is 12 + 30?", model: str = "starter") -> tuple[int, int]:
    """A conversation with a question; the conversation and the question."""
    with Conversations(database) as store:
        conversation = store.create(model=model, system_prompt="").id
        return conversation, store.add(conversation, None, "user", text).id


def written(database: Path, bench: Workbench, load: LoadModel, sampling: Sampling) -> tuple[int, list[Token], str]:
    """An answer by the reply job: its message, its tokens and its text."""
    conversation, question = stored(database)
    with Conversations(database) as store:
        answer = store.add(conversation, question, "assistant", "", model=load.model, state="writing").id
    events = list(jobs.start(Reply(load, database, answer, sampling), bench))
    (finished,) = [event for event in events if isinstance(event, ReplyFinished)]
    tokens = [event for event in events if isinstance(event, Token) and event.token is not None]
    return answer, tokens, finished.text


@pytest.mark.parametrize("sampling", [Sampling(temperature=0.0, max_tokens=40), FREE])
def test_they_are_as_likely_as_streaming_said(tmp_path: Path, bench: Workbench, sampling: Sampling) -> None:
    load = LoadModel("starter")
    answer, tokens, text = written(tmp_path / "c.db", bench, load, sampling)
    events = list(jobs.start(InspectAnswer(load, tmp_path / "c.db", answer), bench))
    scored = only(events)
    assert [one.token for one in scored] == [one.token for one in tokens]
    assert [one.logprob for one in scored] == pytest.approx([one.logprob for one in tokens], abs=1e-4)
    assert "".join(one.text for one in scored) == text
    assert [one.position for one in scored] == list(range(len(tokens)))
    if not sampling.temperature:
        assert {one.rank for one in scored} == {0}
    read = [event for event in events if isinstance(event, PromptRead)]
    assert read[0].cached >= read[0].total - 2, "what the answer left behind is not read again"


def test_tokens_of_a_random_model_agree_with_streaming(tmp_path: Path, bench: Workbench) -> None:
    """Its answer is longer than a piece, and its tokens are those that are the least like text."""
    load = LoadModel(str(make_model(tmp_path / "m", endless=True)))
    session = drain(open_session(load.model))
    ids = asked(session, "Say something")
    tokens = streamed(session, ids, Sampling(temperature=1.5, seed=1, max_tokens=150))
    session.prompts.trim_to(n_sequences=0)
    scored = only(list(inspecting.score_tokens(session, ids, [one.token or 0 for one in tokens], 8)))
    assert [one.logprob for one in scored] == pytest.approx([one.logprob for one in tokens], abs=1e-4)
    assert max(one.rank for one in scored) > 50


def test_alternatives_are_those_of_a_direct_softmax(starter: ModelSession) -> None:
    ids = asked(starter, "What is 64 + 19?")
    answer = [one.token or 0 for one in streamed(starter, ids, FREE)]
    starter.prompts.trim_to(n_sequences=0)
    scored = only(list(inspecting.score_tokens(starter, ids, answer, 5)))
    logits = starter.model(mx.array([[*ids, *answer]]))[0, len(ids) - 1 : -1]
    shares = mx.softmax(logits.astype(mx.float32), axis=-1)
    for place, one in enumerate(scored):
        row = shares[place].tolist()
        order = sorted(range(len(row)), key=lambda token: -row[token])
        assert [token for token, _, _ in one.alternatives] == order[:5]
        for token, _, logprob in one.alternatives:
            assert mx.exp(mx.array(logprob)).item() == pytest.approx(row[token], abs=1e-5)
        assert one.rank == order.index(one.token)


def test_more_alternatives_than_tokens_are_all_of_them(starter: ModelSession) -> None:
    (one, *_) = only(list(inspecting.score_tokens(starter, asked(starter, "1 + 1"), [7, 8], 10_000)))
    total = sum(mx.exp(mx.array(logprob)).item() for _, _, logprob in one.alternatives)
    assert total == pytest.approx(1.0, abs=1e-3)


def test_an_answer_of_another_model_is_read_by_its_text(tmp_path: Path, bench: Workbench) -> None:
    """Typed, imported, or by a model that is gone: the text is what there is."""
    text = "<reasoning>12 + 30</reasoning>\n<answer>42</answer>"
    conversation, question = stored(tmp_path / "c.db")
    with Conversations(tmp_path / "c.db") as store:
        answer = store.add(conversation, question, "assistant", text, model="somebody/else").id
    scored = only(list(jobs.start(InspectAnswer(LoadModel("starter"), tmp_path / "c.db", answer, 3), bench)))
    assert "".join(one.text for one in scored) == text
    assert {len(one.alternatives) for one in scored} == {3}


def test_reading_can_be_stopped_and_leaves_the_model_usable(tmp_path: Path, bench: Workbench) -> None:
    conversation, question = stored(tmp_path / "c.db")
    with Conversations(tmp_path / "c.db") as store:
        answer = store.add(conversation, question, "assistant", "1 " * 600, model="starter").id
    steps = jobs.start(InspectAnswer(LoadModel("starter"), tmp_path / "c.db", answer), bench)
    for event in steps:
        if isinstance(event, TokenScored) and event.position > 100:
            break
    steps.close()  # type: ignore[attr-defined]
    assert len(only(list(jobs.start(InspectAnswer(LoadModel("starter"), tmp_path / "c.db", answer), bench)))) > 600


def test_what_is_no_answer_is_said_in_words(tmp_path: Path, bench: Workbench) -> None:
    conversation, question = stored(tmp_path / "c.db")
    with Conversations(tmp_path / "c.db") as store:
        empty = store.add(conversation, question, "assistant", "", model="starter").id
        writing = store.add(conversation, question, "assistant", "so", model="starter", state="writing").id
    for message, words in ((question, "nothing"), (empty, "nothing"), (writing, "still"), (999, "does not exist")):
        with pytest.raises(UserError, match=words):
            list(jobs.start(InspectAnswer(LoadModel("starter"), tmp_path / "c.db", message), bench))
    assert bench.session is None, "no model is loaded for it"
