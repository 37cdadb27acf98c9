"""Reads tiktoken's encodings and builds the tokenizers that equal them. Runs no pickled code and knows no model."""

from __future__ import annotations

import base64
import binascii
import itertools
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UserError

if TYPE_CHECKING:
    import tiktoken
    import tokenizers

# The one thing such a pickle may name.
_ENCODING = ("tiktoken.core", "Encoding")
# Long runs, contractions, scripts without spaces, broken clusters: where a wrong rebuild shows first.
_PROBE = (
    "Hello  world! It's 12345 and 3.14159, isn't it? WE'LL'VE\n\n\tTabs  and   spaces \n \r\n\r Größe, naïve café. "
    "Привет, мир! 日本語のテキスト 한국어 العربية हिन्दी ไทย 🎉👩‍👩‍👧‍👦 ½ ㎏ ﬁ e\u0301 \u00a0x\u200b\0 ſ'ſ "
    "aaaaaaaaaaa ======= def f(x):\n    return x  + 1  # https://example.com/?q=1 <|x|>\n"
)


@dataclass(frozen=True, slots=True)
class TiktokenEncoding:
    """A tiktoken encoding as data: the split pattern, ids by the bytes of a token, and ids of special tokens."""

    pattern: str
    ranks: dict[bytes, int]
    specials: dict[str, int]

    @property
    def size(self) -> int:
        """One more than the highest id."""
        return max((*self.ranks.values(), *self.specials.values())) + 1

    def open(self) -> tiktoken.Encoding:
        """The encoding as tiktoken's own object."""
        import tiktoken

        return tiktoken.Encoding(
            "checkpoint", pat_str=self.pattern, mergeable_ranks=self.ranks, special_tokens=self.specials
        )


def read_pickle(path: Path) -> TiktokenEncoding:
    """The encoding in a pickle that nanochat's tokenizer wrote.

    Raises:
        UserError: the file is missing, damaged, no encoding, or names anything else that a pickle could run.
    """
    try:
        with path.open("rb") as file:
            found = _Unpickler(file, path).load()
    except (UserError, OSError):
        raise
    except Exception as error:  # a damaged pickle fails in any way
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    state = getattr(found, "state", None) if isinstance(found, _Pickled) else None
    if isinstance(state, str):
        raise UserError(
            "{file} only names an encoding of tiktoken's own: {encoding}.",
            "Its vocabulary is not in the file.",
            "Give the tokenizer.pkl that nanochat's tok_train wrote.",
            file=path,
            encoding=state,
        )
    if not isinstance(state, dict):
        raise _damaged(path, "It holds no tiktoken encoding.")
    return _checked(path, state.get("pat_str"), state.get("mergeable_ranks"), state.get("special_tokens"))


def read_ranks(path: Path, pattern: str, specials: dict[str, int]) -> TiktokenEncoding:
    """The encoding of a .tiktoken file, which holds a token in base64 and its id in each line, and nothing else.

    Raises:
        UserError: the file is missing or damaged.
    """
    ranks: dict[bytes, int] = {}
    try:
        for line in path.read_bytes().splitlines():
            if line.strip():
                token, rank = line.split()
                ranks[base64.b64decode(token, validate=True)] = int(rank)
    except (ValueError, binascii.Error) as error:
        raise _damaged(path, str(error)) from error
    return _checked(path, pattern, ranks, specials)


def build(encoding: TiktokenEncoding) -> tokenizers.Tokenizer:
    """A byte-level BPE tokenizer that gives any text the ids that tiktoken's `encode_ordinary` gives it.

    Raises:
        UserError: it would not: the split pattern means something else to the tokenizers library.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    spelling = letters()

    def spelled(token: bytes) -> str:
        return "".join(spelling[byte] for byte in token)

    vocabulary = {spelled(token): rank for token, rank in encoding.ranks.items()}
    first, names = max(encoding.ranks.values()) + 1, {number: name for name, number in encoding.specials.items()}
    # Ids are counted on from here, so gaps are filled: with names that no text has, since these letters hold no space.
    taken = set(vocabulary.values())
    vocabulary |= {f"unused {number}": number for number in range(first) if number not in taken}
    merges = [(spelled(left), spelled(right)) for left, right in _merges(encoding.ranks)]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=True))
    try:
        # Removed is what the pattern does not match: tiktoken passes over it.
        split = pre_tokenizers.Split(Regex(encoding.pattern), "removed", invert=True)
    except Exception as error:  # the binding raises a bare Exception
        raise _untranslatable(encoding, str(error)) from error
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    # For a bare ByteLevel decoder mlx_lm streams through a class that drops a leading space and garbles a NUL.
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel()])
    tokenizer.add_special_tokens(
        [
            AddedToken(names.get(number, f"<|unused {number}|>"), special=True, normalized=False)
            for number in range(first, encoding.size)
        ]
    )
    ordinary = encoding.open().encode_ordinary
    for text in (_PROBE, *_PROBE.split(" ")):
        if tokenizer.encode(text, add_special_tokens=False).ids != ordinary(text):
            raise _untranslatable(encoding, f"The ids of {text[:20]!r} differ.")
    return tokenizer


def _merges(ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """The pairs that tiktoken ever merges, in its order.

    It merges the neighbours whose union has the lowest rank, leftmost first. What lies between two borders that no
    merge has crossed was merged as it would have been alone; so each token comes from one pair only: the last two
    parts of its own bytes. A token without such a pair is only ever found whole.
    """
    pairs, never = [], max(ranks.values()) + 1
    for token in sorted(ranks, key=ranks.__getitem__):
        parts = [token[place : place + 1] for place in range(len(token))]
        scores = [ranks.get(left + right, never) for left, right in itertools.pairwise(parts)]
        while len(parts) > 2 and (lowest := min(scores)) < never:
            place = scores.index(lowest)
            parts[place : place + 2] = [parts[place] + parts[place + 1]]
            del scores[place]
            for index in {place - 1, place} & set(range(len(scores))):
                scores[index] = ranks.get(parts[index] + parts[index + 1], never)
        if len(parts) == 2:
            pairs.append((parts[0], parts[1]))
    return pairs


def letters() -> list[str]:
    """The letter that stands for each byte in byte-level vocabularies (GPT-2, openai/gpt-2 src/encoder.py)."""
    shown = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) if byte in shown else chr(256 + hidden.index(byte)) for byte in range(256)]


class _Pickled:
    """Stands for the encoding; keeps what the pickle would have set and does nothing with it."""

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Knows one name and refuses every other, before anything could be called."""

    def __init__(self, file: Any, path: Path) -> None:
        super().__init__(file)
        self._path = path

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) == _ENCODING:
            return _Pickled
        raise UserError(
            "{file} is dangerous: it carries code that would run when it is opened.",
            "It asks for {wanted}, and a tokenizer needs nothing but tiktoken.core.Encoding. Nothing of it was run.",
            "Do not open this file with other programs. Get the tokenizer from a source you trust.",
            file=self._path,
            wanted=f"{module}.{name}",
        )


def _checked(path: Path, pattern: object, ranks: object, specials: object) -> TiktokenEncoding:
    """The encoding, if its parts are what they should be."""
    if not isinstance(pattern, str) or not pattern or not isinstance(ranks, dict) or not isinstance(specials, dict):
        raise _damaged(path, "A part of the encoding is missing.")
    if not all(isinstance(token, bytes) and token and _is_id(rank) for token, rank in ranks.items()):
        raise _damaged(path, "Its ranks are no tokens with ids.")
    if not all(isinstance(name, str) and name and _is_id(number) for name, number in specials.items()):
        raise _damaged(path, "Its special tokens are no names with ids.")
    if not all(bytes([byte]) in ranks for byte in range(256)):
        raise _damaged(path, "Not every byte has a token.")
    numbers = [*ranks.values(), *specials.values()]
    if len(set(numbers)) < len(numbers) or max(numbers) > 2 * len(numbers) + 2**16:
        raise _damaged(path, "Its ids are taken twice, or beyond all bounds.")
    if specials and min(specials.values()) < max(ranks.values()):
        raise _damaged(path, "Its special tokens do not come after the others.")
    return TiktokenEncoding(pattern, ranks, specials)


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(
        "The tokenizer file {file} is damaged.",
        "{reason}",
        "Get this file again from where the model came.",
        file=path,
        reason=" ".join(reason.split())[:300],
    )


def _untranslatable(encoding: TiktokenEncoding, reason: str) -> UserError:
    return UserError(
        "This tokenizer cannot be written as tokenizer.json.",
        "Its split pattern {pattern} means something else there: {reason}",
        "Please report it with the name of this model.",
        pattern=encoding.pattern,
        reason=reason,
    )
