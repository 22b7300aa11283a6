"""Files that hang are found out once."""

import pytest

from app import hangs
from app.hangs import Hangs
from model.errors import QueueFull, StorageUnavailable
from tests.app.checks import check_problem

AWAY = StorageUnavailable("S3 does not answer now.", retry_after_s=5)


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(hangs, "time", clock)
    return clock


def failing(clock, seconds, error=AWAY):
    def act():
        clock.now += seconds
        raise error

    return act


def test_after_a_hang_nobody_tries_for_a_while(clock):
    guard = Hangs().guard
    with pytest.raises(StorageUnavailable, match="S3 does not answer now"):
        guard(failing(clock, 25))
    with pytest.raises(StorageUnavailable, match="a moment ago") as refused:
        guard(lambda: pytest.fail("it was tried"))
    assert refused.value.retry_after_s == 11
    clock.now += 10
    assert guard(lambda: "done") == "done"


def test_what_fails_at_once_keeps_nobody_from_trying(clock):
    guard = Hangs().guard
    for error in (AWAY, QueueFull("full", retry_after_s=1)):
        with pytest.raises(type(error)):
            guard(failing(clock, 1, error))
    with pytest.raises(QueueFull):
        guard(failing(clock, 25, QueueFull("full", retry_after_s=1)))
    assert guard(lambda: "done") == "done"


def test_the_next_request_is_told_at_once(client, post, monkeypatch):
    post(organ="kidney")
    monkeypatch.setattr(hangs, "_SLOW_S", 0)
    tried = []

    def put(*args):
        tried.append(args)
        raise AWAY

    monkeypatch.setattr(client.app.state.service.artifacts, "put", put)
    for _ in range(2):
        response = post(organ="kidney")
        check_problem(response, 503, "storage_unavailable")
        assert int(response.headers["Retry-After"]) >= 1
    assert len(tried) == 1
