"""Rewards from a person's own Python file, run in a process of their own. Knows no built-in reward and no weights.

Both sides are here: `RewardFile` asks; run as a program, this module loads the file and calls its functions.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import inspect
import math
import sys
import traceback
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine import places
from engine.errors import UserError, in_short
from engine.grpo import reward_process
from engine.grpo.reward_functions import Reward, Scores
from engine.grpo.reward_process import Message, ProcessEndedError, RewardProcess

# What the file's module is called in its process; a name of a person's own module would be hidden by it.
_MODULE = "_mlx_grpo_reward_file"
# Scores become float32.
_LARGEST = 3e38


class RewardFile:
    """A file with reward functions; `known` names them once it is open."""

    def __init__(self, path: str, wanted: Sequence[str], seconds: float) -> None:
        """Nothing of the file runs yet.

        Args:
            path: of the file.
            wanted: the rewards it should have; those it has are checked when it is loaded.
            seconds: how long loading it, and one reward for one step, may take.

        Raises:
            UserError: there is no such file.
        """
        given = places.expand(path).absolute()
        if not given.is_file():
            raise UserError(
                "There is no reward file {path}",
                "reward_file names a file that does not exist, or a folder.",
                "Check the path, or leave reward_file empty to use built-in rewards alone.",
                path=given,
            )
        self.path = given.resolve()
        self.known: tuple[str, ...] = ()
        self._lines: dict[str, int] = {}
        self._seconds = seconds
        self._process = RewardProcess(__name__, {"path": str(self.path), "wanted": list(wanted)})

    def open(self) -> Generator[None, None, None]:
        """Load the file in its process.

        Raises:
            UserError: it has a syntax error, fails, hangs, or a wanted function cannot be called as a reward.
        """
        try:
            for message in self._process.open(self._seconds):
                if message is not None:
                    self.known, self._lines = tuple(message["known"]), message["lines"]
                yield
        except TimeoutError:
            raise UserError(
                "The reward file took longer than {seconds} s to load: {path}",
                "It was ended at the time limit.",
                "Do less outside its functions, or raise reward_timeout.",
                seconds=f"{self._seconds:g}",
                path=self.path,
            ) from None
        except ProcessEndedError as ended:
            raise UserError(
                "The reward file ended its own process while it was loaded: {path}",
                "The process ended with status {status}.",
                "Remove what ends or crashes Python in it, and start again.",
                status=ended.status,
                path=self.path,
            ) from None

    def score(
        self, names: Sequence[str], completions: Sequence[str], columns: Mapping[str, Sequence[Any]]
    ) -> Generator[str, None, dict[str, Scores]]:
        """Have completions scored by some of its rewards, in one exchange.

        Args:
            names: of known rewards.
            completions: (completions,) texts.
            columns: (completions,) values each.

        Yields:
            the name of the reward that is at work, several times a second.

        Returns:
            (completions,) scores by name.

        Raises:
            UserError: a reward raised, hung, or did not return one number or None for each completion.
        """
        yield from (names[0] for _ in self.open())
        request = {"names": list(names), "completions": list(completions), "columns": dict(columns)}
        scores: dict[str, Scores] = {}
        try:
            for message in self._process.ask(request, self._seconds):
                if message is not None:
                    scores[message["name"]] = message["scores"]
                yield names[min(len(scores), len(names) - 1)]
        except TimeoutError:
            raise UserError(
                "The reward {name} took longer than {seconds} s.",
                "That is the time limit for one step, at which it was ended. It is in {path}.",
                "Make it faster, or raise reward_timeout. A run that it stopped can be resumed.",
                name=names[len(scores)],
                line=self._lines.get(names[len(scores)], 0),
                seconds=f"{self._seconds:g}",
                path=self.path,
            ) from None
        except ProcessEndedError as ended:
            raise UserError(
                "The reward {name} ended its own process.",
                "The process ended with status {status}; a negative one is a signal, often for want of memory.",
                "Remove what ends or crashes Python in {path}. A run that it stopped can be resumed.",
                name=names[min(len(scores), len(names) - 1)],
                line=self._lines.get(names[min(len(scores), len(names) - 1)], 0),
                status=ended.status,
                path=self.path,
            ) from None
        return scores

    def close(self) -> None:
        """End its process."""
        self._process.close()


def _begin(opening: Message) -> tuple[Message, Callable[[Message], Iterable[Message]]]:
    """The child's side: load the file, and return what it knows and what scores with it."""
    path = Path(opening["path"])
    module = _load(path)
    known = [name for name, value in vars(module).items() if _is_reward(name, value)]
    # A function that the file imported is a reward where it is asked for by name.
    known += [name for name in opening["wanted"] if name not in known and callable(getattr(module, name, None))]
    for name in {*known} & {*opening["wanted"]}:
        _check_signature(name, getattr(module, name), path)

    def work(request: Message) -> Iterable[Message]:
        for name in request["names"]:
            # Each function gets lists of its own, since it may change them.
            columns = {column: list(values) for column, values in request["columns"].items()}
            scores = _call(name, getattr(module, name), path, list(request["completions"]), columns)
            yield {"name": name, "scores": scores}

    return {"known": known, "lines": {name: _first_line(getattr(module, name)) or 0 for name in known}}, work


def _load(path: Path) -> Any:
    path.read_bytes()  # what the system refuses is said in the system's words
    # Modules that lie beside the file can be imported, but hide none of ours.
    sys.path.append(str(path.parent))
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader(_MODULE, str(path))
    module = importlib.util.module_from_spec(importlib.machinery.ModuleSpec(_MODULE, loader, origin=str(path)))
    module.__file__ = str(path)
    sys.modules[_MODULE] = module
    try:
        loader.exec_module(module)
    except SyntaxError as error:
        where = _where(Path(error.filename or path), error.lineno)
        if Path(error.filename or path) != path:
            where["line"] = _line(error, path) or 0
        raise UserError(
            "The reward file is not valid Python: {place}",
            "{reason}",
            "Mend that line and start again.",
            **where,
            reason=f"{error.msg}: {error.text.strip()}" if error.text else error.msg,
        ) from error
    except BaseException as error:  # the file may even leave Python
        raise UserError(
            "The reward file could not be loaded: {place}",
            "{kind}: {reason}",
            "Mend that line and start again.",
            **_where(path, _line(error, path)),
            kind=type(error).__name__,
            reason=in_short(error),
        ) from error
    return module


def _is_reward(name: str, value: Any) -> bool:
    return not name.startswith("_") and inspect.isfunction(value) and value.__module__ == _MODULE


def _check_signature(name: str, function: Any, path: Path) -> None:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:
        # One written in C does not tell; the call will show.
        return
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    takes_columns = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    if not takes_columns or parameters[0].kind not in (*positional, inspect.Parameter.VAR_POSITIONAL):
        raise UserError(
            "The reward {name} cannot be called as one: {place}",
            "It does not take the completions first and all columns of the data by name.",
            "Begin it with: def {name}(completions, **columns):",
            name=name,
            **_where(path, _first_line(function)),
        )


def _call(name: str, function: Reward, path: Path, completions: list[str], columns: dict[str, list[Any]]) -> Scores:
    count = len(completions)
    try:
        given: Any = function(completions, **columns)
        results = list(given) if isinstance(given, Iterable) else None
    except BaseException as error:  # a reward may even leave Python
        raise _failed(name, function, path, error, columns) from error
    where = _where(path, _first_line(function))
    if results is None or len(results) != count:
        raise UserError(
            "The reward {name} did not return one score for each completion: {place}",
            "It was given {count} completions and returned {found}.",
            "Return a list with a number, or None, for each completion, in their order.",
            name=name,
            **where,
            count=count,
            found=f"{len(results)} scores" if results is not None else f"a {type(given).__name__}",
        )
    try:
        return [_score(name, where, position, result) for position, result in enumerate(results)]
    except UserError:
        raise
    except BaseException as error:  # what it returned may be of classes of its own
        raise _failed(name, function, path, error, columns) from error


def _failed(name: str, function: Reward, path: Path, error: BaseException, columns: Iterable[str]) -> UserError:
    return UserError(
        "The reward {name} failed: {place}",
        "{kind}: {reason}",
        "Mend it; a run that it stopped can be resumed. The columns it was given are: {columns}.",
        name=name,
        **_where(path, _line(error, path) or _first_line(function)),
        kind=type(error).__name__,
        reason=in_short(error),
        columns=", ".join(columns),
    )


def _score(name: str, where: dict[str, Any], position: int, result: Any) -> float | None:
    if result is None:
        return None
    try:
        score = math.nan if isinstance(result, str | bytes) else float(result)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    # A comparison with NaN is false, too.
    if not abs(score) <= _LARGEST:
        raise UserError(
            "The reward {name} returned something that is no finite number: {place}",
            "Its score for completion {position} is {found}.",
            "Return a finite number for each completion, or None for one it does not judge.",
            name=name,
            **where,
            position=position + 1,
            found=repr(result)[:100],
        )
    return score


def _line(error: BaseException, path: Path) -> int | None:
    """The last line of the person's file that the exception passed."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None


def _first_line(function: Any) -> int | None:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code.co_firstlineno if code else None


def _where(path: Path, line: int | None) -> dict[str, Any]:
    """The place of a fault in words, and its line by itself for whoever shows the file; 0 where it is not known."""
    return {"place": f"{path}, line {line}" if line else str(path), "line": line or 0}


if __name__ == "__main__":
    reward_process.serve(_begin)
