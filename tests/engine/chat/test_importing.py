"""Conversations of other programs: their forms, and everything that can be wrong with a file."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.chat import importing
from engine.chat.conversations import Conversations, Message
from engine.chat_events import ConversationsImported
from engine.errors import UserError


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "store" / "c.sqlite3"


def take_in(database: Path, source: Path) -> ConversationsImported:
    *_, last = importing.read(database, source)
    assert isinstance(last, ConversationsImported)
    return last


def written(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), "utf-8")
    return path


def node(
    name: str, parent: str | None, children: list[str], role: str = "", *parts: object, **extra: Any
) -> dict[str, Any]:
    content = {"content_type": "text", "parts": list(parts)} | extra.pop("content", {})
    message = {"author": {"role": role}, "create_time": 1.7e9, "content": content, "metadata": extra} if role else None
    return {"id": name, "parent": parent, "children": children, "message": message}


def chatgpt(**changes: Any) -> dict[str, Any]:
    """As ChatGPT exports a conversation with two answers to one question, a tool in between and a picture."""
    nodes = [
        node("root", None, ["sys"]),
        node("sys", "root", ["q"], "system", "Be kind."),
        node("q", "sys", ["a1", "a2"], "user", "Why is the sky blue?", {"content_type": "image_asset_pointer"}),
        node("a1", "q", [], "assistant", "Because.", model_slug="gpt-4o"),
        node("a2", "q", ["t"], "assistant", "Let me look.", model_slug="gpt-4o"),
        node("t", "a2", ["a3"], "tool", "results"),
        node("a3", "t", ["q2"], "assistant", "It scatters.", model_slug="gpt-4o"),
        node("q2", "a3", ["h"], "user", "Thanks"),
        node("h", "q2", ["a4"], "user", "hidden", is_visually_hidden_from_conversation=True),
        node("a4", "h", [], "assistant", "Welcome"),
    ]
    return {
        "title": "Sky",
        "create_time": 1.7e9,
        "update_time": 1.7e9 + 60,
        "mapping": {each["id"]: each for each in nodes},
        "current_node": "a4",
    } | changes


def said(messages: list[Message]) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in messages]


def test_an_export_of_chatgpt(database: Path, tmp_path: Path) -> None:
    other = chatgpt(create_time=1.6e9, update_time=1.6e9, title="B")
    done = take_in(database, written(tmp_path / "conversations.json", [chatgpt(), other]))
    assert len(done.conversations) == 2
    assert done.left_out == ("Messages of tools: 2.", "Pictures and files in messages: 2.")
    with Conversations(database) as store:
        stored = store.get(done.conversations[0])
        assert (stored.title, stored.system_prompt, stored.created) == ("Sky", "Be kind.", 1.7e9)
        path = store.path(stored.id)
        assert said(path) == [
            ("user", "Why is the sky blue?"),
            ("assistant", "Let me look.\n\nIt scatters."),
            ("user", "Thanks"),
            ("assistant", "Welcome"),
        ]
        assert path[1].model == "gpt-4o"
        assert len(store.siblings(path[1].id)) == 2
        assert done.messages == 10


def test_a_zip_and_a_folder_hold_the_same(database: Path, tmp_path: Path) -> None:
    """Larger exports of ChatGPT come in several files; the newest conversation is told first."""
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("conversations-000.json", json.dumps([chatgpt()]))
        archive.writestr("conversations-001.json", json.dumps([chatgpt(create_time=1.5e9, update_time=1.5e9)]))
        archive.writestr("user.json", json.dumps({"id": 1}))
        archive.writestr("chat.html", "<html>")
    done = take_in(database, tmp_path / "export.zip")
    assert len(done.conversations) == 2
    assert "Files without conversations: 1." in done.left_out
    with zipfile.ZipFile(tmp_path / "export.zip") as archive:
        archive.extractall(tmp_path / "folder")
    again = take_in(database, tmp_path / "folder")
    assert again.conversations == ()
    assert again.left_out[0] == "Conversations that were here already: 2."


def test_an_export_of_lm_studio(database: Path, tmp_path: Path) -> None:
    def single(role: str, text: str) -> dict[str, Any]:
        return {"role": role, "type": "singleStep", "content": [{"type": "text", "text": text}]}

    def several(*texts: tuple[str, str]) -> dict[str, Any]:
        blocks = [
            {"type": "contentBlock", "style": {"type": style}, "content": [{"type": "text", "text": text}]}
            for style, text in texts
        ]
        steps = [*blocks, {"type": "debugInfoBlock", "debugInfo": "x"}]
        return {"role": "assistant", "type": "multiStep", "senderInfo": {"senderName": "qwen"}, "steps": steps}

    document = {
        "name": "Sea",
        "createdAt": 1.7e12,
        "systemPrompt": "Be brief.",
        "messages": [
            {"versions": [single("user", "Old"), single("user", "How deep?")], "currentlySelected": 1},
            {
                "versions": [several(("thinking", "Hm"), ("default", "Deep.")), several(("default", "Very."))],
                "currentlySelected": 0,
            },
            {"versions": [single("user", "More")], "currentlySelected": 0},
        ],
    }
    done = take_in(database, written(tmp_path / "1.conversation.json", document))
    with Conversations(database) as store:
        [stored] = store.all()
        assert (stored.title, stored.system_prompt, stored.created) == ("Sea", "Be brief.", 1.7e9)
        path = store.path(stored.id)
        assert said(path) == [
            ("user", "How deep?"),
            ("assistant", "<think>\nHm\n</think>\n\nDeep."),
            ("user", "More"),
        ]
        assert path[1].model == "qwen"
        assert [len(store.siblings(each.id)) for each in path] == [2, 2, 1]
    assert done.left_out == ()


def test_a_plain_list_of_messages(database: Path, tmp_path: Path) -> None:
    messages = [
        {"role": "system", "content": "Add."},
        {"role": "user", "content": [{"type": "text", "text": "1 + 1?"}, {"type": "image_url", "image_url": "x"}]},
        {"role": "assistant", "content": "2"},
    ]
    take_in(database, written(tmp_path / "a.json", messages))
    take_in(database, written(tmp_path / "b.json", {"title": "B", "created": 1.7e9, "messages": messages}))
    with Conversations(database) as store:
        assert sorted(each.title for each in store.all()) == ["1 + 1?", "B"]
        assert all(said(store.path(each.id)) == [("user", "1 + 1?"), ("assistant", "2")] for each in store.all())
        assert all(each.system_prompt == "Add." for each in store.all())


def test_what_is_damaged_is_counted_and_the_rest_is_taken(database: Path, tmp_path: Path) -> None:
    mapping = {"mapping": {"a": 5, "b": {"parent": "b", "children": ["b", 7], "message": {"author": 3}}}}
    parts = [chatgpt(), {"mapping": {}}, {"messages": [3]}, mapping, {"mapping": 4}]
    done = take_in(database, written(tmp_path / "c.json", parts))
    assert len(done.conversations) == 1
    assert "Conversations without a message: 2." in done.left_out
    assert "Conversations that could not be read: 2." in done.left_out


@pytest.mark.parametrize(
    "content",
    [b"", b"no json", b"[" * 100_000, b'{"a": 1}', b"[]", b"PK\x03\x04 broken zip", b"\xff\xfe", b'{"format": "x"}'],
)
def test_what_holds_none_is_refused(database: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError) as caught:
        take_in(database, tmp_path / "x.json")
    assert caught.value.remedy
    with Conversations(database) as store:
        assert store.all() == []


def test_places_that_are_none_are_refused(database: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "nowhere.json"):
        with pytest.raises(UserError):
            take_in(database, path)


def test_an_export_of_a_newer_version_is_left_alone(database: Path, tmp_path: Path) -> None:
    document = {"format": "mlx-grpo-conversations", "version": 9, "conversations": []}
    with pytest.raises(UserError, match="newer version"):
        take_in(database, written(tmp_path / "x.json", document))


def test_a_zip_that_unpacks_without_end_is_passed_over(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_MOST_BYTES", 100_000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", b" " * 50_000_000)
        archive.writestr("../../out.json", json.dumps([chatgpt()]))
    done = take_in(database, tmp_path / "x.zip")
    assert len(done.conversations) == 1
    assert done.left_out[0] == "Files larger than 1 GB: 1."
    assert not list(tmp_path.parent.glob("out.json"))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_damage_ends_in_conversations_or_in_words(data: st.DataObject) -> None:
    """Anything in the place of any part of an export."""
    import tempfile

    document: Any = [chatgpt()]
    holder, key = document, 0
    for _ in range(data.draw(st.integers(0, 5))):
        inner = holder[key]
        if not inner or not isinstance(inner, dict | list):
            break
        holder, key = inner, data.draw(st.sampled_from(list(inner) if isinstance(inner, dict) else range(len(inner))))
    holder[key] = data.draw(st.sampled_from([None, 0, -1, 1e30, "", "x", "q", [], ["q"], {}, {"q": 1}, True]))
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = take_in(Path(folder) / "c.sqlite3", written(Path(folder) / "x.json", document))
        except UserError:
            return
        with Conversations(Path(folder) / "c.sqlite3") as store:
            for number in done.conversations:
                assert store.path(number)
