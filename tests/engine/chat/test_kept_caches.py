"""KV caches on disk and compressed: what was read is not read again, and nothing damaged is trusted."""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from mlx_lm.models.cache import CacheList, KVCache

from engine.chat import kept_caches, prompts, reading
from engine.chat.conversations import Conversations
from engine.chat.kept_caches import KeptCaches, Owner
from engine.chat.reading import Held
from engine.chat.requests import ChatOptions
from engine.chat.streaming import stream_reply
from engine.config import Sampling
from engine.events import Event, Note, Progress, PromptRead, ReplyFinished
from engine.jobs import LoadModel, Reply, Workbench, start
from engine.session import ModelSession, drain, open_session
from tests.engine.tiny import make_model

SAMPLING = Sampling(temperature=0.0, max_tokens=8)
LONG = "What is 47 + 38? " * 40
WIDE = {"hidden_size": 128, "max_position_embeddings": 4096}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "tiny", **WIDE)


@pytest.fixture
def session(folder: Path) -> Iterator[ModelSession]:
    session = drain(open_session(str(folder)))
    yield session
    session.close()


def finished_of(events: list[Event]) -> ReplyFinished:
    return next(event for event in events if isinstance(event, ReplyFinished))


class Chat:
    """A stored conversation, asked by a program that may be started anew."""

    def __init__(self, database: Path, folder: Path) -> None:
        self.database, self.load = database, LoadModel(str(folder))
        self.bench = Workbench()
        with Conversations(database) as store:
            self.number = store.create().id

    def begin(self, text: str, **options: int) -> Generator[Event, None, None]:
        with Conversations(self.database) as store:
            said = store.add(self.number, store.get(self.number).leaf, "user", text)
            answer = store.add(self.number, said.id, "assistant", "", state="writing")
        chosen = ChatOptions(**{"kv_disk": 1 << 30} | options)
        yield from start(Reply(self.load, self.database, answer.id, SAMPLING, options=chosen), self.bench)

    def ask(self, text: str, **options: int) -> ReplyFinished:
        finished = finished_of(list(self.begin(text, **options)))
        with Conversations(self.database) as store:
            assert store.path(self.number)[-1].text == finished.text
        return finished

    def restart(self) -> None:
        list(self.bench.clear())
        self.bench = Workbench()

    @property
    def files(self) -> list[Path]:
        """One folder a conversation."""
        return sorted((self.database.parent / "Caches").glob("*"))

    @property
    def part(self) -> Path:
        [folder] = self.files
        [part] = folder.glob("*.safetensors")
        return part


@pytest.fixture
def chat(tmp_path: Path, folder: Path) -> Iterator[Chat]:
    chat = Chat(tmp_path / "c.sqlite3", folder)
    yield chat
    chat.restart()


@pytest.mark.parametrize("bits", [0, 8, 4])
def test_a_long_conversation_is_not_read_again_after_a_restart(chat: Chat, bits: int) -> None:
    first = chat.ask(LONG, kv_bits=bits)
    assert first.cached_tokens == 0
    assert len(chat.files) == 1
    chat.restart()
    again = chat.ask("And 1 + 1?", kv_bits=bits)
    assert again.cached_tokens >= first.prompt_tokens
    chat.restart()
    for folder in chat.files:
        shutil.rmtree(folder)
    with Conversations(chat.database) as store:
        *_, question, _ = store.path(chat.number)
        store.choose(question.id)
        fresh = store.add(chat.number, question.id, "assistant", "", state="writing")
        request = Reply(chat.load, chat.database, fresh.id, SAMPLING, options=ChatOptions(kv_bits=bits))
        whole = finished_of(list(start(request, chat.bench)))
    assert whole.cached_tokens == 0
    if not bits:
        assert whole.text == again.text


def test_what_a_purged_conversation_left_goes_with_the_next_one(chat: Chat) -> None:
    chat.ask(LONG)
    shutil.copytree(chat.files[0], chat.files[0].with_name("99-0.kv"))
    with Conversations(chat.database) as store:
        chat.number = store.create().id
    chat.ask(LONG + "1 + 1?")
    assert sorted(file.name.partition("-")[0] for file in chat.files) == ["1", "2"]


def test_short_ones_and_those_without_room_are_not_kept(chat: Chat) -> None:
    chat.ask("What is 1 + 1?")
    assert chat.files == []
    chat.ask(LONG, kv_disk=1000)
    assert chat.files == []
    chat.ask(LONG, kv_disk=0)
    assert chat.files == []


def test_those_kept_go_when_none_shall_be_kept(chat: Chat) -> None:
    chat.ask(LONG)
    assert chat.files
    chat.ask("1 + 1?", kv_disk=0)
    assert chat.files == []


def test_it_is_written_anew_once_it_is_worth_it(chat: Chat) -> None:
    chat.ask(LONG)
    written = chat.part.stat().st_mtime_ns
    chat.ask("And 1 + 1?")
    assert chat.part.stat().st_mtime_ns == written
    chat.ask(LONG)
    assert chat.part.stat().st_mtime_ns > written


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: bytes(random.Random(1).randbytes(len(data))),
        lambda data: data.replace(b"KVCache", b"XYCache"),
    ],
)
def test_a_damaged_file_is_removed_and_the_model_reads(chat: Chat, damage: Callable[[bytes], bytes]) -> None:
    first = chat.ask(LONG)
    chat.restart()
    data = damage(chat.part.read_bytes())
    chat.part.write_bytes(data)
    again = chat.ask("And 1 + 1?")
    assert again.cached_tokens == 0
    assert again.prompt_tokens > first.prompt_tokens
    # It was replaced by what was read now.
    assert chat.part.read_bytes() != data


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 1},
        {"made_by": "mlx_lm 0.1"},
        {"identity": "of other weights"},
        {"tokens": ["a"]},
        {"tokens": None},
        {"sizes": [1]},
    ],
)
def test_what_says_something_else_of_itself_is_not_read(chat: Chat, changes: dict[str, object]) -> None:
    chat.ask(LONG)
    chat.restart()
    about = chat.part.with_name("about.json")
    about.write_text(json.dumps(json.loads(about.read_text()) | changes))
    assert chat.ask("And 1 + 1?").cached_tokens == 0


def test_neither_is_what_says_nothing(chat: Chat) -> None:
    chat.ask(LONG)
    chat.restart()
    [folder] = chat.files
    (folder / "about.json").write_bytes(b"[" * 100_000)
    assert chat.ask("And 1 + 1?").cached_tokens == 0
    chat.restart()
    shutil.rmtree(folder)
    folder.write_bytes(b"a file where a folder was")
    assert chat.ask("And 1 + 1?").cached_tokens == 0


def test_the_answer_ends_before_its_cache_is_kept(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the parts come one by one; a job that is stopped between them leaves nothing."""
    monkeypatch.setattr(kept_caches, "_PART", 1)
    steps = chat.begin(LONG)
    events: list[Event] = []
    for event in steps:
        events.append(event)
        if isinstance(event, Progress) and event.what == "Keeping what was read":
            break
    assert any(isinstance(event, ReplyFinished) for event in events)
    with Conversations(chat.database) as store:
        assert store.path(chat.number)[-1].state == "done"
    steps.close()
    assert chat.files == []
    steps = list(chat.begin("And " + LONG))
    kept = [event for event in steps if isinstance(event, Progress) and event.what == "Keeping what was read"]
    assert [event.done == event.total for event in kept] == [False, True]
    [folder] = chat.files
    assert len(list(folder.glob("*.safetensors"))) == 2
    chat.restart()
    read = [event for event in chat.begin("And 1 + 1?") if isinstance(event, PromptRead)]
    assert read[-1].cached > 500
    assert read[0].done < read[1].done == read[2].cached


def test_two_answers_in_turn_keep_their_own(chat: Chat) -> None:
    one = chat.begin(LONG)
    next(one)
    first = chat.number
    with Conversations(chat.database) as store:
        chat.number = store.create().id
    two = chat.begin("And " + LONG)
    for _ in itertools.zip_longest(one, two):
        pass
    for folder, number in zip(chat.files, (first, chat.number), strict=True):
        assert folder.name.startswith(f"{number}-")
        tokens = json.loads((folder / "about.json").read_text())["tokens"]
        with Conversations(chat.database) as store:
            [said, answered] = store.path(number)
        assert len(tokens) >= answered.stats.prompt_tokens
        assert said.text.strip() in _text_of(chat, tokens)


def _text_of(chat: Chat, tokens: list[int]) -> str:
    return chat.bench.session.tokenizer.decode(tokens)


def test_the_disk_serves_also_where_memory_has_no_room(chat: Chat) -> None:
    chat.ask(LONG)
    chat.restart()
    assert chat.ask("And 1 + 1?", kv_memory=1000).cached_tokens > 0
    assert len(chat.bench.session.prompts) == 0


def test_a_full_disk_is_no_error(chat: Chat) -> None:
    (chat.database.parent / "Caches").write_bytes(b"no folder can be made here")
    assert chat.ask(LONG).completion_tokens == 8


def test_a_beginning_that_is_edited_is_not_read_from_the_disk(chat: Chat) -> None:
    """What they have in common is not worth it."""
    chat.ask(LONG)
    chat.restart()
    with Conversations(chat.database) as store:
        [said, _] = store.path(chat.number)
        said = store.edit(said.id, "What else?")
        answer = store.add(chat.number, said.id, "assistant", "", state="writing")
    request = Reply(chat.load, chat.database, answer.id, SAMPLING, options=ChatOptions(kv_disk=1 << 30))
    read = [event for event in start(request, chat.bench) if isinstance(event, PromptRead)]
    assert read[0].cached == read[-1].cached == 0


def test_other_weights_make_it_worthless(chat: Chat, tmp_path: Path) -> None:
    other = make_model(tmp_path / "other", **WIDE)
    chat.load = LoadModel(str(other))
    chat.ask(LONG)
    chat.restart()
    make_model(other, seed=5, **WIDE)
    assert chat.ask("And 1 + 1?").cached_tokens == 0


def kept_of(steps: Generator[tuple[int, int], None, object]) -> object:
    """The result of steps."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def owned(number: int, identity: str = "m") -> Owner:
    return Owner(number, "model", identity)


def test_the_oldest_make_room(session: ModelSession, tmp_path: Path) -> None:
    ids = prompts.encode_text(session.tokenizer, LONG)
    cache, _ = _read(session, ids)
    size = sum(layer.nbytes for layer in cache)
    kept = KeptCaches(tmp_path / "Caches", int(2.5 * size))
    for number in (1, 2, 3):
        assert kept_of(kept.keep(owned(number), Held(ids[:-1], cache)))
        if number == 2:
            found = kept_of(kept.fetch(owned(1)))
            assert isinstance(found, Held)
            assert found.tokens == ids[:-1]
    assert [bool(kept.tokens(owned(number))) for number in (1, 2, 3)] == [True, False, True]
    assert kept.tokens(owned(1, "of other weights")) == []


def test_what_belongs_to_no_conversation_goes(session: ModelSession, tmp_path: Path) -> None:
    ids = prompts.encode_text(session.tokenizer, LONG)
    cache, _ = _read(session, ids)
    kept = KeptCaches(tmp_path, 1 << 30)
    kept_of(kept.keep(owned(1), Held(ids[:-1], cache)))
    kept_of(kept.keep(owned(2), Held(ids[:-1], cache)))
    (tmp_path / "1-x.kv.77.partial").mkdir()
    (tmp_path / "of another program").write_bytes(b"half")
    kept.sweep([1])
    assert [path.name.partition("-")[0] for path in tmp_path.iterdir()] == ["1"]


class Strange(KVCache):
    """A cache of somebody's own."""


def test_layers_that_cannot_be_made_again_are_not_kept(session: ModelSession, tmp_path: Path) -> None:
    ids = prompts.encode_text(session.tokenizer, LONG)
    cache, _ = _read(session, ids)
    strange = Strange()
    strange.state = cache[0].state
    kept = KeptCaches(tmp_path, 1 << 30)
    for layers in ([strange], [CacheList(KVCache())], [KVCache()]):
        assert not kept_of(kept.keep(owned(1), Held(ids[:-1], layers)))


def test_only_what_was_read_is_written(session: ModelSession, tmp_path: Path) -> None:
    """Not the room that a cache holds ready."""
    ids = prompts.encode_text(session.tokenizer, LONG)
    cache, _ = _read(session, ids)
    held = Held(ids[:-1], cache)
    held.cut(300)
    kept_of(KeptCaches(tmp_path, 1 << 30).keep(owned(1), held))
    found = kept_of(KeptCaches(tmp_path, 1 << 30).fetch(owned(1)))
    assert isinstance(found, Held)
    assert found.tokens == ids[:300]
    assert {layer.keys.shape[2] for layer in found.cache} == {300}


def _read(session: ModelSession, ids: list[int], bits: int = 0) -> tuple[list[object], int]:
    steps = reading.read(session, ids, bits)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize(("bits", "share"), [(8, 0.32), (4, 0.19)])
def test_a_compressed_cache_is_smaller_and_says_nearly_the_same(session: ModelSession, bits: int, share: float) -> None:
    import mlx.core as mx

    ids = prompts.encode_text(session.tokenizer, LONG)
    whole, _ = _read(session, ids)
    small, _ = _read(session, ids, bits)
    assert sum(layer.nbytes for layer in small) <= share * sum(layer.nbytes for layer in whole)
    last = mx.array([ids[-1:]])
    exact, near = (mx.softmax(session.model(last, cache=cache)[0, -1]) for cache in (whole, small))
    assert float(mx.abs(exact - near).max().item()) < (0.002 if bits == 8 else 0.02)


def test_caches_of_another_precision_are_not_mixed(session: ModelSession) -> None:
    ids = prompts.encode_text(session.tokenizer, LONG)
    assert finished_of(list(stream_reply(session, ids, SAMPLING))).cached_tokens == 0
    assert finished_of(list(stream_reply(session, ids, SAMPLING, kv_bits=8))).cached_tokens == 0
    assert finished_of(list(stream_reply(session, ids, SAMPLING, kv_bits=8))).cached_tokens > 0


def test_a_model_that_cannot_says_so_once(tmp_path: Path) -> None:
    session = drain(open_session(str(make_model(tmp_path / "m", hidden_size=48, num_attention_heads=2))))
    ids = prompts.encode_text(session.tokenizer, LONG[:100])
    notes = [[e for e in stream_reply(session, ids, SAMPLING, kv_bits=8) if isinstance(e, Note)] for _ in range(2)]
    assert [len(each) for each in notes] == [1, 0]


def test_memory_is_bounded(session: ModelSession) -> None:
    ids = prompts.encode_text(session.tokenizer, LONG)
    for start_at in range(4):
        list(stream_reply(session, ids[start_at:], SAMPLING))
    held = session.prompts.nbytes
    assert len(session.prompts) == 4
    reading.bound(session, held // 2)
    assert len(session.prompts) == 2


def test_the_policy_of_a_run_keeps_the_bound_of_its_run(session: ModelSession) -> None:
    bound = session.prompts.max_bytes
    reading.bound(dataclasses.replace(session, identity=""), 1000)
    assert session.prompts.max_bytes == bound
    reading.bound(session, 1000)
    reading.bound(session, 0)
    assert session.prompts.max_bytes == session.prompt_bytes == bound


def test_our_own_architectures_work_with_compressed_caches(tmp_path: Path) -> None:
    nanochat = make_model(tmp_path / "nanochat", model_type="nanochat", hidden_size=128, sequence_len=512)
    session = drain(open_session(str(nanochat)))
    ids = prompts.encode_text(session.tokenizer, LONG)[:100]
    assert not any(isinstance(event, Note) for event in stream_reply(session, ids, SAMPLING, kv_bits=8))
    assert session.quantises
