"""KV caches on disk and compressed: what was read is not read again, and nothing damaged is trusted."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.chat import kept_caches, prompts, reading
from engine.chat.conversations import Conversations
from engine.chat.kept_caches import KeptCaches
from engine.chat.requests import ChatOptions
from engine.chat.streaming import stream_reply
from engine.config import Sampling
from engine.events import Event, Note, ReplyFinished
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

    def ask(self, text: str, **options: int) -> ReplyFinished:
        with Conversations(self.database) as store:
            said = store.add(self.number, store.get(self.number).leaf, "user", text)
            answer = store.add(self.number, said.id, "assistant", "", state="writing")
            chosen = ChatOptions(**{"kv_disk": 1 << 30} | options)
            request = Reply(self.load, self.database, answer.id, SAMPLING, options=chosen)
            finished = finished_of(list(start(request, self.bench)))
            assert store.path(self.number)[-1].text == finished.text
        return finished

    def restart(self) -> None:
        list(self.bench.clear())
        self.bench = Workbench()

    @property
    def files(self) -> list[Path]:
        return sorted((self.database.parent / "Caches").glob("*"))


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
    for file in chat.files:
        file.unlink()
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
    (chat.files[0].parent / "99-0.kv.safetensors").write_bytes(b"of one that is gone")
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


def test_a_file_is_written_anew_once_it_is_worth_it(chat: Chat) -> None:
    chat.ask(LONG)
    [file] = chat.files
    written = file.stat().st_mtime_ns
    chat.ask("And 1 + 1?")
    assert file.stat().st_mtime_ns == written
    chat.ask(LONG)
    [file] = chat.files
    assert file.stat().st_mtime_ns > written


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: bytes(random.Random(1).randbytes(len(data))),
        lambda data: data.replace(b'"0.format":"1"', b'"0.format":"9"'),
        lambda data: data.replace(b'"0.tokens":"[', b'"0.tokens":"{'),
        lambda data: data.replace(b"KVCache", b"XYCache"),
    ],
)
def test_a_damaged_file_is_removed_and_the_model_reads(chat: Chat, damage: Callable[[bytes], bytes]) -> None:
    first = chat.ask(LONG)
    chat.restart()
    [file] = chat.files
    data = damage(file.read_bytes())
    file.write_bytes(data)
    again = chat.ask("And 1 + 1?")
    assert again.cached_tokens == 0
    assert again.prompt_tokens > first.prompt_tokens
    # It was replaced by what was read now.
    assert [one.read_bytes() != data for one in chat.files] == [True]


def test_other_weights_make_it_worthless(chat: Chat, tmp_path: Path) -> None:
    other = make_model(tmp_path / "other", **WIDE)
    chat.load = LoadModel(str(other))
    chat.ask(LONG)
    chat.restart()
    make_model(other, seed=5, **WIDE)
    assert chat.ask("And 1 + 1?").cached_tokens == 0


def test_the_oldest_make_room(session: ModelSession, tmp_path: Path) -> None:
    ids = prompts.encode_text(session.tokenizer, LONG)
    cache, _ = _read(session, ids)
    size = sum(layer.nbytes for layer in cache)
    kept = KeptCaches(tmp_path / "Caches", int(2.5 * size))
    for number in (1, 2, 3):
        assert kept.keep(number, "m", ids[:-1], cache)
        if number == 2:
            assert kept.fetch(1, "m") is not None
    assert [bool(kept.tokens(number, "m")) for number in (1, 2, 3)] == [True, False, True]
    assert kept.tokens(1, "another") == []


def test_what_belongs_to_no_conversation_goes(session: ModelSession, tmp_path: Path) -> None:
    ids = prompts.encode_text(session.tokenizer, LONG)
    cache, _ = _read(session, ids)
    kept = KeptCaches(tmp_path, 1 << 30)
    kept.keep(1, "m", ids[:-1], cache)
    kept.keep(2, "m", ids[:-1], cache)
    (tmp_path / "2-x.kv.safetensors.77.partial.safetensors").write_bytes(b"half")
    kept.sweep([1])
    assert [path.name.partition("-")[0] for path in tmp_path.iterdir()] == ["1"]


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


def test_worth_keeping_is_what_the_tests_take_it_for() -> None:
    assert kept_caches.WORTH_KEEPING == 256
