import asyncio
from pathlib import Path

import pytest

from app.waiting import Waiters
from worker.jobs import JobState, JobStore, new_job_id
from worker.request import Style, SynthesisRequest

PATIENCE_S = 30


@pytest.fixture
def waiters() -> Waiters:
    return Waiters()


@pytest.fixture
def jobs(tmp_path: Path, waiters: Waiters):
    store = JobStore(tmp_path / "jobs.sqlite", on_finish=waiters.notify)
    yield store
    store.close()


@pytest.fixture
def job_id(jobs: JobStore) -> str:
    request = SynthesisRequest(mask_sha256="ab", style=Style(organ="kidney"), seed=1)
    job_id = new_job_id()
    jobs.create(job_id, request)
    jobs.start(job_id)
    return job_id


def run(waiters: Waiters, scenario) -> object:
    async def attached():
        waiters.attach(asyncio.get_running_loop())
        return await scenario()

    return asyncio.run(attached())


def test_wakes_all_who_wait_for_a_job(waiters, jobs, job_id):
    async def scenario():
        tasks = [asyncio.create_task(waiters.wait(jobs, job_id, PATIENCE_S)) for _ in range(3)]
        while len(waiters._events.get(job_id, ())) < 3:
            await asyncio.sleep(0)
        await asyncio.to_thread(jobs.finish, job_id)
        return await asyncio.gather(*tasks)

    assert [job.state for job in run(waiters, scenario)] == [JobState.SUCCEEDED] * 3
    assert waiters._events == {}


def test_does_not_wait_for_what_is_done(waiters, jobs, job_id):
    jobs.finish(job_id)
    job = run(waiters, lambda: waiters.wait(jobs, job_id, PATIENCE_S))
    assert job.state is JobState.SUCCEEDED


@pytest.mark.parametrize("timeout_s", [0, 0.01])
def test_gives_up_in_time(waiters, jobs, job_id, timeout_s):
    job = run(waiters, lambda: waiters.wait(jobs, job_id, timeout_s))
    assert job.state is JobState.RUNNING
    assert waiters._events == {}


def test_a_stopping_server_lets_everybody_go(waiters, jobs, job_id):
    async def scenario():
        waiting = asyncio.create_task(waiters.wait(jobs, job_id, PATIENCE_S))
        while job_id not in waiters._events:
            await asyncio.sleep(0)
        waiters.release()
        late = await waiters.wait(jobs, job_id, PATIENCE_S)
        return await waiting, late

    assert [job.state for job in run(waiters, scenario)] == [JobState.RUNNING] * 2


def test_news_without_a_loop_are_dropped(waiters, jobs, job_id):
    jobs.finish(job_id)
    assert jobs.get(job_id).is_finished
