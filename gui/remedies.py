"""The engine's advice in the window's words: a button in the place of an option. Knows sentences, no widget."""

from __future__ import annotations

import re

from engine.events import Failed
from gui.text import tr

_DOWNLOAD = r"Download it first: mlx-grpo models download \S+"
# What the engine advises, whoever calls it, and what a person does in this window; its named groups fill the places.
_WORDS = {
    _DOWNLOAD: "Press “Download It”; nothing is converted before you say so.",
    r", give a Hugging Face id such as \S+ or use: starter": ", or choose another model.",
    r"allow (its|the) code (\(--trust-remote-code\)|with --trust-remote-code)": (
        "switch on “Run the model's own code” under “More settings”"
    ),
    r"load it relaxed \(--relaxed\)": "switch off “Strict” under “More settings”",
    r"--no-check converts it all the same": (
        "Setting “Check against the source” to “Never” under “More settings” converts it all the same"
    ),
    r"Convert it without --dequantize": "Choose “Exact copy” instead",
    r"Choose another folder with --mlx-path, or replace this one with --overwrite": (
        "Choose another output folder, or tick “Replace the model that is there”"
    ),
    r"set the softcap to 20 \(--softcap 20\)": "set “Logit softcap” to 20 under “More settings”",
    r"Choose bfloat16 \(--dtype bfloat16\)": "Choose bfloat16 as the “Number format” under “Custom”",
    r"Merge it into its model: (?P<command>mlx-grpo fuse .*)": (
        "Choose the model it was trained from, or merge the two in a terminal: {command}"
    ),
}


def in_window(sentence: str) -> str:
    """The sentence as this window says it."""
    said = tr(sentence)
    for advice, instead in _WORDS.items():
        said = re.sub(advice, lambda found, words=instead: tr(words, **found.groupdict()), said)  # type: ignore[misc]
    return said


def wants_download(failure: Failed) -> bool:
    """Whether nothing is wrong but that the model is not on this computer yet."""
    return bool(re.search(_DOWNLOAD, failure.remedy))
