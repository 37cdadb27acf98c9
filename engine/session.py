"""A model in memory: loading it step by step, and giving its memory back. Knows no conversation and no window.

`load` is the one way a model of any architecture is loaded.
"""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import adapters, architectures, backend, library, memory, model_config, places, stored_weights, trained
from engine.assemble import assemble
from engine.errors import UserError, in_short
from engine.events import Event, ModelLoaded, Progress
from engine.library import ModelFiles
from engine.trained import Trained

if TYPE_CHECKING:
    import mlx.core as mx
    from mlx.nn.layers.base import Module
    from mlx_lm.models.cache import LRUPromptCache
    from mlx_lm.tokenizer_utils import TokenizerWrapper

# Weights are read in pieces of this many bytes, so that progress is visible and a load can be stopped.
_PIECE = 64 * 1024**2
_KEPT_CONVERSATIONS = 64


@dataclass(slots=True)
class ModelSession:
    """A loaded model with its tokenizer and the prompts it remembers. Used by one thread, the one that loaded it."""

    files: ModelFiles
    model: Module
    tokenizer: TokenizerWrapper
    prompts: LRUPromptCache = field(repr=False)
    # What the weights are, for what is remembered beyond this process; "" where it must not be.
    identity: str = ""
    # Whether caches can be compressed; None until it was tried.
    quantises: bool | None = None
    # Ids and cache of the last answer, until they are kept or another one begins.
    newest: tuple[list[int], list[Any]] | None = field(default=None, repr=False)

    def close(self) -> int:
        """Give the model's memory back; the number of bytes freed."""
        import mlx.core as mx

        before = mx.get_active_memory() + mx.get_cache_memory()
        self.prompts.trim_to(n_sequences=0)
        self.newest = None
        del self.model, self.tokenizer, self.prompts
        gc.unfreeze()
        backend.collect_garbage()
        mx.clear_cache()
        return max(0, before - mx.get_active_memory() - mx.get_cache_memory())


def load(folder: str | Path, dtype: str | None = None) -> tuple[Module, TokenizerWrapper]:
    """Load the model in a folder.

    Args:
        folder: a model folder; an alias or a Hugging Face id that is on this computer works too.
        dtype: "float32", "bfloat16" or "float16" to compute in; None keeps the stored type.

    Returns:
        the model (`model(ids, cache=...)` gives logits of shape (batch, time, vocabulary)) and its tokenizer.

    Raises:
        UserError: the folder holds no usable model.
    """
    session = drain(open_session(str(folder), precision=dtype or "stored"))
    return session.model, session.tokenizer


def drain(steps: Generator[Event, None, ModelSession]) -> ModelSession:
    """Run the generator to its end and return its result, dropping the events."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def open_session(
    name: str,
    *,
    precision: str = "auto",
    memory_limit: int = 0,
    adapter: str = "",
    trust_remote_code: bool = False,
) -> Generator[Event, None, ModelSession]:
    """Load the model of this name: folder, alias, or a Hugging Face id that is on this computer.

    The folder RUN/checkpoints/STEP, or RUN/model, is what a run trained: its model with those weights or adapters.

    Args:
        precision: as `Settings.precision`; "auto" computes in float32 on a CPU, where other types are slow.
        memory_limit: in bytes; 0 takes what the machine recommends.
        adapter: a folder with adapter_config.json and adapters.safetensors to put on the model; "" for none.
        trust_remote_code: run Python code that comes with the model.

    Yields:
        Progress of imports and of weights in bytes, at last ModelLoaded.

    Raises:
        UserError: there is no such model, it is damaged, unsupported, or too large.
    """
    started = time.perf_counter()
    result = trained.find(name)
    name = result.model if result else name
    folder = library.locate(name)
    if folder is None:
        raise UserError(
            "{name} is not on this computer yet.",
            "It was not found in the Hugging Face cache.",
            "Download it first: mlx-grpo models download {name}",
            name=name,
        )
    files = library.describe(folder)
    if result is not None:
        files = dataclasses.replace(files, name=result.name, demonstration=False)
        adapter = adapter or result.adapter
    yield from backend.imports()
    backend.prepare()
    stored = model_config.read(files.folder)
    if "model_file" not in stored:
        architectures.classes(stored)
    dtype = model_config.computing_type(precision, stored)
    memory.require(files.name, int(files.weights * model_config.growth(dtype, stored)), memory_limit)

    import mlx.core as mx

    try:
        return (yield from _read(files, result, dtype, adapter, trust_remote_code, memory_limit, started))
    except BaseException:
        # What was read goes back at once, so that the next model finds the room.
        backend.collect_garbage()
        mx.clear_cache()
        raise


def _read(
    files: ModelFiles,
    result: Trained | None,
    dtype: Any,
    adapter: str,
    trust_remote_code: bool,
    memory_limit: int,
    started: float,
) -> Generator[Event, None, ModelSession]:
    """Read weights and tokenizer into memory."""
    import mlx.core as mx
    from mlx_lm.models.cache import LRUPromptCache

    yield Progress("Reading the model", 0, files.weights, "bytes", files.name)
    model, config = _build(files, trust_remote_code)
    if adapter:
        model = adapters.put_on(model, places.expand(adapter))
    elif result is not None and result.checkpoint is not None:
        _put_weights(model, result.checkpoint)
    if dtype is not None:
        model.set_dtype(dtype)
    yield from _materialise(model, files)

    yield Progress("Reading the tokenizer", 0, None, "", files.name)
    tokenizer = load_tokenizer(files, config, trust_remote_code)
    backend.collect_garbage()
    # A full collection over 300,000 objects of the imports takes 50 ms; frozen, they are not looked at again.
    gc.freeze()
    yield loaded(files, model, tokenizer, time.perf_counter() - started)
    prompts = LRUPromptCache(max_size=_KEPT_CONVERSATIONS, max_bytes=memory.available(memory_limit) // 4)
    mx.reset_peak_memory()
    return ModelSession(files, model, tokenizer, prompts, _identity(files, result, adapter, dtype))


def _identity(files: ModelFiles, result: Trained | None, adapter: str, dtype: Any) -> str:
    """Which weights were read, by the sizes and times of their files, and the type they compute in."""
    read = library.weight_files(files.folder, files.name)
    for folder in (places.expand(adapter) if adapter else None, result.checkpoint if result else None):
        read += sorted(folder.glob("*.safetensors")) if folder else []
    facts = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in read]
    return f"{facts} {dtype}"


def _put_weights(model: Module, folder: Path) -> None:
    """Have the weights of a run's checkpoint in the place of the model's own.

    Raises:
        UserError: the checkpoint is damaged, or one of another model.
    """
    from mlx.utils import tree_flatten

    from engine.grpo import checkpoint

    weights = checkpoint.load(folder).tensors["weights"]
    leaves: Any = tree_flatten(model.parameters())  # type: ignore[no-untyped-call]
    shapes = {name: array.shape for name, array in leaves}
    strange = [name for name, array in weights.items() if shapes.get(name) != array.shape]
    if strange:
        raise UserError(
            "The checkpoint {folder} does not fit the model of its run.",
            "The model has no weight {name} of that shape.",
            "Open it with the model that the run began with.",
            folder=folder,
            name=strange[0],
        )
    model.load_weights(list(weights.items()), strict=False)


def loaded(files: ModelFiles, model: Module, tokenizer: TokenizerWrapper, seconds: float) -> ModelLoaded:
    """What there is to say of a model in memory."""
    from mlx_lm.utils import compute_bits_per_weight, get_total_parameters

    return ModelLoaded(
        name=files.name,
        folder=str(files.folder),
        model_type=files.model_type,
        parameters=int(get_total_parameters(model)),
        bits=round(float(compute_bits_per_weight(model)), 2),
        memory=sum(array.nbytes for array in _weights(model)),
        context=files.context,
        has_chat_template=bool(tokenizer.has_chat_template),
        demonstration=files.demonstration,
        seconds=seconds,
    )


def _build(files: ModelFiles, trust_remote_code: bool) -> tuple[Module, dict[str, Any]]:
    """The model with its weights still unread, and its configuration."""
    weights = stored_weights.opened(library.weight_files(files.folder, files.name))
    code = files.folder if trust_remote_code else None
    assembled = assemble(model_config.read(files.folder), weights, code=code)
    return assembled.model, assembled.config


def _materialise(model: Module, files: ModelFiles) -> Generator[Event, None, None]:
    """Read the weights piece by piece."""
    piece: list[mx.array] = []
    pending = done = 0
    arrays = _weights(model)
    total = sum(array.nbytes for array in arrays)
    for array in arrays:
        piece.append(array)
        pending += array.nbytes
        if pending >= _PIECE:
            stored_weights.evaluate(piece, files.name)
            done, pending = done + pending, 0
            piece.clear()
            yield Progress("Reading the model", done, total, "bytes", files.name)
    stored_weights.evaluate(piece, files.name)
    yield Progress("Reading the model", total, total, "bytes", files.name)


def _weights(model: Module) -> list[mx.array]:
    from mlx.utils import tree_flatten

    leaves: Any = tree_flatten(model.parameters())  # type: ignore[no-untyped-call]
    return [array for _, array in leaves]


def load_tokenizer(files: ModelFiles, config: dict[str, Any], trust_remote_code: bool) -> TokenizerWrapper:
    """The tokenizer of a model folder.

    Raises:
        UserError: its files are missing or damaged.
    """
    from mlx_lm import utils

    from engine import tiktoken_tokenizer

    try:
        if tiktoken_tokenizer.recognise(files.folder):
            return tiktoken_tokenizer.wrapped(files.folder)
        # Said outright: where it is not, transformers asks on the terminal.
        extra = {"trust_remote_code": trust_remote_code}
        return utils.load_tokenizer(files.folder, extra, eos_token_ids=config.get("eos_token_id"))
    except UserError:
        raise
    except Exception as error:  # other people's files go through other people's code
        raise UserError(
            "The tokenizer of {name} cannot be loaded.",
            "{reason}",
            "The folder needs tokenizer.json (or tokenizer.model) and tokenizer_config.json. Get these files again.",
            name=files.name,
            reason=in_short(error),
        ) from error
