"""Writes the README.md of a converted model: where it comes from, how it was made, what was measured.

Knows no weights and claims nothing that it was not told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine import library
from engine.conversion_events import ModelChecked, QualityMeasured
from engine.errors import UserError

RECORD = "conversion.json"
_FILE = "README.md"
# What a converted model inherits from its source's card.
_INHERITED = ("license", "license_name", "license_link", "language", "pipeline_tag")
_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_NO_REPORT = "How much the quantisation costs was not measured."


def of_folder(folder: Path, name: str) -> str:
    """The card of a model that was converted here, from the record of its conversion; "" where there is no record.

    Args:
        folder: the converted model.
        name: as in `compose`.

    Raises:
        UserError: the record is damaged.
    """
    path = folder / RECORD
    if not path.is_file():
        return ""
    try:
        record = json.loads(path.read_text("utf-8"))
        source = record["source"]
        settings = record["settings"]
        return compose(
            name,
            source=source["name"],
            source_card=_card_of(source["name"]),
            settings_label=record["label"] if settings.get("quantize") else "",
            dtype=settings.get("dtype") or source["dtype"],
            bits=record.get("bits", 0.0),
            quality=[QualityMeasured(**row) for row in record["quality"]],
            check=ModelChecked(**record["check"]),
            left_out=record.get("left_out", ()),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            "The record of how {folder} was converted is damaged.",
            "{file} cannot be read: {reason}",
            "Delete this file, or write a README.md into the folder yourself, and try again.",
            folder=folder,
            file=RECORD,
            reason=str(error) or type(error).__name__,
        ) from error


def _card_of(source: str) -> Path | None:
    """The README.md of a source in the Hugging Face cache."""
    from engine import hub

    found = hub.cached(source, any_kind=True) if library.is_hub_id(source) else None
    return None if found is None else (found if found.is_dir() else found.parent) / _FILE


def compose(
    name: str,
    *,
    source: str,
    source_card: Path | None = None,
    settings_label: str = "",
    dtype: str = "",
    bits: float = 0.0,
    quality: Sequence[QualityMeasured] = (),
    check: ModelChecked | None = None,
    left_out: Sequence[str] = (),
    base_model: str = "",
    license_name: str = "",
) -> str:
    """The text of a model card.

    Args:
        name: what the model is called where it is loaded from: a Hub id, or its folder's name.
        source: what it was made from: a Hub id or a path; of a path only the last part is told.
        source_card: the source's README.md, from which licence and language are taken.
        settings_label: the quantisation ("4-bit"), "" for none.
        dtype: the number format of what is not quantised.
        bits: bits per weight on average.
        quality: what was measured of this and of neighbouring settings.
        check: whether it computes what the source computes.
        left_out: tensors of the source that the model does not have.
        base_model: the Hub id of the source, "" where it has none.
        license_name: the licence, instead of the source card's.
    """
    shown = source if library.is_hub_id(source) else Path(source).name
    base_model = base_model or (shown if library.is_hub_id(shown) else "")
    inherited = _front_matter(source_card)
    text = [
        f"# {_line(name)}",
        f"This is {_link(shown)}, converted to [MLX](https://github.com/ml-explore/mlx) for Macs with Apple silicon.",
        "## How it was made",
        *_settings(settings_label, dtype, bits, left_out),
        "## What was measured",
        _verdict(check),
        *(_table(quality) if quality else [_NO_REPORT] if settings_label else []),
        "## How to use it",
        *_usage(_line(name)),
    ]
    return _header(inherited, base_model, license_name) + "\n" + "\n\n".join(text) + "\n"


def _header(inherited: dict[str, Any], base_model: str, license_name: str) -> str:
    """The YAML that the Hub reads."""
    import yaml  # type: ignore[import-untyped]

    tags = [tag for tag in inherited.get("tags") or [] if isinstance(tag, str)]
    header: dict[str, Any] = {"library_name": "mlx", "pipeline_tag": "text-generation"}
    header |= {key: inherited[key] for key in _INHERITED if inherited.get(key)}
    if license_name:
        header["license"] = license_name
    if base_model:
        header["base_model"] = base_model
    header["tags"] = list(dict.fromkeys(["mlx", *tags]))
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n"


def _front_matter(card: Path | None) -> dict[str, Any]:
    """What another card says in its YAML; {} where there is none or it cannot be read: it is a courtesy only."""
    import yaml

    if card is None or not card.is_file():
        return {}
    found = _FRONT.match(card.read_text("utf-8", errors="replace"))
    try:
        content = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        content = None
    return content if isinstance(content, dict) else {}


def _settings(label: str, dtype: str, bits: float, left_out: Sequence[str]) -> list[str]:
    rows = [f"- Quantisation: {_line(label) if label else 'none'}"]
    rows += [f"- Number format: {_line(dtype)}"] if dtype else []
    rows += [f"- Bits per weight: {bits:.2f}"] if bits else []
    if left_out:
        shown = ", ".join(f"`{_line(tensor)}`" for tensor in left_out[:10])
        more = f" and {len(left_out) - 10} more" if len(left_out) > 10 else ""
        rows.append(f"- Left out, since the architecture does not know them: {shown}{more}")
    return ["\n".join(rows)]


def _verdict(check: ModelChecked | None) -> str:
    """What the comparison with the source found, made before any quantisation."""
    if check is None or check.verdict == "not checked":
        because = f": {_line(check.reason)}" if check and check.reason else "."
        return f"Whether it computes what its source computes was not checked{because}"
    found = (
        f"Compared with the source in float32 before quantisation, at {check.positions:,} positions of prompts of up "
        f"to {check.longest:,} tokens: the largest difference is {check.error:.1e} of the largest logit, and "
        f"{check.agreement:.1%} of the most likely tokens agree."
    )
    if check.verdict == "same":
        return f"It computes what its source computes. {found}"
    return f"**It does not compute what its source computes.** {_line(check.reason)} {found}"


def _table(quality: Sequence[QualityMeasured]) -> list[str]:
    rows = [
        "| Setting | Size | Bits per weight | KL divergence | Same top token | Perplexity |",
        "|---|---|---|---|---|---|",
    ]
    for row in quality:
        setting = f"**{_line(row.setting)}** (this one)" if row.chosen else _line(row.setting)
        rows.append(
            f"| {setting} | {row.size / 1e9:.2f} GB | {row.bits:.2f} | {row.divergence:.4f} | {row.agreement:.1%} | "
            f"{row.perplexity:.2f} |"
        )
    tokens = quality[0].tokens
    return [
        f"Against the unquantised model, on a text of {tokens:,} tokens (KL divergence in nats per token):",
        "\n".join(rows),
    ]


def _usage(name: str) -> list[str]:
    lines = (
        "from mlx_lm import generate, load\n",
        f'model, tokenizer = load("{name}")',
        'print(generate(model, tokenizer, "Hello"))',
    )
    return [
        f"With MLX-GRPO:\n\n```shell\nmlx-grpo generate --model {name} --prompt 'Hello'\n```",
        "With mlx-lm, where it knows the architecture:",
        "\n".join(("```python", *lines, "```")),
    ]


def _link(source: str) -> str:
    name = _line(source)
    return f"[{name}]({library.HUB_ADDRESS}{name})" if library.is_hub_id(source) else f"`{name}`"


def _line(text: str) -> str:
    """A text that stays within its line, its table cell and its quotes."""
    return " ".join(text.split()).translate(str.maketrans('|`"\\', "/''/"))
