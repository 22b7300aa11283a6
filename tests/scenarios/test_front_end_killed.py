"""A front end killed between accepting a job and telling the workers of it."""

import httpx2
import pytest

ASYNC = {"Prefer": "respond-async"}


def test_killed_before_publishing(front, work, small_mask, deployed):
    dying = front(program=("-m", "tests.scenarios.faults", "dies-before-publishing"))
    with pytest.raises(httpx2.TransportError):
        dying.synthesize(small_mask, headers=ASYNC, organ="kidney", seed=1)
    dying.wait()
    (accepted,) = (
        path.name for path in deployed["artifacts_url"].iterdir() if len(path.name) == 32
    )

    front = front()
    worker = work()
    job = front.finished(f"/jobs/{accepted}")
    assert job["status"] == "succeeded"
    assert worker.wait_for(f"job {accepted} is published again")
