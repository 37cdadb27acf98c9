"""The rewards of a run: which there are, what each says of completions. Knows no model, and not how scores are used."""

from __future__ import annotations

import difflib
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import UserError
from engine.events import Event, Progress
from engine.grpo import reward_functions
from engine.grpo.reward_file import RewardFile
from engine.grpo.reward_functions import Scores
from engine.grpo.reward_judges import Judge
from engine.grpo.settings import TrainConfig

if TYPE_CHECKING:
    from engine.grpo.data import Row


class RewardSet:
    """The rewards that a configuration names, in its order."""

    names: tuple[str, ...]
    weights: tuple[float, ...]

    def __init__(self, config: TrainConfig) -> None:
        """Check the names and load the reward file; `load` does the same and says so meanwhile.

        Raises:
            UserError: a name is unknown, ambiguous or given twice, or the reward file is at fault.
        """
        for _ in self._open(config):
            pass

    @classmethod
    def load(cls, config: TrainConfig) -> Generator[Event, None, RewardSet]:
        """The rewards of a configuration; yields while the reward file is loaded. Raises as the constructor does."""
        rewards = cls.__new__(cls)
        yield from rewards._open(config)
        return rewards

    def _open(self, config: TrainConfig) -> Generator[Event, None, None]:
        self.names = config.rewards
        self.weights = config.reward_weights or (1.0,) * len(config.rewards)
        self._built_in = reward_functions.built_in(config)
        ours = (*self._built_in, *Judge.NAMES)
        self._file: RewardFile | None = None
        try:
            if config.reward_file:
                wanted = [name for name in self.names if name not in ours]
                self._file = RewardFile(config.reward_file, wanted, config.reward_timeout)
                for _ in self._file.open():
                    yield Progress("Loading the reward file", 0, detail=self._file.path.name)
            _check_names(self.names, ours, self._file.known if self._file else (), config.reward_file)
            self._judges = {name: Judge(name, config.reward_timeout) for name in self.names if name in Judge.NAMES}
        except BaseException:
            if self._file is not None:
                self._file.close()
            raise

    def score(self, completions: Sequence[str], rows: Sequence[Row], lengths: Sequence[int]) -> NDArray[np.float32]:
        """As `score_steps`, without a word meanwhile."""
        steps = self.score_steps(completions, rows, lengths)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                scores: NDArray[np.float32] = end.value
                return scores

    def score_steps(
        self, completions: Sequence[str], rows: Sequence[Row], lengths: Sequence[int]
    ) -> Generator[Event, None, NDArray[np.float32]]:
        """Score completions; closing the generator ends what runs, and scoring again starts it anew.

        Args:
            completions: (completions,) texts, the prefill included.
            rows: (completions,) the rows of data they answer.
            lengths: (completions,) in tokens.

        Yields:
            progress, several times a second.

        Returns:
            (completions, functions) scores without their weights, NaN where a function judged nothing.

        Raises:
            UserError: a reward failed, hung, or returned something else than scores; it names the reward.
        """
        scores = np.full((len(completions), len(self.names)), np.nan, np.float32)
        if not completions:
            return scores
        columns = _columns(rows, lengths)
        done: dict[str, Scores] = {}
        for name in self.names:
            if name in self._built_in:
                yield self._progress(done, name)
                done[name] = self._built_in[name](completions, **columns)
        for name, judge in self._judges.items():
            judging = judge.score(completions, columns)
            done[name] = yield from self._following(judging, done, name)
        own = [name for name in self.names if name not in done]
        if self._file is not None and own:
            done.update((yield from self._following(self._file.score(own, completions, columns), done, own[0])))
        for position, name in enumerate(self.names):
            # None becomes NaN.
            scores[:, position] = np.array(done[name], np.float64)
        return scores

    def _following(
        self, steps: Generator[Any, None, Any], done: dict[str, Scores], name: str
    ) -> Generator[Event, None, Any]:
        """The progress of what runs in a process, and its result."""
        try:
            while True:
                said = next(steps)
                yield self._progress(done, said if isinstance(said, str) else name)
        except StopIteration as end:
            return end.value
        finally:
            steps.close()

    def _progress(self, done: dict[str, Scores], name: str) -> Progress:
        return Progress("Scoring completions", len(done), len(self.names), detail=name)

    def close(self) -> None:
        """End the processes that score; scoring again would start them anew."""
        for process in (*self._judges.values(), *((self._file,) if self._file else ())):
            process.close()


def _columns(rows: Sequence[Row], lengths: Sequence[int]) -> dict[str, list[Any]]:
    """The data as rewards see it: a list for each column, None where a row lacks it."""
    # In the order of their first appearance, the same every time.
    names = dict.fromkeys(name for row in rows for name in row.columns)
    columns = {name: [row.columns.get(name) for row in rows] for name in names if name != "completions"}
    return columns | {
        "prompt": [row.prompt for row in rows],
        "answer": [row.answer for row in rows],
        "lengths": list(lengths),
    }


def _check_names(names: Sequence[str], ours: Sequence[str], theirs: Sequence[str], path: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                "The reward {name} is named twice.",
                "rewards lists each reward once.",
                "Name it once, and give it a larger weight in reward_weights.",
                name=name,
            )
        if name in ours and name in theirs:
            raise UserError(
                "There are two rewards called {name}.",
                "One is built in, the other is a function in {path}.",
                "Rename the function in the file.",
                name=name,
                path=path,
            )
        if name not in ours and name not in theirs:
            close = difflib.get_close_matches(name, [*ours, *theirs], 1, 0.5)
            raise UserError(
                "There is no reward called {name}.",
                "It is neither built in nor a public function in {path}."
                if path
                else "It is not built in, and reward_file names no file.",
                "Did you mean {suggestion}? There are: {known}." if close else "There are: {known}.",
                name=name,
                path=path,
                suggestion=close[0] if close else "",
                known=", ".join([*ours, *theirs]),
            )
