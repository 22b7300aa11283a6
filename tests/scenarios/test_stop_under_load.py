"""SIGTERM under load: /readyz turns first, nothing is lost."""

import signal
import threading

import httpx2

from tests.waiting import observed

ASYNC = {"Prefer": "respond-async"}


def test_a_worker_is_stopped(front, work, mask):
    front, worker = front(), work()
    worker.wait_until_ready()
    observed(lambda: front.client.get("/readyz").status_code == 200)
    paths = [
        front.synthesize(mask, headers=ASYNC, organ="kidney", seed=seed, n=4).headers["Location"]
        for seed in range(6)
    ]
    observed(lambda: any(front.client.get(path).json()["status"] != "queued" for path in paths))
    worker.process.send_signal(signal.SIGTERM)

    def has_turned():
        turned = front.client.get("/readyz").status_code != 200
        assert turned or worker.is_running, "the worker ended before /readyz turned"
        return turned

    observed(has_turned)
    assert worker.wait() == 0
    assert not any("Traceback" in line for line in worker.log)
    jobs = [front.client.get(path).json() for path in paths]
    assert {job["status"] for job in jobs} <= {"queued", "succeeded"}
    assert {job["attempts"] for job in jobs if job["status"] == "queued"} == {0}

    work()
    for path in paths:
        assert front.finished(path)["status"] == "succeeded"
    assert front.client.get("/readyz").status_code == 200


def test_a_front_end_is_stopped(front, work, mask):
    first, worker = front(drain_s=5), work()
    worker.wait_until_ready()
    observed(lambda: first.client.get("/readyz").status_code == 200)
    answers = []

    def wait():
        answers.append(first.synthesize(mask, organ="kidney", seed=1, n=16))

    waiting = threading.Thread(target=wait)
    waiting.start()
    with httpx2.Client(base_url=first.address) as probe:
        observed(lambda: 'sian_job_records{state="running"} 1' in probe.get("/metrics").text)
        first.process.send_signal(signal.SIGTERM)
        ready = observed(lambda: (seen := probe.get("/readyz")).status_code != 200 and seen)
        assert ready.status_code == 503
        # It still serves: whoever balances the load has time to see it.
        accepted = probe.post(
            "/synthesize", files={"mask": mask}, data={"organ": "kidney"}, headers=ASYNC
        )
        assert accepted.status_code == 202
    first.wait()
    waiting.join()
    (answer,) = answers
    assert answer.status_code in (200, 202)

    second = front()
    for path in (answer.headers["Content-Location"], accepted.headers["Location"]):
        assert second.finished(path)["status"] == "succeeded"
