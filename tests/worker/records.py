"""Jobs of the stores' tests."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from worker.jobs import (
    Claim,
    Failure,
    JobStore,
    new_job_id,
)
from worker.request import MAX_SEED, SynthesisRequest
from worker.style import Style

REQUEST = SynthesisRequest(mask_sha256="ab", style=Style(name="kidney"), seed=MAX_SEED, n=2)
FAILURE = Failure("synthesis_failed", "Why: µ.")
EVER, NEVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
LEASE_S = 1000
OVER = -1
"""A lease that has run out already."""


def create(jobs: JobStore, **options) -> str:
    return jobs.create(new_job_id(), REQUEST, **{"limit": 1000, **options}).id


def start(jobs: JobStore, job_id: str, lease_s: float = LEASE_S) -> Claim:
    claim = jobs.start(job_id, lease_s=lease_s)
    assert claim is not None
    return claim


def finished(jobs: JobStore, **options) -> str:
    job_id = create(jobs, **options)
    assert jobs.finish(start(jobs, job_id))
    return job_id


def together(count: int, work: Callable[[], None]) -> None:
    """Run ``work`` in so many threads at once."""
    ready = threading.Barrier(count)

    def run():
        ready.wait()
        work()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
