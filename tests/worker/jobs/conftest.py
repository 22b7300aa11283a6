"""The stores, each as it is opened by processes one after another."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from worker.jobs import (
    JobStore,
)
from worker.redis_jobs import RedisJobs
from worker.sqlite_jobs import SqliteJobs


@pytest.fixture(params=["sqlite", "redis"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], JobStore]]:
    """Opens the same records again and again, as processes would one after another."""
    stores: list[JobStore] = []
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None

    def opened() -> JobStore:
        stores.append(RedisJobs(url) if url else SqliteJobs(tmp_path / "jobs.sqlite"))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def jobs(opened: Callable[[], JobStore]) -> JobStore:
    return opened()


@pytest.fixture
def told(jobs: JobStore) -> list[str]:
    """The ids that the store told of, in order."""
    ids: list[str] = []
    jobs.on_change = ids.append
    return ids
