"""Builds a tokenizer that does what a sentencepiece model does. Knows that file form only, and compares nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import UserError, in_short

if TYPE_CHECKING:
    import tokenizers

_SPACE = "▁"
# What a piece of a model is (sentencepiece_model.proto, ModelProto.SentencePiece.Type), and the kinds of models.
NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4
_UNIGRAM, _BPE = 1, 2


def _model_file(folder: Path) -> Path:
    return next(iter(sorted(folder.glob("*.model"), key=lambda path: path.name != "tokenizer.model")))


def encoder(folder: Path) -> Callable[[str], list[int]]:
    """sentencepiece's own ids of a text.

    Raises:
        UserError: the folder's .model file is damaged.
    """
    import sentencepiece

    try:
        processor = sentencepiece.SentencePieceProcessor(model_file=str(_model_file(folder)))
    except (RuntimeError, OSError) as error:
        raise UserError(
            "The tokenizer of this model is damaged.",
            "{file} cannot be read: {reason}",
            "Get this file again from where the model came.",
            file=_model_file(folder).name,
            reason=in_short(error),
        ) from error
    return lambda text: list(processor.encode(text))


def read(folder: Path) -> Any:
    """The folder's model, a ModelProto of sentencepiece_model.proto."""
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    proto.ParseFromString(_model_file(folder).read_bytes())
    return proto


def tokenizer(proto: Any, *, per_segment: bool) -> tokenizers.Tokenizer:
    """A tokenizer that does what a sentencepiece model does.

    Args:
        proto: the model (sentencepiece_model.proto).
        per_segment: a text after a special token gets the space in front of it that a text's beginning gets (what
            transformers calls legacy); else only the beginning does.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers

    made = Tokenizer(_pieces(proto))
    flags = proto.normalizer_spec
    steps: list[Any] = []
    if flags.precompiled_charsmap:
        steps.append(normalizers.Precompiled(flags.precompiled_charsmap))
    if flags.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex(r"\A +| +\z"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    if flags.add_dummy_prefix and per_segment:
        steps.append(normalizers.Prepend(_SPACE))
    if not flags.add_dummy_prefix or per_segment:
        steps.append(normalizers.Replace(" ", _SPACE))
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace(_SPACE, prepend_scheme="first", split=False)
    if steps:
        made.normalizer = normalizers.Sequence(steps)
    back: list[Any] = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence(back + [decoders.Strip(" ", 1, 0)] * flags.add_dummy_prefix)
    for piece in proto.pieces:
        # A run of spaces is matched where the model sees it: after spaces became its own sign.
        if piece.type == _CONTROL:
            made.add_special_tokens([AddedToken(piece.piece, normalized=False, special=True)])
        elif piece.type == _USER_DEFINED and _SPACE not in piece.piece:
            made.add_tokens([AddedToken(piece.piece, normalized=False, special=False)])
    return made


def _pieces(proto: Any) -> Any:
    """The vocabulary and how it is put together."""
    from tokenizers import models

    spec = proto.trainer_spec
    if spec.model_type == _UNIGRAM:
        scored = [(piece.piece, piece.score) for piece in proto.pieces]
        return models.Unigram(scored, unk_id=spec.unk_id, byte_fallback=spec.byte_fallback)
    if spec.model_type != _BPE:
        raise ValueError("it is neither a unigram nor a BPE model")
    numbers = {piece.piece: number for number, piece in enumerate(proto.pieces)}
    scores = {piece.piece: piece.score for piece in proto.pieces if piece.type in {NORMAL, _USER_DEFINED}}
    merges = [
        (-score, numbers[piece[:at]], numbers[piece[at:]], (piece[:at], piece[at:]))
        for piece, score in scores.items()
        for at in range(1, len(piece))
        if piece[:at] in scores and piece[at:] in scores
    ]
    return models.BPE(
        vocab=numbers,
        merges=[pair for *_, pair in sorted(merges)],
        unk_token=proto.pieces[spec.unk_id].piece,
        fuse_unk=True,
        byte_fallback=spec.byte_fallback,
    )
