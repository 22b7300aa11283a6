import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app import cli
from app.main import create_app
from app.settings import Settings
from tests.fakes import FakeSynthesizer, mask_png, small_checkpoint
from worker import synthesis


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def synthesizer(checkpoint: Path) -> FakeSynthesizer:
    return FakeSynthesizer(checkpoint)


@pytest.fixture
def start(
    checkpoint: Path, synthesizer: FakeSynthesizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., TestClient]]:
    """Starts the application with the fake synthesizer; takes settings by name."""
    monkeypatch.setattr(synthesis, "load", lambda *args, **options: synthesizer)
    with ExitStack() as stack:

        def start(**settings) -> TestClient:
            defaults = {"checkpoint": checkpoint, "data_dir": tmp_path / "data"}
            app = create_app(Settings.load(**{**defaults, **settings}))
            return stack.enter_context(TestClient(app))

        yield start


@pytest.fixture
def client(start: Callable[..., TestClient], request: pytest.FixtureRequest) -> TestClient:
    if "busy" in request.fixturenames:
        request.getfixturevalue("busy")  # before the engine begins
    return start()


@pytest.fixture
def mask_file() -> dict[str, bytes]:
    """The multipart file field of a small valid mask."""
    return {"mask": mask_png()}


@pytest.fixture
def post(client, mask_file):
    """Posts a mask with form fields; further files and headers by name."""

    def post(headers=None, files=mask_file, **fields):
        return client.post("/synthesize", files=files, data=fields, headers=headers)

    return post


@pytest.fixture
def go_on(start: Callable[..., TestClient]) -> Iterator[threading.Event]:
    """For a test that holds the engine up: set when it ends, so that the engine can stop."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def busy(synthesizer: FakeSynthesizer, go_on: threading.Event) -> None:
    """The engine is held up in whatever it does first, the thumbnails at the latest."""
    synthesizer.before = lambda made: go_on.wait(30)


@pytest.fixture
def run(checkpoint, tmp_path, monkeypatch, capsys):
    """Runs ``sian ARGUMENTS`` in this process, in an empty folder; exit code, stdout, stderr."""
    monkeypatch.setenv("SIAN_CHECKPOINT", str(checkpoint))
    monkeypatch.setenv("SIAN_THREADS", "1")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["sian", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return run
