"""Turns tokenizers of older forms into tokenizer.json and proves that every id stays. Knows no weights, no template."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine import backend
from engine.convert import sentencepiece_models
from engine.errors import UserError, in_short

# No form writes a space in front of it: there, transformers' own classes differ from sentencepiece.
HARD_TEXT = (
    "Hello  world! It's 12345 and 3.14159, isn't it?\n\n\tTabs  and   spaces \nGrößenwahn, naïve café. Привет, мир! "
    "Ελλάδα 日本語のテキスト こんにちは，世界。 한국어 العربية עברית हिन्दी ไทย 🎉👩‍👩‍👧‍👦 ½ ㎏ ﬁ e\u0301 \u00a0x\u200b "
    "def f(x):\n    return x  + 1  # https://example.com/?q=1&r=%20\nAAAAaaaa ------ ==== ''' \"\"\" {}[]<|>\\/\n"
)

Encode = Callable[[str], list[int]]
_LOSSLESS = ("vocabulary and merges", "tiktoken", "tekken")
_GENERIC = "PreTrainedTokenizerFast"  # reads tokenizer.json as it stands, under this name in every transformers
_PASSING = (
    "backend",
    "is_local",
    "name_or_path",
    "local_files_only",
    "trust_remote_code",
    "vocab_file",
    "_commit_hash",
)


def to_tokenizer_json(folder: Path, form: str, model_config: dict[str, Any]) -> dict[str, Any]:
    """Write folder/tokenizer.json from the tokenizer's other files there; the result is its tokenizer_config.

    Args:
        folder: holds the tokenizer's files, without any code.
        form: as `tokenizer_files.describe` says.
        model_config: the model's config.json, from which transformers infers the tokenizer's class.

    Raises:
        UserError: the files are damaged, or no tokenizer.json gives the same ids.
    """
    backend.hide_torch()
    reasons: list[str] = []
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        work = Path(name)
        original = work / "original"
        original.mkdir()
        for file in folder.iterdir():
            (original / file.name).symlink_to(file.resolve())
        _identify(original, model_config)
        for number, make in enumerate(_ways(form)):
            made = work / str(number)
            made.mkdir()
            try:
                reference = make(original, made)
                _identify(made, model_config)
                reason = _difference(made, reference, lossless=form in _LOSSLESS)
            except UserError:
                raise
            except Exception as error:  # other people's files go through other people's code
                reason = in_short(error)
            if not reason:
                shutil.copyfile(made / "tokenizer.json", folder / "tokenizer.json")
                config: dict[str, Any] = json.loads((made / "tokenizer_config.json").read_text("utf-8"))
                return {key: value for key, value in config.items() if key not in _PASSING}
            reasons.append(reason)
    raise UserError(
        "The tokenizer of this model cannot be converted.",
        "It has no tokenizer.json, and none could be made from its {form} that gives the same ids: {reason}",
        "Look for a repository of the same model that has a tokenizer.json, and put that file beside the weights.",
        form=form,
        reason=reasons[-1],
    )


def opened(folder: Path, **arguments: Any) -> Any:
    """The transformers tokenizer in a folder that also has a config.json. Reaches for no network and runs no code."""
    backend.hide_torch()
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, **{"local_files_only": True, "trust_remote_code": False} | arguments)


def _identify(folder: Path, model_config: dict[str, Any]) -> None:
    """Give a folder the config.json transformers looks into, without the keys a wrong value of which would stop it."""
    kept = {key: model_config[key] for key in ("model_type", "tokenizer_class") if key in model_config}
    (folder / "config.json").unlink(missing_ok=True)
    (folder / "config.json").write_text(json.dumps(kept), "utf-8")


def _ways(form: str) -> Iterator[Callable[[Path, Path], Encode]]:
    """The ways to make a tokenizer.json, the one that stays closest to transformers first."""
    yield {"sentencepiece": _transformers_sentencepiece, "tekken": _transformers_tekken}.get(form, _transformers)
    if form == "sentencepiece":
        yield _from_sentencepiece
    elif form == "vocabulary and merges":
        yield _byte_level


def _difference(folder: Path, reference: Encode, *, lossless: bool) -> str:
    """What is wrong with a tokenizer.json: read as it stands and by transformers, it must give the reference's ids.

    Where bytes are encoded (`lossless`), the text must also come back, up to its Unicode normal form.
    """
    import tokenizers

    plain = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    again = opened(folder)
    for part in (HARD_TEXT, *HARD_TEXT.split(), ""):
        expected = reference(part)
        if plain.encode(part, add_special_tokens=False).ids != expected:
            return f"the ids of {part[:20]!r} differ"
        if again.encode(part, add_special_tokens=False) != expected:
            return f"transformers reads other ids for {part[:20]!r}"
    for number, token in again.added_tokens_decoder.items():
        if again.encode(token.content, add_special_tokens=False) != [number]:
            return f"the token {token.content} is not {number}"
    back, text = (unicodedata.normalize("NFC", each) for each in (again.decode(reference(HARD_TEXT)), HARD_TEXT))
    if lossless and back != text:
        return "the text does not come back from its ids"
    return ""


def _transformers(original: Path, folder: Path) -> Encode:
    """As transformers converts it."""
    tokenizer = opened(original)
    return _saved(tokenizer, folder)


def _saved(tokenizer: Any, folder: Path) -> Encode:
    tokenizer.save_pretrained(folder)
    again = folder / "tokenizer_config.json"
    config = json.loads(again.read_text("utf-8"))
    if config.get("tokenizer_class") == "TokenizersBackend":
        config["tokenizer_class"] = _GENERIC
    again.write_text(json.dumps(config), "utf-8")
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False))


def _byte_level(original: Path, folder: Path) -> Encode:
    """By the class the tokenizer names, or GPT-2's, where transformers sees none for the type of model."""
    import transformers

    path = original / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    named = str(config.get("tokenizer_class") or "GPT2Tokenizer").removesuffix("Fast")
    kind = getattr(transformers, named, None)
    if kind is None or not hasattr(kind, "from_pretrained") or named == "PreTrainedTokenizer":
        kind = transformers.GPT2Tokenizer
    encode = _saved(kind.from_pretrained(original, local_files_only=True), folder)
    again = folder / "tokenizer_config.json"
    again.write_text(json.dumps(json.loads(again.read_text("utf-8")) | {"tokenizer_class": _GENERIC}), "utf-8")
    return encode


def _transformers_tekken(original: Path, folder: Path) -> Encode:
    """As transformers converts it, with tiktoken as the judge."""
    import tiktoken

    content = json.loads((original / "tekken.json").read_text("utf-8"))
    config = content["config"]
    special = int(config["default_num_special_tokens"])
    count = int(config["default_vocab_size"]) - special
    ranks = {base64.b64decode(entry["token_bytes"]): int(entry["rank"]) for entry in content["vocab"][:count]}
    judge = tiktoken.Encoding("tekken", pat_str=config["pattern"], mergeable_ranks=ranks, special_tokens={})
    _transformers(original, folder)
    return lambda text: [special + rank for rank in judge.encode_ordinary(text)]


def _transformers_sentencepiece(original: Path, folder: Path) -> Encode:
    """As transformers converts it, with sentencepiece as the judge."""
    judge = sentencepiece_models.encoder(original)
    _transformers(original, folder)
    return judge


def _from_sentencepiece(original: Path, folder: Path) -> Encode:
    """By the flags of the sentencepiece model itself: transformers overlooks some of them."""
    import tokenizers

    judge = sentencepiece_models.encoder(original)
    path = original / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    proto = sentencepiece_models.read(original)
    added = _added(original, config)
    for number, token in added.items():
        if number < len(proto.pieces):
            proto.pieces[number].piece = token["content"]  # a place that was kept free has its name only there
    tokenizer = sentencepiece_models.tokenizer(proto, per_segment=config.get("legacy") is not False)
    for number, token in sorted(added.items()):
        tokenizer.add_tokens([tokenizers.AddedToken(**token)])
        if tokenizer.token_to_id(token["content"]) != number:
            raise ValueError(f"the added token {token['content']} cannot have the id {number}")
    special: dict[str, Any] = {}
    for role in ("bos", "eos", "unk", "pad"):
        number = getattr(proto.trainer_spec, f"{role}_id")
        if 0 <= number < len(proto.pieces):
            special[f"{role}_token"] = proto.pieces[number].piece
    known = opened(original)
    numbers = known.convert_tokens_to_ids([piece.piece for piece in proto.pieces])
    if any(number != at for at, number in enumerate(numbers) if proto.pieces[at].type == sentencepiece_models.NORMAL):
        raise ValueError("transformers gives its pieces other numbers")
    inside, around = (known.encode("a", add_special_tokens=with_them) for with_them in (False, True))
    if len(around) > len(inside):
        tokenizer.post_processor = _surrounding(known, around, inside)
    tokenizer.save(str(folder / "tokenizer.json"))
    text = json.dumps(special | config | {"tokenizer_class": _GENERIC})
    (folder / "tokenizer_config.json").write_text(text, "utf-8")
    return judge


def _added(folder: Path, config: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """The tokens that were added to a tokenizer, as the arguments of an AddedToken, by their ids."""
    stated = config.get("added_tokens_decoder")
    added = {int(number): dict(token) for number, token in stated.items()} if isinstance(stated, dict) else {}
    path = folder / "added_tokens.json"
    older = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return {number: {"content": name, "normalized": False} for name, number in older.items()} | added


def _surrounding(known: Any, around: list[int], inside: list[int]) -> Any:
    """Puts around a text what the original puts there."""
    from tokenizers.processors import TemplateProcessing

    start = next(at for at in range(len(around)) if around[at : at + len(inside)] == inside)
    before, after = around[:start], around[start + len(inside) :]
    names = {number: known.convert_ids_to_tokens(number) for number in {*before, *after}}
    one = [*(names[number] for number in before), "$A", *(names[number] for number in after)]
    two = [*one, *(part.replace("$A", "$B") + ":1" for part in one)]
    return TemplateProcessing(single=one, pair=two, special_tokens=[(name, id_) for id_, name in names.items()])
