import json
import threading
from typing import NamedTuple

import pytest

from app import waiting
from app.routes import events
from model.errors import StoreUnavailable
from tests.waiting import until

ASYNC = {"Prefer": "respond-async"}
PATIENCE_S = 30


class Event(NamedTuple):
    id: str
    job: dict


def parse(text):
    """The events of a whole stream, after the line that tells clients when to come back."""
    blocks = text.removesuffix("\n\n").split("\n\n")
    assert blocks.pop(0) == "retry: 2000"
    found = []
    for block in blocks:
        if block == ": ping":
            continue
        name, data, number = block.split("\n")
        assert name == "event: job"
        found.append(Event(number.removeprefix("id: "), json.loads(data.removeprefix("data: "))))
    return found


@pytest.fixture
def accept(client, mask_file):
    """Path of a new job."""

    def accept(**fields):
        response = client.post(
            "/synthesize", files=mask_file, data={"organ": "kidney", **fields}, headers=ASYNC
        )
        return response.headers["Location"]

    return accept


class Follower(threading.Thread):
    """Reads all events of a job; ``events`` once joined."""

    def __init__(self, client, path, last_event_id=None):
        super().__init__()
        self.client, self.path = client, path
        self.headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        self.start()

    def run(self):
        self.response = self.client.get(f"{self.path}/events", headers=self.headers)

    @property
    def events(self):
        self.join(PATIENCE_S)
        assert self.response.status_code == 200
        return parse(self.response.text)


def until_followed(client, path, count=1):
    job_id = path.rpartition("/")[2]
    followers = client.app.state.service.waiters._events
    until(lambda: len(followers.get(job_id, ())) >= count)


def test_a_job_from_beginning_to_end(client, accept, busy, go_on):
    path = accept(n=2)
    assert path + "/events" == client.get(path).json()["links"]["events"]
    followers = [Follower(client, path) for _ in range(3)]
    until_followed(client, path, 3)
    go_on.set()
    for follower in followers:
        seen = follower.events
        assert follower.response.headers["Content-Type"].startswith("text/event-stream")
        assert follower.response.headers["Cache-Control"] == "no-cache"
        assert seen[0].job["status"] == "queued"
        assert seen[0].job["position"] == 0
        assert len({event.id for event in seen}) == len(seen)
        done = [event.job["progress"]["done"] for event in seen]
        assert done == sorted(done)
        assert seen[-1].job == client.get(path).json()
        assert seen[-1].job["status"] == "succeeded"
    assert client.app.state.service.waiters._events == {}


def test_goes_on_after_the_last_event(client, accept, busy, go_on):
    path = accept()
    first = Follower(client, path)
    until_followed(client, path)
    go_on.set()
    seen = first.events
    assert len(seen) >= 2
    for index, event in enumerate(seen[:-1]):
        rest = Follower(client, path, event.id).events
        # What has been overtaken meanwhile is not told again; the end is.
        assert [later.id for later in rest] == [seen[-1].id], index


def test_there_is_no_more(client, accept, mask_file):
    path = accept()
    last = Follower(client, path).events[-1]
    response = client.get(f"{path}/events", headers={"Last-Event-ID": last.id})
    assert (response.status_code, response.content) == (204, b"")


def test_what_the_client_has_is_left_out(client, accept, busy, go_on):
    path = accept()
    number = client.app.state.service.jobs.get(path.rpartition("/")[2]).version
    follower = Follower(client, path, f"{number}-0")
    until_followed(client, path)
    go_on.set()
    assert follower.events[0].id != f"{number}-0"
    assert follower.events[0].job["status"] != "queued"


def test_tells_of_the_queue_and_of_a_cancellation(client, accept, busy, monkeypatch):
    monkeypatch.setattr(waiting, "_POSITIONS_S", 0.01)
    first, second = accept(), accept()
    follower = Follower(client, second)
    until_followed(client, second)
    client.delete(first)
    positions, job_id = client.app.state.service.waiters._positions, second.rpartition("/")[2]
    until(lambda: positions._of.get(job_id) == 0)
    client.delete(second)
    states = [(event.job["status"], event.job["position"]) for event in follower.events]
    assert states[0] == ("queued", 1)
    assert states[-1] == ("canceled", None)
    assert states[1:-1] in ([], [("queued", 0)])


def test_a_silent_stream_is_kept_alive(client, accept, busy, go_on, monkeypatch):
    monkeypatch.setattr(waiting, "_POSITIONS_S", 0.001)
    monkeypatch.setattr(events, "KEEP_ALIVE_S", 0.0)
    jobs = client.app.state.service.jobs
    queued, looked = jobs.queued, threading.Semaphore(0)

    def queued_and_noted():
        looked.release()
        return queued()

    monkeypatch.setattr(jobs, "queued", queued_and_noted)
    follower = Follower(client, accept())
    for _ in range(3):
        assert looked.acquire(timeout=PATIENCE_S)
    go_on.set()
    assert follower.events[-1].job["status"] == "succeeded"
    assert ": ping\n\n" in follower.response.text


def test_a_stopping_server_ends_the_stream(client, accept, busy):
    path = accept()
    follower = Follower(client, path)
    until_followed(client, path)
    loop = client.app.state.service.waiters._loop
    loop.call_soon_threadsafe(client.app.state.service.waiters.release)
    assert follower.events[0].job["status"] == "queued"


def test_an_outage_ends_the_stream(client, accept, busy, monkeypatch):
    monkeypatch.setattr(waiting, "_POSITIONS_S", 0.01)
    path = accept()
    follower = Follower(client, path)
    until_followed(client, path)

    def away(*args):
        raise StoreUnavailable("Redis does not answer.", retry_after_s=5)

    for name in ("get", "queued"):
        monkeypatch.setattr(client.app.state.service.jobs, name, away)
    assert len(follower.events) <= 1


def test_problems_come_before_the_stream(client, accept, monkeypatch):
    response = client.get("/jobs/nothing/events")
    assert (response.status_code, response.json()["code"]) == (404, "job_unknown")
    path = accept()
    Follower(client, path).join(PATIENCE_S)
    client.delete(path)
    response = client.get(f"{path}/events")
    assert (response.status_code, response.json()["code"]) == (410, "job_expired")
