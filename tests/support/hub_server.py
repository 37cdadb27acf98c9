"""A small Hugging Face Hub on 127.0.0.1, for the real huggingface_hub client. Knows models and faults, no test.

    with HubServer() as hub:
        commit = hub.add_model("org/model", {"config.json": b"{}", "model.safetensors": weights})
        hub.faults.append(Fault("*/model.safetensors", cut_after=1000, times=1))
        ...                                    # HF_ENDPOINT is hub.endpoint
        assert hub.ranges("model.safetensors") == [None, "bytes=1000-"]

As on the real Hub, git's own files come from the endpoint itself, and large files (LFS) by a redirect to another
origin, where the access token must not go. Both are ports of 127.0.0.1. Uploads are in `hub_uploads`.
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.hub_uploads import Uploads

THREAD_NAME = "hub-server"  # of every thread here, so that a test can tell them from the program's
_PIECE_SECONDS = 0.02  # a slowed answer comes in pieces of this duration


@dataclass
class Fault:
    """What goes wrong with the requests whose path matches the shell pattern `path`, for the next `times` of them.

    The answer has another `status` and `body`, or never comes (`silent`). Or else, where the content of a file is sent,
    it breaks off after `cut_after` bytes, is other content of the same length (`garbled`), or ignores the range asked.
    """

    path: str = "*"
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_after: int | None = None
    garbled: bool = False
    silent: bool = False
    ignores_range: bool = False
    times: int = 1_000_000

    @property
    def in_content(self) -> bool:
        return not self.status and not self.silent


def bad_token(path: str = "*") -> Fault:
    return Fault(path, 401, {"X-Error-Message": "Invalid credentials in Authorization header"})


def gated(path: str = "*/resolve/*", status: int = 403) -> Fault:
    """The listing of a gated repository is public; only its files are refused."""
    return Fault(path, status, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to model is restricted."})


def too_many_requests(seconds: int, path: str = "*", times: int = 1_000_000) -> Fault:
    return Fault(path, 429, {"RateLimit": f'"api";r=0;t={seconds}'}, times=times)


@dataclass(frozen=True)
class Request:
    """A request as it came: `range` and `token` are its headers, None where it had none."""

    method: str
    host: str
    path: str
    range: str | None
    token: str | None


@dataclass(frozen=True)
class StoredFile:
    content: bytes
    lfs: bool

    @property
    def git_id(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.content) + self.content, usedforsecurity=False).hexdigest()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.git_id


def is_lfs(path: str) -> bool:
    """Whether a file is kept outside git, as .gitattributes of every repository says."""
    return path.endswith((".safetensors", ".bin", ".gguf", ".pt", ".pkl", ".model"))


@dataclass
class StoredModel:
    """Every commit of a repository, and the commit each branch or tag means."""

    private: bool = False
    commits: dict[str, dict[str, StoredFile]] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=dict)


class HubServer:
    """The stand-in; serves inside its `with` block. `bytes_per_second` slows every file down."""

    def __init__(self) -> None:
        self.models: dict[str, StoredModel] = {}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.contents: list[tuple[str, str | None]] = []
        self.bytes_per_second: float | None = None
        self.uploads = Uploads()
        self.closing = threading.Event()
        self._servers = [_Server(self), _Server(self)]
        self.endpoint, self.storage = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)

    def __enter__(self) -> HubServer:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), name=THREAD_NAME, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def add_model(self, repo_id: str, files: dict[str, bytes], revision: str = "main") -> str:
        """Commit `files` as the whole content of a branch; returns the commit. Weights are LFS files."""
        stored = {path: StoredFile(content, is_lfs(path)) for path, content in files.items()}
        names = "".join(sorted(path + file.etag for path, file in stored.items()))
        commit = hashlib.sha1(names.encode(), usedforsecurity=False).hexdigest()
        model = self.models.setdefault(repo_id, StoredModel())
        model.commits[commit] = stored
        model.revisions[revision] = commit
        return commit

    def ranges(self, file: str) -> list[str | None]:
        """The Range header of every request so far that was answered with content of `file`."""
        return [range_ for path, range_ in self.contents if path == file]

    def fault(self, path: str, in_content: bool) -> Fault:
        """The fault this request meets, counted off; one without any effect where there is none."""
        for fault in self.faults:
            if fault.in_content == in_content and fault.times > 0 and fnmatch(path, fault.path):
                fault.times -= 1
                return fault
        return Fault()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: HubServer) -> None:
        self.hub = hub
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        threading.current_thread().name = THREAD_NAME
        super().process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is expected here, and anything else shows as a missing answer."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""

    def _answer(self) -> None:
        hub, path = self.server.hub, urlsplit(self.path).path
        host, asked, token = (self.headers.get(name) for name in ("Host", "Range", "Authorization"))
        hub.requests.append(Request(self.command, host or "", path, asked, token))
        fault = hub.fault(path, in_content=False)
        if fault.silent:
            hub.closing.wait(60)
            self.close_connection = True
        elif fault.status:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._send(fault.status, fault.headers, fault.body)
        elif self.command in {"POST", "PUT"}:
            self._receive(path)
        else:
            self._route([unquote(part) for part in path.strip("/").split("/")])

    def _route(self, parts: list[str]) -> None:
        match parts:
            case ["api", "whoami-v2"]:
                self._answer_json(*self.server.hub.uploads.who(self.headers))
            case ["api", "models", *name, "revision", revision]:
                self._model_info("/".join(name), revision)
            case ["api", "models", owner, model]:
                self._model_info(f"{owner}/{model}", "main")
            case ["api", "models", *name, "tree", revision]:
                self._tree("/".join(name), revision)
            case ["storage", owner, model, commit, *file]:
                self._send_file(f"{owner}/{model}", commit, "/".join(file), {})
            case [owner, model, "resolve", revision, *file]:
                self._resolve(f"{owner}/{model}", revision, "/".join(file))
            case _:
                self._refuse("EntryNotFound", "There is nothing here")

    def _receive(self, path: str) -> None:
        """Take what a client sends, unless a fault ends the connection in the middle of it."""
        hub, size = self.server.hub, int(self.headers.get("Content-Length", 0))
        cut = hub.fault(path, in_content=True).cut_after
        body = b"".join(self._slowly(size if cut is None else min(cut, size)))
        if len(body) < size:
            hub.uploads.broken.append((path, len(body)))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self._answer_json(*hub.uploads.answer(hub, self.command, path, self.headers, body))

    def _slowly(self, size: int) -> Iterator[bytes]:
        rate = self.server.hub.bytes_per_second
        step = max(1, int(rate * _PIECE_SECONDS)) if rate else size
        while size > 0 and (piece := self.rfile.read(min(step, size))):
            size -= len(piece)
            yield piece
            if rate and self.server.hub.closing.wait(_PIECE_SECONDS):
                return

    def _answer_json(self, status: int, headers: dict[str, str], value: object) -> None:
        self._send(status, headers | {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _model(self, repo_id: str) -> StoredModel:
        return self.server.hub.models[repo_id]

    def _commit(self, repo_id: str, revision: str) -> str | None:
        """The commit a request means; None where it was refused instead."""
        if repo_id not in self.server.hub.models:
            # The real one says 401 to anyone unknown, so as not to tell which private repositories exist.
            self._refuse("RepoNotFound", "Repository not found", 404 if self.headers.get("Authorization") else 401)
            return None
        model = self._model(repo_id)
        commit = model.revisions.get(revision, revision)
        if commit not in model.commits:
            self._refuse("RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return commit

    def _model_info(self, repo_id: str, revision: str) -> None:
        if commit := self._commit(repo_id, revision):
            siblings: list[dict[str, Any]] = []
            private = self._model(repo_id).private
            for path, file in self._model(repo_id).commits[commit].items():
                entry: dict[str, Any] = {"rfilename": path, "size": len(file.content), "blobId": file.git_id}
                if file.lfs:
                    entry["lfs"] = {"sha256": file.sha256, "size": len(file.content), "pointerSize": 134}
                siblings.append(entry if "blobs=" in self.path else {"rfilename": path})
            self._send_json(
                {"id": repo_id, "modelId": repo_id, "sha": commit, "private": private, "siblings": siblings}
            )

    def _tree(self, repo_id: str, revision: str) -> None:
        if commit := self._commit(repo_id, revision):
            entries: list[dict[str, Any]] = []
            for path, file in self._model(repo_id).commits[commit].items():
                entry: dict[str, Any] = {"type": "file", "path": path, "size": len(file.content), "oid": file.git_id}
                if file.lfs:
                    entry["lfs"] = {"oid": file.sha256, "size": len(file.content), "pointerSize": 134}
                entries.append(entry)
            self._send_json(entries)

    def _resolve(self, repo_id: str, revision: str, path: str) -> None:
        if commit := self._commit(repo_id, revision):
            file = self._model(repo_id).commits[commit].get(path)
            headers = {"X-Repo-Commit": commit}
            if file is None:
                self._refuse("EntryNotFound", "Entry not found")
            elif file.lfs:
                headers |= {"X-Linked-Etag": f'"{file.etag}"', "X-Linked-Size": str(len(file.content))}
                headers["Location"] = f"{self.server.hub.storage}/storage/{repo_id}/{commit}/{path}"
                self._send(302, headers)
            else:
                self._send_file(repo_id, commit, path, headers)

    def _send_file(self, repo_id: str, commit: str, path: str, headers: dict[str, str]) -> None:
        file, hub = self._model(repo_id).commits[commit][path], self.server.hub
        content, status = file.content, 200
        fault = hub.fault(self.path, in_content=True)
        if fault.garbled:
            content = bytes(byte ^ 1 for byte in content)
        headers = headers | {"ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
        asked = self.headers.get("Range")
        if self.command == "GET":
            hub.contents.append((path, asked))
        if asked and not fault.ignores_range:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content, status = content[start:], 206
        self._send(status, headers, content, fault.cut_after)

    def _refuse(self, code: str, message: str, status: int = 404) -> None:
        self._send(status, {"X-Error-Code": code, "X-Error-Message": message})

    def _send_json(self, value: object) -> None:
        self._send(200, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _send(self, status: int, headers: dict[str, str], body: bytes = b"", cut_after: int | None = None) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        for piece in self._pieces(body if cut_after is None else body[:cut_after]):
            self.wfile.write(piece)
        self.close_connection = self.close_connection or cut_after is not None

    def _pieces(self, body: bytes) -> Iterator[bytes]:
        rate = self.server.hub.bytes_per_second
        step = max(1, int(rate * _PIECE_SECONDS)) if rate else len(body)
        for start in range(0, len(body), step or 1):
            if rate and start and self.server.hub.closing.wait(_PIECE_SECONDS):
                return
            yield body[start : start + step]
