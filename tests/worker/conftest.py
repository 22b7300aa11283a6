from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes import mask_png, small_checkpoint
from worker.artifacts import Artifacts
from worker.engine import MASK
from worker.jobs import JobStore, new_job_id
from worker.request import Style, SynthesisRequest, sha256


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[JobStore]:
    store = JobStore(tmp_path / "jobs.sqlite")
    yield store
    store.close()


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


@pytest.fixture
def accept(jobs: JobStore, artifacts: Artifacts) -> Callable[..., str]:
    """Stores a request for tiles of the same mask, as the service does; returns the job's id."""

    def accept(*, n: int = 1, seed: int = 7, organ: str = "kidney") -> str:
        mask = mask_png()
        request = SynthesisRequest(
            mask_sha256=sha256(mask), style=Style(organ=organ), seed=seed, n=n
        )
        job_id = new_job_id()
        artifacts.put(job_id, MASK, mask)
        return jobs.create(job_id, request).id

    return accept
