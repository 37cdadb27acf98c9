"""Options of a command made from a settings model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from engine.cli_options import options_of


class Taste(BaseModel):
    """A settings model with one field of each kind."""

    sweet: bool = Field(False, description="With sugar.")
    strict: bool = Field(True, description="By the recipe.")
    spoons: Literal[1, 2] | None = Field(None, description="How many.")
    milk: Literal["oat", "cow"] = Field("oat", description="Which.")
    share: float | None = Field(None, description="How much.")
    spices: tuple[str, ...] = Field((), description="Any.")
    secret: str = Field("", description="Not an option.")


SPELLINGS = {"strict": ("--strict/--relaxed",), "sweet": ("-s", "--sweet")}


def call(*words: str) -> tuple[dict[str, Any], str]:
    """What the command was given, and its output."""
    given: dict[str, Any] = {}
    app = typer.Typer(rich_markup_mode=None, add_completion=False)

    @app.command()
    @options_of(Taste, "taste", spellings=SPELLINGS, without=("secret",))
    def brew(taste: dict[str, Any], cup: Annotated[str, typer.Option()] = "large") -> None:
        given.update(taste | {"cup": cup})

    result = CliRunner().invoke(app, [*words])
    assert result.exit_code == 0, result.output
    return given, result.output


def test_without_words_the_defaults_are_given() -> None:
    given, _ = call()
    assert given == Taste().model_dump(exclude={"secret"}) | {"cup": "large"}


def test_every_kind_of_field_can_be_said() -> None:
    words = "-s --relaxed --spoons 2 --milk cow --share 0.5 --spices cinnamon --spices clove --cup small".split()
    assert call(*words)[0] == {
        "sweet": True,
        "strict": False,
        "spoons": 2,
        "milk": "cow",
        "share": 0.5,
        "spices": ("cinnamon", "clove"),
        "cup": "small",
    }


def test_the_help_shows_descriptions_and_choices() -> None:
    _, output = call("--help")
    assert "By the recipe." in output
    assert "oat|cow" in output
    assert "secret" not in output


def test_what_is_no_choice_is_left_to_the_model() -> None:
    assert call("--spoons", "7")[0]["spoons"] == 7
