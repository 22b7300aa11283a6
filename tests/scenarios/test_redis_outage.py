"""Redis killed, or frozen: a clear no within seconds, then recovery without a hand."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.waiting import SERVICE_PATIENCE_S, observed

ASYNC = {"Prefer": "respond-async"}
NO_S, BACK_S = 10, 120
"""A no takes three seconds at most where the machine has nothing else to do. With the defaults
of the clients of Redis it would take from 19 s up to a minute, or for ever."""


def submit(front, mask, count, first_seed):
    return [
        front.synthesize(mask, headers=ASYNC, organ="kidney", seed=first_seed + k, n=4).headers[
            "Location"
        ]
        for k in range(count)
    ]


@pytest.mark.parametrize("outage", ["killed", "frozen"])
def test_an_outage_of_redis(front, work, own_redis, small_mask, outage):
    front, worker = front(broker_url=own_redis.url), work(broker_url=own_redis.url)
    worker.wait_until_ready()
    accepted = submit(front, small_mask, 6, first_seed=0)

    own_redis.kill() if outage == "killed" else own_redis.freeze()
    for path in ("/synthesize", accepted[0], "/readyz"):
        began = time.monotonic()
        if path == "/synthesize":
            answer = front.synthesize(small_mask, organ="kidney", seed=1)
        else:
            answer = front.client.get(path)
        assert time.monotonic() - began < NO_S, path
        assert answer.status_code == 503, path
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.json()["code"] == ("not_ready" if path == "/readyz" else "store_unavailable")
    assert front.client.get("/healthz").status_code == 200

    def ask(seed):
        began = time.monotonic()
        answer = httpx2.post(
            f"{front.address}/synthesize", files={"mask": small_mask}, data={"organ": "kidney"},
            timeout=SERVICE_PATIENCE_S,
        )  # fmt: skip
        return answer.status_code, time.monotonic() - began

    with ThreadPoolExecutor(16) as clients:
        for status, took_s in clients.map(ask, range(16)):
            assert status == 503
            assert took_s < NO_S

    back = time.monotonic()
    own_redis.start() if outage == "killed" else own_redis.thaw()
    observed(lambda: front.client.get("/readyz").status_code == 200, patience_s=BACK_S)
    answer = front.synthesize(small_mask, organ="kidney", seed=99)
    assert answer.status_code == 200
    assert time.monotonic() - back < BACK_S
    for path in accepted:
        job = front.finished(path)
        assert job["status"] == "succeeded", job
        assert job["progress"] == {"done": 4, "total": 4, "unit": "tiles"}


def test_redis_restarted_under_load_with_its_append_only_file(front, work, own_redis, small_mask):
    front, worker = front(broker_url=own_redis.url), work(broker_url=own_redis.url)
    worker.wait_until_ready()
    accepted, refused = [], []
    stop = threading.Event()

    def load():
        seed = 0
        while not stop.is_set() and seed < 500:
            answer = front.synthesize(small_mask, headers=ASYNC, organ="kidney", seed=seed)
            seed += 1
            if answer.status_code == 202:
                accepted.append(answer)
            else:
                refused.append(answer)
                stop.wait(0.05)

    client = threading.Thread(target=load)
    client.start()
    try:
        for _ in range(2):
            more = len(accepted) + 5

            def has_accepted(more=more):
                assert client.is_alive()
                return len(accepted) >= more

            observed(has_accepted)
            own_redis.kill()
            own_redis.start()
    finally:
        stop.set()
        client.join()
    assert {answer.status_code for answer in refused} <= {503, 429}
    for answer in accepted:
        assert front.finished(answer.headers["Location"])["status"] == "succeeded"


def test_a_worker_outlives_a_redis_without_room(front, work, own_redis, small_mask):
    front, worker = front(broker_url=own_redis.url), work(broker_url=own_redis.url)
    worker.wait_until_ready()
    accepted = submit(front, small_mask, 6, first_seed=0)
    own_redis.set_memory("1mb")
    refused = front.synthesize(small_mask, headers=ASYNC, organ="kidney", seed=1)
    assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
    worker.wait_for("command not allowed when used memory")
    own_redis.set_memory("0")
    for path in accepted:
        assert front.finished(path)["status"] == "succeeded"
    assert front.synthesize(small_mask, organ="kidney", seed=99).status_code == 200
    assert worker.is_running
