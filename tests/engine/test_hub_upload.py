"""Uploads by the real client to the stand-in Hub: whole, interrupted, continued, refused."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import constants

from engine import hub_upload
from engine.conversion_events import ModelUploaded
from engine.errors import UserError
from engine.events import Event, Note, Progress
from tests.support.hub_server import THREAD_NAME, Fault, HubServer

MODEL = "me/tiny-model"
WEIGHTS = {f"model-{number:05}-of-00002.safetensors": random.Random(number).randbytes(2_500_000) for number in (1, 2)}
INDEX = json.dumps({"weight_map": {f"layer{number}": name for number, name in enumerate(WEIGHTS)}}).encode()
SMALL = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors.index.json": INDEX,
    "tokenizer.json": b'{"version": "1.0"}' * 100,
    "chat_template.jinja": b"{{ messages }}",
    "README.md": b"---\nlibrary_name: mlx\n---\n# A model\n",
}
FILES = SMALL | WEIGHTS
SIZE = sum(map(len, FILES.values()))
PART = "/upload/*"


@pytest.fixture
def server(hub_server: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """A Hub that knows us, and a client that does not sleep between its attempts."""
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    monkeypatch.setattr("huggingface_hub.utils._http.time", SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)  # else it starts a thread
    return hub_server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model in two weight files, with what else may lie about."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / "modeling_own.py").write_text("print('code')")
    (folder / "model-00001-of-00002.safetensors.tmp").write_text("half")
    (folder / ".hidden.json").write_text("{}")
    return folder


@pytest.fixture(autouse=True)
def _leaves_no_trace(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No thread is left when a test ends, and nothing came on the terminal."""
    before = set(threading.enumerate())
    yield
    assert [t for t in threading.enumerate() if t not in before and t.name != THREAD_NAME] == []
    assert capfd.readouterr() == ("", "")


def content(server: HubServer, repository: str = MODEL) -> dict[str, bytes]:
    model = server.models[repository]
    return {path: file.content for path, file in model.commits[model.revisions["main"]].items()}


def refusal(folder: Path, repository: str = MODEL, *, private: bool = True) -> UserError:
    with pytest.raises(UserError) as caught:
        list(hub_upload.upload(folder, repository, private=private))
    assert caught.value.what
    assert caught.value.why
    assert caught.value.remedy
    assert caught.value.fault == "input"
    return caught.value


def interrupt(folder: Path, server: HubServer, until_bytes: int) -> list[Event]:
    """Upload slowly, and close when so many bytes were sent."""
    server.bytes_per_second = 2_500_000
    upload = hub_upload.upload(folder, MODEL)
    events = []
    for event in upload:
        events.append(event)
        if isinstance(event, Progress) and event.what == "Uploading" and event.done >= until_bytes:
            break
    upload.close()
    server.bytes_per_second = None
    return events


def test_a_model_arrives_whole_and_nothing_else(server: HubServer, folder: Path) -> None:
    *events, last = hub_upload.upload(folder, MODEL)
    assert content(server) == FILES | {".gitattributes": b"*.safetensors filter=lfs"}
    address = f"{server.endpoint}/{MODEL}"
    assert last == ModelUploaded(MODEL, address, private=True, files=len(FILES), size=SIZE, sent=True)
    assert server.models[MODEL].private
    notes = [event.text for event in events if isinstance(event, Note)]
    assert all(name in notes[0] for name in FILES)
    assert "modeling_own.py" in notes[1]
    assert len(server.uploads.commits) == 1
    assert {request.token for request in server.requests if request.host in server.storage} == {None}
    assert all(size <= server.uploads.part_size for _, size in server.uploads.received)


def test_progress_counts_bytes_and_never_falls(server: HubServer, folder: Path) -> None:
    server.bytes_per_second = 8_000_000
    events = [event for event in hub_upload.upload(folder, MODEL) if isinstance(event, Progress)]
    sending = [event.done for event in events if event.what == "Uploading"]
    assert sending == sorted(sending)
    assert len(set(sending)) > 3
    assert {(event.unit, event.total) for event in events} == {("bytes", SIZE)}
    assert events[-1].done == SIZE
    assert {event.detail for event in events if event.what == "Uploading"} >= set(WEIGHTS)


def test_one_name_is_put_under_ones_own_account(server: HubServer, folder: Path) -> None:
    *_, last = hub_upload.upload(folder, "tiny-model", private=False)
    assert isinstance(last, ModelUploaded)
    assert last.repository == MODEL
    assert not server.models[MODEL].private


def test_the_card_stands_in_for_the_folders_own(server: HubServer, folder: Path) -> None:
    list(hub_upload.upload(folder, MODEL, card="---\nlibrary_name: mlx\n---\n# Another\n"))
    assert content(server)["README.md"].endswith(b"# Another\n")
    assert (folder / "README.md").read_bytes() == SMALL["README.md"]


def test_a_model_that_was_converted_here_gets_its_card(server: HubServer, folder: Path) -> None:
    (folder / "README.md").unlink()
    record = {"source": {"name": "org/big", "dtype": "bfloat16"}, "settings": {}, "label": "", "quality": []}
    (folder / "conversion.json").write_text(json.dumps(record | {"check": {"verdict": "same", "positions": 12}}))
    list(hub_upload.upload(folder, MODEL))
    card = content(server)["README.md"].decode()
    assert f"# {MODEL}" in card
    assert "org/big" in card
    assert "conversion.json" not in content(server)
    assert not (folder / "README.md").exists()


@pytest.mark.parametrize("moment", [200_000, 3_000_000])
def test_a_closed_upload_stops_at_once_and_is_continued(server: HubServer, folder: Path, moment: int) -> None:
    interrupt(folder, server, moment)
    sent = sum(size for _, size in server.uploads.received)
    assert sent < moment + 1_500_000
    assert server.uploads.commits == []
    whole = dict(server.uploads.stored)
    server.uploads.received.clear()
    list(hub_upload.upload(folder, MODEL))
    assert not set(whole) & {oid for oid, _ in server.uploads.received}
    assert len(whole) == (moment > 2_500_000)
    assert content(server).items() >= FILES.items()


def test_what_is_there_is_not_sent_again(server: HubServer, folder: Path) -> None:
    list(hub_upload.upload(folder, MODEL))
    server.uploads.received.clear()
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    list(hub_upload.upload(folder, MODEL))
    list(hub_upload.upload(folder, MODEL))
    assert server.uploads.received == []
    assert [commit["paths"] for commit in server.uploads.commits[1:]] == [["config.json"]]


def test_close_before_the_first_event_asks_for_nothing(server: HubServer, folder: Path) -> None:
    upload = hub_upload.upload(folder, MODEL)
    upload.close()
    assert list(upload) == []
    assert server.requests == []


def test_close_does_not_wait_long_for_a_server_that_is_silent(
    server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_upload, "_PARTING", 0.1)
    server.faults.append(Fault(PART, silent=True))
    upload = hub_upload.upload(folder, MODEL)
    while not any(request.path.startswith("/upload/") for request in server.requests):
        next(upload)
    upload.close()
    (left,) = [thread for thread in threading.enumerate() if thread.name == "hub-upload"]
    server.faults.clear()
    server.closing.set()
    left.join(20)
    assert server.uploads.stored == {}
    assert server.uploads.commits == []


def test_a_broken_connection_is_taken_up_again(server: HubServer, folder: Path) -> None:
    server.faults.append(Fault(PART, cut_after=300_000, times=3))
    list(hub_upload.upload(folder, MODEL))
    assert len(server.uploads.broken) == 3
    assert content(server).items() >= FILES.items()


def test_a_connection_that_keeps_breaking_is_given_up_and_can_be_continued(server: HubServer, folder: Path) -> None:
    server.faults.append(Fault("/upload/*/2", cut_after=300_000))
    assert MODEL in refusal(folder).what
    assert server.uploads.commits == []
    server.faults.clear()
    list(hub_upload.upload(folder, MODEL))
    assert content(server).items() >= FILES.items()


@pytest.mark.parametrize("path", [PART, "/api/models/*/commit/*", "*/objects/batch", "/api/models/*/preupload/*"])
def test_a_passing_fault_of_the_server(server: HubServer, folder: Path, path: str) -> None:
    server.faults.append(Fault(path, 500, times=1))
    if "commit" in path:  # the client does not know whether it was done, and leaves that to us
        assert "HTTP 500" in refusal(folder).why
    list(hub_upload.upload(folder, MODEL))
    assert content(server).items() >= FILES.items()


def test_a_dry_run_names_the_files_and_asks_nobody(server: HubServer, folder: Path) -> None:
    *events, last = hub_upload.upload(folder, MODEL, dry_run=True)
    assert last == ModelUploaded(MODEL, f"{server.endpoint}/{MODEL}", True, len(FILES), SIZE, sent=False)
    assert any(isinstance(event, Note) and "tokenizer.json" in event.text for event in events)
    assert server.requests == []


def error(path: str, status: int, message: str) -> Fault:
    return Fault(path, status, {"X-Error-Message": message})


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (error("/api/repos/create", 403, "You don't have the rights"), "may not upload"),
        (error("/api/models/*", 403, "Private repository storage limit reached"), "too large"),
        (error("*/objects/batch", 413, "Payload too large"), "too large"),
        (error("/api/models/*/commit/*", 412, "A commit has happened since"), "changed by someone"),
        (error("/api/models/*/preupload/*", 429, "Too many requests"), "asks you to wait"),
        (error("*", 503, "Over capacity"), "HTTP 503"),
        (Fault("/api/models/*", 200, body=b"<html>Please sign in</html>"), "did not take"),
    ],
)
def test_every_refusal_is_a_sentence(server: HubServer, folder: Path, fault: Fault, words: str) -> None:
    server.faults.append(fault)
    refused = refusal(folder)
    assert words in f"{refused.what} {refused.why}"


def test_without_a_token_the_way_to_one_is_told(
    server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert "hf auth login" in refusal(folder).remedy
    assert server.requests == []


@pytest.mark.parametrize("token", ["hf_unknown", "hf_sécret"])
def test_a_wrong_token_is_named(server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    assert "access token" in refusal(folder).what


def test_a_stored_token_is_used(server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    Path(constants.HF_TOKEN_PATH).write_text("hf_writer")
    list(hub_upload.upload(folder, MODEL))
    assert MODEL in server.models


def test_a_foreign_namespace_is_refused(server: HubServer, folder: Path) -> None:
    assert "may not upload to somebody/model" in refusal(folder, "somebody/model").what
    list(hub_upload.upload(folder, "our-team/model"))
    assert "our-team/model" in server.models


def test_a_name_that_holds_another_model_is_refused(server: HubServer, folder: Path) -> None:
    server.add_model(MODEL, {"config.json": b"{}", "model.safetensors": b"another"})
    server.models[MODEL].private = True
    assert "model.safetensors" in refusal(folder).why
    assert server.uploads.received == []


def test_a_private_upload_goes_to_no_public_repository(server: HubServer, folder: Path) -> None:
    server.add_model(MODEL, {})
    assert "everybody" in refusal(folder).what
    list(hub_upload.upload(folder, MODEL, private=False))
    assert content(server).items() >= FILES.items()


@pytest.mark.parametrize("name", ["", "a/b/c", "me/has space", "me/m.git", "-me/model"])
def test_a_malformed_name_is_refused_without_asking(server: HubServer, folder: Path, name: str) -> None:
    assert "id" in refusal(folder, name).what
    assert server.requests == []


def test_only_a_model_folder_is_sent(server: HubServer, folder: Path, tmp_path: Path) -> None:
    refusal(tmp_path / "nowhere")
    (folder / "config.json").unlink()
    assert "config.json" in refusal(folder).why
    assert server.requests == []


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9"])
def test_no_connection(server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    assert endpoint in refusal(folder).what


def test_the_offline_switch_is_named(server: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refusal(folder).why
    assert server.requests == []
