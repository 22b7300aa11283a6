"""A full queue says so and when to come back; what was accepted is done."""

import threading
import time

import httpx2

from tests.waiting import observed

ASYNC = {"Prefer": "respond-async"}


def test_a_full_queue(serve, small_mask):
    server = serve(queue_limit=2, max_batch=1)  # two run, two wait
    server.wait_until_ready()
    accepted, refused = [], None
    while refused is None:
        response = server.synthesize(small_mask, headers=ASYNC, organ="kidney", n=16)
        if response.status_code == 202:
            accepted.append(response.headers["Location"])
            assert len(accepted) <= 6
        else:
            refused = response
    assert len(accepted) >= 2
    assert refused.status_code == 429
    assert refused.json()["code"] == "queue_full"
    assert int(refused.headers["Retry-After"]) >= 1
    for path in accepted:
        assert server.finished(path)["status"] == "succeeded"
    assert server.synthesize(small_mask, organ="kidney").status_code == 200


def test_jobs_can_be_looked_at_during_overload(serve, mask):
    server = serve(queue_limit=8)
    server.wait_until_ready()
    path = server.synthesize(mask, headers=ASYNC, organ="kidney", n=16).headers["Location"]
    stop = threading.Event()
    refused = []

    def push():
        with httpx2.Client(base_url=server.address, timeout=60) as client:
            while not stop.is_set():
                answer = client.post(
                    "/synthesize", files={"mask": mask}, data={"organ": "kidney", "n": "16"},
                    headers=ASYNC,
                )  # fmt: skip
                if answer.status_code == 429:
                    refused.append(answer)
                    stop.wait(0.1)  # a client in a hurry that yet listens to the server

    clients = [threading.Thread(target=push) for _ in range(4)]
    for client in clients:
        client.start()
    observed(lambda: refused)
    took_s = []
    for _ in range(200):
        began = time.perf_counter()
        assert server.client.get(path).status_code == 200
        took_s.append(time.perf_counter() - began)
    stop.set()
    for client in clients:
        client.join()
    assert len(refused) > 4
    # Whoever looks does not wait for a job: each takes many seconds, and eight wait.
    assert sorted(took_s)[int(0.95 * len(took_s))] < 2
