"""What each token of an answer says where it stands. Knows a tokenizer, no model.

A character may be spread over several tokens: those before its last say nothing yet.
"""

from __future__ import annotations

import re
from collections import deque
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from engine.convert import tiktoken_files

if TYPE_CHECKING:
    from mlx_lm.tokenizer_utils import TokenizerWrapper

# Pieces of text that are read again before a token, as a space or the end of a character depends on its neighbours.
_WINDOW = 4
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_LETTERS = {letter: byte for byte, letter in enumerate(tiktoken_files.letters())}
_INCOMPLETE = "\ufffd"


class TokenTexts:
    """Tells the texts of tokens, one place of an answer after the other."""

    def __init__(self, tokenizer: TokenizerWrapper) -> None:
        self._tokenizer = tokenizer
        self._detokenizer: Any = tokenizer.detokenizer
        self._size = len(tokenizer)
        self._before: list[int] = []
        # Where pieces of text that were told end; tokens behind the last are the beginning of a character.
        self._ends: deque[int] = deque([0], maxlen=_WINDOW + 1)

    def take(self, token: int) -> str:
        """What the next token of the answer adds to its text, "" where it does not end a character."""
        text = self._added(token)
        self._before.append(token)
        if text.endswith(_INCOMPLETE):
            return ""
        self._ends.append(len(self._before))
        return text

    def would_add(self, token: int) -> str:
        """What a token would add in the place of the next one; bytes that are no text as <0xE4>."""
        text = self._added(token) if 0 <= token < self._size else f"<{token}>"
        if _INCOMPLETE not in text:
            return text
        spelled = self._bytes(token)
        alone = spelled.decode("utf-8", "replace")
        return "".join(f"<0x{byte:02X}>" for byte in spelled) if _INCOMPLETE in alone else alone

    def _added(self, token: int) -> str:
        start, end = self._ends[0], self._ends[-1]
        before = self._text(self._before[start:end])
        whole = self._text([*self._before[start:], token])
        # A tokenizer that tidies the spaces before a comma may take back what it said.
        return whole[sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, whole, strict=False))) :]

    def _text(self, tokens: list[int]) -> str:
        self._detokenizer.reset()
        for token in tokens:
            # Some models have more rows for tokens than their tokenizer has tokens.
            if 0 <= token < self._size:
                self._detokenizer.add_token(token)
        self._detokenizer.finalize()
        return str(self._detokenizer.text)

    def _bytes(self, token: int) -> bytes:
        """The bytes that a token stands for."""
        name = str(self._tokenizer.convert_ids_to_tokens(token) or "")
        if match := _BYTE.fullmatch(name):
            return bytes([int(match[1], 16)])
        return bytes(_LETTERS[sign] for sign in name) if all(sign in _LETTERS for sign in name) else name.encode()
