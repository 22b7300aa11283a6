"""kill -9 of a worker: what it held runs again, every tile is stored once, with the same bytes."""

import hashlib
import signal
import time

from tests.waiting import observed

ASYNC = {"Prefer": "respond-async"}
JOBS = 20


def test_a_worker_killed_twice(front, work, mask, deployed):
    front = front()
    accepted = {
        seed: front.synthesize(mask, headers=ASYNC, organ="kidney", seed=seed).headers["Location"]
        for seed in range(JOBS)
    }

    def states():
        return [front.client.get(path).json()["status"] for path in accepted.values()]

    def is_running():
        seen = states()
        assert {"queued", "running"} & set(seen)
        return "running" in seen

    killed_at = {}
    for _ in range(2):
        worker = work()
        worker.wait_until_ready()
        observed(is_running)
        worker.stop(signal.SIGKILL)
        now = time.monotonic()
        for path in accepted.values():
            if front.client.get(path).json()["status"] == "running":
                killed_at[path] = now
    assert killed_at

    worker = work()
    for path, killed in killed_at.items():
        left = killed + 180 - time.monotonic()  # a lease of 15 s, and two workers' starts
        observed(lambda path=path: front.client.get(path).json()["attempts"] >= 2, patience_s=left)
    for seed, path in accepted.items():
        job = front.finished(path)
        assert job["status"] == "succeeded", job
        (output,) = job["outputs"]
        assert output["seed"] == seed
        tile = front.client.get(output["href"]).content
        assert hashlib.sha256(tile).hexdigest() == output["sha256"]
        stored = sorted(p.name for p in (deployed["artifacts_url"] / job["id"]).iterdir())
        assert stored == ["0.json", "0.png"]

    # Nothing disturbs these: no worker dies, and another front end asks.
    for seed in (0, JOBS // 2, JOBS - 1):
        undisturbed = front.synthesize(mask, organ="kidney", seed=seed).content
        job = front.client.get(accepted[seed]).json()
        assert front.client.get(job["outputs"][0]["href"]).content == undisturbed
