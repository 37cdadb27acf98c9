"""Downloads from the stand-in Hub: whole, interrupted, continued, and with every fault it can have."""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

from engine import hub
from engine.errors import UserError
from engine.events import Progress
from tests.support.hub_server import THREAD_NAME, Fault, HubServer, bad_token, gated, too_many_requests

MODEL = "org/tiny-model"
WEIGHTS = random.Random(1).randbytes(3_000_000)
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b'{"version": "1.0"}' * 100,
    "tokenizer_config.json": b"{}",
    "chat_template.jinja": b"{{ messages }}",
    "merges.txt": b"a b\n",
    "model.safetensors": WEIGHTS,
}
SIZE = sum(map(len, FILES.values()))
SMALL = SIZE - len(WEIGHTS)
SUPERFLUOUS = {
    ".gitattributes": b"*.safetensors filter=lfs",
    "README.md": b"# A model",
    "pytorch_model.bin": b"pickled",
    "consolidated.safetensors": b"the same weights once more",
    "model.gguf": b"GGUF",
    "onnx/model.onnx": b"onnx",
    "onnx/config.json": b"{}",
}
SHARDS = {f"model-{number:05}-of-00003.safetensors": random.Random(number).randbytes(50_000) for number in (1, 2, 3)}
INDEX = json.dumps({"weight_map": {f"layer{number}": name for number, name in enumerate(SHARDS)}}).encode()
STORED = "/storage/*"  # where large files come from
UNAVAILABLE = Fault(status=503)


@pytest.fixture
def server(hub_server: HubServer) -> HubServer:
    """A Hub with one model."""
    hub_server.add_model(MODEL, FILES | SUPERFLUOUS)
    return hub_server


@pytest.fixture(autouse=True)
def _leaves_no_trace(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No thread is left when a test ends, and nothing came on the terminal."""
    before = set(threading.enumerate())
    yield
    assert [t for t in threading.enumerate() if t not in before and t.name != THREAD_NAME] == []
    assert capfd.readouterr() == ("", "")


def fetch(repo_id: str = MODEL, revision: str | None = None) -> tuple[list[Progress], Path]:
    """All events of a download, and its result."""
    download = hub.download(repo_id, revision)
    events: list[Progress] = []
    while True:
        try:
            event = next(download)
        except StopIteration as end:
            return events, end.value
        assert isinstance(event, Progress)
        events.append(event)


def refusal(repo_id: str = MODEL, revision: str | None = None) -> UserError:
    """The error a download ends with; it has three sentences."""
    with pytest.raises(UserError) as caught:
        fetch(repo_id, revision)
    assert caught.value.what
    assert caught.value.why
    assert caught.value.remedy
    assert caught.value.fault == "input"
    return caught.value


def interrupt(server: HubServer, until_bytes: int) -> None:
    """Download slowly, and close when so many bytes are there."""
    server.bytes_per_second = 6_000_000
    download = hub.download(MODEL)
    for event in download:
        if isinstance(event, Progress) and event.done >= until_bytes:
            break
    download.close()
    server.bytes_per_second = None


def partial_size() -> int:
    (partial,) = Path(constants.HF_HUB_CACHE).rglob("*.incomplete")
    return partial.stat().st_size


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_download_fetches_what_a_model_needs_and_nothing_else(server: HubServer) -> None:
    assert hub.cached(MODEL) is None
    events, folder = fetch()
    assert content(folder) == FILES
    assert hub.cached(MODEL) == folder
    assert {event.what for event in events} == {"Downloading"}
    assert {event.unit for event in events} == {"bytes"}


def test_progress_counts_every_byte_and_never_falls(server: HubServer) -> None:
    server.bytes_per_second = 4_000_000
    events, _ = fetch()
    done = [event.done for event in events]
    assert done == sorted(done)
    assert (events[-1].done, events[-1].total) == (SIZE, SIZE)
    assert {event.total for event in events} <= {None, SIZE}
    assert len(set(done)) > 5
    assert events[-1].detail == "model.safetensors"


def test_a_finished_file_is_never_fetched_again(server: HubServer) -> None:
    _, folder = fetch()
    server.contents.clear()
    events, again = fetch()
    assert again == folder
    assert server.contents == []
    assert events[-1].done == events[-1].total == SIZE


@pytest.mark.parametrize("seed", range(3))
def test_a_closed_download_continues_with_the_missing_range(server: HubServer, seed: int) -> None:
    moment = random.Random(seed).randrange(10_000, 2_500_000)
    interrupt(server, moment)
    assert hub.cached(MODEL) is None
    kept = partial_size()
    assert moment - SMALL <= kept < len(WEIGHTS)
    server.contents.clear()
    events, folder = fetch()
    assert server.contents == [("model.safetensors", f"bytes={kept}-")]
    assert content(folder) == FILES
    assert next(event.done for event in events if event.total) >= kept + len(FILES["config.json"])
    assert not list(Path(constants.HF_HUB_CACHE).rglob("*.incomplete"))


def test_close_before_the_first_event_asks_for_nothing(server: HubServer) -> None:
    download = hub.download(MODEL)
    download.close()
    assert list(download) == []
    assert server.requests == []


def test_close_after_a_failure_that_nobody_asked_for(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_STEP", 5)
    download = hub.download("org/missing")
    next(download)
    download.close()
    gc.collect()  # asyncio logs an error that nobody saw when the task goes


@pytest.mark.parametrize("path", ["/api/*", STORED])
def test_close_does_not_wait_for_a_server_that_is_silent(server: HubServer, path: str) -> None:
    server.faults.append(Fault(path, silent=True))
    download = hub.download(MODEL)
    for _ in range(4):
        next(download)
    download.close()


def test_two_downloads_of_one_model_share_the_work(server: HubServer) -> None:
    server.bytes_per_second = 6_000_000
    running = {hub.download(MODEL), hub.download(MODEL)}
    while running:
        for download in list(running):
            if next(download, None) is None:
                running.remove(download)
    folder = hub.cached(MODEL)
    assert folder is not None
    assert content(folder) == FILES
    assert server.ranges("model.safetensors") == [None]


def test_the_shards_that_the_index_names_are_fetched(server: HubServer) -> None:
    others = {"model.safetensors": b"an older form", "model-fp32.safetensors": b"another precision"}
    server.add_model("org/sharded", {"config.json": b"{}", "model.safetensors.index.json": INDEX, **SHARDS, **others})
    _, folder = fetch("org/sharded")
    assert set(content(folder)) == {"config.json", "model.safetensors.index.json", *SHARDS}


@pytest.mark.parametrize("index", [b"no JSON", b"[]", b"{}", b'{"weight_map": {"layer": "model-9.safetensors"}}'])
def test_an_index_that_leads_nowhere_is_refused(server: HubServer, index: bytes) -> None:
    server.add_model("org/sharded", {"config.json": b"{}", "model.safetensors.index.json": index, **SHARDS})
    assert "org/sharded" in refusal("org/sharded").what
    assert hub.cached("org/sharded") is None


@pytest.mark.parametrize("path", ["../model.safetensors", "/model.safetensors", "weights/../../model.safetensors"])
def test_a_listing_that_leads_out_of_the_cache_is_refused(server: HubServer, path: str) -> None:
    index = json.dumps({"weight_map": {"layer": path}}).encode()
    server.add_model("org/hostile", {"config.json": b"{}", "model.safetensors.index.json": index, path: b"weights"})
    refusal("org/hostile")
    assert server.contents == []


@pytest.mark.parametrize("with_index", [True, False])
@pytest.mark.parametrize("missing", ["config.json", "model-00002-of-00003.safetensors"])
def test_an_incomplete_model_is_not_cached(server: HubServer, missing: str, with_index: bool) -> None:
    index = {"model.safetensors.index.json": INDEX} if with_index else {}
    server.add_model("org/sharded", {"config.json": b"{}", **index, **SHARDS})
    _, folder = fetch("org/sharded")
    assert hub.cached("org/sharded") == folder
    (folder / missing).resolve().unlink()
    assert hub.cached("org/sharded") is None
    assert fetch("org/sharded")[1] == folder
    assert hub.cached("org/sharded") == folder


def test_revisions_are_kept_apart(server: HubServer) -> None:
    _, main = fetch()
    commit = server.add_model(MODEL, FILES | {"config.json": b'{"model_type": "qwen2"}'}, revision="refs/pr/1")
    server.contents.clear()
    _, other = fetch(revision="refs/pr/1")
    assert server.contents == [("config.json", None)]
    assert hub.cached(MODEL) == main != other
    assert hub.cached(MODEL, "refs/pr/1") == hub.cached(MODEL, commit) == other
    assert fetch(revision=commit)[1] == other
    assert sorted(path.name for path in (other.parents[1] / "refs").rglob("*") if path.is_file()) == ["1", "main"]
    assert hub.cached(MODEL, "v2") is None


def test_an_older_model_stays_usable_until_the_newer_is_complete(server: HubServer) -> None:
    _, old = fetch()
    server.add_model(MODEL, FILES | {"model.safetensors": WEIGHTS[::-1]})
    interrupt(server, 500_000)
    assert hub.cached(MODEL) == old
    _, new = fetch()
    assert hub.cached(MODEL) == new != old


def test_huggingface_hub_finds_the_model_complete(server: HubServer) -> None:
    _, folder = fetch()
    assert huggingface_hub.snapshot_download(MODEL, local_files_only=True) == str(folder)
    info = huggingface_hub.scan_cache_dir()
    assert info.warnings == []
    assert {revision.commit_hash for repo in info.repos for revision in repo.revisions} == {folder.name}


def test_a_model_that_huggingface_hub_fetched_is_not_fetched_again(
    server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)  # else it starts a thread
    with disable_progress_bars():
        folder = Path(huggingface_hub.snapshot_download(MODEL))
    assert content(folder) == FILES | SUPERFLUOUS
    assert hub.cached(MODEL) == folder
    server.contents.clear()
    assert fetch()[1] == folder
    assert server.contents == []


def test_a_broken_connection_is_taken_up_again(server: HubServer) -> None:
    server.faults.append(Fault(STORED, cut_after=500_000, times=5))
    events, folder = fetch()
    assert content(folder) == FILES
    assert server.ranges("model.safetensors") == [None, *(f"bytes={500_000 * cut}-" for cut in range(1, 6))]
    assert events[-1].done == events[-1].total


def test_a_connection_that_keeps_breaking_is_given_up_and_can_be_continued(server: HubServer) -> None:
    server.faults += [Fault(STORED, cut_after=1_000_000, times=1), Fault(STORED, cut_after=0)]
    assert MODEL in refusal().what
    server.faults.clear()
    server.contents.clear()
    assert content(fetch()[1]) == FILES
    assert server.contents == [("model.safetensors", "bytes=1000000-")]


def test_a_server_that_ignores_the_range_costs_time_and_nothing_else(server: HubServer) -> None:
    server.faults += [Fault(STORED, cut_after=1_000_000, times=1), Fault(STORED, ignores_range=True)]
    events, folder = fetch()
    assert content(folder) == FILES
    assert [event.done for event in events] == sorted(event.done for event in events)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_wrong_content_is_refused_and_not_kept(server: HubServer, file: str) -> None:
    server.faults.append(Fault(f"*/{file}", garbled=True))
    assert file in refusal().what
    assert hub.cached(MODEL) is None
    server.faults.clear()
    assert content(fetch()[1]) == FILES


@pytest.mark.parametrize("left", [b"\0" * 1000, b"\0" * (len(WEIGHTS) + 1)])
def test_a_foreign_unfinished_file_is_thrown_away(server: HubServer, left: bytes) -> None:
    interrupt(server, 100_000)
    (partial,) = Path(constants.HF_HUB_CACHE).rglob("*.incomplete")
    partial.write_bytes(left)
    assert content(fetch()[1]) == FILES


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (bad_token(), "access token"),
        (gated(), MODEL),
        (gated(status=401), MODEL),
        (Fault("*/resolve/*", 403), MODEL),
        (Fault("/api/*", 404), MODEL),
        (Fault(status=418), "HTTP 418"),
        (too_many_requests(3600), "3600 seconds"),
        (Fault("*/resolve/*", 429), MODEL),
        (Fault(status=500), "HTTP 500"),
        (UNAVAILABLE, "HTTP 503"),
        (Fault(STORED, 503), "HTTP 503"),
        (Fault("/api/*", 200, body=b"<html>Please sign in</html>"), "127.0.0.1"),
        (Fault("/api/*", 200, body=b'{"sha": "main", "siblings": []}'), "127.0.0.1"),
        (Fault("/api/*", 302, {"Location": "/api/loop"}), "127.0.0.1"),
    ],
    ids=lambda value: f"{value.status} {value.path}" if isinstance(value, Fault) else value,
)
def test_every_refusal_is_a_sentence(server: HubServer, fault: Fault, words: str) -> None:
    server.faults.append(fault)
    error = refusal()
    assert words in f"{error.what} {error.why} {error.remedy}"


def test_a_gated_model_says_where_to_ask(server: HubServer) -> None:
    server.faults.append(gated())
    assert f"{server.endpoint}/{MODEL}" in refusal().remedy


def test_a_short_pause_that_the_server_asks_for_is_kept(server: HubServer) -> None:
    small, large = "*/tokenizer.json", STORED
    server.faults += [too_many_requests(1, small, times=1), Fault(large, 503, {"Retry-After": "1"}, times=1)]
    start = time.monotonic()
    assert content(fetch()[1]) == FILES
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize("token", [None, "hf_known"])
def test_what_does_not_exist_is_named(server: HubServer, monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    assert "org/missing" in refusal("org/missing").what
    assert "v99" in refusal(MODEL, "v99").what


@pytest.mark.parametrize("repo_id", ["", "org/", "a/b/c", "org/has space", "org/../up", "-org/model", "org/m.git"])
def test_a_malformed_id_is_refused_without_asking(server: HubServer, repo_id: str) -> None:
    assert repo_id in refusal(repo_id).what
    assert hub.cached(repo_id) is None
    assert server.requests == []


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        ({"model.safetensors": b"weights"}, "config.json"),
        ({"config.json": b"{}", "pytorch_model.bin": b"pickled"}, "safetensors"),
        ({"config.json": b"{}", "adapter_model.safetensors": b"an adapter"}, "safetensors"),
        ({"model.gguf": b"GGUF"}, "config.json"),
        ({}, "config.json"),
    ],
)
def test_a_repository_without_a_model_is_refused_early(
    server: HubServer, files: dict[str, bytes], missing: str
) -> None:
    server.add_model("org/other", files)
    error = refusal("org/other")
    assert "org/other" in error.what
    assert missing in error.why
    assert server.contents == []


def test_the_disk_is_looked_at_before_the_weights(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(server, 1_000_000)
    needed = len(WEIGHTS) - partial_size()
    usage = shutil.disk_usage(Path.cwd())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    server.contents.clear()
    assert needed > 1_000_000
    assert MODEL in refusal().what
    assert server.ranges("model.safetensors") == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=needed))
    assert content(fetch()[1]) == FILES


def test_a_cache_that_cannot_be_written_is_named(server: HubServer, tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("a file")
    assert "hub" in refusal().why + refusal().what


def test_no_answer_in_time(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    server.faults.append(Fault(STORED, silent=True))
    assert server.endpoint in refusal().what


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "ftp://127.0.0.1", "127.0.0.1", "http://[oops"])
def test_no_connection(server: HubServer, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    assert endpoint in refusal().what


def test_the_offline_switch_is_named(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder = fetch()
    server.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    error = refusal()
    assert MODEL in error.what
    assert "HF_HUB_OFFLINE" in error.why
    assert hub.cached(MODEL) == folder
    assert server.requests == []


def test_the_token_goes_to_the_hub_only(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch()
    sent = {(request.host in server.endpoint, request.token) for request in server.requests}
    assert sent == {(True, "Bearer hf_secret"), (False, None)}


def test_a_token_that_cannot_be_sent_is_refused(server: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_sécret")
    assert "token" in refusal().what
    assert server.requests == []


def test_the_environment_at_the_start_is_in_force(server: HubServer, tmp_path: Path) -> None:
    program = (
        "import sys; from engine import hub; list(hub.download(sys.argv[1])); assert hub.cached(sys.argv[1]);"
        "assert not {'mlx', 'torch', 'transformers', 'PySide6'} & set(sys.modules)"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": server.endpoint, "HF_TOKEN": "hf_me"}
    environment["HF_HUB_OFFLINE"] = "0"
    command = [sys.executable, "-W", "error", "-c", program, MODEL]
    subprocess.run(command, env=environment, cwd=Path(hub.__file__).parents[1], check=True)
    assert list((tmp_path / "home" / "hub").glob("models--*/snapshots/*/config.json"))
    assert {request.token for request in server.requests} == {"Bearer hf_me", None}
