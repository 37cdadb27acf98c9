"""The generator of events each request about conversations and batches starts. Knows which room does what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine import places
from engine.chat.requests import (
    ChatRequest,
    ExportBatch,
    ExportConversations,
    ImportConversations,
    InspectAnswer,
    PlanBatch,
    ReadTextFile,
    RunBatch,
    ScoreAnswer,
    SearchConversations,
)

if TYPE_CHECKING:
    from engine.events import Event
    from engine.jobs import Workbench


def start(request: ChatRequest, bench: Workbench) -> Iterator[Event]:
    """The generator that does what the request asks."""
    match request:
        case PlanBatch():
            from engine.batch import questions

            yield from questions.plan(request.source)
        case RunBatch():
            from engine.batch import run

            yield from run.run(request, bench)
        case ExportBatch():
            from engine.batch import exporting

            yield from exporting.export(request)
        case ExportConversations():
            from engine.chat import exporting as exporting_chats

            output = places.expand(request.output)
            yield from exporting_chats.write(request.database, request.conversations, output, request.form)
        case ImportConversations():
            from engine.chat import importing

            yield from importing.read(request.database, places.expand(request.source))
        case SearchConversations():
            from engine.chat import finding

            yield from finding.find(request)
        case ReadTextFile():
            from engine.chat import text_files

            yield text_files.read(places.expand(request.path))
        case InspectAnswer():
            from engine.chat import inspecting

            yield from inspecting.inspect(request, bench)
        case ScoreAnswer():
            from engine.chat import scoring

            yield from scoring.score(request)
