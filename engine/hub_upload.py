"""Puts a model folder on the Hugging Face Hub through huggingface_hub's own client. Knows no model class and no view.

The files go as file objects that count what was read: that shows progress to the byte, and a closed upload stops in
the middle of a file. (It also keeps huggingface_hub to plain HTTP; hf_xet reports nothing and cannot be stopped.)
One commit at the end makes all of them visible at once; large files that arrived before are not sent again.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import queue
import threading
import warnings
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

from engine import hub_errors, library
from engine.conversion_events import ModelUploaded
from engine.convert import model_card
from engine.errors import UserError
from engine.events import Event, Note, Progress

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

# What a model consists of; code and whatever else lies about stays here.
_SENT = (
    "*.safetensors", "*.json", "*.jinja", "*.model", "*.tiktoken", "merges.txt", "vocab.txt", "README.md", "LICENSE*",
    "additional_chat_templates/*.jinja",
)  # fmt: skip
_WEIGHTS = (".safetensors", ".bin", ".gguf", ".npz", ".pt", ".pth")
_CARD = "README.md"
_STEP = 0.1  # seconds between two events
_PATIENCE = 60  # seconds without any byte, after which a server counts as silent
_PARTING = 2  # seconds a closed upload waits for its thread


def upload(
    folder: Path, repository: str, *, private: bool = True, dry_run: bool = False, card: str = ""
) -> Generator[Event, None, None]:
    """Put the model in `folder` on the Hub as `owner/name` (or `name`, of the account that the token belongs to).

    Closing it stops in the middle of a file; run again, only what is missing there is sent.

    Args:
        private: nobody else may see it. A repository that is there already must not be public then.
        dry_run: say what would be sent, and send nothing.
        card: the README.md, instead of the folder's own or the one that follows from the record of its conversion.

    Yields:
        Notes that name every file, Progress in bytes, at last ModelUploaded.

    Raises:
        UserError: the folder is no model, the token is missing or not allowed to, or the Hub refuses.
    """
    repository = repository.strip().removeprefix(library.HUB_ADDRESS)
    library.describe(folder)
    found = {path.relative_to(folder).as_posix(): path for pattern in _SENT for path in sorted(folder.glob(pattern))}
    # What the record of the conversion tells, the card tells in words.
    files = {name: path for name, path in found.items() if name[0] != "." and name != model_card.RECORD}
    if not card and _CARD not in files:
        card = model_card.of_folder(folder, repository)
    sizes = {name: path.stat().st_size for name, path in files.items()}
    if card:
        sizes[_CARD] = len(card.encode())
    yield Note(f"To be sent: {', '.join(f'{name} ({size:,} bytes)' for name, size in sizes.items())}")
    left = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name not in sizes)
    if left:
        yield Note(f"Not sent: {', '.join(left)}")
    sending = _Sending(repository, files, card, sum(sizes.values()), private)
    if dry_run:
        address = sending.check_name()
        yield ModelUploaded(repository, address, private, len(sizes), sum(sizes.values()), sent=False)
        return
    address = yield from _in_thread(sending)
    yield ModelUploaded(sending.repository, address, private, len(sizes), sum(sizes.values()), sent=True)


def require(repository: str) -> None:
    """Refuse what `upload` will refuse for certain, before a long conversion that it follows; asks nobody.

    Raises:
        UserError: no token is stored, or nothing on the Hub can have this name.
    """
    _Sending(repository.strip().removeprefix(library.HUB_ADDRESS), {}, "", 0, private=True).check_token()


def _in_thread(sending: _Sending) -> Generator[Event, None, str]:
    """Run the client, whose calls block, in a thread of its own; yields how far it is, returns the address."""
    answer: queue.SimpleQueue[str | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            answer.put(sending.run())
        except Exception as error:  # carried over to the generator, which raises it
            answer.put(error)

    _prepare_client()
    # The client passes files under a name that its HTTP library calls outdated.
    warnings.filterwarnings("ignore", "Use 'content=<...>' to upload", DeprecationWarning)
    warnings.filterwarnings("ignore", "Warnings while validating metadata in README.md", UserWarning)
    thread = threading.Thread(target=work, name="hub-upload", daemon=True)
    thread.start()
    try:
        while True:
            try:
                result = answer.get(timeout=_STEP)
                break
            except queue.Empty:
                yield sending.progress()
    finally:
        sending.stopped.set()
        # A client that waits for a silent server is left to its patience; it sends nothing any more.
        thread.join(_PARTING)
    yield sending.progress()
    if isinstance(result, Exception):
        raise hub_errors.of_upload(result, sending.repository) from result
    return result


class _Sending:
    """One folder's way to the Hub; run in a thread of its own."""

    def __init__(self, repository: str, files: dict[str, Path], card: str, total: int, private: bool) -> None:
        self.repository = repository
        self.files = files
        self.card = card
        self.total = total
        self.private = private
        self.stopped = threading.Event()
        self.what, self.detail = "Connecting", ""
        # The bytes of the files before, and the file in hand: one value, since two threads look at it.
        self.at: tuple[int, _CountedFile | None] = (0, None)

    def progress(self) -> Progress:
        """How far it is, in bytes."""
        done, file = self.at
        return Progress(self.what, done + (file.position if file else 0), self.total, "bytes", self.detail)

    def check_name(self) -> str:
        """The address of the repository.

        Raises:
            UserError: nothing on the Hub can have this name.
        """
        from huggingface_hub import constants
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

        try:
            validate_repo_id(self.repository)
        except HFValidationError as error:
            raise hub_errors.of_upload(error, self.repository) from error
        return f"{constants.ENDPOINT}/{self.repository}"

    def check_token(self) -> str:
        """The token that is stored.

        Raises:
            UserError: there is none, or none that can be one; or nothing on the Hub can have this name.
        """
        from huggingface_hub import get_token

        self.check_name()
        token = get_token()
        if token is None:
            raise hub_errors.no_token()
        if not (token.isascii() and token.isprintable()):
            raise hub_errors.bad_token()
        return token

    def run(self) -> str:
        """Send everything; the repository's address."""
        from huggingface_hub import HfApi

        token = self.check_token()
        api = HfApi(token=token, library_name="mlx-grpo-app")
        if "/" not in self.repository:
            self.repository = f"{api.whoami()['name']}/{self.repository}"
        address = self.check_name()
        api.create_repo(self.repository, private=self.private, exist_ok=True)
        self._check_repository(api)
        with contextlib.ExitStack() as stack:
            additions = [self._read(name, path, stack) for name, path in self.files.items() if not self._is_card(name)]
            if self.card:
                from huggingface_hub import CommitOperationAdd

                additions.append(CommitOperationAdd(_CARD, self.card.encode()))
            self.what, self.at = "Uploading", (0, None)
            for addition in additions:
                self._send(api, addition)
            self._go_on()
            self.what, self.detail = "Finishing the upload", ""
            api.create_commit(self.repository, additions, commit_message="Upload of an MLX model")
        return address

    def _is_card(self, name: str) -> bool:
        return bool(self.card) and name == _CARD

    def _check_repository(self, api: HfApi) -> None:
        """Refuse a repository that everybody sees although a private one is wanted, or that holds other weights."""
        info = api.model_info(self.repository)
        if self.private and not info.private:
            raise UserError(
                "{repository} is there already, and everybody can see it.",
                "The upload is to be private.",
                "Choose another name, allow a public upload, or make the repository private in its settings.",
                repository=self.repository,
            )
        names = [sibling.rfilename for sibling in info.siblings or []]
        others = sorted(name for name in names if name.endswith(_WEIGHTS) and name not in self.files)
        if others:
            raise UserError(
                "{repository} is there already and holds another model.",
                "Beside the files of this one there would be: {others}",
                "Choose another name, or delete these files on Hugging Face first.",
                repository=self.repository,
                others=", ".join(others[:5]),
            )

    def _read(self, name: str, path: Path, stack: contextlib.ExitStack) -> CommitOperationAdd:
        """A file, its checksum computed; it stays open for being sent."""
        from huggingface_hub import CommitOperationAdd

        self._go_on()
        self.what, self.detail = "Reading the files", name
        file = stack.enter_context(_CountedFile(path, self._go_on))
        self.at = self.at[0], file
        addition = CommitOperationAdd(name, file)
        self.at = self.at[0] + addition.upload_info.size, None
        file.position = 0
        return addition

    def _send(self, api: HfApi, addition: CommitOperationAdd) -> None:
        """Send a file if it is a large one that is not there yet; small ones travel with the commit."""
        self._go_on()
        self.detail = addition.path_in_repo
        source = addition.path_or_fileobj
        self.at = self.at[0], source if isinstance(source, _CountedFile) else None
        api.preupload_lfs_files(self.repository, [addition])
        self.at = self.at[0] + addition.upload_info.size, None

    def _go_on(self) -> None:
        if self.stopped.is_set():
            raise _StoppedError


class _StoppedError(Exception):
    """The person closed the upload; nobody waits for this one."""


class _CountedFile(io.BufferedReader):
    """A file that asks before each read whether to go on; `position` is how far it was read at most."""

    def __init__(self, path: Path, go_on: Callable[[], None]) -> None:
        super().__init__(io.FileIO(path))
        self._go_on = go_on
        self.position = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._go_on()
        content = super().read(size)
        self.position = max(self.position, self.tell())
        return content


@functools.cache
def _prepare_client() -> None:
    """Have huggingface_hub neither print, nor log, nor call home, nor wait for ever: in this process, once for all.

    Nothing else here goes through its client: downloads are `hub_files`, and transformers reads local files only.
    """
    import httpx2
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils import _http, disable_progress_bars  # type: ignore[attr-defined]

    def client() -> httpx2.Client:
        made = _http.default_client_factory()
        made.timeout = httpx2.Timeout(_PATIENCE)
        return made

    constants.HF_HUB_DISABLE_XET = constants.HF_HUB_DISABLE_TELEMETRY = True
    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    set_client_factory(client)
