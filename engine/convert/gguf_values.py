"""Single values out of a .gguf file's header, and the errors where there is no use of them. Knows no architecture."""

from __future__ import annotations

from typing import Any

from engine.convert.gguf_header import Header
from engine.errors import UserError


def short(number: Any) -> Any:
    """A float without the noise of its float32 form: 9.99999974e-06 -> 1e-05; anything else as it is."""
    import numpy as np

    return float(str(np.float32(number))) if isinstance(number, float) else number


def uniform(header: Header, key: str, default: Any = None) -> int:
    """A positive number that some files state for each layer, which has to be the same for all of them here.

    Raises:
        UserError: it is missing, not positive, or differs between layers.
    """
    value = header.get(key, default)
    if isinstance(value, list) and len(set(value)) == 1:
        value = value[0]
    if isinstance(value, list):
        raise unsupported(header, f"varies {key} from layer to layer")
    if not isinstance(value, int) or value < 1:
        raise lacking(header, f"a value for {key}")
    return value


def lacking(header: Header, what: str) -> UserError:
    """The error of a file without something every model has."""
    return UserError(
        "{name} is not a complete model.",
        "It lacks {lacking}.",
        "Download the file again, or choose another one.",
        name=header.files[0].name,
        lacking=what,
    )


def unsupported(header: Header, trait: str) -> UserError:
    """The error of a model that no class here computes rightly."""
    return UserError(
        "{name} is a model this program would compute wrongly.",
        "It {trait}.",
        "Choose the model as a Hugging Face folder, or another model.",
        name=header.files[0].name,
        trait=trait,
    )
