import asyncio
import threading
from contextlib import aclosing
from pathlib import Path

import pytest

from app import waiting
from app.waiting import Moment, Waiters, read
from model.errors import JobUnknown, RateLimited, StoreUnavailable
from worker.jobs import JobState, new_job_id
from worker.request import SynthesisRequest
from worker.sqlite_jobs import SqliteJobs
from worker.style import Style

PATIENCE_S = 30
AWAY = StoreUnavailable("The store is away.", retry_after_s=5)


@pytest.fixture
def waiters() -> Waiters:
    return Waiters()


@pytest.fixture
def jobs(tmp_path: Path, waiters: Waiters):
    store = SqliteJobs(tmp_path / "jobs.sqlite", on_change=waiters.notify)
    yield store
    store.close()


def create(jobs: SqliteJobs) -> str:
    request = SynthesisRequest(mask_sha256="ab", style=Style(name="kidney"), seed=1)
    return jobs.create(new_job_id(), request, limit=100).id


@pytest.fixture
def claim(jobs: SqliteJobs):
    """Of a running job."""
    return jobs.start(create(jobs), lease_s=60)


@pytest.fixture
def job(claim):
    return claim.job


def run(waiters: Waiters, scenario) -> object:
    async def attached():
        waiters.attach(asyncio.get_running_loop())
        return await scenario()

    return asyncio.run(attached())


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0)


# Waiting for the end


def test_wakes_all_who_wait_for_a_job(waiters, jobs, claim, job):
    async def scenario():
        tasks = [asyncio.create_task(waiters.wait(jobs, job, PATIENCE_S)) for _ in range(3)]
        await until(lambda: len(waiters._events.get(job.id, ())) == 3)
        await asyncio.to_thread(jobs.finish, claim)
        return await asyncio.gather(*tasks)

    assert [job.state for job in run(waiters, scenario)] == [JobState.SUCCEEDED] * 3
    assert waiters._events == {}


def test_does_not_wait_for_what_is_done(waiters, jobs, claim, job):
    jobs.finish(claim)
    job = run(waiters, lambda: waiters.wait(jobs, job, PATIENCE_S))
    assert job.state is JobState.SUCCEEDED


@pytest.mark.parametrize("timeout_s", [0, 0.01])
def test_gives_up_in_time(waiters, jobs, job, timeout_s):
    job = run(waiters, lambda: waiters.wait(jobs, job, timeout_s))
    assert job.state is JobState.RUNNING
    assert waiters._events == {}


def test_a_stopping_server_lets_everybody_go(waiters, jobs, job):
    async def scenario():
        waits = asyncio.create_task(waiters.wait(jobs, job, PATIENCE_S))
        await until(lambda: job.id in waiters._events)
        waiters.release()
        late = await waiters.wait(jobs, job, PATIENCE_S)
        return await waits, late

    assert [job.state for job in run(waiters, scenario)] == [JobState.RUNNING] * 2


def test_news_without_a_loop_are_dropped(waiters, jobs, claim, job):
    jobs.finish(claim)
    assert jobs.get(job.id).is_finished


def test_learns_in_the_end_what_it_was_not_told(waiters, jobs, claim, job, monkeypatch):
    monkeypatch.setattr(waiting, "_AGAIN_S", 0.01)
    jobs.on_change = lambda job_id: None

    async def scenario():
        waits = asyncio.create_task(waiters.wait(jobs, job, PATIENCE_S))
        await until(lambda: job.id in waiters._events)
        await asyncio.to_thread(jobs.finish, claim)
        return await waits

    assert run(waiters, scenario).state is JobState.SUCCEEDED


def test_sits_an_outage_out(waiters, jobs, claim, job, monkeypatch):
    monkeypatch.setattr(waiting, "_AGAIN_S", 0.01)
    get, failures = jobs.get, iter([AWAY] * 3)

    def away_at_first(job_id):
        for error in failures:
            raise error
        return get(job_id)

    monkeypatch.setattr(jobs, "get", away_at_first)
    jobs.finish(claim)
    assert run(waiters, lambda: waiters.wait(jobs, job, PATIENCE_S)).is_finished


# Following


def follow(waiters, jobs, job_id, *, count=None, idle_s=PATIENCE_S, act=lambda moment: None):
    """The moments of a job to its end, or ``count`` of them; ``act`` is called after each."""

    async def scenario():
        moments = []
        async with (
            asyncio.timeout(PATIENCE_S),
            aclosing(waiters.follow(jobs, job_id, idle_s=idle_s)) as stream,
        ):
            async for moment in stream:
                moments.append(moment)
                await asyncio.to_thread(act, moment)
                if len(moments) == count:
                    break
        return moments

    moments = run(waiters, scenario)
    assert waiters._events == {}
    return moments


def test_follows_a_job_to_its_end(waiters, jobs):
    job_id = create(jobs)
    claims = []

    def act(moment):
        if moment.job.state is JobState.QUEUED:
            claims.append(jobs.start(job_id, lease_s=60))
        elif moment.job.state is JobState.RUNNING:
            jobs.finish(claims[0])

    moments = follow(waiters, jobs, job_id, act=act)
    assert [moment.job.state for moment in moments] == ["queued", "running", "succeeded"]
    assert [moment.position for moment in moments] == [0, None, None]


def test_of_a_finished_job_there_is_one_moment(waiters, jobs, claim):
    jobs.finish(claim)
    (moment,) = follow(waiters, jobs, claim.job.id)
    assert moment == Moment(jobs.get(claim.job.id), None)


def test_tells_when_the_queue_moves_on(waiters, jobs, monkeypatch):
    monkeypatch.setattr(waiting, "_POSITIONS_S", 0.01)
    first, second, third = (create(jobs) for _ in range(3))
    moves = iter([first, second, third])
    moments = follow(waiters, jobs, third, act=lambda moment: jobs.cancel(next(moves, third)))
    assert [moment.position for moment in moments] == [2, 1, 0, None]
    assert moments[0].job == moments[2].job
    assert moments[3].job.state is JobState.CANCELED


def test_many_who_wait_in_the_queue_ask_once_a_second_together(waiters, jobs, monkeypatch):
    ids = [create(jobs) for _ in range(20)]
    asked = {"queued": 0, "get": 0}
    for name in asked:
        ask = getattr(jobs, name)

        def counted(*args, name=name, ask=ask):
            asked[name] += 1
            return ask(*args)

        monkeypatch.setattr(jobs, name, counted)

    async def positions():
        return await asyncio.gather(*(waiters._positions.of(jobs, job_id) for job_id in ids))

    assert run(waiters, positions) == list(range(20))
    assert asked == {"queued": 1, "get": 0}


def test_says_that_nothing_has_changed(waiters, jobs, job, monkeypatch):
    monkeypatch.setattr(waiting, "_AGAIN_S", 0.01)
    first, second = follow(waiters, jobs, job.id, count=2, idle_s=0)
    assert first == second


def test_a_stopping_server_ends_the_stream(waiters, jobs, job):
    (moment,) = follow(waiters, jobs, job.id, act=lambda moment: waiters.release())
    assert moment.job.state is JobState.RUNNING


def test_there_is_nothing_to_follow(waiters, jobs):
    with pytest.raises(JobUnknown):
        follow(waiters, jobs, "nothing")


def test_an_outage_ends_the_stream(waiters, jobs, job, monkeypatch):
    monkeypatch.setattr(waiting, "_AGAIN_S", 0.01)

    def act(moment):
        def away(job_id):
            raise AWAY

        monkeypatch.setattr(jobs, "get", away)

    with pytest.raises(StoreUnavailable):
        follow(waiters, jobs, job.id, act=act)
    assert waiters._events == {}


def test_a_change_is_read_once_for_all_who_follow(waiters, jobs, claim, monkeypatch):
    reads = []
    monkeypatch.setattr(waiting, "read", lambda *args: reads.append(1) or read(*args))

    async def scenario():
        streams = [waiters.follow(jobs, claim.job.id, idle_s=60) for _ in range(50)]
        first = await asyncio.gather(*(anext(stream) for stream in streams))
        assert {moment.job.state for moment in first} == {JobState.RUNNING}
        before = len(reads)
        following = asyncio.gather(*(anext(stream) for stream in streams))
        await asyncio.sleep(0)  # they wait now
        await asyncio.to_thread(jobs.finish, claim)
        assert {moment.job.state for moment in await following} == {JobState.SUCCEEDED}
        for stream in streams:
            await stream.aclose()
        return before, len(reads)

    before, after = run(waiters, scenario)
    assert before < 10
    assert after - before < 10


def test_a_read_that_began_before_a_change_is_not_its_news(waiters, jobs, claim, monkeypatch):
    """The first read is held up until the job has finished, with what it was before."""
    begun, go_on, held = threading.Event(), threading.Event(), []

    def slow(store, job_id):
        moment = read(store, job_id)
        if not held:
            held.append(1)
            begun.set()
            assert go_on.wait(PATIENCE_S)
        return moment

    monkeypatch.setattr(waiting, "read", slow)

    async def scenario():
        early = asyncio.create_task(waiters.wait(jobs, claim.job, PATIENCE_S))
        await asyncio.to_thread(begun.wait, PATIENCE_S)
        await asyncio.to_thread(jobs.finish, claim)
        await asyncio.sleep(0)  # the news is in
        late = asyncio.create_task(waiters.wait(jobs, claim.job, PATIENCE_S))
        job = await late
        go_on.set()
        return job.state, (await early).state

    assert run(waiters, scenario) == (JobState.SUCCEEDED, JobState.SUCCEEDED)


def test_there_is_room_for_so_many_who_follow(waiters, jobs, claim, monkeypatch):
    monkeypatch.setattr(waiters, "_most_followers", 2)

    async def scenario():
        streams = [waiters.follow(jobs, claim.job.id, idle_s=60) for _ in range(2)]
        for stream in streams:
            waiters.check_followers()
            await anext(stream)
        with pytest.raises(RateLimited, match="Too many event streams"):
            waiters.check_followers()
        await streams[0].aclose()
        waiters.check_followers()
        await streams[1].aclose()

    run(waiters, scenario)


def test_a_store_that_hangs_makes_nobody_wait_longer_than_he_wished(
    waiters, jobs, claim, monkeypatch
):
    monkeypatch.setattr(waiting, "_ONE_READ_S", 0.01)
    go_on = threading.Event()

    def hang(store, job_id):
        go_on.wait(PATIENCE_S)
        return read(store, job_id)

    monkeypatch.setattr(waiting, "read", hang)

    async def scenario():
        job = await waiters.wait(jobs, claim.job, 0.05)
        hung = not go_on.is_set()
        go_on.set()
        return job, hung

    assert run(waiters, scenario) == (claim.job, True)
