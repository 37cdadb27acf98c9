"""The generator of events each request about runs starts. Knows which room does what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine import places
from engine.monitor.requests import (
    ChangeNotes,
    CompareTexts,
    DeleteRuns,
    ListCheckpoints,
    ListRuns,
    MonitorRequest,
    PreviewData,
    PurgeRuns,
    ReadConfig,
    ReadRecord,
    ReadSamples,
    RestoreRuns,
    SearchSamples,
    TryRewards,
    WriteReport,
)

if TYPE_CHECKING:
    from engine.events import Event
    from engine.jobs import Workbench


def start(request: MonitorRequest, bench: Workbench) -> Iterator[Event]:
    """The generator that does what the request asks."""
    match request:
        case ReadRecord():
            from engine.monitor import record

            yield from record.read(places.expand(request.folder), request.place, request.mark)
        case ListRuns() | ListCheckpoints() | ReadConfig() | ChangeNotes() | DeleteRuns() | RestoreRuns() | PurgeRuns():
            yield from _keep(request)
        case ReadSamples():
            from engine.monitor import samples

            yield from samples.of_step(places.expand(request.folder), request.step)
        case SearchSamples():
            from engine.monitor import sample_search

            yield from sample_search.search(places.expand(request.folder), request.text, request.limit)
        case CompareTexts():
            from engine.monitor import differences

            yield differences.of_texts(request.left, request.right)
        case PreviewData():
            from engine.monitor import preview

            yield from preview.prompts(request.config, request.rows)
        case TryRewards():
            from engine.monitor import trial

            yield from trial.scores(request, bench)
        case WriteReport():
            from engine.monitor import report

            yield from report.write(places.expand(request.folder), request.output)


def _keep(
    request: ListRuns | ListCheckpoints | ReadConfig | ChangeNotes | DeleteRuns | RestoreRuns | PurgeRuns,
) -> Iterator[Event]:
    from engine.monitor import keeping, runs

    match request:
        case ListRuns():
            yield from runs.found(request.folders)
        case ListCheckpoints():
            yield from runs.checkpoints(places.expand(request.folder))
        case ReadConfig():
            yield from runs.config(request.name)
        case ChangeNotes():
            keeping.write_notes(places.expand(request.folder), request.notes, request.tags)
        case DeleteRuns():
            yield from keeping.put_aside(tuple(map(places.expand, request.folders)))
        case RestoreRuns():
            yield from keeping.bring_back(tuple(map(places.expand, request.folders)))
        case PurgeRuns():
            yield from keeping.purge(request.folders)
