"""Reads weights from their files, and says in words what is wrong with them. Knows no model class."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from engine.errors import UserError, in_short

if TYPE_CHECKING:
    import mlx.core as mx


def opened(files: Iterable[Path]) -> dict[str, mx.array]:
    """The arrays of safetensors files by name, read when they are evaluated.

    Raises:
        UserError: a file is not there or damaged.
    """
    import mlx.core as mx

    arrays: dict[str, mx.array] = {}
    for file in files:
        try:
            arrays |= cast("dict[str, mx.array]", mx.load(str(file)))
        except RuntimeError as error:
            raise _unreadable(str(file), error) from error
    return arrays


def evaluate(arrays: list[mx.array], name: str) -> None:
    """Read and compute arrays; `name` says what they are, should they not be readable.

    Raises:
        UserError: their file is cut short, or has been removed meanwhile.
    """
    import mlx.core as mx

    try:
        mx.eval(arrays)
    except RuntimeError as error:
        if "read" not in str(error).lower():
            raise
        raise _unreadable(name, error) from error


def require_finite(name: str, array: mx.array) -> None:
    """Refuse a tensor that holds infinity or what is no number; integers pass unread.

    Raises:
        UserError: names it.
    """
    import mlx.core as mx

    if not mx.issubdtype(array.dtype, mx.floating) or array.size == 0:
        return
    # Infinities and NaN are those with all bits of the exponent set: several times quicker than mx.isfinite.
    kind, exponent = {
        mx.float16: (mx.uint16, 0x7C00),
        mx.bfloat16: (mx.uint16, 0x7F80),
        mx.float32: (mx.uint32, 0x7F800000),
    }[array.dtype]
    sign = 1 << (8 * array.dtype.size - 1)
    if int(mx.max(array.view(kind) & (sign - 1))) >= exponent:
        raise UserError(
            "The weights are damaged: {tensor} holds values that are no numbers.",
            "Some of its values are infinite or undefined (NaN), so the model could compute nothing.",
            "Get the model again, or an earlier checkpoint of it; the training that made this one diverged.",
            tensor=name,
        )


def _unreadable(name: str, error: RuntimeError) -> UserError:
    return UserError(
        "Weights cannot be read to their end: {name}",
        "{reason}",
        "The file is cut short, or was changed or removed meanwhile. Get it again and repeat.",
        name=name,
        reason=in_short(error),
    )
