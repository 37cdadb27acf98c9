"""The rewards there are: those that come with the program, and the functions of a file. Runs no code of the file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple


class Reward(NamedTuple):
    """A reward, what it rewards, and the line of its file it begins at (0: it comes with the program)."""

    name: str
    about: str
    line: int = 0


BUILT_IN = (
    Reward("accuracy", "1 where the answer in its tags is right"),
    Reward("correctness", "2 where the answer in its tags is right"),
    Reward("math_equivalence", "1 where the answer equals the right one, as 1/2 does 0.5"),
    Reward("integer", "0.5 where the answer is a whole number"),
    Reward("strict_format", "0.5 for a reasoning and an answer block, and nothing else"),
    Reward("soft_format", "0.5 for a reasoning block and an answer block anywhere"),
    Reward("xml_count", "up to 0.5: a part for each tag that is there exactly once"),
    Reward("length", "1 for short completions, less and less for long ones"),
    Reward("repetition", "0, down to -1 for words that come again and again"),
    Reward("reasoning_gym", "up to 1: what a puzzle of reasoning-gym says itself"),
)

TEMPLATE = '''\
"""Rewards of my own."""


def please(completions, **columns):
    """1 for each completion that says please."""
    # completions holds all texts that are to be judged. The columns of the data come by name, each a list as long:
    # name those you need before **columns, such as answer (the right answers) or lengths (in tokens).
    return [1.0 if "please" in text.lower() else 0.0 for text in completions]
'''


class Fault(NamedTuple):
    """What is wrong with a line of a file, counted from 1."""

    line: int
    what: str


def read(source: str) -> tuple[tuple[Reward, ...], Fault | None]:
    """The public functions of a Python file, with the first line of what they say of themselves.

    Returns:
        the functions, none where the file is not valid Python, and what is wrong with it, None where nothing is.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        return (), Fault(error.lineno or 0, error.msg)
    except (ValueError, RecursionError, MemoryError) as error:
        return (), Fault(0, str(error))
    return tuple(_functions(tree)), None


def _functions(tree: ast.Module) -> Iterator[Reward]:
    found: dict[str, Reward] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            about = (ast.get_docstring(node) or "").strip().split("\n")[0].rstrip(".")
            # A later function of the same name is the one that counts.
            found[node.name] = Reward(node.name, about, node.lineno)
    yield from found.values()
