"""Conversations in files: read as Markdown, and lossless as JSON."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.chat import exporting, importing, portable
from engine.chat.archive import Archive
from engine.chat.conversations import Attachment, Conversations
from engine.chat.portable import PortableConversation, PortableMessage
from engine.chat_events import ConversationsExported, ConversationsImported
from engine.config import Sampling
from engine.errors import UserError
from engine.events import Progress, ReplyFinished

STATS = ReplyFinished("Four.", "end", 12, 3, 2, 0.1, 9.0, 1000, 7)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "c.sqlite3"


def a_conversation(store: Conversations) -> int:
    """With a system prompt, a file, two answers and a branch; its number."""
    made = store.create(
        title="Sums: 2/2?",
        model="starter",
        system_prompt="Add.",
        sampling=Sampling(top_k=4, stop=("x",)),
        when_full="summarise",
        preset="Precise",
    ).id
    asked = store.add(made, None, "user", "What is 2 + 2?", attachments=[Attachment("a b.txt", "```\n1\n```")])
    first = store.add(made, asked.id, "assistant", "", state="writing", model="starter")
    store.finish(first.id, "Five.", "stopped", tokens=[4, 5])
    second = store.add(made, asked.id, "assistant", "", state="writing", model="owner/model")
    store.finish(second.id, "Four.", "done", stats=STATS, tokens=[1, 2, 2**31], thought=1.5)
    store.keep_summary(second.id, "starter", "They added.")
    return made


def export(database: Path, output: Path, form: Any, *numbers: int) -> ConversationsExported:
    *_, last = exporting.write(database, numbers, output, form)
    assert isinstance(last, ConversationsExported)
    return last


def take_in(database: Path, source: Path) -> ConversationsImported:
    *_, last = importing.read(database, source)
    assert isinstance(last, ConversationsImported)
    return last


def test_markdown_reads_like_the_conversation(database: Path, tmp_path: Path) -> None:
    with Conversations(database) as store:
        made = a_conversation(store)
    done = export(database, tmp_path / "out.md", "markdown", made)
    assert (done.conversations, done.messages, done.path) == (1, 2, str(tmp_path / "out.md"))
    title, date, *rest = (tmp_path / "out.md").read_text("utf-8").split("\n\n")
    assert title == "# Sums: 2/2?"
    assert date.startswith("*20")
    assert rest == [
        "## System prompt",
        "Add.",
        "## You",
        "a b.txt:",
        "````\n```\n1\n```\n````",
        "What is 2 + 2?",
        "## owner/model",
        "Four.\n",
    ]


def test_all_become_files_of_a_folder(database: Path, tmp_path: Path) -> None:
    names = ["../../etc/passwd", "Same", "same", "", "CON:*?", "\u202eabc", "漢" * 90, ".hidden"]
    with Conversations(database) as store:
        for name in names:
            store.add(store.create(title=name or "Untitled").id, None, "user", "Hi")
    done = export(database, tmp_path / "all", "markdown")
    files = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert done.conversations == len(files) == len(names)
    assert all(name.endswith(".md") and not name.startswith(".") for name in files)
    assert "etc passwd.md" in files


def test_json_comes_back_as_it_was(database: Path, tmp_path: Path) -> None:
    with Conversations(database) as store:
        made = a_conversation(store)
        store.change(made, pinned=True)
        export(database, tmp_path / "out.json", "json", made)
        other = tmp_path / "other.sqlite3"
        done = take_in(other, tmp_path / "out.json")
        assert (done.messages, done.left_out) == (3, ())
        with Conversations(other) as there:
            [copy] = there.all()
            old = store.get(made)
            assert (copy.title, copy.system_prompt, copy.sampling) == (old.title, old.system_prompt, old.sampling)
            assert (copy.created, copy.pinned, copy.when_full, copy.preset) == (
                old.created,
                True,
                "summarise",
                "Precise",
            )
            asked, answer = there.path(copy.id)
            assert asked.attachments == store.path(made)[0].attachments
            assert (answer.text, answer.stats, answer.thought, answer.model) == ("Four.", STATS, 1.5, "owner/model")
            assert there.tokens(answer.id) == [1, 2, 2**31]
            assert there.summary(answer.id) == "They added."
            assert len(there.siblings(answer.id)) == 2
            assert [one.id for one in there.search("five")] != []


def test_what_is_here_already_is_not_doubled(database: Path, tmp_path: Path) -> None:
    with Conversations(database) as store:
        made = a_conversation(store)
        export(database, tmp_path / "out.json", "json")
        done = take_in(database, tmp_path / "out.json")
        assert done.conversations == ()
        assert done.left_out == ("Conversations that were here already: 1.",)
        store.add(made, store.get(made).leaf, "user", "And on it went.")
        assert len(take_in(database, tmp_path / "out.json").conversations) == 1
        store.delete(made)
        assert len(take_in(database, tmp_path / "out.json").conversations) == 0


def test_a_folder_is_not_written_over(database: Path, tmp_path: Path) -> None:
    with Conversations(database) as store:
        made = a_conversation(store)
    for form in ("json", "markdown"):
        with pytest.raises(UserError, match="is a folder"):
            export(database, tmp_path, form, made)
    with pytest.raises(UserError):
        export(database, tmp_path / "no" / "folder.json", "json", made)
    with pytest.raises(UserError, match="does not exist"):
        export(database, tmp_path / "x.json", "json", 99)
    assert not (tmp_path / "x.json").exists()


def test_an_export_that_is_stopped_leaves_the_old_file(database: Path, tmp_path: Path) -> None:
    with Conversations(database) as store:
        for _ in range(3):
            a_conversation(store)
    output = tmp_path / "out.json"
    output.write_text("old")
    steps = exporting.write(database, (), output, "json")
    assert isinstance(next(steps), Progress)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert output.read_text() == "old"
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".sqlite3"]


TEXTS = st.text(max_size=12)
TIMES = st.floats(1, 2e9)


@st.composite
def trees(draw: st.DrawFn) -> PortableConversation:
    """Any conversation that the store can hold."""
    messages = [
        PortableMessage(
            parent=draw(st.none() | st.integers(0, place - 1)) if place else None,
            role=draw(st.sampled_from(["user", "assistant"])),
            text=draw(TEXTS),
            created=draw(TIMES),
            state=draw(st.sampled_from(["done", "stopped", "failed", "interrupted"])),
            model=draw(TEXTS),
            error=draw(TEXTS),
            thought=draw(st.none() | st.floats(0, 1e6)),
            tokens=draw(st.lists(st.integers(0, 2**32 - 1), max_size=3)),
            attachments=draw(st.lists(st.builds(Attachment, TEXTS, TEXTS), max_size=2)),
            summary=draw(st.none() | st.tuples(TEXTS, TEXTS)),
        )
        for place in range(draw(st.integers(0, 6)))
    ]
    created = draw(TIMES)
    return PortableConversation(
        title=draw(TEXTS.filter(bool)),
        created=created,
        updated=created + draw(st.floats(0, 1000)),
        messages=messages,
        leaf=draw(st.integers(0, len(messages) - 1)) if messages else None,
        model=draw(TEXTS),
        system_prompt=draw(TEXTS),
        sampling=Sampling(top_k=draw(st.integers(0, 9))).model_dump_json(),
        pinned=draw(st.booleans()),
        when_full=draw(st.sampled_from(["", "stop", "drop oldest", "summarise"])),
        preset=draw(TEXTS),
    )


@given(trees())
@settings(max_examples=40, deadline=None)
def test_out_and_in_loses_nothing(made: PortableConversation) -> None:
    with tempfile.TemporaryDirectory() as folder:
        here, there, file = Path(folder) / "a.sqlite3", Path(folder) / "b.sqlite3", Path(folder) / "c.json"
        with Archive(here) as archive:
            stored = archive.read(archive.add(made))
        list(exporting.write(here, (), file, "json"))
        done = take_in(there, file)
        with Archive(there) as archive:
            back = archive.read(done.conversations[0])
    back.sampling, stored.sampling = json.loads(back.sampling), json.loads(stored.sampling)  # type: ignore[assignment]
    assert back == stored
    assert back.messages == made.messages


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*PortableConversation.__match_args__, *PortableMessage.__match_args__, "name", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(st.fixed_dictionaries({"messages": st.lists(JSON, max_size=3)}) | JSON)
@settings(max_examples=200, deadline=None)
def test_whatever_stands_in_a_file_is_a_conversation_or_refused(plain: object) -> None:
    try:
        made = portable.from_plain(plain)
    except ValueError:
        return
    assert portable.from_plain(json.loads(json.dumps(portable.to_plain(made)))) == made
