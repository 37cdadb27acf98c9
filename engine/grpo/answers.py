"""Finds the answer in a completion and compares it with the right one. Knows no reward and no data set."""

from __future__ import annotations

import re
from decimal import Decimal

_OPEN = "<answer>"
_CLOSE = "</answer>"
_NUMBER = re.compile(
    r"""(?P<sign>[-+\u2212]?)\s*[$€£¥]?\s*(?P<late_sign>[-+\u2212]?)
        (?P<whole>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?P<rest>\.[0-9]*)?(?P<power>[eE][-+]?[0-9]{1,4})?\s*[$€£¥%]?""",
    re.VERBOSE,
)


def extract(completion: str) -> str | None:
    """What stands between the last `<answer>` and the `</answer>` after it, stripped; None where no tag is.

    An answer whose closing tag is missing, as in a completion cut short, runs to the end of the text.
    """
    _, tag, rest = completion.rpartition(_OPEN)
    return rest.partition(_CLOSE)[0].strip() if tag else None


def is_right(completion: str, gold: str) -> bool:
    """Whether a completion has an answer in its tags that equals the right one."""
    found = extract(completion)
    return found is not None and same(found, gold)


def number(text: str) -> Decimal | None:
    """The number that a text is, or None where it is none or more than one.

    Thousands separators, a currency sign, a percent sign and a final period do not count: "$1,080.0" is 1080. A comma
    that separates no group of three digits makes it no number, since it may be a decimal comma or a list.
    """
    # A period behind digits alone is part of the pattern; behind a sign, as in "50%.", it ends the sentence.
    found = _NUMBER.fullmatch(text.strip().removesuffix(".").rstrip())
    if found is None:
        return None
    parts = found.groupdict(default="")
    digits = parts["whole"].replace(",", "") + parts["rest"]
    signs = parts["sign"] + parts["late_sign"]
    if not digits.strip(".") or len(signs) > 1:
        return None
    return Decimal(signs.replace("\u2212", "-") + digits + parts["power"])


def is_integer(text: str) -> bool:
    """Whether a text is one whole number, however it is written: "1,080", "$72", "5.0"."""
    value = number(text)
    return value is not None and value == value.to_integral_value()


def same(answer: str, gold: str) -> bool:
    """Whether two answers are equal: as numbers, or as texts but for case, spaces and a final period."""
    left, right = number(answer), number(gold)
    if left is not None and right is not None:
        return left == right
    return _normalised(answer) == _normalised(gold)


def _normalised(text: str) -> str:
    return " ".join(text.split()).removesuffix(".").rstrip().casefold()
