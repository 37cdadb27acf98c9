"""The store of conversations on real SQLite files: the tree, the search, the death of a writer, damaged files."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from engine.chat import schema
from engine.chat.conversations import Attachment, Conversations, State
from engine.config import Sampling
from engine.errors import UserError
from engine.events import ReplyFinished

REPOSITORY = Path(__file__).parents[3]
STATS = ReplyFinished("The answer.", "end", 12, 4, 3, 0.25, 41.5, 1 << 30, 7)
# Surrogates, NUL, quotes and operators of the search language included.
ANY_TEXT = st.text(st.characters() | st.sampled_from('\0"*:^()-+ßſİ')) | st.sampled_from(
    ["", " ", '"', "a OR b", "NEAR(a b)", "folded: x", "a* -b", "'; DROP TABLE message", "%_\\", "\ud83d", "\0\0\0"]
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "conversations.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[Conversations]:
    with Conversations(path) as store:
        yield store


@contextmanager
def temporary_store() -> Iterator[Conversations]:
    with tempfile.TemporaryDirectory() as folder, Conversations(Path(folder) / "c.sqlite3") as store:
        yield store


@contextmanager
def raw(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


class TestConversation:
    def test_what_was_stored_is_read_back(self, store: Conversations, path: Path) -> None:
        made = store.create(
            title="Zahlen", model="m", system_prompt="Be brief.", sampling=Sampling(top_k=5, stop=("a",))
        )
        with Conversations(path) as other:
            assert other.get(made.id) == made
            assert other.all() == [made]
        assert made.leaf is None
        assert not made.pinned

    def test_only_what_is_named_changes(self, store: Conversations) -> None:
        made = store.create(model="m", system_prompt="Be brief.")
        changed = store.change(made.id, title="Named", pinned=True, sampling=Sampling(temperature=0))
        assert changed == store.get(made.id)
        assert (changed.title, changed.pinned, changed.sampling.temperature) == ("Named", True, 0)
        assert (changed.model, changed.system_prompt, changed.updated) == ("m", "Be brief.", made.updated)
        assert store.change(made.id, system_prompt="", pinned=False).system_prompt == ""
        assert not store.get(made.id).pinned

    def test_pinned_ones_stand_on_top_and_then_the_latest_said(self, store: Conversations) -> None:
        old, middle, new = (store.create(title=title).id for title in ("old", "middle", "new"))
        assert [one.id for one in store.all()] == [new, middle, old]
        store.add(middle, None, "user", "Hello")
        assert [one.id for one in store.all()] == [middle, new, old]
        store.change(old, pinned=True)
        assert [one.id for one in store.all()] == [old, middle, new]

    @pytest.mark.parametrize(
        ("text", "title"),
        [
            ("Why is the sky blue?\nExplain.", "Why is the sky blue?"),
            ("\n\n  Leading\tspace \n", "Leading space"),
            ("", ""),
            ("word " * 30, "word word word word word word word word word word word word"),
            ("a" * 57 + " bb cc", "a" * 57 + " bb"),
            ("a" * 58 + " bb cc", "a" * 58),
            ("字" * 100, "字" * 60),
            ("nul\0character", "nulcharacter"),
        ],
    )
    def test_the_first_message_of_the_person_gives_the_title(self, store: Conversations, text: str, title: str) -> None:
        conversation = store.create().id
        store.add(conversation, None, "assistant", "Welcome.")
        assert store.get(conversation).title == ""
        store.add(conversation, None, "user", text)
        assert store.get(conversation).title == title

    def test_a_title_that_exists_stays(self, store: Conversations) -> None:
        conversation = store.create(title="Mine").id
        store.add(conversation, None, "user", "Hello")
        assert store.get(conversation).title == "Mine"

    def test_what_a_newer_version_stored_does_not_lock_the_conversation(self, store: Conversations, path: Path) -> None:
        conversation = store.create(sampling=Sampling(top_k=7)).id
        reply = store.add(conversation, None, "assistant", "", state="writing").id
        store.finish(reply, "Hi", "done", stats=STATS)
        with raw(path) as connection:
            connection.execute("""UPDATE conversation SET sampling = '{"top_k": 7, "temperature": 9, "mirostat": 2}'""")
            connection.execute("""UPDATE message SET stats = json_set(stats, '$.energy', 3)""")
        assert store.get(conversation).sampling == Sampling(top_k=7)
        assert store.path(conversation)[0].stats is not None
        for stats in ('{"event": "reply_finished"}', '{"event": "unknown"}', '{"event": "done"}', "{"):
            with raw(path) as connection:
                connection.execute("UPDATE message SET stats = ?", (stats,))
            assert store.path(conversation)[0].stats is None


class TestDeletion:
    def test_a_deleted_conversation_is_out_of_sight_until_it_is_restored(self, store: Conversations) -> None:
        conversation = store.create(title="Gone").id
        reply = store.add(conversation, None, "assistant", "", state="writing").id
        store.delete(conversation)
        assert store.all() == []
        uses: list[Callable[[int], object]] = [store.get, store.path, store.change]
        for use in [*uses, lambda it: store.add(it, None, "user", "x")]:
            with pytest.raises(UserError, match="does not exist"):
                use(conversation)
        with pytest.raises(UserError, match="does not exist"):
            store.choose(reply)
        store.finish(reply, "Said meanwhile", "done")
        assert store.search("meanwhile") == []
        store.restore(conversation)
        assert [one.text for one in store.path(conversation)] == ["Said meanwhile"]
        assert [one.id for one in store.search("meanwhile")] == [reply]

    def test_what_was_deleted_long_ago_is_purged_and_the_rest_stays(
        self, store: Conversations, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept, gone = store.create(title="kept").id, store.create(title="gone").id
        with raw(path) as connection:
            # Longer than SQLite would follow a chain of deletions from parent to child.
            connection.executemany(
                "INSERT INTO message (id, conversation, parent, role, state, created, model, text)"
                " VALUES (?, ?, ?, 'user', 'done', 0, '', '')",
                [(number, gone, number - 1 or None) for number in range(1, 2001)],
            )
        last = store.add(gone, 2000, "user", "Purple prose").id
        assert len(store.path(gone)) == 2001
        store.add(kept, None, "user", "Purple rain")
        store.delete(gone)
        assert store.recover() == 0
        store.restore(gone)
        store.delete(gone)
        later = time.time() + 30.1 * 24 * 3600
        monkeypatch.setattr(time, "time", lambda: later)
        store.delete(gone)
        assert store.recover() == 0
        with pytest.raises(UserError, match="does not exist"):
            store.restore(gone)
        with pytest.raises(UserError, match="does not exist"):
            store.siblings(last)
        assert [one.text for one in store.search("purple")] == ["Purple rain"]
        assert [one.id for one in store.all()] == [kept]
        with raw(path) as connection:
            assert connection.execute("SELECT count(*) FROM message").fetchone() == (1,)
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            connection.execute("INSERT INTO search (search) VALUES ('integrity-check')")
        # The number of a purged conversation or message never comes to mean another one.
        assert store.create().id > gone
        assert store.add(kept, None, "user", "Next").id > last


class TestMessage:
    def test_a_reply_is_written_and_finished(self, store: Conversations) -> None:
        conversation = store.create().id
        question = store.add(conversation, None, "user", "What?").id
        reply = store.add(conversation, question, "assistant", "", model="m", state="writing")
        assert (reply.state, reply.model, reply.stats) == ("writing", "m", None)
        store.write(reply.id, "The ans")
        assert store.path(conversation)[-1].text == "The ans"
        store.finish(reply.id, "The answer.", "stopped", stats=STATS, error="Why")
        finished = store.path(conversation)[-1]
        assert (finished.text, finished.state, finished.stats, finished.error) == (
            "The answer.",
            "stopped",
            STATS,
            "Why",
        )

    def test_what_has_ended_is_not_overwritten(self, store: Conversations) -> None:
        conversation = store.create().id
        message = store.add(conversation, None, "user", "Said").id
        for overwrite in (lambda: store.write(message, "x"), lambda: store.finish(message, "x", "done")):
            with pytest.raises(UserError, match="cannot be changed"):
                overwrite()
        with pytest.raises(UserError):
            store.write(message + 1, "x")
        assert store.path(conversation)[0].text == "Said"

    def test_a_parent_in_another_conversation_is_refused(self, store: Conversations) -> None:
        one, other = store.create().id, store.create().id
        message = store.add(one, None, "user", "Hello").id
        for parent in (message, 99):
            with pytest.raises(UserError, match="does not exist"):
                store.add(other, parent, "user", "x")
        assert store.path(other) == []
        with pytest.raises(UserError, match="does not exist"):
            store.add(99, None, "user", "x")

    def test_characters_of_all_kinds_survive(self, store: Conversations) -> None:
        conversation = store.create().id
        text = "a\0b 👩‍👩‍👧 e\u0301 ẞ 漢字 \U0010ffff\ufeff\r\n\u2028end\0"
        message = store.add(conversation, None, "user", text)
        assert message.text == text
        assert store.path(conversation) == [message]
        assert store.search("\0") == store.search("END\0") == store.search("👩‍👩") == [message]
        # What UTF-8 cannot hold is replaced: a paste may bring half a character.
        assert store.add(conversation, None, "user", "\ud83d\ude00 \ud83d").text == "😀 \ufffd"


class Tree(RuleBasedStateMachine):
    """The store against a model of it: the parent of every message, and the leaf of every conversation."""

    conversations = Bundle("conversations")
    messages = Bundle("messages")
    writing = Bundle("writing")

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name) / "c.sqlite3"
        self.store = Conversations(self.file)
        self.parents: dict[int, dict[int, int | None]] = {}
        self.leaves: dict[int, int | None] = {}
        self.texts: dict[int, str] = {}

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @rule(target=conversations)
    def create(self) -> int:
        conversation = self.store.create().id
        self.parents[conversation], self.leaves[conversation] = {}, None
        return conversation

    @rule(target=messages, conversation=conversations, text=st.text(max_size=5))
    def add_root(self, conversation: int, text: str) -> int:
        return self._add(conversation, None, text, "done")

    @rule(target=messages, parent=messages, text=st.text(max_size=5))
    def add(self, parent: int, text: str) -> int:
        return self._add(self._of(parent), parent, text, "done")

    @rule(target=writing, parent=messages)
    def begin(self, parent: int) -> int:
        return self._add(self._of(parent), parent, "", "writing")

    @rule(target=messages, message=consumes(writing), text=st.text(max_size=5))
    def finish(self, message: int, text: str) -> int:
        self.store.write(message, text[:2])
        self.store.finish(message, text, "done")
        self.texts[message] = text
        return message

    @rule(message=messages)
    def choose(self, message: int) -> None:
        conversation = self._of(message)
        branch = self.store.choose(message)
        newest = max(one for one in self.parents[conversation] if message in self._line(conversation, one))
        assert branch[-1].id == newest
        self.leaves[conversation] = newest

    @rule(conversation=conversations)
    def delete_and_undo(self, conversation: int) -> None:
        self.store.delete(conversation)
        assert conversation not in [one.id for one in self.store.all()]
        self.store.restore(conversation)

    @rule()
    def reopen_and_recover(self) -> None:
        self.store.close()
        self.store = Conversations(self.file)
        assert self.store.recover() == 0

    @invariant()
    def the_trees_agree(self) -> None:
        for conversation, leaf in getattr(self, "leaves", {}).items():
            line = self._line(conversation, leaf)
            branch = self.store.path(conversation)
            assert [one.id for one in branch] == line
            assert [one.parent for one in branch] == [None, *line][: len(line)]
            assert [one.text for one in branch] == [self.texts[one] for one in line]
            assert self.store.get(conversation).leaf == leaf
            for one, parent in self.parents[conversation].items():
                alternatives = [other for other, its in self.parents[conversation].items() if its == parent]
                assert self.store.siblings(one) == sorted(alternatives)

    def _add(self, conversation: int, parent: int | None, text: str, state: State) -> int:
        message = self.store.add(conversation, parent, "user", text, state=state)
        self.parents[conversation][message.id] = parent
        self.leaves[conversation] = message.id
        self.texts[message.id] = text
        return message.id

    def _of(self, message: int) -> int:
        return next(conversation for conversation, tree in self.parents.items() if message in tree)

    def _line(self, conversation: int, message: int | None) -> list[int]:
        line: list[int] = []
        while message is not None:
            line.insert(0, message)
            message = self.parents[conversation][message]
        return line


TestTree = Tree.TestCase
TestTree.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


class TestSearch:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(ANY_TEXT, min_size=1, max_size=5), st.data())
    def test_every_part_of_every_text_is_found(self, texts: list[str], data: st.DataObject) -> None:
        with temporary_store() as store:
            conversation = store.create().id
            stored = [store.add(conversation, None, "user", text) for text in texts]
            message = data.draw(st.sampled_from(stored))
            assume(message.text)
            start = data.draw(st.integers(0, len(message.text) - 1))
            part = message.text[start : data.draw(st.integers(start + 1, len(message.text)))]
            found = store.search(part)
            assert message in found
            expected = [one for one in reversed(stored) if schema.fold(part) in schema.fold(one.text)]
            assert found == expected

    @settings(max_examples=100, deadline=None)
    @given(ANY_TEXT)
    @example("x" * 100_000)
    @example('"' * 1000)
    def test_nothing_a_person_types_is_an_error(self, text: str) -> None:
        with temporary_store() as store:
            store.add(store.create().id, None, "user", "a OR b")
            store.search(text)

    @pytest.mark.parametrize(
        ("text", "query"),
        [
            ("今天天气很好", "天气"),
            ("今天天气很好", "好"),
            ("The STRASSE and the Straße", "straße"),
            ("ПРИВЕТ", "ив"),
            ("100% sure_thing", "% s"),
            ("see https://example.org/a?b=c", "://e"),
            ("x" * 100 + "end", "x" * 90 + "END"),
        ],
    )
    def test_a_text_is_found(self, store: Conversations, text: str, query: str) -> None:
        message = store.add(store.create().id, None, "user", text)
        store.add(store.create().id, None, "user", "x" * 200 + " something else")
        assert store.search(query) == [message]

    def test_the_newest_come_first_up_to_the_limit(self, store: Conversations) -> None:
        conversation = store.create().id
        ids = [store.add(conversation, None, "user", f"Number {n}").id for n in range(10)]
        for query in ("number", "nu"):
            assert [one.id for one in store.search(query, limit=3)] == ids[:-4:-1]
        assert store.search("") == []

    def test_a_message_is_found_once_it_has_ended(self, store: Conversations) -> None:
        reply = store.add(store.create().id, None, "assistant", "", state="writing").id
        store.write(reply, "Elephants never")
        assert store.search("elephants") == []
        store.finish(reply, "Elephants never forget", "done")
        assert [one.id for one in store.search("elephants")] == [reply]


WRITER = """
import sys, time
from pathlib import Path
from engine.chat.conversations import Conversations
with Conversations(Path(sys.argv[1])) as store:
    conversation = store.create().id
    question = store.add(conversation, None, "user", "Count.")
    reply = store.add(conversation, question.id, "assistant", "", state="writing")
    for number in range(10_000):
        store.write(reply.id, " ".join(map(str, range(number + 1))))
        print(number, flush=True)
        time.sleep(0.05)
"""


class TestTwoAtOnce:
    def test_what_a_killed_writer_committed_is_there_and_is_called_interrupted(
        self, store: Conversations, path: Path
    ) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            for _ in range(6):
                child.stdout.readline()
            assert store.recover() == 0, "its writer lives"
            child.kill()
            # The last words before the death may still stand in the pipe.
            last = int((child.stdout.read().split() or ["5"])[-1])
        [conversation] = store.all()
        assert store.path(conversation.id)[-1].state == "writing"
        assert store.recover() == 1
        reply = store.path(conversation.id)[-1]
        assert reply.state == "interrupted"
        numbers = [int(number) for number in reply.text.split()]
        assert numbers == list(range(len(numbers)))
        assert numbers[-1] in (last, last + 1)
        assert store.search(f"{last - 1} {last}") == [reply]
        assert store.recover() == 0

    def test_a_process_that_got_the_number_of_a_dead_one_is_not_taken_for_it(
        self, store: Conversations, path: Path
    ) -> None:
        reply = store.add(store.create().id, None, "assistant", "Half", state="writing")
        assert store.recover() == 0
        with raw(path) as connection:
            connection.execute("UPDATE message SET writer = ?", (f"{os.getpid()} another start",))
        assert store.recover() == 1
        with pytest.raises(UserError, match="cannot be changed"):
            store.write(reply.id, "Half more")

    def test_two_threads_write_at_once(self, path: Path) -> None:
        with Conversations(path) as store:
            shared = store.create().id

        def work(name: str) -> None:
            with Conversations(path) as mine:
                parent = None
                for number in range(40):
                    parent = mine.add(shared, parent, "user", f"{name} {number}").id
                    reply = mine.add(shared, parent, "assistant", "", state="writing").id
                    mine.write(reply, "Half")
                    mine.finish(reply, f"To {name} {number}", "done")
                    mine.choose(reply)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, ["one", "two"]))
        with Conversations(path) as store:
            assert len(store.search("to ", limit=1000)) == 80
            first, second = store.siblings(store.path(shared)[0].id)
            for root in (first, second):
                assert len({one.text.split()[-2] for one in store.choose(root)}) == 1

    def test_many_open_a_new_file_at_once(self, tmp_path: Path) -> None:
        everyone = threading.Barrier(8)

        def work(path: Path) -> int:
            everyone.wait(10)
            with Conversations(path) as store:
                return store.create().id

        with ThreadPoolExecutor(8) as pool:
            for attempt in range(5):
                made = list(pool.map(work, [tmp_path / f"{attempt}.sqlite3"] * 8))
                assert sorted(made) == list(range(1, 9))

    def test_opening_waits_for_one_who_is_making_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "c.sqlite3"
        with raw(path) as other, ThreadPoolExecutor(1) as pool:
            other.execute("BEGIN IMMEDIATE")
            opening = pool.submit(lambda: Conversations(path).close())
            time.sleep(0.1)
            assert not opening.done()
            other.execute("ROLLBACK")
            opening.result(timeout=5)

    def test_a_file_that_stays_locked_is_an_error_in_words(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(schema, "_BUSY_SECONDS", 0.05)
        with Conversations(path) as store, raw(path) as other:
            other.execute("BEGIN IMMEDIATE")
            assert store.all() == [], "reading goes on"
            with pytest.raises(UserError) as caught:
                store.create()
            assert "locked" in caught.value.why
            other.execute("ROLLBACK")
            store.create()
        with raw(tmp_path / "new.sqlite3") as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(UserError):
                Conversations(tmp_path / "new.sqlite3")

    def test_an_instance_belongs_to_its_thread(self, store: Conversations) -> None:
        with ThreadPoolExecutor(1) as pool, pytest.raises(sqlite3.ProgrammingError):
            pool.submit(store.all).result()


class TestWhatGoesWithMessages:
    def test_attachments_are_kept_with_their_message(self, store: Conversations) -> None:
        files = (Attachment("a.txt", "Größe"), Attachment("b.py", "print()\n"))
        made = store.create().id
        said = store.add(made, None, "user", "Read these", attachments=files)
        assert said.attachments == files
        answer = store.add(made, said.id, "assistant", "Done")
        assert [one.attachments for one in store.path(made)] == [files, ()]
        assert [one.attachments for one in store.ancestors(answer.id)] == [files, ()]

    def test_an_edited_message_stands_beside_the_old_one(self, store: Conversations) -> None:
        made = store.create().id
        said = store.add(made, None, "user", "Old", attachments=[Attachment("a", "b")])
        store.add(made, said.id, "assistant", "Yes")
        new = store.edit(said.id, "New")
        assert (new.parent, new.role, new.text, new.attachments) == (None, "user", "New", said.attachments)
        assert [one.text for one in store.path(made)] == ["New"]
        assert store.siblings(new.id) == [said.id, new.id]
        assert [one.text for one in store.choose(said.id)] == ["Old", "Yes"]
        assert store.edit(said.id, "Bare", []).attachments == ()

    def test_ids_and_thought_of_an_answer_are_read_back(self, store: Conversations) -> None:
        made = store.create().id
        said = store.add(made, None, "user", "Hi")
        answer = store.add(made, said.id, "assistant", "", state="writing")
        assert store.tokens(answer.id) == []
        store.finish(answer.id, "Ho", "done", tokens=[1, 2**31, 0], thought=1.5)
        assert store.tokens(answer.id) == [1, 2**31, 0]
        assert store.path(made)[-1].thought == 1.5
        assert store.path(made)[0].thought is None

    def test_a_branch_becomes_a_conversation_of_its_own(self, store: Conversations) -> None:
        made = store.create(
            title="T", system_prompt="S", sampling=Sampling(top_k=3), when_full="drop oldest", preset="P"
        )
        first = store.add(made.id, None, "user", "One", attachments=[Attachment("a", "b")])
        answer = store.add(made.id, first.id, "assistant", "", state="writing", model="m")
        store.finish(answer.id, "Zwei", "done", tokens=[7], thought=2.0)
        store.add(made.id, answer.id, "user", "Three")
        copy = store.branch(answer.id)
        assert copy.id != made.id
        assert (copy.title, copy.system_prompt, copy.sampling.top_k) == ("T", "S", 3)
        assert (copy.when_full, copy.preset) == ("drop oldest", "P")
        one, two = store.path(copy.id)
        assert (one.text, one.attachments, two.text, two.model, two.thought) == (
            "One",
            first.attachments,
            "Zwei",
            "m",
            2.0,
        )
        assert store.tokens(two.id) == [7]
        assert {one.conversation for one in store.search("zwei")} == {made.id, copy.id}
        assert [one.text for one in store.path(made.id)] == ["One", "Zwei", "Three"]

    def test_what_is_still_being_written_is_copied_as_far_as_it_came(self, store: Conversations) -> None:
        made = store.create().id
        said = store.add(made, None, "user", "Hi")
        answer = store.add(made, said.id, "assistant", "", state="writing")
        store.write(answer.id, "Half")
        copied = store.path(store.branch(answer.id).id)[-1]
        assert (copied.text, copied.state) == ("Half", "stopped")
        store.finish(answer.id, "Half and more", "done")

    def test_a_summary_stands_for_a_branch(self, store: Conversations) -> None:
        said = store.add(store.create().id, None, "user", "Long")
        assert store.summary(said.id) is None
        store.keep_summary(said.id, "m", "Short")
        store.keep_summary(said.id, "n", "Shorter")
        assert store.summary(said.id) == "Shorter"

    def test_what_the_settings_say_can_be_changed_for_one(self, store: Conversations) -> None:
        made = store.create()
        assert (made.when_full, made.preset) == ("", "")
        assert store.change(made.id, when_full="summarise", preset="Code").when_full == "summarise"
        assert (store.change(made.id, when_full="").when_full, store.get(made.id).preset) == ("", "Code")


class TestFile:
    @pytest.mark.parametrize("version", range(len(schema.MIGRATIONS)))
    def test_an_older_file_is_brought_up_to_date(self, tmp_path: Path, version: int) -> None:
        path = tmp_path / "c.sqlite3"
        path.touch()
        with raw(path) as connection:
            connection.create_function("fold", 1, schema.fold, deterministic=True)
            for statements in schema.MIGRATIONS[:version]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version}")
            if version:
                connection.execute("INSERT INTO conversation VALUES (1, 'Old', 1, 2, 'm', '', '{}', 1, NULL, NULL)")
                connection.executemany(
                    "INSERT INTO message (id, conversation, role, state, created, model, writer, text)"
                    " VALUES (?, 1, 'user', ?, 1, '', ?, ?)",
                    [(1, "done", None, "Alte Größe"), (2, "writing", "0 gone", "Große Worte")],
                )
                connection.execute("UPDATE conversation SET leaf = 1")
            if version > 1:
                connection.execute("INSERT INTO search (rowid, folded) SELECT id, fold(text) FROM message WHERE id = 1")
        with Conversations(path) as store:
            if version:
                assert [one.title for one in store.all()] == ["Old"]
                assert [one.text for one in store.path(1)] == ["Alte Größe"]
                assert [one.id for one in store.search("GRÖSSE")] == [1]
                assert store.recover() == 1
                assert [one.id for one in store.search("worte")] == [2]
            store.add(store.create().id, None, "user", "Fresh")
        with Conversations(path) as store:
            assert [one.text for one in store.search("fresh")] == ["Fresh"]
        with raw(path) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)

    def test_a_migration_that_fails_leaves_the_file_as_it_was(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Conversations(path) as store:
            made = store.create(title="Kept")
        monkeypatch.setattr(
            schema, "MIGRATIONS", (*schema.MIGRATIONS, ("ALTER TABLE message ADD COLUMN x TEXT", "nonsense"))
        )
        with pytest.raises(sqlite3.OperationalError):
            Conversations(path)
        monkeypatch.undo()
        with Conversations(path) as store:
            assert store.all() == [made]

    @pytest.mark.parametrize(("version", "reason"), [(99, "newer version"), (0, "another program")])
    def test_a_file_of_a_newer_version_or_another_program_is_refused_and_left_alone(
        self, tmp_path: Path, version: int, reason: str
    ) -> None:
        path = tmp_path / "c.sqlite3"
        with raw(path) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE message (x)")
            connection.execute(f"PRAGMA user_version = {version}")
        before = path.read_bytes()
        with pytest.raises(UserError) as caught:
            Conversations(path)
        assert reason in caught.value.what + caught.value.why
        assert str(path) in caught.value.what
        assert caught.value.remedy
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("content", [b"not a database" * 100, b"\0" * 5000, b"SQLite format 3\0" + b"\xff" * 5000])
    def test_a_damaged_file_is_an_error_in_words_and_is_kept(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "c.{sqlite3}"
        path.write_bytes(content)
        with pytest.raises(UserError) as caught:
            Conversations(path)
        assert str(path) in caught.value.what
        assert "damaged" in caught.value.why
        assert "backup" in caught.value.remedy
        assert path.read_bytes() == content

    def test_damage_inside_a_file_is_an_error_in_words(self, path: Path) -> None:
        with Conversations(path) as store:
            conversation = store.create(title="Whole").id
            for number in range(50):
                store.add(conversation, None, "user", f"{number} " * 500)
        content = bytearray(path.read_bytes())
        content[4096 * 3 :] = b"\xa5" * (len(content) - 4096 * 3)
        path.write_bytes(content)
        with pytest.raises(UserError) as caught, Conversations(path) as store:
            store.search("49 49")
        assert "damaged" in caught.value.why
        assert path.read_bytes() == content

    def test_a_folder_in_its_place_is_an_error_in_words(self, tmp_path: Path) -> None:
        with pytest.raises(UserError) as caught:
            Conversations(tmp_path)
        assert "is a folder" in caught.value.why

    def test_a_full_disk_takes_back_the_step_and_nothing_else(self, path: Path) -> None:
        with Conversations(path) as store, closing(schema.Database(path)) as database:
            conversation = store.create().id
            [(pages,)] = database.rows("PRAGMA page_count")
            database.rows(f"PRAGMA max_page_count = {pages + 2}")
            with pytest.raises(UserError) as caught, database.transaction():  # noqa: PT012  # only both together fail
                database.rows("UPDATE conversation SET title = 'changed'")
                database.rows("UPDATE conversation SET model = ?", "x" * 100_000)
            assert "disk is full" in caught.value.why
            assert store.get(conversation).title == ""
            store.change(conversation, title="Goes on")

    def test_a_file_that_may_not_be_written_is_an_error_in_words(self, path: Path) -> None:
        with closing(schema.Database(path)) as database:
            database.rows("PRAGMA query_only = 1")
            with pytest.raises(UserError) as caught:
                database.rows("DELETE FROM conversation")
        assert "permissions" in caught.value.remedy

    def test_a_step_that_sqlite_took_back_itself_keeps_its_error(self, path: Path) -> None:
        with closing(schema.Database(path)) as database:
            with pytest.raises(sqlite3.IntegrityError), database.transaction():
                database.rows("INSERT OR ROLLBACK INTO conversation (title) VALUES (NULL)")
            with database.transaction():
                assert database.rows("SELECT * FROM conversation") == []
