"""What only the store on Redis does: outages, a full memory, hearing of other processes."""

import json
import queue
import threading
import time
from dataclasses import asdict
from datetime import UTC, datetime

import pytest

from model.errors import JobExpired, SettingsInvalid, StoreUnavailable
from tests.worker.records import FAILURE, LEASE_S, REQUEST, create, finished, start
from worker.jobs import Idempotency, JobState, Output, new_job_id
from worker.redis_client import connect
from worker.redis_jobs import RedisJobs

PATIENCE_S = 60
KEY = Idempotency("key", "print")
NOW = datetime.now(UTC)


@pytest.fixture
def open_jobs():
    """Opens stores, as several processes would."""
    stores = []

    def open_jobs(url):
        stores.append(RedisJobs(url))
        return stores[-1]

    yield open_jobs
    for store in stores:
        store.close()


class Heard:
    """What a store tells of, waited for."""

    def __init__(self, jobs):
        self._ids = queue.SimpleQueue()
        jobs.on_change = self._ids.put

    def wait_for(self, job_id):
        """Returns once the store has told of this job."""
        while self._ids.get(timeout=PATIENCE_S) != job_id:
            pass

    def all_before(self, job_id):
        """What it told of before this job."""
        return list(iter(lambda: self._ids.get(timeout=PATIENCE_S), job_id))


def every_call(jobs, claim):
    """One of each method of the protocol."""
    job_id = claim.job.id
    return {
        "create": lambda: jobs.create(new_job_id(), REQUEST, limit=10, idempotency=KEY),
        "find": lambda: jobs.find(KEY),
        "discard": lambda: jobs.discard(job_id),
        "get": lambda: jobs.get(job_id),
        "state": lambda: jobs.state(job_id),
        "position": lambda: jobs.position(job_id),
        "start": lambda: jobs.start(job_id, lease_s=LEASE_S),
        "renew": lambda: jobs.renew([claim] * 16, lease_s=LEASE_S),
        "add_output": lambda: jobs.add_output(claim, Output(1, "aa"), 0),
        "finish": lambda: jobs.finish(claim),
        "fail": lambda: jobs.fail(claim, FAILURE),
        "requeue": lambda: jobs.requeue(claim),
        "retry": lambda: jobs.retry(claim, FAILURE),
        "cancel": lambda: jobs.cancel(job_id),
        "reap": jobs.reap,
        "queued": jobs.queued,
        "published": lambda: jobs.published(job_id),
        "unpublished": lambda: jobs.unpublished(before=NOW, count=1),
        "counts": jobs.counts,
        "failures": jobs.failures,
        "finished_since": lambda: jobs.finished_since(NOW),
        "unexpired": jobs.unexpired,
        "finished_before": lambda: jobs.finished_before(NOW),
        "expire": lambda: jobs.expire(job_id),
        "forget_expired_before": lambda: jobs.forget_expired_before(NOW),
    }


@pytest.mark.parametrize("outage", ["killed", "frozen"])
def test_every_call_gives_up_in_time(own_redis, open_jobs, outage):
    jobs = open_jobs(own_redis.url)
    calls = every_call(jobs, start(jobs, create(jobs)))
    own_redis.kill() if outage == "killed" else own_redis.freeze()
    took = {}

    def call_and_time(name, call):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable, match=r"Redis .* try again") as refusal:
            call()
        assert refusal.value.retry_after_s >= 1
        took[name] = time.monotonic() - began

    threads = [threading.Thread(target=call_and_time, args=each) for each in calls.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert took.keys() == calls.keys()
    assert max(took.values()) < 3, took
    own_redis.start() if outage == "killed" else own_redis.thaw()
    calls["counts"]()


def test_what_was_accepted_outlives_a_kill(own_redis, open_jobs):
    jobs = open_jobs(own_redis.url)
    queued = create(jobs, idempotency=KEY)
    running = start(jobs, create(jobs))
    jobs.add_output(running, Output(1, "aa"), 0)
    done, gone = finished(jobs), finished(jobs)
    jobs.expire(gone)
    before = {job_id: jobs.get(job_id) for job_id in (queued, running.job.id, done)}
    own_redis.restart()
    assert {job_id: jobs.get(job_id) for job_id in before} == before
    assert jobs.find(KEY) == before[queued]
    assert jobs.counts()[JobState.EXPIRED] == 1
    assert jobs.position(queued) == 0
    assert jobs.renew([running], lease_s=LEASE_S) == {running.job.id}
    assert jobs.finish(running)
    assert start(jobs, queued).job.attempts == 1


def test_a_full_memory_takes_no_new_job_but_finishes_the_old(own_redis, open_jobs, caplog):
    jobs = open_jobs(own_redis.url)
    waiting, claim = create(jobs), start(jobs, create(jobs))
    with connect(own_redis.url) as client:
        client.config_set("maxmemory", "100kb")  # less than it uses
        with pytest.raises(StoreUnavailable):
            create(jobs)
        assert "used memory" in caplog.text
        assert jobs.queued() == [waiting]
        assert jobs.add_output(claim, Output(1, "aa"), 0)
        assert jobs.finish(claim)
        jobs.expire(claim.job.id)
        jobs.fail(start(jobs, waiting), FAILURE)
        assert jobs.counts() == {
            **dict.fromkeys(JobState, 0),
            JobState.FAILED: 1,
            JobState.EXPIRED: 1,
        }
        client.config_set("maxmemory", "0")
    create(jobs)


def test_the_last_of_the_memory_is_for_the_messages_about_old_jobs(own_redis, open_jobs, caplog):
    jobs = open_jobs(own_redis.url)
    with connect(own_redis.url) as client:
        client.set("filling", bytes(20 * 2**20))
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory", int(1.05 * used))
        with pytest.raises(StoreUnavailable):
            create(jobs)
        assert "used memory is nearly maxmemory" in caplog.text
        client.lpush("sian", "a message")
        client.config_set("maxmemory", int(1.5 * used))
    create(jobs)


def test_time_is_that_of_redis(redis_url, open_jobs, monkeypatch):
    """A front end whose clock is wrong makes no difference."""
    jobs = open_jobs(redis_url)
    monkeypatch.setattr("time.time_ns", lambda: 0)
    monkeypatch.setattr("time.time", lambda: 0.0)
    before = datetime.now(UTC)  # which reads the clock by itself
    job = jobs.get(finished(jobs))
    assert before <= job.created_at <= job.started_at <= job.finished_at <= datetime.now(UTC)


def test_not_a_redis_url():
    with pytest.raises(SettingsInvalid, match="SIAN_BROKER_URL"):
        RedisJobs("http://localhost")


def test_keys_are_its_own(redis_url, open_jobs):
    jobs = open_jobs(redis_url)
    start(jobs, create(jobs, idempotency=KEY))
    jobs.fail(start(jobs, create(jobs)), FAILURE)
    with connect(redis_url) as client:
        names = [name.decode() for name in client.scan_iter()]
    assert names
    assert all(name.startswith("sian:") for name in names)


def test_nothing_is_left_when_all_is_forgotten(redis_url, open_jobs):
    jobs = open_jobs(redis_url)
    jobs.fail(start(jobs, create(jobs, idempotency=KEY)), FAILURE)
    jobs.cancel(create(jobs))
    finished(jobs)
    jobs.discard(create(jobs, idempotency=Idempotency("other", "print")))
    future = datetime(9999, 1, 1, tzinfo=UTC)
    for job_id in jobs.finished_before(future):
        jobs.expire(job_id)
    jobs.forget_expired_before(future)
    with connect(redis_url) as client:
        assert list(client.scan_iter()) == [b"sian:place"]


def test_an_output_costs_the_file_of_redis_no_more_than_itself(own_redis, open_jobs):
    """A dataset has thousands, and each was written with all those before it."""
    jobs = open_jobs(own_redis.url)
    claim = start(jobs, create(jobs))
    with connect(own_redis.url) as client:
        before = client.info("persistence")["aof_current_size"]
        for k in range(200):
            assert jobs.add_output(claim, Output(k, "ab" * 32), k)
        written = client.info("persistence")["aof_current_size"] - before
    assert jobs.get(claim.job.id).outputs == tuple(Output(k, "ab" * 32) for k in range(200))
    assert written < 200 * 1000


def test_outputs_that_a_former_version_has_stored_are_kept(redis_url, open_jobs):
    jobs = open_jobs(redis_url)
    claim = start(jobs, create(jobs))
    old = Output(1, "aa")
    with connect(redis_url) as client:
        record = f"sian:job:{claim.job.id}"
        client.hset(record, mapping={"outputs": json.dumps(asdict(old)), "stored": 1})
    assert jobs.get(claim.job.id).outputs == (old,)
    assert jobs.add_output(claim, Output(2, "bb"), 1)
    assert jobs.get(claim.job.id).outputs == (old, Output(2, "bb"))


# Hearing of what other processes change


def test_hears_of_every_change_once(redis_url, open_jobs):
    here, there = open_jobs(redis_url), open_jobs(redis_url)
    heard = Heard(here)
    here.listen()
    first = create(there)
    for _ in range(2):  # the first may be caught up with, and then be heard of once more
        other = create(there)
        there.cancel(other)
        heard.wait_for(other)
    claim = start(there, first)
    there.add_output(claim, Output(1, "aa"), 0)
    there.finish(claim)
    own = create(here)
    here.cancel(own)
    marker = create(there)
    there.cancel(marker)
    assert sorted(heard.all_before(marker)) == sorted([first, first, first, own])


def test_hears_again_after_a_restart_and_of_what_it_missed(own_redis, open_jobs):
    here, there = open_jobs(own_redis.url), open_jobs(own_redis.url)
    heard = Heard(here)
    here.listen()
    waiting, running, canceled = (create(there) for _ in range(3))
    start(there, running)
    heard.wait_for(running)
    for _ in range(2):
        own_redis.restart()
        there.cancel(canceled)  # maybe before it listens again
        for job_id in (waiting, running, canceled):
            heard.wait_for(job_id)
    claim = start(there, waiting)
    heard.wait_for(waiting)
    there.finish(claim)
    heard.wait_for(waiting)


def test_hears_again_after_a_freeze(own_redis, open_jobs, monkeypatch, caplog):
    monkeypatch.setattr("worker.redis_listener._PING_S", 0.05)
    monkeypatch.setattr("worker.redis_listener._SILENT_S", 0.3)
    here, there = open_jobs(own_redis.url), open_jobs(own_redis.url)
    heard = Heard(here)
    here.listen()
    job_id = create(there)
    claim = start(there, job_id)
    heard.wait_for(job_id)
    own_redis.freeze()
    deadline = time.monotonic() + PATIENCE_S
    while "not heard" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    own_redis.thaw()
    there.finish(claim)
    heard.wait_for(job_id)
    assert caplog.text.count("not heard") == 1


def test_starts_to_listen_before_redis_does(own_redis, open_jobs):
    own_redis.kill()
    here, there = open_jobs(own_redis.url), open_jobs(own_redis.url)
    heard = Heard(here)
    here.listen()
    own_redis.start()
    job_id = create(there)
    start(there, job_id)
    heard.wait_for(job_id)


def test_who_fails_to_listen_is_told_again(redis_url, open_jobs):
    here, there = open_jobs(redis_url), open_jobs(redis_url)
    told = threading.Event()
    calls = []

    def fail_once(job_id):
        calls.append(job_id)
        if len(calls) == 1:
            raise RuntimeError("odd")
        told.set()

    here.on_change = fail_once
    here.listen()
    start(there, create(there))
    assert told.wait(PATIENCE_S)


@pytest.mark.parametrize("outage", [None, "killed", "frozen"])
def test_closing_ends_the_thread(own_redis, outage):
    jobs = RedisJobs(own_redis.url)
    heard = Heard(jobs)
    jobs.listen()
    other = RedisJobs(own_redis.url)
    job_id = create(other)
    other.cancel(job_id)
    heard.wait_for(job_id)
    other.close()
    if outage is not None:
        own_redis.kill() if outage == "killed" else own_redis.freeze()
    jobs.close()
    assert "sian-listener" not in {thread.name for thread in threading.enumerate()}


def test_a_create_that_comes_too_late_finds_its_job_buried(open_jobs, redis_url):
    jobs = open_jobs(redis_url)
    job_id = new_job_id()
    jobs.discard(job_id)
    with pytest.raises(ValueError, match="already"):
        jobs.create(job_id, REQUEST, limit=10)
    with pytest.raises(JobExpired):
        jobs.get(job_id)
