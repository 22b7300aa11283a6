import errno
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from model.errors import MaskBinary, StorageUnavailable
from tests.fakes import style_png
from tests.waiting import PATIENCE_S, until
from tests.worker.engines import lose_worker, state, stored, submissions
from tests.worker.records import REQUEST
from worker import job_run, metrics
from worker.inputs import MASK, STYLE
from worker.job_request import request_from_json
from worker.jobs import JobState, Output, new_job_id
from worker.request import tile_seed

NOW = datetime(2026, 1, 1, tzinfo=UTC)


# Jobs, one at a time


def test_stores_every_tile_with_its_manifest(engine, jobs, artifacts, accept, caplog):
    caplog.set_level("INFO")
    job_id = accept(n=3, seed=7)
    assert engine.run(job_id) is True
    job = jobs.get(job_id)
    assert job.state is JobState.SUCCEEDED
    assert [output.seed for output in job.outputs] == [7, tile_seed(7, 1), tile_seed(7, 2)]
    for index, output in enumerate(job.outputs):
        png = artifacts.get(job_id, f"{index}.png")
        assert output == Output(output.seed, hashlib.sha256(png).hexdigest())
        assert json.loads(artifacts.get(job_id, f"{index}.json"))["seed"] == output.seed
    assert f"job {job_id} done in" in caplog.text


def test_a_job_that_is_not_queued_is_left_alone(engine, jobs, accept):
    done, canceled = accept(), accept()
    jobs.cancel(canceled)
    engine.run(done)
    before = jobs.get(done), jobs.get(canceled)
    for job_id in (done, canceled, "unknown"):
        assert engine.run(job_id) is True
    assert (jobs.get(done), jobs.get(canceled)) == before


def test_a_failing_job_fails_alone_and_says_why(engine, synthesizer, jobs, accept, caplog):
    caplog.set_level("INFO")
    bad, good = accept(), accept()

    def refuse(made):
        raise MaskBinary("All nuclei share one value.")

    synthesizer.before = refuse
    assert engine.run(bad) is True
    synthesizer.before = lambda made: None
    engine.run(good)
    failure = jobs.get(bad).failure
    assert (failure.code, failure.message) == ("mask_binary", "All nuclei share one value.")
    assert f"job {bad} failed: mask_binary" in caplog.text
    assert state(jobs, good) is JobState.SUCCEEDED


def test_an_unexpected_error_stays_in_the_log(engine, synthesizer, jobs, accept, caplog):
    job_id = accept()

    def explode(made):
        raise RuntimeError("secret detail")

    synthesizer.before = explode
    engine.run(job_id)
    failure = jobs.get(job_id).failure
    assert failure.code == "synthesis_failed"
    assert "secret" not in failure.message
    assert job_id in failure.message
    assert "secret detail" in caplog.text


def test_a_job_without_its_mask_fails(engine, jobs, artifacts, accept):
    job_id = accept()
    artifacts.remove(job_id)
    engine.run(job_id)
    failure = jobs.get(job_id).failure
    assert failure.code == "storage_unavailable"
    assert "mask is no longer among the files" in failure.message


def test_a_process_with_too_many_files_open_tries_the_job_again(
    engine, jobs, artifacts, accept, monkeypatch
):
    monkeypatch.setattr(job_run, "_DESCRIPTORS_PAUSE_S", 0.001)
    exhausted = OSError(errno.EMFILE, "Too many open files")
    wrapped = StorageUnavailable("The files cannot be read.", retry_after_s=5)
    wrapped.__cause__ = exhausted
    job_id = accept(n=2)
    for error in (exhausted, wrapped):
        with monkeypatch.context() as patch:
            patch.setattr(artifacts, "get", raising(error))
            assert engine.run(job_id) is False
        assert state(jobs, job_id) is JobState.QUEUED
    assert engine.run(job_id) is True
    assert len(stored(jobs, artifacts, job_id)) == 2


def raising(error):
    def fail(*arguments, **options):
        raise error

    return fail


def test_a_style_image_is_encoded_once(engine, synthesizer, jobs, artifacts, accept, monkeypatch):
    encoded = []
    encode = synthesizer.encode
    monkeypatch.setattr(
        synthesizer, "encode", lambda image: encoded.append(image.shape) or encode(image)
    )
    job_id = accept(n=3, style=style_png(80))
    engine.run(job_id)
    assert encoded == [(80, 80, 3)]
    assert len(stored(jobs, artifacts, job_id)) == 3


@pytest.mark.parametrize("n", [1, 3])
def test_a_job_past_its_deadline_costs_nothing(engine, synthesizer, jobs, accept, n):
    job_id = accept(n=n, deadline_at=NOW)
    engine.run(job_id)
    assert jobs.get(job_id).failure.code == "deadline_exceeded"
    assert synthesizer.made == 0


def test_a_deadline_that_passes_while_it_waits(engine, synthesizer, jobs, accept, threads, hold):
    held = hold()
    first = threads.submit(engine.run, accept())
    assert held.reached.wait(PATIENCE_S)
    soon = datetime.now(UTC) + timedelta(seconds=0.2)
    late = accept(deadline_at=soon)
    second = threads.submit(engine.run, late)
    until(lambda: datetime.now(UTC) > soon)
    held.go_on.set()
    assert first.result(PATIENCE_S)
    assert second.result(PATIENCE_S)
    assert jobs.get(late).failure.code == "deadline_exceeded"
    assert synthesizer.made == 1


def test_a_job_that_was_started_in_time_may_end_later(engine, synthesizer, jobs, accept):
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    job_id = accept(n=16, deadline_at=soon)
    synthesizer.before = lambda made: until(lambda: datetime.now(UTC) > soon)
    assert engine.run(job_id) is True
    job = jobs.get(job_id)
    assert (job.state, len(job.outputs)) == (JobState.SUCCEEDED, 16)


def test_inputs_go_when_the_job_has_ended(engine, synthesizer, artifacts, accept):
    done, failed = accept(style=style_png()), accept(style=style_png())
    engine.run(done)

    def refuse(made):
        raise MaskBinary("All nuclei share one value.")

    synthesizer.before = refuse
    engine.run(failed)
    for job_id in (done, failed):
        assert not artifacts.exists(job_id, MASK)
        assert not artifacts.exists(job_id, STYLE)
    assert artifacts.exists(done, "0.png")


def test_what_prometheus_is_told(engine, synthesizer, accept):
    def value(name, **labels):
        return metrics.REGISTRY.get_sample_value(name, labels) or 0

    def values():
        return [
            value("sian_tiles_total"),
            value("sian_jobs_total", state="succeeded", code=""),
            value("sian_jobs_total", state="failed", code="mask_binary"),
            value("sian_wait_seconds_count"),
            value("sian_job_seconds_count"),
        ]

    def refuse(made):
        raise MaskBinary("All nuclei share one value.")

    before = values()
    engine.run(accept(n=3))
    synthesizer.before = refuse
    engine.run(accept())
    assert [b - a for a, b in zip(before, values(), strict=True)] == [3, 1, 1, 2, 1]


# Jobs that were started before


def test_a_job_that_was_started_before_runs_alone(engine, jobs, accept, threads, hold):
    suspect, first, last = accept(), accept(), accept()
    lose_worker(jobs, suspect)
    held = hold()
    running = [threads.submit(engine.run, first)]
    assert held.reached.wait(PATIENCE_S)
    held.reached.clear()
    for job_id in (suspect, last):
        running.append(threads.submit(engine.run, job_id))
        until(lambda: len(engine._room._line) == len(running) - 1)
    assert state(jobs, first) is JobState.RUNNING
    assert state(jobs, suspect) is state(jobs, last) is JobState.QUEUED
    held.go_on.set()
    assert all(future.result(PATIENCE_S) for future in running)
    assert all(state(jobs, each) is JobState.SUCCEEDED for each in (suspect, first, last))
    assert jobs.get(first).finished_at <= jobs.get(suspect).finished_at
    assert jobs.get(suspect).finished_at <= jobs.get(last).started_at


def test_a_job_that_killed_another_worker_meanwhile_runs_alone(
    engine, jobs, artifacts, accept, monkeypatch
):
    """It was new when it came, and was tried elsewhere while it stood in line."""
    job_id = accept()
    lose_worker(jobs, job_id)
    get, fresh = jobs.get, []
    monkeypatch.setattr(
        jobs, "get",
        lambda job_id: fresh.append(1) or replace(get(job_id), attempts=0)
        if not fresh else get(job_id),
    )  # fmt: skip
    entered = []
    taken = engine._room.taken
    monkeypatch.setattr(
        engine._room, "taken", lambda *, alone: entered.append(alone) or taken(alone=alone)
    )
    assert engine.run(job_id) is True
    assert entered == [False, True]
    assert jobs.get(job_id).attempts == 2
    assert stored(jobs, artifacts, job_id)


def test_a_run_goes_on_where_the_last_one_was_lost(engine, synthesizer, jobs, artifacts, accept):
    whole, lost = accept(n=4), accept(n=4)
    engine.run(whole)
    claim = jobs.start(lost, lease_s=-1)
    for index, output in enumerate(jobs.get(whole).outputs[:2]):
        artifacts.put(lost, f"{index}.png", artifacts.get(whole, f"{index}.png"))
        jobs.add_output(claim, output, index)
    jobs.reap()
    synthesizer.made = 0
    assert engine.run(lost) is True
    assert synthesizer.made == 2
    assert stored(jobs, artifacts, lost) == stored(jobs, artifacts, whole)


def test_a_run_that_only_lacks_its_end(engine, synthesizer, jobs, accept):
    job_id = accept()
    claim = jobs.start(job_id, lease_s=-1)
    jobs.add_output(claim, Output(7, "0" * 64), 0)
    jobs.reap()
    assert engine.run(job_id) is True
    assert state(jobs, job_id) is JobState.SUCCEEDED
    assert synthesizer.made == 0


# Claims that are lost


def test_a_canceled_job_costs_no_more(engine, synthesizer, jobs, artifacts, accept, caplog):
    caplog.set_level("INFO")
    job_id = accept(n=8)

    def cancel(made):
        if made == 1:
            jobs.cancel(job_id)

    synthesizer.before = cancel
    assert engine.run(job_id) is True
    assert state(jobs, job_id) is JobState.CANCELED
    assert len(jobs.get(job_id).outputs) <= 1
    assert not artifacts.exists(job_id, MASK)
    assert f"job {job_id} is let go of" in caplog.text
    made = synthesizer.made
    other = accept()
    engine.run(other)
    assert synthesizer.made <= made + 8  # what was handed in may have been painted meanwhile
    assert state(jobs, other) is JobState.SUCCEEDED


def test_a_job_canceled_while_it_waits_for_the_device_is_not_painted(
    engine, synthesizer, jobs, accept, threads, hold
):
    held = hold()
    running = threads.submit(engine.run, accept())
    assert held.reached.wait(PATIENCE_S)
    submitted = submissions(engine)
    canceled = accept()
    waiting = threads.submit(engine.run, canceled)
    assert submitted.acquire(timeout=PATIENCE_S)
    jobs.cancel(canceled)
    for lease in engine._leases._leases.values():
        lease.renewed_at -= 2  # it was asked about longer than a second ago
    held.go_on.set()
    assert running.result(PATIENCE_S)
    assert waiting.result(PATIENCE_S) is True
    assert synthesizer.made == 1


def test_a_job_that_was_taken_back_is_left_to_the_other(engine, synthesizer, jobs, artifacts,
                                                        accept):  # fmt: skip
    job_id = accept(n=2)
    others = []

    def take(made):
        if made == 0:
            jobs.reap(everything=True)
            others.append(jobs.start(job_id, lease_s=60))

    synthesizer.before = take
    assert engine.run(job_id) is True
    job = jobs.get(job_id)
    assert (job.state, job.outputs, job.attempts) == (JobState.RUNNING, (), 2)
    assert artifacts.exists(job_id, MASK)
    assert jobs.finish(others[0])


def test_what_was_written_after_a_job_was_removed_goes_too(
    engine, synthesizer, jobs, artifacts, accept
):
    job_id = accept()

    def remove(made):
        jobs.cancel(job_id)
        artifacts.remove(job_id)
        jobs.expire(job_id)

    synthesizer.before = remove
    assert engine.run(job_id) is True
    assert synthesizer.made == 1
    assert job_id not in artifacts.scopes()


def test_a_request_of_a_newer_version_fails_with_a_word(engine, jobs):
    text = json.dumps({**json.loads(REQUEST.to_json()), "kind": "tile", "magnification": 40})
    job_id = jobs.create(new_job_id(), request_from_json(text), limit=10).id
    assert engine.run(job_id) is True
    assert jobs.get(job_id).failure.code == "job_kind_unknown"
