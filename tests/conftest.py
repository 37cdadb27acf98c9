"""What every test has: a home of its own, no network, and no stray warning in the log."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest
from PySide6.QtWidgets import QApplication

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["HF_HUB_OFFLINE"] = "1"
# Named before a test's own home hides the person's.
os.environ.setdefault("MLX_GRPO_TEST_CACHE", platformdirs.user_cache_dir("mlx-grpo-tests"))

from engine import backend
from tests.support.hub_server import HubServer

backend.prepare()


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The person's folder for this test; nothing is written outside it."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("MLX_GRPO_HOME", str(folder))
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("HF_HOME", str(folder / "huggingface"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "huggingface" / "hub"))
    return folder


@pytest.fixture(autouse=True)
def no_stray_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A warning or error in the log that the test did not expect fails it; `caplog.clear()` says it was expected."""
    with caplog.at_level(logging.WARNING):
        yield
        stray = [record for record in caplog.get_records("call") if record.levelno >= logging.WARNING]
        assert not stray, [record.getMessage() for record in stray]


@pytest.fixture
def hub_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """An empty Hub on this machine, in force as if the environment had named it when the program started."""
    from huggingface_hub import constants

    from engine import hub_files

    with HubServer() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        template = f"{server.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(hub_files, "_RETRY_WAITS", (0.01, 0.01))
        # There is no TLS here, and reading the certificates would take half of the time.
        monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_, **__: None)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


@pytest.fixture(scope="session")
def smollm2_folder() -> Path:
    """SmolLM2-135M-Instruct as a Hugging Face folder, made once and kept outside the repository."""
    from tests.real_model import smollm2

    try:
        return smollm2.folder()
    except smollm2.SmolLM2UnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def qapp_cls() -> type[QApplication]:
    """The program's own application class; there is one application for all tests, whichever asks first."""
    from gui.drops import Application

    return Application
