"""A conversation outside the store: all of its tree, and the JSON it travels as. Knows no file and no database.

In JSON a message names its parent by its place in the list, where it stands before its children.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from engine.chat.messages import Attachment, Role, State
from engine.config import Sampling, WhenFull

FORMAT, VERSION = "mlx-grpo-conversations", 1
_LARGEST_ID = 2**32


@dataclass(slots=True)
class PortableMessage:
    """A message of a tree; `parent` is the place of its parent in the list, None at a root.

    `stats` are the figures of an answer as `engine.events.to_json` writes them; `summary` is (model, text).
    """

    parent: int | None
    role: Role
    text: str
    created: float
    state: State = "done"
    model: str = ""
    error: str = ""
    thought: float | None = None
    stats: str | None = None
    tokens: list[int] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    summary: tuple[str, str] | None = None


@dataclass(slots=True)
class PortableConversation:
    """A conversation; `leaf` is the place of the message that ends the branch in view, None where there is none."""

    title: str
    created: float
    updated: float
    messages: list[PortableMessage]
    leaf: int | None = None
    model: str = ""
    system_prompt: str = ""
    sampling: str = "{}"
    pinned: bool = False
    when_full: str = ""
    preset: str = ""


def to_plain(conversation: PortableConversation) -> dict[str, Any]:
    """What JSON can hold of it: everything."""
    import json

    plain: dict[str, Any] = {
        name: getattr(conversation, name) for name in PortableConversation.__match_args__ if name != "messages"
    }
    plain["sampling"] = json.loads(conversation.sampling)
    plain["messages"] = [
        {
            **{name: getattr(message, name) for name in PortableMessage.__match_args__},
            "stats": None if message.stats is None else json.loads(message.stats),
            "attachments": [{"name": file.name, "text": file.text} for file in message.attachments],
        }
        for message in conversation.messages
    ]
    return plain


def from_plain(plain: object) -> PortableConversation:
    """The conversation that `to_plain` wrote, or somebody edited; what is unknown or of the wrong kind gets a default.

    Raises:
        ValueError: it is no conversation, or its messages make no tree.
    """
    import json

    fields = _Fields(plain)
    messages = [_message(each, place) for place, each in enumerate(fields.list("messages"))]
    leaf = fields.number("leaf", None)
    if messages and (leaf is None or not 0 <= leaf < len(messages)):
        leaf = len(messages) - 1
    created = fields.time("created", 0.0)
    when_full = fields.text("when_full")
    return PortableConversation(
        title=fields.text("title"),
        created=created,
        updated=fields.time("updated", created),
        messages=messages,
        leaf=int(leaf) if messages and leaf is not None else None,
        model=fields.text("model"),
        system_prompt=fields.text("system_prompt"),
        sampling=json.dumps(_sampling(fields.get("sampling"))),
        pinned=fields.get("pinned") is True,
        when_full=when_full if when_full in get_args(WhenFull) else "",
        preset=fields.text("preset"),
    )


def _message(plain: object, place: int) -> PortableMessage:
    import json

    fields = _Fields(plain)
    parent = fields.number("parent", None)
    if parent is not None and not 0 <= parent < place:
        raise ValueError("a message stands before its parent")
    role, state = fields.text("role"), fields.text("state")
    if role not in get_args(Role):
        raise ValueError(f"nobody has the role {role!r}")
    tokens = [each for each in fields.list("tokens") if isinstance(each, int) and 0 <= each < _LARGEST_ID]
    summary = [each for each in fields.list("summary") if isinstance(each, str)]
    stats = fields.get("stats")
    thought = fields.number("thought", None)
    files = [_Fields(each) for each in fields.list("attachments")]
    return PortableMessage(
        parent=None if parent is None else int(parent),
        role="user" if role == "user" else "assistant",
        text=fields.text("text"),
        created=fields.time("created", 0.0),
        state=next((one for one in get_args(State) if one == state and one != "writing"), "done"),
        model=fields.text("model"),
        error=fields.text("error"),
        thought=None if thought is None else max(0.0, thought),
        stats=json.dumps(stats) if isinstance(stats, dict) else None,
        tokens=tokens if len(tokens) == len(fields.list("tokens")) else [],
        attachments=[Attachment(file.text("name"), file.text("text")) for file in files],
        summary=(summary[0], summary[1]) if len(summary) == 2 else None,
    )


def _sampling(plain: object) -> dict[str, Any]:
    """The settings of sampling that are known here; the store leaves out values that are not allowed."""
    if not isinstance(plain, dict):
        return {}
    return {key: value for key, value in plain.items() if key in Sampling.model_fields}


class _Fields:
    """A JSON object that anybody may have written."""

    def __init__(self, plain: object) -> None:
        if not isinstance(plain, dict):
            raise ValueError("it is not an object")  # noqa: TRY004  a fault of the file, not of the program
        self._plain: dict[str, Any] = plain

    def get(self, name: str) -> Any:
        return self._plain.get(name)

    def text(self, name: str) -> str:
        value = self._plain.get(name)
        return value if isinstance(value, str) else ""

    def list(self, name: str) -> Sequence[Any]:
        value = self._plain.get(name)
        return value if isinstance(value, list) else ()

    def number(self, name: str, default: float | None) -> float | None:
        value = self._plain.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < 1e300:
            return default  # NaN, too, is not below anything
        return value

    def time(self, name: str, default: float) -> float:
        """Seconds since 1970, of the years that a calendar can show."""
        value = self.number(name, default) or default
        return value if 0 <= value < 4e9 else default
