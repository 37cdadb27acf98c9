"""What is left out of a conversation that is longer than a model reads, and what stands for it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.chat import context, fitting, prompts
from engine.chat.context import Room
from engine.chat.conversations import Attachment, Conversations
from engine.chat.replying import answer
from engine.chat.requests import ChatOptions
from engine.chat_events import ContextFitted
from engine.config import Sampling, WhenFull
from engine.errors import UserError
from engine.events import Event, Progress, PromptRead, ReplyFinished, Token
from engine.jobs import LoadModel, Reply, Workbench, start
from tests.engine.tiny import make_model

SAMPLING = Sampling(temperature=0.0, max_tokens=16)


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=40),
    st.integers(64, 2000),
    st.integers(1, 500),
    st.integers(0, 60),
)
@settings(max_examples=200, deadline=None)
def test_what_is_read_fits_and_begins_with_a_question(
    lengths: list[int], window: int, max_tokens: int, fixed: int
) -> None:
    asked = [turn % 2 == 0 for turn in range(len(lengths))]
    last = max(turn for turn, question in enumerate(asked) if question)
    lengths, asked = lengths[: last + 1], asked[: last + 1]
    room = Room.of(window, max_tokens)
    made = context.cuts(lengths, asked, fixed, room)
    assert made == sorted(set(made))
    assert all(asked[cut] for cut in made)
    first = made[-1] if made else 0
    taken = fixed + sum(length + context._AROUND for length in lengths[first:])
    assert taken <= room.prompt or first == last


@given(st.lists(st.integers(1, 400), min_size=2, max_size=60), st.integers(64, 2000), st.integers(1, 500))
@settings(max_examples=100, deadline=None)
def test_what_was_left_out_stays_left_out(lengths: list[int], window: int, max_tokens: int) -> None:
    """As the conversation grows, its cuts are those of before and perhaps more."""
    room, before = Room.of(window, max_tokens), list[int]()
    for count in range(1, len(lengths) + 1, 2):
        asked = [turn % 2 == 0 for turn in range(count)]
        made = context.cuts(lengths[:count], asked, 0, room)
        assert made[: len(before)] == before
        before = made


def test_cuts_are_rare() -> None:
    """The beginning of the prompt stays the same for several turns, so that the KV cache serves them."""
    asked = [turn % 2 == 0 for turn in range(201)]
    made = context.cuts([30] * 201, asked, 0, Room.of(1024, 128))
    assert 10 <= len(made) <= 40
    assert all(later - earlier >= 4 for earlier, later in itertools.pairwise(made))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadModel:
    """One that reads 512 tokens."""
    return LoadModel(str(make_model(tmp_path_factory.mktemp("model") / "tiny")))


@pytest.fixture(scope="module")
def bench() -> Iterator[Workbench]:
    bench = Workbench()
    yield bench
    list(bench.clear())


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "c.sqlite3"


def long_conversation(store: Conversations, turns: int, system: str = "", when_full: str = "") -> int:
    """Of turns of some 20 tokens each; its number."""
    made = store.create(system_prompt=system, when_full=when_full).id
    parent = None
    for turn in range(turns):
        role, text = ("assistant", f"It is {turn} + 1 ") if turn % 2 else ("user", f"What is {turn} + 1? " * 2)
        parent = store.add(made, parent, role, text).id
    return made


def ask(
    store: Conversations,
    conversation: int,
    database: Path,
    model: LoadModel,
    bench: Workbench,
    when_full: WhenFull,
    text: str = "What is 2 + 2?",
) -> tuple[list[Event], ReplyFinished]:
    said = store.add(conversation, store.get(conversation).leaf, "user", text)
    answer = store.add(conversation, said.id, "assistant", "", state="writing")
    options = ChatOptions(when_full=when_full)
    events = list(start(Reply(model, database, answer.id, SAMPLING, options=options), bench))
    finished = next(event for event in events if isinstance(event, ReplyFinished))
    return events, finished


def test_a_full_context_stops(database: Path, model: LoadModel, bench: Workbench) -> None:
    with Conversations(database) as store:
        made = long_conversation(store, 60)
        with pytest.raises(UserError, match="longer than the model can read") as caught:
            ask(store, made, database, model, bench, "stop")
        assert "left out" in caught.value.remedy


def test_the_oldest_turns_are_left_out_and_counted(database: Path, model: LoadModel, bench: Workbench) -> None:
    with Conversations(database) as store:
        made = long_conversation(store, 60, system="Add.")
        events, finished = ask(store, made, database, model, bench, "drop oldest")
        fitted = next(event for event in events if isinstance(event, ContextFitted))
        assert fitted == ContextFitted(finished.prompt_tokens, 512, finished.left_out, False)
        assert 10 < fitted.left_out < 60
        assert fitted.left_out % 2 == 0
        assert fitted.tokens <= 512 - 16
        assert events.index(fitted) < next(i for i, event in enumerate(events) if isinstance(event, PromptRead))
        assert store.path(made)[-1].stats.left_out == finished.left_out
        # The next turn reads on from the same beginning.
        events, then = ask(store, made, database, model, bench, "drop oldest")
        assert then.left_out == finished.left_out
        assert then.cached_tokens >= finished.prompt_tokens - 2


def test_what_fits_is_read_whole(database: Path, model: LoadModel, bench: Workbench) -> None:
    with Conversations(database) as store:
        for when_full in ("drop oldest", "summarise"):
            events, finished = ask(store, long_conversation(store, 6), database, model, bench, when_full)
            assert (finished.left_out, finished.summarised, finished.window) == (0, False, 512)
            assert not any(isinstance(event, Progress) and "ummar" in event.what for event in events)


def test_the_beginning_is_summarised_once(database: Path, model: LoadModel, bench: Workbench) -> None:
    """The summary stands in the prompt, is kept, and is no part of the answer."""
    with Conversations(database) as store:
        made = long_conversation(store, 60)
        events, finished = ask(store, made, database, model, bench, "summarise")
        assert finished.summarised
        assert finished.left_out > 10
        told = [event for event in events if isinstance(event, Progress) and event.unit == "tokens"]
        assert told
        assert {event.what for event in told} == {"Summarising the conversation"}
        assert "".join(event.text for event in events if isinstance(event, Token)) == finished.text
        path = store.path(made)
        kept = store.summary(path[finished.left_out - 1].id)
        assert kept is not None
        events, then = ask(store, made, database, model, bench, "summarise")
        assert then.left_out == finished.left_out
        assert not any(isinstance(event, Progress) and "ummar" in event.what for event in events)
        store.keep_summary(path[finished.left_out - 1].id, "me", "They added numbers.")
        _, changed = ask(store, made, database, model, bench, "summarise")
        assert changed.prompt_tokens != then.prompt_tokens


def test_a_conversation_may_wish_otherwise(database: Path, model: LoadModel, bench: Workbench) -> None:
    with Conversations(database) as store:
        made = long_conversation(store, 60, when_full="drop oldest")
        assert ask(store, made, database, model, bench, "stop")[1].left_out > 0


def test_a_question_that_is_too_long_alone_is_an_error(database: Path, model: LoadModel, bench: Workbench) -> None:
    with Conversations(database) as store:
        for when_full in ("stop", "drop oldest", "summarise"):
            made = long_conversation(store, 4)
            with pytest.raises(UserError, match="This message is longer than the model can read"):
                ask(store, made, database, model, bench, when_full, "What is 1 + 1? " * 300)


def test_files_are_read_with_their_message(database: Path, model: LoadModel, bench: Workbench) -> None:
    with Conversations(database) as store:
        made = store.create().id
        said = store.add(made, None, "user", "", attachments=[Attachment("a.txt", "1 + 1 " * 20)])
        answer = store.add(made, said.id, "assistant", "", state="writing")
        events = list(start(Reply(model, database, answer.id, SAMPLING), bench))
        finished = next(event for event in events if isinstance(event, ReplyFinished))
        assert finished.prompt_tokens > 40
        assert len(store.tokens(answer.id)) == 16


def test_most_turns_of_a_full_conversation_read_only_what_is_new(
    database: Path, model: LoadModel, bench: Workbench
) -> None:
    with Conversations(database) as store:
        made = long_conversation(store, 40)
        left_out, again = 0, 0
        for turn in range(20):
            _, finished = ask(store, made, database, model, bench, "drop oldest", f"What is {turn} + 2?")
            again += finished.cached_tokens < finished.prompt_tokens // 2
            assert finished.left_out >= left_out
            left_out = finished.left_out
        assert left_out > 20
        # A quarter of the window is freed at a time.
        assert 3 <= again <= 8


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("They added.", "They added."),
        ("<think>What now?</think>\nThey added.", "They added."),
        ("What now?</think>They added.", "They added."),
        ("<reasoning>a</reasoning>They <think>b</think>added.", "They added."),
        ("<think>It never ends", ""),
    ],
)
def test_what_a_model_thinks_is_no_part_of_its_summary(said: str, kept: str) -> None:
    assert fitting.without_thoughts(said) == kept


def test_what_is_around_a_turn_is_that_of_the_template(model: LoadModel, bench: Workbench) -> None:
    list(start(model, bench))
    assert bench.session is not None
    tokenizer = bench.session.tokenizer
    around = fitting._around(bench.session)
    turns: list[context.Turn] = [("user" if turn % 2 == 0 else "assistant", "a b") for turn in range(9)]
    words = len(prompts.encode_text(tokenizer, "a b"))
    whole, one = (len(prompts.encode_chat(tokenizer, some)) for some in (turns, turns[:1]))
    # Rather one too many than one too few.
    assert 0 <= one + 8 * (words + around) - whole <= 8


def test_a_conversation_that_is_stored_nowhere_is_summarised_once_too(model: LoadModel, bench: Workbench) -> None:
    list(start(model, bench))
    assert bench.session is not None
    turns: list[context.Turn] = [
        ("assistant", f"It is {turn} + 1 ") if turn % 2 else ("user", f"What is {turn} + 1? " * 2) for turn in range(61)
    ]
    summaries, counts = fitting.Summaries(), []
    for _ in range(2):
        options = ChatOptions(when_full="summarise")
        events = list(answer(bench.session, bench, turns, "", SAMPLING, options, summaries))
        counts.append(sum(isinstance(event, Progress) and "ummar" in event.what for event in events))
        assert isinstance(events[-1], ReplyFinished)
        assert events[-1].summarised
    assert counts[0] > 0 == counts[1]


def test_an_answer_to_part_of_a_conversation_is_inspected_with_that_part(
    database: Path, model: LoadModel, bench: Workbench
) -> None:
    with Conversations(database) as store:
        made = long_conversation(store, 60, system="Add.")
        for when_full in ("drop oldest", "summarise"):
            _, finished = ask(store, made, database, model, bench, when_full)
            *before, answered = store.path(made)
            read = fitting.read_for(store, before, answered)
            assert bench.session is not None
            ids = prompts.encode_chat(bench.session.tokenizer, read.turns, read.system)
            assert len(ids) == finished.prompt_tokens


def test_a_window_smaller_than_its_own_instructions_says_so(tmp_path: Path, bench: Workbench, database: Path) -> None:
    tiny = LoadModel(str(make_model(tmp_path / "tiny", max_position_embeddings=24)))
    with Conversations(database) as store:
        made = long_conversation(store, 10)
        with pytest.raises(UserError, match="longer than the model can read"):
            ask(store, made, database, tiny, bench, "summarise", "a")
