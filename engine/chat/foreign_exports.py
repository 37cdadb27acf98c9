"""Makes conversations of what ChatGPT, LM Studio and others export. Knows their JSON, no file and no store.

ChatGPT: conversations.json of its data export, a list of conversations whose `mapping` is a tree of nodes. LM Studio:
NAME.conversation.json, a list of messages of which each has versions. Others: a list of messages with role and content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from engine.chat.portable import PortableConversation, PortableMessage

_ROLES = ("user", "assistant")


class UnknownFormatError(ValueError):
    """Not the JSON of a conversation."""


def conversations(document: object) -> Iterator[object]:
    """The parts of a document that may each be a conversation.

    Raises:
        UnknownFormatError: there is none in it.
    """
    if isinstance(document, list) and document and all(isinstance(each, dict) for each in document):
        if any("mapping" in each or "messages" in each for each in document):
            yield from document
            return
        if all("role" in each and "content" in each for each in document):
            yield {"messages": document}
            return
    elif isinstance(document, dict):
        if isinstance(document.get("conversations"), list):
            yield from document["conversations"]
            return
        if "mapping" in document or "messages" in document:
            yield document
            return
    raise UnknownFormatError("no conversations")


def read(plain: object, left_out: Counter[str]) -> PortableConversation:
    """One conversation; what is not taken is counted in `left_out` by what it is.

    Raises:
        UnknownFormatError: it is none of those known here.
    """
    if isinstance(plain, dict) and isinstance(plain.get("mapping"), dict):
        return _chatgpt(plain, left_out)
    if isinstance(plain, dict) and isinstance(plain.get("messages"), list):
        versions = any(isinstance(each, dict) and "versions" in each for each in plain["messages"])
        return _lm_studio(plain, left_out) if versions else _messages(plain, left_out)
    raise UnknownFormatError("no conversation")


def _chatgpt(plain: dict[str, Any], left_out: Counter[str]) -> PortableConversation:
    nodes = {key: node for key, node in plain["mapping"].items() if isinstance(node, dict)}
    began = _time(plain.get("create_time"))
    made = PortableConversation(_text(plain.get("title")), began, _time(plain.get("update_time"), began), [])
    # Of each node the place of the message that it became, or that its nearest ancestor became.
    places: dict[str, int | None] = {}
    waiting = [key for key, node in nodes.items() if not _is_key(node.get("parent"), nodes)][::-1]
    while waiting:
        key = waiting.pop()
        if key in places:
            continue
        node = nodes[key]
        parent = node.get("parent")
        above = places.get(parent) if isinstance(parent, str) else None
        places[key] = _add_node(made, node, above, left_out)
        children = node.get("children")
        waiting += [child for child in (children if isinstance(children, list) else [])[::-1] if _is_key(child, nodes)]
    current = plain.get("current_node")
    return _ended(made, places.get(current) if isinstance(current, str) else None)


def _is_key(name: object, nodes: dict[str, Any]) -> bool:
    return isinstance(name, str) and name in nodes


def _add_node(
    made: PortableConversation, node: dict[str, Any], above: int | None, left_out: Counter[str]
) -> int | None:
    """The place of the message that a node becomes; `above` where it becomes none."""
    message = node.get("message")
    if not isinstance(message, dict):
        return above
    author, about = message.get("author"), message.get("metadata")
    role = author.get("role") if isinstance(author, dict) else None
    about = about if isinstance(about, dict) else {}
    if about.get("is_visually_hidden_from_conversation"):
        return above
    text = _content(message.get("content"), left_out)
    if role == "system":
        made.system_prompt = made.system_prompt or text
    elif role not in _ROLES:
        left_out["tool"] += bool(text)
    elif text.strip():
        said = _time(message.get("create_time"), made.created)
        return _add(made, above, role, text, said, _text(about.get("model_slug")))
    return above


def _lm_studio(plain: dict[str, Any], left_out: Counter[str]) -> PortableConversation:
    began = _time(plain.get("createdAt")) / 1000
    system = _text(plain.get("systemPrompt"))
    made = PortableConversation(_text(plain.get("name")), began, began, [], system_prompt=system)
    above: int | None = None
    for each in plain["messages"]:
        versions = each.get("versions") if isinstance(each, dict) else None
        selected = each.get("currentlySelected") if isinstance(each, dict) else 0
        chosen = above
        for number, version in enumerate(versions if isinstance(versions, list) else []):
            if not isinstance(version, dict):
                continue
            role, text = version.get("role"), _lm_studio_text(version, left_out)
            if role == "system":
                made.system_prompt = made.system_prompt or text
            elif role in _ROLES and text.strip():
                sender = version.get("senderInfo")
                model = _text(sender.get("senderName")) if isinstance(sender, dict) else ""
                place = _add(made, above, role, text, began, model if role == "assistant" else "", beside=number > 0)
                chosen = place if number == selected or chosen == above else chosen
        above = chosen
    return _ended(made, above)


def _lm_studio_text(version: dict[str, Any], left_out: Counter[str]) -> str:
    steps = version.get("steps")
    if not isinstance(steps, list):
        return _content(version.get("content"), left_out)
    parts = []
    for step in steps:
        if not isinstance(step, dict) or step.get("type") != "contentBlock":
            left_out["tool"] += isinstance(step, dict) and step.get("type") != "debugInfoBlock"
            continue
        text, style = _content(step.get("content"), left_out), step.get("style")
        thinks = isinstance(style, dict) and style.get("type") == "thinking"
        parts.append(f"<think>\n{text.strip()}\n</think>" if thinks else text)
    return "\n\n".join(part for part in parts if part.strip())


def _messages(plain: dict[str, Any], left_out: Counter[str]) -> PortableConversation:
    began = _time(plain.get("created"), _time(plain.get("create_time")))
    made = PortableConversation(_text(plain.get("title")), began, began, [], model=_text(plain.get("model")))
    above: int | None = None
    for each in plain["messages"]:
        if not isinstance(each, dict):
            raise UnknownFormatError("a message is not an object")
        role, text = each.get("role"), _content(each.get("content"), left_out)
        if role in ("system", "developer"):
            made.system_prompt = made.system_prompt or text
        elif role not in _ROLES:
            left_out["tool"] += bool(text)
        elif text.strip():
            above = _add(made, above, role, text, began, "")
    return _ended(made, above)


def _add(
    made: PortableConversation,
    above: int | None,
    role: Any,
    text: str,
    created: float,
    model: str,
    *,
    beside: bool = False,
) -> int:
    """Append a message; what one side said in several goes together, as models' templates take turns.

    `beside`: it is another version of the message before.
    """
    before = made.messages[above] if above is not None else None
    if before is not None and before.role == role:
        if above == len(made.messages) - 1 and not beside:
            before.text += f"\n\n{text}"
            return len(made.messages) - 1
        above = before.parent
    made.messages.append(PortableMessage(above, role, text, created, model=model))
    return len(made.messages) - 1


def _ended(made: PortableConversation, leaf: int | None) -> PortableConversation:
    """The conversation with its branch in view; the newest where the one in view is not known."""
    made.leaf = leaf if leaf is not None else len(made.messages) - 1 if made.messages else None
    return made


def _content(content: object, left_out: Counter[str]) -> str:
    """The text of a message's content, whatever form it has."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        if isinstance(content.get("parts"), list):
            return _content(content["parts"], left_out)
        # What the model thought, or was told about the person, is not part of what was said.
        apart = content.get("content_type") in ("thoughts", "reasoning_recap", "user_editable_context")
        return "" if apart else _text(content.get("text"))
    texts = []
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            left_out["file"] += 1
    return "\n\n".join(text for text in texts if text.strip())


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _time(value: object, default: float = 0.0) -> float:
    """Seconds, or milliseconds, since 1970."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 4e12:
        return default
    return float(value)
