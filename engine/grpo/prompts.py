"""Turns rows into the token ids a policy reads, and its token ids into text. Knows a tokenizer, no weights."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from engine.chat.prompts import encode_chat
from engine.errors import UserError
from engine.grpo.order import row_at

if TYPE_CHECKING:
    from mlx_lm.tokenizer_utils import TokenizerWrapper

    from engine.grpo.data import Row
    from engine.grpo.settings import TrainConfig


def encode(tokenizer: TokenizerWrapper, row: Row, config: TrainConfig) -> list[int]:
    """The ids of a row's conversation up to where the completion begins, the prefill included.

    What the data spells is text, even where it spells a special token.

    Raises:
        UserError: the model's chat template refuses the row's prompt, or the system prompt.
    """
    try:
        ids = encode_chat(tokenizer, [("user", row.prompt)], config.system_prompt)
    except UserError as error:
        raise _refused(tokenizer, row, config, error) from error
    if config.completion_prefill:
        # By itself, so that its tokens are the same whatever the template ends with.
        ids += tokenizer.encode(config.completion_prefill, add_special_tokens=False, split_special_tokens=True)
    return ids


def _refused(tokenizer: TokenizerWrapper, row: Row, config: TrainConfig, error: UserError) -> UserError:
    """Which of the two it is that the model's chat template does not take."""
    values: dict[str, Any] = {
        "reason": f"{error.what} {error.why}",
        "number": row.index + 1,
        "prompt": row.prompt.strip()[:100],
    }
    try:
        encode_chat(tokenizer, [("user", row.prompt)])
    except UserError:
        return UserError(
            "The model refuses the prompt of row {number}: {prompt}",
            "{reason}",
            "Mend or delete that row. If all rows are refused, get the model again: its chat template is damaged.",
            **values,
        )
    return UserError(
        "The model refuses system_prompt.",
        "{reason}",
        'Change it, or set it to "".',
        **values,
    )


def decode(tokenizer: TokenizerWrapper, ids: Sequence[int], eos_ids: Collection[int]) -> str:
    """The text of a completion, without the token that ended it; other special tokens are spelled out."""
    kept = ids[:-1] if ids and ids[-1] in eos_ids else ids
    return str(tokenizer.decode(list(kept), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def fits(prompt: Sequence[int], config: TrainConfig) -> bool:
    """Whether a prompt is short enough to be used; its prefill counts."""
    return len(prompt) <= config.max_prompt_length


def next_row(
    tokenizer: TokenizerWrapper, rows: Sequence[Row], config: TrainConfig, cursor: int
) -> tuple[Row, list[int], int]:
    """The row to train on at place `cursor` of the run's order, its prompt, and the cursor of the one after it.

    Rows whose prompts are too long are passed over.

    Raises:
        UserError: a row is not usable, or the prompts of a whole epoch are too long.
    """
    shortest = 0
    for place in range(cursor, cursor + 2 * len(rows)):  # a whole epoch lies in any two epochs' length
        row = rows[row_at(config.seed, len(rows), place)]
        prompt = encode(tokenizer, row, config)
        if fits(prompt, config):
            return row, prompt, place + 1
        shortest = min(shortest or len(prompt), len(prompt))
    raise UserError(
        "Every prompt of the training data is too long.",
        "The shortest has {shortest} tokens with the system prompt, and max_prompt_length is {limit}.",
        "Set max_prompt_length to {shortest} or more, or shorten system_prompt.",
        shortest=shortest,
        limit=config.max_prompt_length,
    )
