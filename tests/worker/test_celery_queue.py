import json
import time
from datetime import timedelta

import pytest

from model.errors import StoreUnavailable
from tests.worker.records import REQUEST
from worker.celery_queue import CeleryQueue
from worker.health import Health
from worker.jobs import Failure, new_job_id
from worker.redis_client import connect
from worker.redis_jobs import RedisJobs
from worker.registry import WorkerRecord, WorkerRegistry
from worker.tasks import LISTS, QUEUE

FIRST_LIST, ORDINARY_LIST = LISTS
OURS = "ab" * 32
_DAY, _NOTHING = timedelta(days=1), timedelta(0)


@pytest.fixture
def redis_jobs(redis_url):
    jobs = RedisJobs(redis_url)
    yield jobs
    jobs.close()


@pytest.fixture
def registry(redis_url):
    registry = WorkerRegistry(redis_url)
    yield registry
    registry.close()


@pytest.fixture
def queue(redis_url, redis_jobs, registry):
    queue = CeleryQueue(redis_url, redis_jobs, registry, checkpoint_sha256=OURS)
    yield queue
    queue.stop()


@pytest.fixture
def client(redis_url):
    with connect(redis_url) as client:
        yield client


def create(jobs):
    return jobs.create(new_job_id(), REQUEST, limit=100).id


def beat(registry, *, name="one-1", checkpoint=OURS, health=Health(True)):  # noqa: B008
    registry.put(WorkerRecord(name, health, checkpoint, "metrics"))


def test_a_message_is_an_id_and_little_else(queue, redis_jobs, client):
    job_id = create(redis_jobs)
    queue.submit(job_id)
    (message,) = client.lrange(ORDINARY_LIST, 0, -1)
    assert len(message) < 2048
    assert json.loads(message)["headers"]["argsrepr"] == f"['{job_id}']"


def test_what_was_published_is_not_forgotten(queue, redis_jobs):
    for _ in range(3):
        queue.submit(create(redis_jobs))
    assert queue.forgotten() == []


def test_a_job_that_came_back_is_taken_before_those_that_wait(queue, redis_jobs, client):
    waiting, back = create(redis_jobs), create(redis_jobs)
    queue.submit(waiting)
    queue.submit_first(back)
    assert client.llen(FIRST_LIST) == client.llen(ORDINARY_LIST) == 1
    with queue.app.connection_for_read() as connection:
        channel = connection.default_channel
        taken = [channel.basic_get(QUEUE).headers["argsrepr"] for _ in range(2)]
    assert taken == [f"['{back}']", f"['{waiting}']"]


def test_a_job_that_was_never_published(queue, redis_jobs, monkeypatch):
    lost = create(redis_jobs)
    queue.submit(create(redis_jobs))
    assert queue.forgotten() == []  # it may be about to be
    monkeypatch.setattr("worker.celery_queue._FORGOTTEN_AFTER", -_DAY)
    assert queue.forgotten() == [lost]
    queue.submit(lost)
    assert queue.forgotten() == []


def test_messages_that_got_lost(queue, redis_jobs, client, monkeypatch):
    job_ids = [create(redis_jobs) for _ in range(3)]
    for job_id in job_ids:
        queue.submit(job_id)
    client.delete(ORDINARY_LIST)
    monkeypatch.setattr("worker.celery_queue._FORGOTTEN_AFTER", -_DAY)
    assert queue.forgotten() == job_ids


def test_what_runs_has_no_message_and_needs_none(queue, redis_jobs, client, monkeypatch):
    running = create(redis_jobs)
    queue.submit(running)
    redis_jobs.start(running, lease_s=60)
    client.delete(ORDINARY_LIST)
    monkeypatch.setattr("worker.celery_queue._FORGOTTEN_AFTER", -_DAY)
    assert queue.forgotten() == []


def test_not_ready_without_workers(queue):
    assert not queue.health().is_ready
    assert "sian worker" in queue.health().reason


def test_not_ready_with_workers_of_another_checkpoint(queue, registry):
    beat(registry, checkpoint="cd" * 32)
    assert "another checkpoint" in queue.health().reason


def test_says_why_the_worker_is_not_ready(queue, registry):
    beat(registry, health=Health(False, "The network is being loaded."))
    assert queue.health() == Health(False, "The network is being loaded.")


def test_one_good_worker_is_enough(queue, registry):
    beat(registry, name="one-1", health=Health(False, "stalled"))
    beat(registry, name="two-1", checkpoint="cd" * 32)
    beat(registry, name="three-1")
    assert queue.health().is_ready


def test_a_worker_that_left_does_not_count(queue, registry):
    beat(registry)
    registry.remove("one-1")
    assert not queue.health().is_ready


def test_jobs_that_nobody_takes(queue, registry, redis_jobs, monkeypatch):
    beat(registry)
    job_id = create(redis_jobs)
    assert queue.health().is_ready
    monkeypatch.setattr("worker.celery_queue._TAKEN_WITHIN", _NOTHING)
    assert "no worker takes them" in queue.health().reason
    claim = redis_jobs.start(job_id, lease_s=60)
    assert queue.health().is_ready
    redis_jobs.fail(claim, Failure("mask_binary", "One value."))
    assert queue.health().is_ready


@pytest.mark.parametrize("outage", ["killed", "frozen"])
def test_redis_is_away(own_redis, outage):
    registry = WorkerRegistry(own_redis.url)
    jobs = RedisJobs(own_redis.url)
    queue = CeleryQueue(own_redis.url, jobs, registry, checkpoint_sha256=OURS)
    queue.submit(create(jobs))
    own_redis.kill() if outage == "killed" else own_redis.freeze()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as refusal:
        queue.submit("f" * 32)
    assert time.monotonic() - began < 3
    assert refusal.value.retry_after_s >= 1
    assert not queue.health().is_ready
    with pytest.raises(StoreUnavailable):
        queue.forgotten()
    own_redis.start() if outage == "killed" else own_redis.thaw()
    queue.submit(create(jobs))
    queue.stop()
    registry.close()
    jobs.close()
