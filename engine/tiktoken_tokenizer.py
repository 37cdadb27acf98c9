"""A tokenizer for models that come with tiktoken's files alone, with the methods that others have. Knows no weights.

Text never becomes a special token here: only the chat format writes those.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.convert import nanochat_tokenizer, tiktoken_files
from engine.convert.tiktoken_files import TiktokenEncoding
from engine.errors import UserError

if TYPE_CHECKING:
    from mlx_lm.tokenizer_utils import TokenizerWrapper

# A .tiktoken file holds no split pattern and no special tokens; these are Qwen's (QwenLM/Qwen tokenization_qwen.py).
_QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|extra_{number}|>" for number in range(205))),
)
_KNOWN = {"qwen.tiktoken": _QWEN}
_ENDS = (nanochat_tokenizer.END, "<|im_end|>", "<|eot_id|>", "<|endoftext|>")


def recognise(folder: Path) -> bool:
    """Whether a folder has a tokenizer of tiktoken's that is read here, and no tokenizer.json."""
    names = ("tokenizer.pkl", *_KNOWN)
    return not (folder / "tokenizer.json").is_file() and any((folder / name).is_file() for name in names)


def open_folder(folder: Path) -> TiktokenTokenizerWrapper:
    """The tokenizer in a folder with tokenizer.pkl or a .tiktoken file.

    Raises:
        UserError: there is none, it is damaged or dangerous, or its split pattern is not known.
    """
    if (folder / "tokenizer.pkl").is_file():
        return TiktokenTokenizerWrapper(tiktoken_files.read_pickle(folder / "tokenizer.pkl"))
    files = sorted(folder.glob("*.tiktoken"))
    if len(files) != 1 or files[0].name not in _KNOWN:
        raise UserError(
            "There is no tokenizer this program can read in {folder}.",
            "It has neither tokenizer.json nor tokenizer.pkl, and of {files} the split pattern is not known."
            if files
            else "It has neither tokenizer.json nor tokenizer.pkl.",
            "Get tokenizer.json from where the model came.",
            folder=folder,
            files=", ".join(file.name for file in files),
        )
    pattern, specials = _KNOWN[files[0].name]
    first = max(tiktoken_files.read_ranks(files[0], pattern, {}).ranks.values()) + 1
    numbered = {name: first + number for number, name in enumerate(specials)}
    return TiktokenTokenizerWrapper(tiktoken_files.read_ranks(files[0], pattern, numbered))


def wrapped(folder: Path) -> TokenizerWrapper:
    """The same as mlx_lm has its tokenizers: with a streaming detokeniser, and the ids that end an answer.

    Raises:
        UserError: as `open_folder`.
    """
    from mlx_lm.tokenizer_utils import TokenizerWrapper

    tokenizer = open_folder(folder)
    wrapper: TokenizerWrapper = TokenizerWrapper(tokenizer, eos_token_ids=tokenizer.eos_token_ids)
    # It takes any class with a renderer of its own for one that has a chat format.
    wrapper.has_chat_template = tokenizer.chat_template is not None
    return wrapper


class TiktokenTokenizerWrapper:
    """A tiktoken encoding behind the methods that transformers' tokenizers have.

    With nanochat's special tokens it has nanochat's chat format; else none, and a conversation is written in plain
    words. `eos_token`, `bos_token` and `pad_token` are None where the encoding has no such token.
    """

    def __init__(self, encoding: TiktokenEncoding) -> None:
        self._encoding = encoding
        self._tiktoken = encoding.open()
        specials = encoding.specials
        self._is_nanochat = all(name in specials for name in nanochat_tokenizer.SPECIALS)
        self.chat_template = nanochat_tokenizer.CHAT_TEMPLATE if self._is_nanochat else None
        self.bos_token = nanochat_tokenizer.BEGIN if nanochat_tokenizer.BEGIN in specials else None
        self.eos_token = next((name for name in _ENDS if name in specials), None)
        self.pad_token = self.eos_token
        self.init_kwargs = {"begins_with_bos": self._is_nanochat}
        self.vocab_size = encoding.size
        letters = tiktoken_files.letters()
        ordinary = {"".join(letters[byte] for byte in token): rank for token, rank in encoding.ranks.items()}
        self._vocabulary = ordinary | specials
        self._names = {number: name for name, number in self._vocabulary.items()}
        self._bytes = {rank: token for token, rank in encoding.ranks.items()}
        self._bytes |= {number: name.encode() for name, number in specials.items()}

    @property
    def bos_token_id(self) -> int | None:
        """The id of the token a text begins with."""
        return self._id(self.bos_token)

    @property
    def eos_token_id(self) -> int | None:
        """The id of the token that ends an answer."""
        return self._id(self.eos_token)

    @property
    def pad_token_id(self) -> int | None:
        """The id of the token that fills up a batch."""
        return self._id(self.pad_token)

    @property
    def eos_token_ids(self) -> list[int]:
        """All ids that end an answer: in nanochat's format, the beginning of another text too."""
        ends = [self.eos_token_id, self.bos_token_id if self._is_nanochat else None]
        return [number for number in ends if number is not None]

    @property
    def all_special_tokens(self) -> list[str]:
        """The special tokens by name."""
        return list(self._encoding.specials)

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of the special tokens."""
        return list(self._encoding.specials.values())

    def __len__(self) -> int:
        return self._encoding.size

    def encode(self, text: str, **_: object) -> list[int]:
        """The ids of a text. What spells a special token is text too; options of transformers' method do nothing."""
        return list(self._tiktoken.encode_ordinary(text))

    def decode(self, ids: int | Iterable[int], skip_special_tokens: bool = False, **_: object) -> str:
        """The text of ids; an incomplete character becomes U+FFFD, an id that no token has is passed over."""
        numbers = [ids] if isinstance(ids, int) else [int(number) for number in ids]
        left_out = set(self.all_special_ids) if skip_special_tokens else set()
        spelled = (self._bytes.get(number, b"") for number in numbers if number not in left_out)
        return b"".join(spelled).decode("utf-8", "replace")

    def get_vocab(self) -> dict[str, int]:
        """Ids by the names that tokenizer.json would give the tokens."""
        return dict(self._vocabulary)

    def convert_tokens_to_ids(self, tokens: str | Sequence[str]) -> int | list[int | None] | None:
        """The id of a token's name, None where there is none; of several, a list."""
        known = self._vocabulary
        return known.get(tokens) if isinstance(tokens, str) else [known.get(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: int | Sequence[int]) -> str | list[str | None] | None:
        """The name of an id's token, None where there is none; of several, a list."""
        return self._names.get(ids) if isinstance(ids, int) else [self._names.get(number) for number in ids]

    def apply_chat_template(
        self,
        conversation: Sequence[dict[str, Any]],
        *,
        tokenize: bool = True,
        add_generation_prompt: bool = False,
        **_: object,
    ) -> str | list[int]:
        """A conversation as the model reads it: ids, or the text of them.

        Raises:
            ValueError: a role is not known.
        """
        if self._is_nanochat:
            ids = self._chat(conversation, add_generation_prompt)
            return ids if tokenize else self.decode(ids)
        words = {"system": "System: ", "user": "User: ", "assistant": "Assistant: "}
        text = "".join(f"{words[message['role']]}{message['content']}\n\n" for message in conversation)
        text += "Assistant:" if add_generation_prompt else ""
        return self.encode(text) if tokenize else text

    def _chat(self, conversation: Sequence[dict[str, Any]], add_generation_prompt: bool) -> list[int]:
        """nanochat's format (nanochat/tokenizer.py, render_conversation): marks as ids, what was typed as text."""
        specials = self._encoding.specials
        turns, told = list(conversation), ""
        if turns and turns[0]["role"] == "system":
            told = turns.pop(0)["content"] + "\n\n"
            if not turns or turns[0]["role"] != "user":
                raise ValueError("A user message must follow the system message.")
        ids = [specials[nanochat_tokenizer.BEGIN]]
        for place, turn in enumerate(turns):
            if turn["role"] not in {"user", "assistant"}:
                raise ValueError("nanochat knows the roles system, user and assistant.")
            parts = turn["content"]
            ids.append(specials[f"<|{turn['role']}_start|>"])
            for part in [{"type": "text", "text": parts}] if isinstance(parts, str) else parts:
                mark = {"python": "python", "python_output": "output"}.get(part["type"])
                ids += [specials[f"<|{mark}_start|>"]] if mark else []
                ids += self.encode((told if place == 0 else "") + part["text"])
                ids += [specials[f"<|{mark}_end|>"]] if mark else []
            ids.append(specials[f"<|{turn['role']}_end|>"])
        return [*ids, specials["<|assistant_start|>"]] if add_generation_prompt else ids

    def _id(self, token: str | None) -> int | None:
        return None if token is None else self._encoding.specials[token]
