import threading

import pytest

from model.errors import StoreUnavailable
from tests.waiting import until
from worker.health import Health
from worker.registry import Heartbeat, WorkerRecord, WorkerRegistry

PATIENCE_S = 30
RECORD = WorkerRecord("host-1", Health(True), "ab", "sian_up 1\n")


@pytest.fixture
def registry(redis_url):
    registry = WorkerRegistry(redis_url)
    yield registry
    registry.close()


class SometimesOut:
    """A registry that raises while ``is_out`` and says when it was tried."""

    def __init__(self, registry):
        self.registry = registry
        self.is_out = False
        self.tried = threading.Event()

    def put(self, record):
        self._check()
        self.registry.put(record)

    def remove(self, name):
        self._check()
        self.registry.remove(name)

    def _check(self):
        self.tried.set()
        if self.is_out:
            raise StoreUnavailable("Redis does not answer.", retry_after_s=5)


def heartbeat(registry, health):
    return Heartbeat(registry, health=health, checkpoint_sha256="ab", metrics=lambda: "sian_up 1\n")


def test_keeps_what_a_worker_says(registry):
    other = WorkerRecord("host-2", Health(False, "loading"), "cd", "")
    registry.put(other)
    registry.put(RECORD)
    assert registry.workers() == [RECORD, other]
    registry.remove(RECORD.name)
    assert registry.workers() == [other]


def test_a_worker_is_no_less_alive_when_the_memory_is_full(own_redis):
    own_redis.set_memory("100kb")  # less than it uses
    registry = WorkerRegistry(own_redis.url)
    registry.put(RECORD)
    assert registry.workers() == [RECORD]
    registry.close()


def test_a_worker_that_says_nothing_any_more_is_gone(registry, monkeypatch):
    monkeypatch.setattr("worker.registry._GONE_AFTER_S", 0.001)
    registry.put(RECORD)
    until(lambda: not registry.workers())
    assert registry.workers() == []


def test_the_heart_beats_at_once_and_when_told(registry):
    health = [Health(False, "The network is being loaded.")]
    heart = heartbeat(registry, lambda: health[0])
    heart.start()
    until(lambda: registry.workers())
    (record,) = registry.workers()
    assert record == WorkerRecord(heart.name, health[0], "ab", "sian_up 1\n")
    health[0] = Health(True)
    heart.beat()
    until(lambda: registry.workers()[0].health.is_ready)
    heart.stop()
    assert registry.workers() == []


def test_an_outage_is_sat_out(registry, caplog):
    sometimes = SometimesOut(registry)
    sometimes.is_out = True
    heart = heartbeat(sometimes, lambda: Health(True))
    heart.start()
    for _ in range(3):
        assert sometimes.tried.wait(PATIENCE_S)
        sometimes.tried.clear()
        heart.beat()
    sometimes.is_out = False
    heart.beat()
    until(lambda: registry.workers())
    sometimes.is_out = True
    caplog.set_level("INFO")
    heart.stop()
    assert caplog.text.count("no heartbeat") == 1
    assert "could not be removed" in caplog.text


def test_a_beat_that_fails_is_not_the_last(registry, caplog):
    answers = iter([AttributeError("torch is being imported"), Health(True)])
    health_asked = threading.Event()

    def health():
        answer = next(answers)
        health_asked.set()
        if isinstance(answer, Exception):
            raise answer
        return answer

    heart = heartbeat(registry, health)
    heart.start()
    assert health_asked.wait(PATIENCE_S)
    heart.beat()
    until(lambda: registry.workers())
    heart.stop()
    assert caplog.text.count("no heartbeat this time") == 1


def test_redis_is_away(own_redis):
    registry = WorkerRegistry(own_redis.url)
    own_redis.kill()
    for call in (lambda: registry.put(RECORD), registry.workers, lambda: registry.remove("x")):
        with pytest.raises(StoreUnavailable):
            call()
    registry.close()
