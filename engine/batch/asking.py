"""Turns the questions of a batch into what a model is asked: ids, seeds, lengths. Knows a tokenizer, no weights."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from engine.batch.questions import Question
from engine.batch.writing import Ask
from engine.chat import prompts
from engine.chat_events import BatchAnswered
from engine.errors import UserError
from engine.events import StopReason

if TYPE_CHECKING:
    from engine.batch.outputs import Output
    from engine.chat.requests import RunBatch
    from engine.session import ModelSession


class Asking:
    """What is to be answered by one model, taken from `todo` as it is asked for.

    Attributes:
        stops: stop strings besides those of the sampling.
        refused: answers that say why a row cannot be answered, to be told.
        answered: the places of the answers that are there.
    """

    def __init__(
        self,
        session: ModelSession,
        request: RunBatch,
        questions: Sequence[Question],
        todo: deque[tuple[int, int]],
        output: Output,
    ) -> None:
        self._session, self._request, self._questions = session, request, questions
        self._todo, self._output = todo, output
        self.stops = () if session.tokenizer.has_chat_template else prompts.PLAIN_STOPS
        self.refused: list[BatchAnswered] = []
        self.answered: set[int] = set()

    def groups(self) -> Iterator[list[Ask]]:
        """What is asked, row by row: all answers to one prompt together."""
        while self._todo:
            row, sample = self._todo.popleft()
            samples = [sample]
            while self._todo and self._todo[0][0] == row:
                samples.append(self._todo.popleft()[1])
            question = self._questions[row]
            try:
                ids, limit, reason = self._encoded(question)
            except UserError as error:
                words = " ".join(part for part in (error.what, error.why) if part)
                self.refused += [self._refusal(question, sample, words) for sample in samples]
                continue
            places = [row * self._request.samples + sample for sample in samples]
            seeds = [self._output.seed(row, sample) for sample in samples]
            yield [Ask(place, ids, seed, limit, reason) for place, seed in zip(places, seeds, strict=True)]

    def put_back(self, asks: Sequence[Ask]) -> None:
        """Have these asked again."""
        self._todo.extendleft(divmod(ask.place, self._request.samples) for ask in reversed(asks))

    def _encoded(self, question: Question) -> tuple[list[int], int, StopReason]:
        """The ids of a question, the most tokens an answer may have, and what ends it there."""
        if question.problem:
            raise UserError(question.problem.replace("{", "{{").replace("}", "}}"))
        ids = prompts.encode_chat(self._session.tokenizer, [("user", question.prompt)], question.system)
        context, longest = self._session.files.context, self._request.sampling.max_tokens
        if context and len(ids) >= context:
            raise UserError(
                "This prompt is longer than the model can read.",
                "It has {length:,} tokens and {name} reads at most {context:,}.",
                length=len(ids),
                name=self._session.files.name,
                context=context,
            )
        room = context - len(ids) if context else longest
        return (ids, longest, "length") if longest <= room else (ids, room, "context full")

    def _refusal(self, question: Question, sample: int, words: str) -> BatchAnswered:
        return BatchAnswered(
            row=question.row,
            sample=sample,
            prompt=question.prompt,
            text="",
            stop_reason="",
            prompt_tokens=0,
            completion_tokens=0,
            seconds=0.0,
            seed=self._output.seed(question.row, sample),
            reference=question.reference,
            right=False if question.reference else None,
            error=words,
        )
