"""Shows rows of a run's data as its model would read them. Knows a tokenizer, no weights."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING

from engine import backend, library, model_config
from engine.errors import UserError
from engine.events import Event, Progress
from engine.run_events import PromptRendered

if TYPE_CHECKING:
    from mlx_lm.tokenizer_utils import TokenizerWrapper

    from engine.grpo.data import Row, Task
    from engine.grpo.settings import TrainConfig
    from engine.library import ModelFiles

# So many of the held-out rows are shown besides.
_HELD_OUT = 2


def prompts(config: TrainConfig, rows: int) -> Iterator[Event]:
    """Render the first rows that a run would take, in its order, and a few that it is judged on.

    Yields:
        Progress, and a PromptRendered for each row; those with `held_out` come last.

    Raises:
        UserError: the model is not on this computer, or the model, the data or a setting of them is at fault.
    """
    from engine.grpo import data

    files = located(config)
    task = yield from data.load(config)
    tokenizer = yield from tokenizer_of(files, config)
    for row in in_order(task, config, rows):
        yield rendered(tokenizer, row, config)
    for row in task.held_out[:_HELD_OUT]:
        yield rendered(tokenizer, row, config, held_out=True)


def in_order(task: Task, config: TrainConfig, count: int, start: int = 0) -> Iterator[Row]:
    """Training rows from a place of the run's order on; those that are too long are among them."""
    from engine.grpo.order import row_at

    there = len(task.train)
    for place in range(start, min(start + count, there)):
        yield task.train[row_at(config.seed, there, place)]


def located(config: TrainConfig) -> ModelFiles:
    """The files of the run's model.

    Raises:
        UserError: it is not on this computer, or is damaged.
    """
    folder = library.locate(config.model_name)
    if folder is None:
        raise UserError(
            "{name} is not on this computer yet.",
            "How it reads a prompt is told by files that come with it.",
            "Download the model, or choose one that is here.",
            name=config.model_name,
        )
    return library.describe(folder)


def tokenizer_of(files: ModelFiles, config: TrainConfig) -> Generator[Event, None, TokenizerWrapper]:
    """The tokenizer of a model, whose weights stay on the disk."""
    yield from backend.imports()
    backend.prepare()
    from engine.session import load_tokenizer

    yield Progress("Reading the tokenizer", 0, None, "", files.name)
    return load_tokenizer(files, model_config.read(files.folder), config.trust_remote_code)


def rendered(tokenizer: TokenizerWrapper, row: Row, config: TrainConfig, *, held_out: bool = False) -> PromptRendered:
    """A row as the model would read it.

    Raises:
        UserError: the model's chat template refuses it.
    """
    from engine.grpo import prompts as grpo_prompts

    ids = grpo_prompts.encode(tokenizer, row, config)
    text, marks = spelled(tokenizer, ids)
    return PromptRendered(
        row=row.index,
        question=row.prompt,
        answer=row.answer,
        rendered=text,
        tokens=len(ids),
        too_long=not grpo_prompts.fits(ids, config),
        held_out=held_out,
        marks=marks,
    )


def spelled(tokenizer: TokenizerWrapper, ids: Sequence[int]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The text of token ids, and the stretches of it, (start, length), that special tokens are spelled in."""
    special = {number for number, token in getattr(tokenizer, "added_tokens_decoder", {}).items() if token.special}
    pieces: list[str] = []
    marks: list[tuple[int, int]] = []
    run: list[int] = []

    def close() -> None:
        if run:
            pieces.append(_decoded(tokenizer, run))
            run.clear()

    for number in ids:
        if number not in special:
            run.append(number)
            continue
        close()
        token = _decoded(tokenizer, [number])
        marks.append((sum(map(len, pieces)), len(token)))
        pieces.append(token)
    close()
    text, whole = "".join(pieces), _decoded(tokenizer, ids)
    # Some tokenizers drop the space that a text begins with: the whole is right then, and the marks are not.
    return (text, tuple(marks)) if text == whole else (whole, ())


def _decoded(tokenizer: TokenizerWrapper, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))
