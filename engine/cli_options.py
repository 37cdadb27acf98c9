"""Turns the fields of a settings model into options of a command, so that each is stated once. Knows no command."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel

Command = Callable[..., None]


def options_of(
    model: type[BaseModel],
    into: str,
    *,
    spellings: Mapping[str, tuple[str, ...]] | None = None,
    without: Collection[str] = (),
) -> Callable[[Command], Command]:
    """Give a command one option for each field of `model`, passed on as a dictionary in the argument `into`.

    Args:
        spellings: how an option is written, where not as --its-name.
        without: fields that the command has an option of its own for.
    """
    fields = {name: field for name, field in model.model_fields.items() if name not in without}

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        options = []
        for name, field in fields.items():
            words = (spellings or {}).get(name, (f"--{name.replace('_', '-')}",))
            several = field.default == ()
            shown = field.default not in ((), "", None, False)
            choices = "|".join(filter(None, map(str, _choices(field.annotation)))) or None
            option = typer.Option(*words, help=field.description, show_default=shown, metavar=choices)
            options.append(
                inspect.Parameter(
                    name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=[] if several else field.default,
                    annotation=Annotated[list[str] if several else _plain(field.annotation), option],
                )
            )

        def wrapped(**values: Any) -> None:
            given = {name: values.pop(name) for name in fields}
            command(**{into: {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}}, **values)

        kept = [parameter for name, parameter in signature.parameters.items() if name != into]
        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in kept] + options
        wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
        return wrapped

    return decorate


def _choices(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else ()
    return next(filter(None, map(_choices, members)), ())


def _plain(annotation: Any) -> Any:
    """The type of a choice's members: what is not among them is refused by the model, in our own words."""
    if get_origin(annotation) is Literal:
        return type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return Union[tuple(map(_plain, get_args(annotation)))]  # noqa: UP007  made of a list
    return annotation
