"""Requests, and the generator of events each one starts. Knows which room does what; knows no lane and no view."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from engine import live, places
from engine.chat import jobs as chat
from engine.chat.requests import ChatRequest
from engine.convert import journal
from engine.convert.settings import ConversionSettings
from engine.events import Event, ModelFetched, ModelFound, ModelUnloaded
from engine.live import LivePolicies
from engine.monitor import jobs as monitor
from engine.monitor.requests import ChangeNotes
from engine.requests import (
    CHAT,
    CONVERSION,
    EVALUATION,
    MEASURE,
    TRAINING,
    Convert,
    Download,
    Evaluate,
    Examine,
    ExportCheckpoint,
    Fuse,
    Generate,
    ListModels,
    LoadModel,
    LookAt,
    Measure,
    MeasureQuality,
    Reply,
    Request,
    Train,
    UnloadModel,
    Upload,
)

if TYPE_CHECKING:
    from engine.session import ModelSession

__all__ = [
    "CHAT",
    "CONVERSION",
    "EVALUATION",
    "MEASURE",
    "TRAINING",
    "Convert",
    "Download",
    "Evaluate",
    "Examine",
    "ExportCheckpoint",
    "Fuse",
    "Generate",
    "ListModels",
    "LoadModel",
    "LookAt",
    "Measure",
    "MeasureQuality",
    "Reply",
    "Request",
    "Train",
    "UnloadModel",
    "Upload",
    "Workbench",
    "command_line",
    "fetch",
    "start",
]

UNBROKEN = (ChangeNotes,)
"""What a person wrote and takes no time to keep; it is kept although its lane closes."""


class Workbench:
    """What the jobs of one lane share: the model in memory, the policies that train. Belongs to the lane's thread."""

    def __init__(self) -> None:
        journal.sweep()
        self.session: ModelSession | None = None
        self.live = LivePolicies()
        self._loaded: LoadModel | None = None
        self._draft: ModelSession | None = None
        self._draft_name = ""

    def want(self, request: LoadModel) -> Generator[Event, None, ModelSession]:
        """The session of the model asked for, loaded if it is not there; the policy of a run leaves what is there."""
        if request.model.startswith(live.PREFIX):
            session, loaded = self.live.session(request.model)
            yield loaded
            return session
        if self.session is not None and self._loaded == request:
            return self.session
        yield from self.clear()
        from engine import library
        from engine.session import open_session

        if request.fetch and library.is_hub_id(request.model) and library.locate(request.model) is None:
            yield from fetch(request.model)
        self.session = yield from open_session(
            request.model,
            precision=request.precision,
            memory_limit=request.memory_limit,
            adapter=request.adapter,
            trust_remote_code=request.trust_remote_code,
        )
        self._loaded = request
        return self.session

    def want_draft(self, name: str, session: ModelSession) -> Generator[Event, None, ModelSession | None]:
        """A small model that guesses ahead for the one that is there; None where none fits."""
        if self._draft_name != name:
            from engine.chat.drafts import open_draft

            self._drop_draft()
            self._draft = yield from open_draft(name, session)
            self._draft_name = name
        return self._draft

    def _drop_draft(self) -> None:
        draft, self._draft, self._draft_name = self._draft, None, ""
        if draft is not None:
            draft.close()

    def clear(self) -> Iterator[Event]:
        """Give the model's memory back, if there is one, and that of its draft."""
        self._drop_draft()
        if self.session is not None:
            name, session = self.session.files.name, self.session
            self.session = self._loaded = None
            yield ModelUnloaded(name, session.close())


def start(request: Request, bench: Workbench) -> Iterator[Event]:
    """The generator that does what the request asks. Nothing happens before its first `next`."""
    match request:
        case LoadModel():
            yield from _load(request, bench)
        case UnloadModel():
            yield from bench.clear()
        case Generate() | Reply():
            from engine.chat import replying

            yield from replying.start(request, bench)
        case Download():
            yield from fetch(request.repository, request.revision, any_kind=request.any_kind)
        case ListModels():
            yield from _list_models()
        case LookAt() | Convert() | Fuse() | ExportCheckpoint() | MeasureQuality():
            yield from _convert(request)
        case Upload():
            from engine import hub_upload

            yield from hub_upload.upload(
                places.expand(request.folder), request.repository, private=request.private, dry_run=request.dry_run
            )
        case Train() | Evaluate():
            yield from _train(request, bench)
        case Measure() | Examine():
            yield from _look(request)
        case _:
            yield from chat.start(request, bench) if isinstance(request, ChatRequest) else monitor.start(request, bench)


def fetch(repository: str, revision: str | None = None, *, any_kind: bool = False) -> Iterator[Event]:
    """Download a model and say where it is."""
    from engine import hub, library

    repository = repository.strip().removeprefix(library.HUB_ADDRESS)
    folder = yield from hub.download(repository, revision, any_kind=any_kind)
    yield ModelFetched(repository, str(folder))


def _load(request: LoadModel, bench: Workbench) -> Iterator[Event]:
    """Have a model in memory, and say so where it was there already."""
    before = bench.session
    session = yield from bench.want(request)
    if session is before:
        from engine.session import loaded

        yield loaded(session.files, session.model, session.tokenizer, 0.0)


def _look(request: Measure | Examine) -> Iterator[Event]:
    from engine import doctor, memory

    yield from memory.measure() if isinstance(request, Measure) else doctor.examine()


def _list_models() -> Iterator[Event]:
    from engine import library

    for files in library.on_disk():
        yield ModelFound(
            files.name, str(files.folder), files.model_type, files.weights, files.bits, files.demonstration
        )


def _convert(request: LookAt | Convert | Fuse | ExportCheckpoint | MeasureQuality) -> Iterator[Event]:
    from engine.convert import conversion

    match request:
        case LookAt():
            yield conversion.planned(request.source, request.output, request.settings, request.revision)[1]
        case Convert():
            if request.fetch:
                yield from _fetch_source(request.source, request.revision)
            yield from conversion.convert(
                request.source,
                request.output,
                request.settings,
                revision=request.revision,
                overwrite=request.overwrite,
                report=request.report,
                text=request.text,
            )
        case Fuse():
            settings = ConversionSettings(dequantize=request.dequantize)
            yield from conversion.convert(
                request.model, request.output, settings, overwrite=request.overwrite, adapter=request.adapter
            )
        case ExportCheckpoint():
            from engine.grpo import export

            yield from export.export(request.folder, request.output, overwrite=request.overwrite)
        case MeasureQuality():
            yield from conversion.measure(
                request.source, request.settings, revision=request.revision, text=request.text
            )


def _fetch_source(name: str, revision: str | None) -> Iterator[Event]:
    from engine import hub, library
    from engine.convert import look

    if library.is_hub_id(name) and not look.is_here(name, revision):
        yield from hub.download(name.removeprefix(library.HUB_ADDRESS), revision, any_kind=True)


def _train(request: Train | Evaluate, bench: Workbench) -> Iterator[Event]:
    model = request.config.model_name if isinstance(request, Train) else request.model
    if request.fetch:
        from engine import library

        if library.is_hub_id(model) and library.locate(model) is None:
            yield from fetch(model)
    from engine.grpo import trainer

    match request:
        case Train(dry_run=True):
            yield from trainer.plan(request.config)
        case Train():
            resume = places.expand(request.resume) if request.resume else None
            yield from trainer.train(request.config, resume, bench.live, request.given)
        case Evaluate():
            yield from trainer.evaluate_model(request.model, request.adapter, request.config)


def command_line(request: Request) -> list[str]:
    """The words after `mlx-grpo` that do the same in another process; its JSON lines are the same events.

    Raises:
        ValueError: the request means something only to the process it was made in.
    """
    match request:
        case Generate():
            words = ["generate", "--model", request.load.model, f"--prompt={request.prompt}"]
            words += ["--trust-remote-code"] if request.load.trust_remote_code else []
            words += ["--precision", request.load.precision]
            words += ["--adapter", request.load.adapter] if request.load.adapter else []
            words += ["--system", request.system] if request.system else []
            words += ["--raw"] if request.raw else []
            for name, value in request.sampling.model_dump(exclude_defaults=True, exclude_none=True).items():
                option = f"--{name.replace('_', '-')}"
                for each in value if isinstance(value, tuple) else (value,):
                    words += [option, str(each)]
            return [*words, "--json"]
        case Download():
            revision = ["--revision", request.revision] if request.revision else []
            return ["models", "download", request.repository, *revision, "--json"]
        case ListModels():
            return ["models", "list", "--json"]
        case Examine():
            return ["doctor", "--json"]
        case Train() | Evaluate():
            return _training_words(request)
        case _:
            raise ValueError(f"{type(request).__name__} has no command line")


def _training_words(request: Train | Evaluate) -> list[str]:
    from engine.grpo import config_file

    if isinstance(request, Train):
        words = ["train", *(["--resume", request.resume] if request.resume else [])]
        words += ["--dry-run"] if request.dry_run else []
        # All settings are handed over below, and not each of them was given anew.
        words += [f"--given={','.join(request.given)}"] if request.resume else []
    else:
        words = ["eval", "--model", request.model, *(["--adapter", request.adapter] if request.adapter else [])]
    words += ["--config", str(config_file.built_in(config_file.BUILT_IN[0]))]
    words += [f"--set={assignment}" for assignment in config_file.to_assignments(request.config)]
    return [*words, "--json"]
