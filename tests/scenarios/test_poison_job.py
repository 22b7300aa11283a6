"""A job that kills its worker fails after three attempts and takes no other job along."""

from tests.scenarios.faults import POISON_SEED
from tests.waiting import observed

ASYNC = {"Prefer": "respond-async"}


def test_a_poison_job(front, work, small_mask):
    front = front()
    seeds = [1, 2, POISON_SEED, 3, 4, 5]
    paths = {
        seed: front.synthesize(small_mask, headers=ASYNC, organ="kidney", seed=seed).headers[
            "Location"
        ]
        for seed in seeds
    }
    poisoned = paths.pop(POISON_SEED)
    deaths = 0

    def is_over():
        return front.client.get(poisoned).json()["finished_at"] is not None

    while not is_over():
        worker = work(program=("-m", "tests.scenarios.faults", "poison"))
        # As a container's restart policy would, until a worker outlives the job.
        observed(lambda worker=worker: not worker.is_running or is_over())
        deaths += not worker.is_running
        assert deaths <= 3
    job = front.client.get(poisoned).json()
    assert job["status"] == "failed"
    assert job["attempts"] == deaths == 3
    assert job["error"]["code"] == "worker_lost"
    for path in paths.values():
        assert front.finished(path)["status"] == "succeeded"
    assert worker.is_running
