"""Requests, and the generator of events each one starts. Knows which room does what; knows no lane and no view."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config import Sampling
from engine.errors import UserError, explain
from engine.events import Event, ModelFetched, ModelFound, ModelUnloaded, ReplyFinished, Token

if TYPE_CHECKING:
    from engine.chat.conversations import Conversations, State
    from engine.session import ModelSession

# Lower numbers go first on the compute lane.
MEASURE, CHAT, EVALUATION, CONVERSION, TRAINING = range(5)

# A token that was shown is on disk within a second.
_SAVE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class LoadModel:
    """Have this model in memory; another one that was there goes first.

    `fetch` downloads a Hugging Face id that is not on this computer; the window does that on its network lane instead.
    """

    model: str
    precision: str = "auto"
    memory_limit: int = 0
    adapter: str = ""
    trust_remote_code: bool = False
    fetch: bool = False
    priority: int = CHAT


@dataclass(frozen=True, slots=True)
class UnloadModel:
    """Give the model's memory back."""

    priority: int = CHAT


@dataclass(frozen=True, slots=True)
class Generate:
    """Answer one prompt without storing it; `raw` continues the bare text, without the chat template."""

    load: LoadModel
    prompt: str
    system: str = ""
    raw: bool = False
    sampling: Sampling = field(default_factory=Sampling)
    priority: int = CHAT


@dataclass(frozen=True, slots=True)
class Reply:
    """Write the text of a stored assistant message: the answer to the messages before it."""

    load: LoadModel
    database: Path
    message: int
    sampling: Sampling = field(default_factory=Sampling)
    priority: int = CHAT


@dataclass(frozen=True, slots=True)
class Download:
    """Fetch a model from the Hugging Face Hub."""

    repository: str
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class ListModels:
    """Find the usable models on this computer."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Say which device computes and how much of its memory is in use; imports nothing for it."""

    priority: int = MEASURE


@dataclass(frozen=True, slots=True)
class Examine:
    """Look at what this machine can run, and what is wrong with it."""

    priority: int = CHAT


Request = LoadModel | UnloadModel | Generate | Reply | Download | ListModels | Measure | Examine


class Workbench:
    """What the jobs of one lane share: the model in memory. Belongs to the lane's thread."""

    def __init__(self) -> None:
        self.session: ModelSession | None = None
        self._loaded: LoadModel | None = None

    def want(self, request: LoadModel) -> Generator[Event, None, ModelSession]:
        """The session of the model asked for, loaded if it is not there."""
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

    def clear(self) -> Iterator[Event]:
        """Give the model's memory back, if there is one."""
        if self.session is not None:
            name, session = self.session.files.name, self.session
            self.session = self._loaded = None
            yield ModelUnloaded(name, session.close())


def start(request: Request, bench: Workbench) -> Iterator[Event]:
    """The generator that does what the request asks. Nothing happens before its first `next`."""
    match request:
        case LoadModel():
            yield from bench.want(request)
        case UnloadModel():
            yield from bench.clear()
        case Generate():
            yield from _generate(request, bench)
        case Reply():
            yield from _reply(request, bench)
        case Download():
            yield from fetch(request.repository, request.revision)
        case ListModels():
            from engine import library

            for files in library.on_disk():
                yield ModelFound(
                    files.name, str(files.folder), files.model_type, files.weights, files.bits, files.demonstration
                )
        case Measure():
            from engine import memory

            yield from memory.measure()
        case Examine():
            from engine import doctor

            yield from doctor.examine()


def fetch(repository: str, revision: str | None = None) -> Iterator[Event]:
    """Download a model and say where it is."""
    from engine import hub, library

    repository = repository.strip().removeprefix(library.HUB_ADDRESS)
    folder = yield from hub.download(repository, revision)
    yield ModelFetched(repository, str(folder))


def _generate(request: Generate, bench: Workbench) -> Iterator[Event]:
    if not request.prompt.strip():
        raise UserError("There is nothing to answer.", "The prompt is empty.", "Write something first.")
    session = yield from bench.want(request.load)
    from engine.chat import prompts
    from engine.chat.streaming import stream_reply

    tokenizer = session.tokenizer
    if request.raw:
        yield from stream_reply(session, prompts.encode_text(tokenizer, request.prompt), request.sampling)
        return
    ids = prompts.encode_chat(tokenizer, [("user", request.prompt)], request.system)
    stops = () if tokenizer.has_chat_template else prompts.PLAIN_STOPS
    yield from stream_reply(session, ids, request.sampling, stops=stops)


def _reply(request: Reply, bench: Workbench) -> Iterator[Event]:
    from engine.chat.conversations import Conversations

    text, saved, error = "", time.monotonic(), ""
    state: State = "stopped"
    stats: ReplyFinished | None = None
    with Conversations(request.database) as store, closing(_answer(request, bench, store)) as answer:
        try:
            for event in answer:
                if isinstance(event, Token):
                    text += event.text
                    if time.monotonic() - saved >= _SAVE_SECONDS:
                        store.write(request.message, text)
                        saved = time.monotonic()
                elif isinstance(event, ReplyFinished):
                    text, state, stats = event.text, "done", event
                yield event
        except Exception as exception:
            words = explain(exception)
            state, error = "failed", "\n".join(part for part in (words.what, words.why, words.remedy) if part)
            raise
        finally:
            store.finish(request.message, text, state, stats=stats, error=error)


def _answer(request: Reply, bench: Workbench, store: Conversations) -> Generator[Event, None, None]:
    """Stream the answer to the branch of the conversation that ends in the message to be written."""
    *before, message = store.ancestors(request.message)
    if not before or not before[-1].text.strip():
        raise UserError("There is nothing to answer.", "The message is empty.", "Write something first.")
    session = yield from bench.want(request.load)
    from engine.chat import prompts
    from engine.chat.streaming import stream_reply

    turns = [(turn.role, turn.text) for turn in before]
    system = store.get(message.conversation).system_prompt
    ids = prompts.encode_chat(session.tokenizer, turns, system)
    stops = () if session.tokenizer.has_chat_template else prompts.PLAIN_STOPS
    yield from stream_reply(session, ids, request.sampling, stops=stops)


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
        case _:
            raise ValueError(f"{type(request).__name__} has no command line")
