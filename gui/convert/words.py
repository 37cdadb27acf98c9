"""Plain words for what a conversion is about: kinds, number formats, durations, verdicts. Knows events, no widget."""

from __future__ import annotations

from engine.conversion_events import ConversionPlanned, ModelChecked
from gui.text import number, size, tr

_KINDS = {
    "hugging face": "A model as Hugging Face publishes it",
    "mlx": "A model in MLX format",
    "gguf": "A GGUF file, as llama.cpp uses it",
    "nanochat": "A nanochat checkpoint",
}
_FORMATS = {
    "float32": "32-bit numbers",
    "float16": "16-bit numbers",
    "bfloat16": "16-bit numbers",
    "mixed": "several formats",
}
_FORMAT_HELP = {
    "float32": "float32: full precision, 4 bytes a weight.",
    "float16": "float16: half precision, 2 bytes a weight.",
    "bfloat16": "bfloat16: half precision with the range of float32, 2 bytes a weight.",
    "mixed": "The weights are stored in more than one number format.",
}


_TOKENIZERS = {
    "gguf": "inside the GGUF file",
    "tiktoken": "tiktoken, from the checkpoint",
}


def is_quantised(plan: ConversionPlanned) -> bool:
    """Whether the source is stored in fewer bits already."""
    return plan.dtype != "mixed" and not plan.dtype.startswith(("float", "bfloat"))


def kind(plan: ConversionPlanned) -> str:
    """What kind of checkpoint it is."""
    return tr(_KINDS.get(plan.kind, plan.kind))


def tokenizer(plan: ConversionPlanned) -> str:
    """Where its tokenizer comes from."""
    return tr(_TOKENIZERS.get(plan.tokenizer, plan.tokenizer)) if plan.tokenizer else tr("none was found")


def number_format(plan: ConversionPlanned) -> str:
    """In what numbers the weights are stored."""
    if plan.dtype in _FORMATS:
        return f"{tr(_FORMATS[plan.dtype])} ({plan.dtype})" if plan.dtype != "mixed" else tr(_FORMATS["mixed"])
    return tr("quantised ({name})", name=plan.dtype) if is_quantised(plan) else plan.dtype


def number_format_help(plan: ConversionPlanned) -> str:
    """The tooltip of `number_format`."""
    packed = "The weights were stored in fewer bits: smaller, a little less exact."
    return tr(_FORMAT_HELP.get(plan.dtype, packed if is_quantised(plan) else "The type of the numbers as stored."))


def verdict(checked: ModelChecked | None) -> tuple[str, str]:
    """What the check found, in a phrase and a sentence."""
    if checked is None:
        return tr("Not checked"), tr("The check was switched off.")
    if checked.verdict == "same":
        return tr("Computes what its source computes"), tr(
            "Compared at {positions} places, prompts of up to {longest} tokens: largest difference {error}.",
            positions=number(checked.positions),
            longest=number(checked.longest),
            error=_percent(checked.error),
        )
    if checked.verdict == "different":
        return tr("Does not compute what its source computes"), tr(checked.reason)
    return tr("Not checked"), tr(checked.reason)


def _percent(share: float) -> str:
    return tr("below 0.001\u00a0%") if share < 1e-5 else f"{number(100 * share, 3)}\u00a0%"


def amount(done: float, total: float | None, unit: str) -> str:
    """How much of how much: "1.2 GB of 3.1 GB"."""
    if not total:
        return ""
    if unit == "bytes":
        return tr("{done} of {total}", done=size(done), total=size(total))
    return tr("{done} of {total}", done=number(done), total=number(total))
