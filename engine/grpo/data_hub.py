"""Data sets of the Hugging Face Hub, folders, and parquet files, through the datasets library. Knows no columns.

The library keeps what it prepared under the Hugging Face folder and maps it into memory: rows are read when asked for.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from engine import places
from engine.errors import UserError, explain, in_short
from engine.events import Event, Progress

if TYPE_CHECKING:
    import datasets  # type: ignore[import-untyped]

BUILDERS: Final = {".parquet": "parquet", ".json": "json", ".arrow": "arrow"}
"""Kinds of files the library reads, by what their names end with."""

_CONFIGS: Final = {"gsm8k": "main", "openai/gsm8k": "main"}
_HUB_NAME: Final = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_SECONDS_AN_EVENT: Final = 0.3

_Result = TypeVar("_Result")


class HubRows:
    """The rows of one split."""

    def __init__(self, rows: datasets.Dataset, name: str) -> None:
        self._rows = rows
        self._name = name

    def __len__(self) -> int:
        return len(self._rows)

    def place(self, number: int) -> str:
        """Which row this is, for a person."""
        return f"row {number + 1} of {self._name}"

    def read(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """The rows of these numbers.

        Raises:
            UserError: they hold pictures, sounds or documents, for which the library needs packages of their own.
        """
        try:
            columns: dict[str, list[Any]] = self._rows[list(numbers)]
        except ImportError as error:
            raise UserError(
                "The data of {name} are not texts alone.",
                "{reason}",
                "Choose data without pictures, sounds and documents: training reads texts and numbers.",
                name=self._name,
                reason=in_short(error),
            ) from error
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def open_file(path: Path) -> Generator[Event, None, HubRows]:
    """The rows of a file whose name ends with one of `BUILDERS`.

    Raises:
        UserError: the file is damaged, or no table.
        OSError: the file cannot be read.
    """
    with path.open("rb"):
        pass  # the library's own words for a file that cannot be read name other things

    def prepare() -> datasets.Dataset:
        library = _library()
        builder = library.load_dataset_builder(
            BUILDERS[path.suffix.lower()], data_files={"train": str(path.resolve())}, cache_dir=_cache()
        )
        builder.download_and_prepare()
        return builder.as_dataset(split="train")

    try:
        rows = yield from _beside(prepare, path.name)
    except Exception as error:
        raise _in_words(error, path.name) from error
    return HubRows(rows, path.name)


def open_splits(
    name: str, config: str, revision: str, train: str, held_out: str
) -> Generator[Event, None, tuple[HubRows, HubRows | None]]:
    """The rows of two splits of a data set of the Hub or in a folder; the held-out one is None where it is absent.

    Splits may be written as the library knows them: `train[:90%]`, `train+validation`. What is fetched goes on being
    fetched in the background if this is closed meanwhile, and is found there the next time.

    Raises:
        UserError: there is no such data set, configuration, revision or training split, or it cannot be fetched.
    """
    folder = places.expand(name)
    local = bool(name) and folder.is_dir()
    if not local and not _HUB_NAME.fullmatch(name):
        raise UserError(
            "There is no data set {name}." if name else "No data set is named.",
            "It is no file and no folder here, and no name of a data set on Hugging Face.",
            "Check the path; a name on Hugging Face reads like openai/gsm8k.",
            name=name,
        )

    def prepare() -> dict[str, Callable[[str], datasets.Dataset]]:
        library = _library()
        if local and ((folder / "dataset_dict.json").exists() or (folder / "state.json").exists()):
            saved = library.load_from_disk(str(folder))
            splits = saved if isinstance(saved, dict) else {"train": saved}
            return dict.fromkeys(splits, splits.__getitem__)
        builder = library.load_dataset_builder(
            str(folder.resolve()) if local else name,
            config or (None if local else _CONFIGS.get(name)),
            revision=None if local else revision or None,
            cache_dir=_cache(),
        )
        builder.download_and_prepare()
        return {split: lambda wanted: builder.as_dataset(split=wanted) for split in builder.info.splits or ()}

    try:
        splits = yield from _beside(prepare, name)
    except Exception as error:
        raise _in_words(error, name, config, revision) from error
    learned = _split(splits, train, name)
    if learned is None:
        raise UserError(
            "{name} has no split {split}.",
            "Its splits are: {splits}.",
            "Set train_split to one of them.",
            name=name,
            split=train or '""',
            splits=", ".join(splits) or "none",
        )
    return learned, _split(splits, held_out, name) if held_out != train else None


def _split(splits: dict[str, Callable[[str], datasets.Dataset]], wanted: str, name: str) -> HubRows | None:
    """The rows of a split, None where there is no such split."""
    parts = [part.partition("[")[0].strip() for part in wanted.split("+")]
    if not all(part in splits for part in parts):
        return None
    try:
        rows = splits[parts[0]](wanted)
    except Exception as error:  # what stands in brackets is the library's to understand
        if nothing := _nothing_in(error, f"{name}, split {wanted}"):
            raise nothing from error
        raise UserError(
            "The split {split} of {name} cannot be read.",
            "{reason}",
            "Write a split as its name alone, or as in train[:90%].",
            split=wanted,
            name=name,
            reason=in_short(error),
        ) from error
    return HubRows(rows, f"{name}, split {wanted}")


def _library() -> Any:
    """The library, made quiet."""
    os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")  # it would tell a server what is read, local files too
    import datasets
    from datasets.utils import _dill  # type: ignore[import-untyped]

    # It asks whether torch is loaded in a way that a hidden torch answers with yes, only to hash what we never pass.
    _dill.sys = _NoModules
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(logging.CRITICAL)  # what goes wrong is said by its exceptions
    logging.getLogger("huggingface_hub.repocard").setLevel(logging.ERROR)  # a README need not describe the data
    return datasets


class _NoModules:
    """What the library's hashing sees of the interpreter: no module that it would treat apart."""

    modules: Final[dict[str, Any]] = {}


def _cache() -> str:
    """Where the library keeps prepared data, by the environment of this moment."""
    import datasets

    if "HF_DATASETS_CACHE" not in os.environ and "HF_HOME" in os.environ:
        return str(places.expand(os.environ["HF_HOME"]) / "datasets")
    return str(datasets.config.HF_DATASETS_CACHE)


def _beside(work: Callable[[], _Result], name: str) -> Generator[Event, None, _Result]:
    """Have `work` done on a thread of its own, which touches neither MLX nor the window; yields while it lasts."""
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)  # raised again where it is waited for

    yield Progress("Fetching the data", 0, None, "", name)
    threading.Thread(target=run, name="data", daemon=True).start()
    while wait([future], _SECONDS_AN_EVENT).not_done:
        yield Progress("Fetching the data", 0, None, "", name)
    return future.result()


def _nothing_in(error: Exception, name: str) -> UserError | None:
    """The sentences for the library's exceptions on what has no files or no rows, None for any other."""
    import datasets

    if isinstance(error, datasets.exceptions.DataFilesNotFoundError | datasets.data_files.EmptyDatasetError):
        return UserError(
            "There are no data in {name}.",
            "No JSONL, CSV or parquet file is in it.",
            "Put one there, or set dataset to another folder or to a file.",
            name=name,
        )
    cause = error.__cause__
    text = f"{error} {cause}"
    if not (isinstance(cause, StopIteration) or "BatchSize must be greater than 0" in text or "to no data!" in text):
        return None
    return UserError(
        "{name} is empty.",
        "It holds no rows, or a file of it does not.",
        "Fill it, take the empty file away, or choose another data set.",
        name=name,
    )


def _in_words(error: Exception, name: str, config: str = "", revision: str = "") -> UserError:
    """The sentences for an exception of the library."""
    import datasets
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    reason = in_short(error)
    values: dict[str, Any] = {"name": name, "config": config, "revision": revision, "reason": reason}
    if "Config name is missing" in reason or "BuilderConfig" in reason:
        return UserError(
            "{name} does not say which part of it is meant." if not config else "{name} has no configuration {config}.",
            "{reason}",
            "Set dataset_config to one of the names above.",
            **values,
        )
    if isinstance(error, ConnectionError | TimeoutError | httpx2.TransportError | LocalEntryNotFoundError):
        return UserError(
            "The data set {name} is not on this computer and cannot be fetched.",
            "{reason}",
            "Connect to the internet, or remove HF_HUB_OFFLINE, and try again; or set dataset to a file, or to "
            "arithmetic, which is built in.",
            **values,
        )
    if nothing := _nothing_in(error, name):
        return nothing
    if isinstance(error, datasets.exceptions.DatasetNotFoundError | RepositoryNotFoundError):
        return UserError(
            "The data set {name} cannot be had from Hugging Face.",
            "{reason}",
            "Check its name and dataset_revision. If it is private or gated, ask for access on its page, then run: "
            "hf auth login",
            **values,
        )
    kinds = (datasets.exceptions.DatasetsError, FileNotFoundError, ValueError, HfHubHTTPError, RuntimeError)
    if not isinstance(error, kinds):
        return explain(error)
    cause = error.__cause__
    return UserError(
        "The data of {name} cannot be read.",
        "{reason}",
        "Check that its files are whole, of one kind and with the same columns; JSONL, CSV and parquet are read.",
        **values | {"reason": in_short(cause) if isinstance(cause, Exception) else reason},
    )
