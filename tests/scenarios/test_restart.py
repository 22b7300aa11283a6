"""An accepted job is never lost: not by kill -9, not by a stop."""

import signal
import threading

from tests.waiting import observed

ASYNC = {"Prefer": "respond-async"}


def test_killed_with_jobs_running_and_queued(serve, small_mask):
    server = serve()
    server.wait_until_ready()
    expected = server.synthesize(small_mask, organ="kidney", seed=1, n=2).json()["outputs"]
    paths = [
        server.synthesize(small_mask, headers=ASYNC, organ="kidney", seed=1, n=8).headers[
            "Location"
        ]
        for _ in range(4)
    ]
    states = {server.client.get(path).json()["status"] for path in paths}
    assert states & {"queued", "running"}
    server.stop(signal.SIGKILL)

    server = serve()
    for path in paths:
        job = server.finished(path)
        assert job["status"] == "succeeded"
        assert job["progress"] == {"done": 8, "total": 8, "unit": "tiles"}
        assert [o["sha256"] for o in job["outputs"][:2]] == [o["sha256"] for o in expected]
        for output in job["outputs"]:
            assert server.client.get(output["href"]).status_code == 200


def test_a_stop_answers_those_who_wait_and_keeps_their_jobs(serve, mask, small_mask):
    server = serve(max_batch=1, drain_s=0)
    server.wait_until_ready()
    answers = []

    def wait():
        answers.append(server.synthesize(small_mask, organ="kidney", seed=1))

    # As many as run at a time, so that what comes next waits.
    before = [server.synthesize(mask, headers=ASYNC, organ="kidney", seed=1, n=8) for _ in range(2)]
    waiting = threading.Thread(target=wait)
    waiting.start()
    observed(lambda: 'sian_job_records{state="running"} 2' in server.client.get("/metrics").text)

    def has_come():
        assert waiting.is_alive()
        return server.client.get("/readyz").json()["waiting"]

    observed(has_come)
    code = server.stop()
    waiting.join()
    assert code == -signal.SIGTERM
    (answer,) = answers
    assert answer.status_code == 202
    assert answer.json()["status"] == "queued"
    assert not any("Traceback" in line for line in server.log)

    server = serve()
    for accepted in (*before, answer):
        assert server.finished(accepted.headers["Location"])["status"] == "succeeded"
