"""Answers the prompts of a batch, judges the answers and keeps them. Knows the bench, not who watches.

The model may be replaced while it yields, as by a chat with another one: what was open is begun again then.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from engine import live
from engine.batch import figures
from engine.batch.asking import Asking
from engine.batch.judging import Judges, is_right
from engine.batch.outputs import Output, open_output
from engine.batch.questions import Question, ask
from engine.batch.writing import Ask, Written
from engine.chat.requests import RunBatch
from engine.chat_events import BatchAnswered, BatchFinished, BatchProgress, BatchStarted
from engine.errors import UserError
from engine.events import Event, Note, ReplyFinished, Token

if TYPE_CHECKING:
    from engine.jobs import Workbench
    from engine.session import ModelSession


def run(request: RunBatch, bench: Workbench) -> Iterator[Event]:
    """Answer many prompts; see `RunBatch`.

    Yields:
        BatchStarted, a BatchAnswered for each answer that is kept and for each other one once it is in the file,
        BatchProgress in between, at last BatchFinished. A row that cannot be answered is a BatchAnswered too, and ends
        nothing.

    Raises:
        UserError: the source, a reward, the output or the model is at fault.
    """
    _, _, questions = yield from ask(request.source)
    _require(request, len(questions))
    judges = Judges(request.rewards)
    with closing(judges):
        # First, so that a slip of the pen is told before a model is read.
        yield from judges.open()
        with open_output(request, questions) as output:
            yield from output.notes
            yield BatchStarted(
                str(output.path), len(questions), request.samples, len(questions) * request.samples, len(output.kept)
            )
            yield from output.kept.values()
            yield from _Run(request, bench, questions, judges, output).steps()


class _ReplacedError(Exception):
    """The model that was answering is not there any more."""


class _Run:
    """A batch under way."""

    def __init__(
        self, request: RunBatch, bench: Workbench, questions: Sequence[Question], judges: Judges, output: Output
    ) -> None:
        self._request, self._bench, self._questions = request, bench, questions
        self._judges, self._output = judges, output
        self._began: float | None = None
        self._tokens = self._open = 0
        numbers = ((row, sample) for row in range(len(questions)) for sample in range(request.samples))
        self._todo = deque(number for number in numbers if number not in output.kept)
        self._total = len(questions) * request.samples

    def steps(self) -> Iterator[Event]:
        """Answer all that is not answered yet."""
        told = False
        while self._todo:
            session = yield from self._bench.want(self._request.load)
            # From here on: loading a model says nothing of how fast it is.
            self._began = self._began or time.monotonic()
            asking = Asking(session, self._request, self._questions, self._todo, self._output)
            told = yield from self._answer(session, asking, told)
        answers = self._output.kept
        failed = sum(bool(answer.error) for answer in answers.values())
        seconds = self._seconds()
        yield BatchFinished(
            output=str(self._output.path),
            answers=len(answers) - failed,
            failed=failed,
            tokens=self._tokens,
            seconds=seconds,
            tokens_per_second=self._tokens / seconds if seconds else 0.0,
            means=figures.means(answers),
            pass_at=figures.pass_at(answers, self._request.samples),
        )

    def _answer(self, session: ModelSession, asking: Asking, told: bool) -> Generator[Event, None, bool]:
        """Answer with this model until all is answered or the model is another; whether its limits were told."""
        from engine.batch import trial

        alone = self._request.rows_at_once == 1 or len(self._todo) == 1
        if not alone and not trial.can_merge(session):
            alone = True
            if not told:
                yield Note("This architecture does not allow answers side by side: they come one after the other.")
        yield from self._one_by_one(session, asking) if alone else self._side_by_side(session, asking)
        return True

    def _side_by_side(self, session: ModelSession, asking: Asking) -> Iterator[Event]:
        from engine.batch import trial
        from engine.batch.side_by_side import SideBySide

        request = self._request
        batch = SideBySide(
            session,
            request.sampling,
            asking.groups(),
            stops=asking.stops,
            rows=request.rows_at_once,
            memory_limit=request.load.memory_limit,
            sharing=request.samples > 1 and trial.can_share(session),
        )
        before = self._tokens
        while (written := batch.advance()) is not None:
            self._tokens, self._open = before + batch.tokens, batch.open
            yield from self._keep(written, asking)
            yield self._progress()
            if not self._serves(session):
                asking.put_back(batch.unfinished())
                return
        yield from self._keep([], asking)

    def _one_by_one(self, session: ModelSession, asking: Asking) -> Iterator[Event]:
        """Exactly as in a chat."""
        from engine.chat.streaming import stream_reply

        self._open = 1
        for group in asking.groups():
            for place, each in enumerate(group):
                sampling = self._request.sampling.model_copy(update={"seed": each.seed})
                began = time.perf_counter()
                with self._reply(session, stream_reply(session, each.prompt, sampling, stops=asking.stops)) as reply:
                    for event in reply:
                        self._tokens += isinstance(event, Token) and event.token is not None
                        if isinstance(event, ReplyFinished):
                            yield from self._keep([_written(each, event, time.perf_counter() - began)], asking)
                        yield self._progress()
                        if not self._serves(session):
                            break
                if not self._serves(session):
                    answered = each.place in asking.answered
                    asking.put_back(group[place + answered :])
                    return
        self._open = 0
        yield from self._keep([], asking)

    @contextmanager
    def _reply(self, session: ModelSession, reply: Generator[Event, None, ReplyFinished]) -> Iterator[Iterator[Event]]:
        """The events of an answer, which is stopped at the end; one whose model is gone keeps nothing of it."""
        try:
            yield reply
        finally:
            if self._serves(session):
                reply.close()
            else:
                with suppress(_ReplacedError):
                    reply.throw(_ReplacedError)

    def _serves(self, session: ModelSession) -> bool:
        """Whether this is still the model asked for."""
        name = self._request.load.model
        if name.startswith(live.PREFIX):
            return self._bench.live.session(name)[0] is session
        return self._bench.session is session

    def _keep(self, written: Sequence[Written], asking: Asking) -> Iterator[Event]:
        """Judge answers, write them to the file and tell them, those refused meanwhile too."""
        refused, asking.refused = asking.refused, []
        for answer in refused:
            yield from self._told(answer)
        questions = [self._questions[each.place // self._request.samples] for each in written]
        texts, lengths = [each.text for each in written], [each.completion_tokens for each in written]
        scores = yield from self._judges.score(questions, texts, lengths)
        for each, question, judged in zip(written, questions, scores, strict=True):
            asking.answered.add(each.place)
            yield from self._told(
                BatchAnswered(
                    row=question.row,
                    sample=each.place % self._request.samples,
                    prompt=question.prompt,
                    text=each.text,
                    stop_reason=each.stop_reason,
                    prompt_tokens=each.prompt_tokens,
                    completion_tokens=each.completion_tokens,
                    seconds=round(each.seconds, 3),
                    seed=each.seed,
                    scores=judged,
                    reference=question.reference,
                    right=is_right(each.text, question.reference) if question.reference else None,
                )
            )
        self._output.file.sync()

    def _told(self, answer: BatchAnswered) -> Iterator[Event]:
        self._output.keep(answer)
        yield answer

    def _progress(self) -> BatchProgress:
        return BatchProgress(len(self._output.kept), self._total, self._open, self._tokens, self._seconds())

    def _seconds(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began


def _written(ask: Ask, finished: ReplyFinished, seconds: float) -> Written:
    return Written(
        place=ask.place,
        text=finished.text,
        stop_reason=finished.stop_reason,
        prompt_tokens=finished.prompt_tokens,
        completion_tokens=finished.completion_tokens,
        seconds=seconds,
        seed=ask.seed,
    )


def _require(request: RunBatch, rows: int) -> None:
    """Refuse numbers that mean nothing.

    Raises:
        UserError: there are no samples, or a row to be answered anew does not exist.
    """
    if request.samples < 1:
        raise UserError(
            "{samples} answers to each prompt cannot be written.",
            "A prompt has one answer or more.",
            "Ask for at least one.",
            samples=request.samples,
        )
    strange = [row for row in request.again if not 0 <= row < rows]
    if strange:
        raise UserError(
            "There is no row {row} to be answered again.",
            "There are {rows} prompts, and the file of answers counts them from 0.",
            "Name a row as it stands in the file.",
            row=strange[0],
            rows=rows,
        )
