from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from tests.fakes import FakeSynthesizer, mask_png, small_checkpoint
from tests.worker.engines import Failures, Hold
from worker.artifacts import Artifacts
from worker.engine import Engine
from worker.inputs import MASK, STYLE
from worker.jobs import new_job_id
from worker.request import SynthesisRequest, sha256
from worker.sqlite_jobs import SqliteJobs
from worker.style import Style


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[SqliteJobs]:
    store = SqliteJobs(tmp_path / "jobs.sqlite")
    yield store
    store.close()


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


@pytest.fixture
def s3(own_s3, monkeypatch):
    """A server, and the variables that lead to it."""
    for name, value in own_s3.environment.items():
        monkeypatch.setenv(name, value)
    return own_s3


@pytest.fixture
def accept(jobs: SqliteJobs, artifacts: Artifacts) -> Callable[..., str]:
    """Stores a request for tiles of the same mask, as the service does; returns the job's id."""

    def accept(
        *,
        n: int = 1,
        seed: int = 7,
        organ: str = "kidney",
        side: int = 64,
        style: bytes | None = None,
        deadline_at: datetime | None = None,
    ) -> str:
        mask = mask_png(side)
        wanted = Style(name=organ) if style is None else Style(image_sha256=sha256(style))
        request = SynthesisRequest(mask_sha256=sha256(mask), style=wanted, seed=seed, n=n)
        job_id = new_job_id()
        artifacts.put(job_id, MASK, mask)
        if style is not None:
            artifacts.put(job_id, STYLE, style)
        return jobs.create(job_id, request, limit=1000, deadline_at=deadline_at).id

    return accept


@pytest.fixture
def synthesizer(checkpoint) -> FakeSynthesizer:
    return FakeSynthesizer(checkpoint)


@pytest.fixture
def failures():
    """What the engine's ``on_failure`` was called with."""
    return Failures()


@pytest.fixture
def start(synthesizer, jobs, artifacts, failures):
    """Makes engines that are ready."""
    made = []

    def start(synthesizer=synthesizer, **options) -> Engine:
        options = {"on_failure": failures, "storage_wait_s": 0, **options}
        engine = Engine(lambda: synthesizer, jobs, artifacts, **options)
        made.append(engine)
        engine.prepare()
        synthesizer.made = 0
        return engine

    yield start
    for engine in made:
        engine.stop()


@pytest.fixture
def engine(start) -> Engine:
    return start()


@pytest.fixture
def threads(start):
    """As those of a queue."""
    with ThreadPoolExecutor(32) as pool:
        yield pool


@pytest.fixture
def hold(synthesizer, threads):
    holds = []

    def hold() -> Hold:
        holds.append(Hold(synthesizer))
        return holds[-1]

    yield hold
    for each in holds:
        each.go_on.set()
