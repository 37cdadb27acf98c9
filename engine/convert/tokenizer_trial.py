"""Opens a tokenizer that was just written, as every later use will. Knows no form of tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from engine.convert.settings import ConversionSettings
from engine.convert.source import Source
from engine.errors import UserError, in_short
from engine.events import Event, Note


def opened(work: Path, source: Source, settings: ConversionSettings) -> Iterator[Event]:
    """Open what was written of the tokenizer, as every later use will.

    Raises:
        UserError: it cannot be opened, or its chat template is damaged.
    """
    from jinja2.exceptions import TemplateSyntaxError
    from mlx_lm.utils import load_tokenizer

    described = work / "config.json"
    described.write_text(json.dumps({"model_type": source.config["model_type"]}), "utf-8")
    try:
        tokenizer = load_tokenizer(work, {"trust_remote_code": settings.trust_remote_code})
    except Exception as error:  # other people's files go through other people's code
        raise UserError(
            "The tokenizer of {name} cannot be used.",
            "{reason}",
            "Get its files (tokenizer.json, tokenizer_config.json) again from where the model came.",
            name=source.name,
            reason=in_short(error),
        ) from error
    try:
        tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}])
    except TemplateSyntaxError as error:
        raise UserError(
            "The chat template of {name} is damaged.",
            "{reason}",
            "Get chat_template.jinja or tokenizer_config.json again from where the model came.",
            name=source.name,
            reason=error,
        ) from error
    except Exception:  # noqa: S110  a template may refuse this very conversation
        pass
    places_in_model = source.config.get("vocab_size")
    if isinstance(places_in_model, int) and (tokens := len(tokenizer.get_vocab())) > places_in_model:
        yield Note(
            f"The tokenizer knows {tokens:,} tokens and the model only {places_in_model:,}; text with the others fails."
        )
