"""Checks that an assembled MLX model computes what transformers computes for its source. Knows no file form."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import stored_weights
from engine.assemble import Assembled
from engine.conversion_events import ModelChecked
from engine.convert import child
from engine.errors import UserError
from engine.events import Event, Note, Progress

if TYPE_CHECKING:
    import numpy as np
    from mlx.nn.layers.base import Module

# The largest difference of logits, relative to the largest logit, that float32 rounding explains.
TOLERANCE = 1e-3
# The largest model, in bytes of float32, that is checked without being asked to.
_LARGEST = 1.2e9
# Both sides hold the weights in float32, one of them the stored ones beside; and torch itself takes its share.
_COPIES = 2.5
_RESERVE = 1e9
_PIECE = 64 * 1024**2
_PROGRAM = "engine.convert.reference_process"
_WHAT = "Comparing with the source"


def worth_checking(parameters: int, available: int) -> bool:
    """Whether a model of so many weights is checked unasked: both sides fit into `available` bytes and soon end."""
    size = 4 * parameters
    return size <= _LARGEST and _COPIES * size + _RESERVE <= available


class Reference:
    """The source's own side, computed by transformers in a process of its own, from the moment this is made.

    Args:
        folder: the source, or anything that transformers' `from_pretrained` takes for it.
        config: its config.json.
        parameters: its number of weights, by which prompts are chosen that can be afforded.
        work: an existing folder for what the two sides hand each other; left as it was.
    """

    def __init__(self, folder: Path, config: dict[str, Any], parameters: int, work: Path) -> None:
        self._scratch = tempfile.TemporaryDirectory(dir=work)
        self.folder = Path(self._scratch.name)
        request = {
            "folder": str(folder.absolute()),
            "scratch": self._scratch.name,
            "config": config,
            "parameters": parameters,
        }
        self.answers = child.ask(_PROGRAM, request)
        # So that torch starts at once, while our own side is made ready.
        next(self.answers)

    def close(self) -> None:
        """End the process and remove what it wrote."""
        self.answers.close()
        self._scratch.cleanup()


def compare(reference: Reference, assembled: Assembled) -> Generator[Event, None, ModelChecked]:
    """Compare the logits of an MLX model with those that transformers computes for its source, both in float32.

    Prompts are a short one and, where they can be afforded, one beyond each window and beyond the positions after which
    rotary settings change; each is computed at once and piece by piece through the cache.

    Args:
        reference: the other side.
        assembled: the unquantised model. It is changed to float32 and evaluated: open another one for writing.

    Yields:
        Progress in steps; a Note on each prompt that would have taken too long.

    Raises:
        UserError: a weight holds NaN or infinity, or cannot be read.
    """
    yield from _to_float32(assembled.model)
    told = yield from _answer(reference.answers, Progress(_WHAT, 0, None, "steps"))
    if "unavailable" in told:
        return ModelChecked("not checked", told["unavailable"])
    for skipped in told["skipped"]:
        yield Note(f"Not checked beyond {skipped} tokens, which would take too long.")
    prompts = [_Prompt(**prompt) for prompt in told["prompts"]]
    try:
        ours = yield from _compute(assembled.model, prompts)
    except (UserError, RuntimeError, MemoryError, OSError):
        raise
    except Exception as error:  # what a model class raises on a config it was not written for has no end
        return ModelChecked("different", f"The MLX model cannot compute: {type(error).__name__}: {error}")
    told = yield from _answer(reference.answers, Progress(_WHAT, len(prompts), len(prompts), "steps"))
    if "unavailable" in told:
        return ModelChecked("not checked", told["unavailable"])
    if told["missing"]:
        return ModelChecked("not checked", _missing(told["missing"]))
    return _verdict(prompts, ours, reference.folder)


@dataclass(frozen=True, slots=True)
class _Prompt:
    """Token ids, the positions whose logits are compared, and the lengths of the pieces it is read in with a cache."""

    name: str
    ids: list[int]
    positions: list[int]
    pieces: list[int]
    threshold: int

    def words(self) -> str:
        length = f"a prompt of {len(self.ids)} tokens"
        beyond = {
            "window": f", longer than the window of {self.threshold}",
            "chunk": f", longer than the chunk of {self.threshold}",
            "dynamic": f", beyond the {self.threshold} positions of the first training",
            "positions": f", beyond the {self.threshold} positions of the first training",
        }
        return length + beyond.get(self.name, "")


def _answer(
    asked: Generator[child.Message | None, None, Any], progress: Progress
) -> Generator[Event, None, dict[str, Any]]:
    """The next message of the child, or its result; the progress is said again meanwhile."""
    while True:
        try:
            message = next(asked)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        except UserError as error:
            # That the other side could not end its work says nothing about ours.
            return {"unavailable": f"{error.what} {error.why}"}
        if message is not None:
            return message
        yield progress


def _to_float32(model: Module) -> Generator[Event, None, None]:
    """Turn the weights to float32 and read them, piece by piece, so that the stored ones go as these come."""
    import mlx.core as mx
    from mlx.utils import tree_flatten

    model.set_dtype(mx.float32)
    model.eval()
    leaves: Any = tree_flatten(model.parameters())  # type: ignore[no-untyped-call]
    pending = 0
    for number, (name, array) in enumerate(leaves):
        stored_weights.evaluate([array], name)
        stored_weights.require_finite(name, array)
        pending += array.nbytes
        if pending >= _PIECE:
            pending = 0
            yield Progress(_WHAT, 0, None, "steps", f"{number} / {len(leaves)}")


def _compute(model: Module, prompts: list[_Prompt]) -> Generator[Event, None, list[tuple[np.ndarray, np.ndarray]]]:
    """Logits of shape (positions, vocabulary) for each prompt: computed at once, and through the cache."""
    import mlx.core as mx
    import numpy as np
    from mlx_lm.models.cache import make_prompt_cache

    def step(tokens: list[int], cache: Any, positions: list[int]) -> np.ndarray:
        logits = model(mx.array([tokens]), cache=cache)[0]
        return np.array(logits[mx.array(positions, mx.int32)].astype(mx.float32))

    results = []
    for number, prompt in enumerate(prompts):
        progress = Progress(_WHAT, number, len(prompts), "steps", prompt.words())
        yield progress
        whole = step(prompt.ids, None, prompt.positions)
        cache: Any = make_prompt_cache(model)
        rows, start = [], 0
        for length in prompt.pieces:
            yield progress
            end = start + length
            kept = [position - start for position in prompt.positions if start <= position < end]
            rows.append(step(prompt.ids[start:end], cache, kept))
            start = end
        results.append((whole, np.concatenate(rows)))
    return results


def _missing(names: list[str]) -> str:
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"transformers does not find all weights it needs in the source: {names[0]}{others}"


def _verdict(prompts: list[_Prompt], ours: list[tuple[np.ndarray, np.ndarray]], scratch: Path) -> ModelChecked:
    """Compare our logits with those that the child saved."""
    import numpy as np

    reason, worst, agreed, positions = "", 0.0, 0, 0
    for number, prompt in enumerate(prompts):
        theirs = np.load(scratch / f"{number}.npy")
        for logits, way in zip(ours[number], ("", ", read piece by piece as in a chat"), strict=True):
            # Either side may pad its vocabulary.
            width = min(theirs.shape[-1], logits.shape[-1])
            one, two = logits[:, :width], theirs[:, :width]
            errors = np.abs(one - two).max(axis=-1) / np.abs(two).max()
            worst = max(worst, float(errors.max())) if np.isfinite(errors).all() else float("inf")
            agreed += int((one.argmax(axis=-1) == two.argmax(axis=-1)).sum())
            positions += len(two)
            if not reason and not (errors <= TOLERANCE).all():
                side = "source" if not np.isfinite(two).all() else "MLX model"
                first = prompt.positions[int(np.argmin(errors <= TOLERANCE))]
                reason = (
                    f"The logits differ by {errors.max():.2g} of the largest for {prompt.words()}{way}, from position"
                    f" {first} on."
                    if np.isfinite(errors).all()
                    else f"The {side} computes no numbers for {prompt.words()}{way}."
                )
    return ModelChecked(
        verdict="different" if reason else "same",
        reason=reason,
        error=worst,
        agreement=agreed / positions,
        positions=positions,
        longest=max(len(prompt.ids) for prompt in prompts),
    )
