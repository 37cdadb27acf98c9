"""The part of the Hub on 127.0.0.1 that takes uploads: accounts, repositories, large files in parts, commits.

It speaks what huggingface_hub 2 does without hf_xet: repos/create, preupload, git-lfs batches, PUT of whole files or
of parts with a completion, verify, and a commit as lines of JSON. Knows no test.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.hub_server import HubServer, StoredModel

Answer = tuple[int, dict[str, str], Any]


def refused(status: int, message: str, code: str = "") -> Answer:
    return status, {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {}), {"error": message}


@dataclass
class Uploads:
    """What was sent, and who may send.

    `accounts` are names by token; `organisations` those everybody may write to. Files of more than `part_size` bytes
    are asked for in parts. `stored` are the large files that arrived whole, by SHA-256; `received` the size of each
    content that was sent, `broken` of those that were not sent to the end.
    """

    accounts: dict[str, str] = field(default_factory=lambda: {"hf_writer": "me"})
    organisations: tuple[str, ...] = ("our-team",)
    part_size: int = 1_000_000
    stored: dict[str, bytes] = field(default_factory=dict)
    received: list[tuple[str, int]] = field(default_factory=list)
    broken: list[tuple[str, int]] = field(default_factory=list)
    commits: list[dict[str, Any]] = field(default_factory=list)
    _parts: dict[str, dict[int, bytes]] = field(default_factory=dict)

    def who(self, headers: Mapping[str, str]) -> Answer:
        account = self.accounts.get(str(headers.get("Authorization", "")).removeprefix("Bearer "))
        if account is None:
            return refused(401, "Invalid credentials in Authorization header")
        return 200, {}, {"type": "user", "name": account, "orgs": [{"name": name} for name in self.organisations]}

    def answer(self, hub: HubServer, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What the Hub says to a request that sends something."""
        parts = path.strip("/").split("/")
        if method == "PUT":
            return self._take(parts, headers, body)
        if parts[0] == "complete":  # its address is signed instead
            return self._complete(json.loads(body))
        status, refusal, account = self.who(headers)
        if status != 200:
            return status, refusal, account
        asked = {} if path.endswith("/commit/main") else json.loads(body)
        match parts:
            case ["api", "repos", "create"]:
                answer = self._create(hub, account["name"], asked)
            case ["api", "validate-yaml"]:
                answer = self._validate(asked["content"])
            case ["api", "models", owner, name, "preupload", "main"]:
                answer = self._preupload(hub.models[f"{owner}/{name}"], asked)
            case ["api", "models", owner, name, "commit", "main"]:
                answer = self._commit(hub, f"{owner}/{name}", body)
            case [_, name, "info", "lfs", "objects", "batch"] if name.endswith(".git"):
                answer = self._batch(hub, asked)
            case ["verify"]:
                there = len(self.stored.get(asked["oid"], b"")) == asked["size"]
                answer = (200, {}, {}) if there else refused(404, "No such object")
            case _:
                answer = refused(404, "There is nothing here", "EntryNotFound")
        return answer

    def _create(self, hub: HubServer, account: str, asked: dict[str, Any]) -> Answer:
        owner = asked["organization"] or account
        if owner not in {account, *self.organisations}:
            return refused(403, f'You don\'t have the rights to create a model under the namespace "{owner}".')
        repository = f"{owner}/{asked['name']}"
        url = {"url": f"{hub.endpoint}/{repository}", "name": repository}
        if repository in hub.models:
            return 409, {"X-Error-Message": "You already created this model repo"}, url
        hub.add_model(repository, {".gitattributes": b"*.safetensors filter=lfs"})
        hub.models[repository].private = asked.get("visibility") == "private"
        return 200, {}, url

    def _validate(self, card: str) -> Answer:
        return (200, {}, {}) if card.startswith("---\n") else (200, {}, {"warnings": [{"message": "empty metadata"}]})

    def _preupload(self, model: StoredModel, asked: dict[str, Any]) -> Answer:
        from tests.support.hub_server import is_lfs

        now = model.commits[model.revisions["main"]]
        files = []
        for file in asked["files"]:
            path = file["path"]
            mode = "lfs" if is_lfs(path) else "regular"
            known = {"oid": now[path].etag} if path in now else {}
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False} | known)
        return 200, {}, {"files": files}

    def _batch(self, hub: HubServer, asked: dict[str, Any]) -> Answer:
        """Where each large file is to be sent; nothing for one that is here."""
        objects = []
        for wanted in asked["objects"]:
            oid, size = wanted["oid"], wanted["size"]
            entry: dict[str, Any] = {"oid": oid, "size": size}
            if oid not in self.stored:
                upload: dict[str, Any] = {"href": f"{hub.storage}/upload/{oid}"}
                if size > self.part_size:
                    numbers = range(1, -(-size // self.part_size) + 1)
                    places = {f"{number:05}": f"{hub.storage}/upload/{oid}/{number}" for number in numbers}
                    upload = {"href": f"{hub.endpoint}/complete/{oid}"}
                    upload["header"] = {"chunk_size": str(self.part_size), **places}
                entry["actions"] = {"upload": upload, "verify": {"href": f"{hub.endpoint}/verify"}}
            objects.append(entry)
        return 200, {}, {"transfer": "basic", "objects": objects}

    def _take(self, parts: list[str], headers: Mapping[str, str], body: bytes) -> Answer:
        """A large file or a part of one. Its address is signed: the access token must not come here."""
        if "Authorization" in headers or parts[0] != "upload":
            return refused(400, "Only one auth mechanism allowed")
        oid = parts[1]
        self.received.append((oid, len(body)))
        if len(parts) == 3:
            self._parts.setdefault(oid, {})[int(parts[2])] = body
        elif hashlib.sha256(body).hexdigest() != oid:
            return refused(400, "The content does not have this checksum")
        else:
            self.stored[oid] = body
        return 200, {"ETag": f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'}, {}

    def _complete(self, asked: dict[str, Any]) -> Answer:
        parts = self._parts.pop(asked["oid"])
        content = b"".join(parts[part["partNumber"]] for part in asked["parts"])
        if hashlib.sha256(content).hexdigest() != asked["oid"]:
            return refused(400, "The parts do not have this checksum")
        self.stored[asked["oid"]] = content
        return 200, {}, {}

    def _commit(self, hub: HubServer, repository: str, body: bytes) -> Answer:
        model = hub.models[repository]
        files = {path: file.content for path, file in model.commits[model.revisions["main"]].items()}
        lines = [json.loads(line) for line in body.splitlines()]
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile" and value["oid"] in self.stored:
                files[value["path"]] = self.stored[value["oid"]]
            else:
                return refused(400, f"This cannot be committed: {line['key']} {value['path']}")
        self.commits.append({"paths": [line["value"]["path"] for line in lines[1:]], **lines[0]["value"]})
        commit = hub.add_model(repository, files)
        return 200, {}, {"commitUrl": f"{hub.endpoint}/{repository}/commit/{commit}", "commitOid": commit}
