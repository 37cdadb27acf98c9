"""What is said of conversations and batches: small frozen dataclasses, part of the words of `engine.events`.

Knows no job and no view.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContextFitted:
    """What the model reads before it answers: `tokens` of the `window` (0: not stated).

    `left_out` counts the oldest messages that did not fit; `summarised` says that a summary stands in their place.
    """

    tokens: int
    window: int
    left_out: int = 0
    summarised: bool = False


@dataclass(frozen=True, slots=True)
class MessageFound:
    """A message of a conversation contains what was looked for; `excerpt` is the part of its text around it.

    The match is `excerpt[start : start + length]`. `created` is in seconds since 1970.
    """

    conversation: int
    message: int
    title: str
    role: str
    excerpt: str
    start: int
    length: int
    created: float


@dataclass(frozen=True, slots=True)
class ConversationsExported:
    """Conversations were written to `path`, a file or a folder of files."""

    path: str
    conversations: int
    messages: int


@dataclass(frozen=True, slots=True)
class ConversationsImported:
    """Conversations were added, their numbers newest first; `left_out` says, a sentence each, what was not taken."""

    conversations: tuple[int, ...]
    messages: int
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TextFileRead:
    """A text file was read: its name without the folder, and its text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class TokenScored:
    """A token of an answer under the model: `position` counts from 0, `text` is what it added to the answer.

    `logprob` is its natural-log probability before any sampling filter, `rank` how many tokens were likelier.
    `alternatives` are the likeliest tokens as (id, text, logprob), the token itself among them if it is one of them.
    """

    position: int
    token: int
    text: str
    logprob: float
    rank: int
    alternatives: tuple[tuple[int, str, float], ...]


@dataclass(frozen=True, slots=True)
class AnswerScored:
    """What rewards gave a stored answer: (name, score, problem), the score None where a problem is named."""

    message: int
    scores: tuple[tuple[str, float | None, str], ...]


@dataclass(frozen=True, slots=True)
class BatchPlanned:
    """What a batch asks: `rows` prompts with these `columns`, and the first of them as they are said.

    `rendered` holds (system prompt, prompt). `reference` is the column of right answers, "" for none. `warnings` are
    whole sentences.
    """

    rows: int
    columns: tuple[str, ...]
    reference: str
    rendered: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchStarted:
    """A batch begins: answers go to `output`; `kept` of the rows x samples = `total` are there from before."""

    output: str
    rows: int
    samples: int
    total: int
    kept: int


@dataclass(frozen=True, slots=True)
class BatchAnswered:
    """An answer of a batch, written to its file: `row` and `sample` count from 0.

    `scores` are (reward, score); `right` compares with the reference answer, None where there is none. `error` says why
    a row could not be answered; its text is empty then. `seconds` runs from when it was begun.
    """

    row: int
    sample: int
    prompt: str
    text: str
    stop_reason: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    seed: int
    scores: tuple[tuple[str, float], ...] = ()
    reference: str = ""
    right: bool | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class BatchProgress:
    """How a batch stands: answers `done` of `total` (those kept included), `open` being written now.

    `tokens` were generated in this go, in `seconds`.
    """

    done: int
    total: int
    open: int
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class BatchFinished:
    """All of a batch is answered. `pass_at` holds (k, share of prompts) where there are reference answers.

    pass@k after Chen et al. 2021 (arXiv:2107.03374), equation 1; `means` are (reward, mean score).
    """

    output: str
    answers: int
    failed: int
    tokens: int
    seconds: float
    tokens_per_second: float
    means: tuple[tuple[str, float], ...] = ()
    pass_at: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class BatchExported:
    """A batch's answers were written to this file."""

    path: str
    answers: int


ChatEvent = (
    ContextFitted
    | MessageFound
    | ConversationsExported
    | ConversationsImported
    | TextFileRead
    | TokenScored
    | AnswerScored
    | BatchPlanned
    | BatchStarted
    | BatchAnswered
    | BatchProgress
    | BatchFinished
    | BatchExported
)
