"""Has rewards judge a stored answer as they judge completions in training. Knows no model and no window."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING

from engine.chat.conversations import Conversations, Message
from engine.chat.requests import ScoreAnswer
from engine.chat_events import AnswerScored
from engine.errors import UserError
from engine.events import Event

if TYPE_CHECKING:
    from engine.grpo.data import Row

Opinion = tuple[str, float | None, str]
"""A reward, its score, and why it has none."""

# What judges by comparing with the right answer, and what by the length in tokens.
_COMPARING = ("accuracy", "correctness", "math_equivalence")
_MEASURING = ("length",)


def score(request: ScoreAnswer) -> Iterator[Event]:
    """Score an answer by each of the rewards of a request; what one of them cannot judge is said beside its name.

    Yields:
        Progress, at last AnswerScored.

    Raises:
        UserError: there is no such answer, it is empty or still being written, or no reward is named.
    """
    with Conversations(request.database) as store:
        *before, message = store.ancestors(request.message)
        # Of an answer that was stopped only the tokens themselves are kept.
        length = message.stats.completion_tokens if message.stats else len(store.tokens(message.id))
    if not request.text:
        _require_answer(message)
    if not request.rewards:
        raise UserError("No reward is chosen.", "There is nothing to judge the answer by.", "Choose at least one.")
    prompt, text = before[-1].text if before else "", request.text or message.text
    length = request.tokens if request.text else length
    opinions = yield from judge(request.rewards, prompt, text, request.reference, length)
    yield AnswerScored(message.id, opinions)


def judge(
    rewards: Sequence[str], prompt: str, completion: str, reference: str, length: int
) -> Generator[Event, None, tuple[Opinion, ...]]:
    """What each reward says of one completion.

    Args:
        rewards: names of the program's own, or FILE.py:FUNCTION.
        reference: the right answer, "" for none.
        length: of the completion in tokens, 0 where it is not known.

    Yields:
        Progress, several times a second.
    """
    from engine.grpo.data import Row

    row = Row(0, prompt, reference.strip(), {"prompt": prompt, "answer": reference.strip()})
    opinions: list[Opinion] = []
    for reward in dict.fromkeys(rewards):
        if reward in _COMPARING and not row.answer:
            opinions.append((reward, None, "It compares with the right answer, and none is given."))
        elif reward in _MEASURING and not length:
            opinions.append((reward, None, "It goes by the number of tokens, which is not known of this answer."))
        else:
            opinions.append((yield from _opinion(reward, completion, row, length)))
    return tuple(opinions)


def _opinion(reward: str, completion: str, row: Row, length: int) -> Generator[Event, None, Opinion]:
    """One reward alone, so that a fault of another costs it nothing."""
    from engine.grpo.rewards import RewardSet
    from engine.grpo.settings import TrainConfig

    file, colon, function = reward.rpartition(":")
    is_file = bool(colon) and file.endswith(".py")
    config = TrainConfig(rewards=(function if is_file else reward,), reward_file=file if is_file else "")
    try:
        rewards = yield from RewardSet.load(config)
        with contextlib.closing(rewards):
            scores = yield from rewards.score_steps([completion], [row], [length])
    except UserError as error:
        return reward, None, " ".join(part for part in (error.what, error.why) if part)
    value = float(scores[0, 0])
    return (reward, None, "It has no opinion on this answer.") if math.isnan(value) else (reward, value, "")


def _require_answer(message: Message) -> None:
    if message.role != "assistant" or not message.text:
        raise UserError(
            "There is nothing to judge.",
            "The message holds no text of a model.",
            "Choose an answer that has some.",
        )
    if message.state == "writing":
        raise UserError(
            "This answer is still being written.",
            "It can be judged once it has ended.",
            "Wait for its end, or stop it.",
        )
