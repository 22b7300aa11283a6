import hashlib
import io
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from PIL import Image

from model.errors import CheckpointMismatch, JobExpired, MaskBinary
from tests.fakes import ORGANS, FakeSynthesizer
from worker.engine import MASK, STYLE, Engine, thumbnail_mask, thumbnail_scope
from worker.jobs import MAX_ATTEMPTS, JobState, Output, new_job_id
from worker.request import tile_seed

RETENTION = timedelta(hours=1)


def never() -> bool:
    return False


@pytest.fixture
def synthesizer(checkpoint) -> FakeSynthesizer:
    return FakeSynthesizer(checkpoint)


@pytest.fixture
def engine(synthesizer, jobs, artifacts) -> Engine:
    engine = Engine(lambda: synthesizer, jobs, artifacts, retention=RETENTION)
    engine.prepare(should_stop=never)
    synthesizer.made = 0
    return engine


def test_is_ready_when_it_is_warm(synthesizer, jobs, artifacts):
    engine = Engine(lambda: synthesizer, jobs, artifacts, retention=RETENTION)
    assert not engine.is_ready
    engine.prepare(should_stop=never)
    assert engine.is_ready
    assert synthesizer.made == len(ORGANS)


def test_is_not_ready_if_loading_fails(jobs, artifacts):
    def load():
        raise CheckpointMismatch("does not fit")

    engine = Engine(load, jobs, artifacts, retention=RETENTION)
    with pytest.raises(CheckpointMismatch):
        engine.prepare(should_stop=never)
    assert not engine.is_ready


def test_a_stop_while_it_warms_up(synthesizer, jobs, artifacts):
    engine = Engine(lambda: synthesizer, jobs, artifacts, retention=RETENTION)
    engine.prepare(should_stop=lambda: synthesizer.made == 1)
    assert synthesizer.made == 1
    assert not engine.is_ready


def test_paints_a_thumbnail_of_every_organ_once(engine, synthesizer, jobs, artifacts):
    scope = thumbnail_scope(synthesizer.card.sha256)
    for organ in ORGANS:
        thumbnail = Image.open(io.BytesIO(artifacts.get(scope, f"{organ}.png")))
        assert thumbnail.size == (128, 128)
    Engine(lambda: synthesizer, jobs, artifacts, retention=RETENTION).prepare(should_stop=never)
    assert synthesizer.made == 1  # the warm-up


def test_the_thumbnails_mask_has_separate_nuclei():
    mask = np.asarray(Image.open(io.BytesIO(thumbnail_mask())))
    assert mask.shape == (128, 128)
    assert len(np.unique(mask)) == 15


def test_stores_every_tile_with_its_manifest(engine, jobs, artifacts, accept):
    job_id = accept(n=3, seed=7)
    engine.run(job_id, should_stop=never)
    job = jobs.get(job_id)
    assert job.state is JobState.SUCCEEDED
    assert [output.seed for output in job.outputs] == [7, tile_seed(7, 1), tile_seed(7, 2)]
    for index, output in enumerate(job.outputs):
        png = artifacts.get(job_id, f"{index}.png")
        assert output == Output(output.seed, hashlib.sha256(png).hexdigest())
        assert json.loads(artifacts.get(job_id, f"{index}.json"))["seed"] == output.seed


def test_a_job_that_is_not_queued_is_left_alone(engine, jobs, accept):
    job_id = accept()
    engine.run(job_id, should_stop=never)
    finished = jobs.get(job_id)
    engine.run(job_id, should_stop=never)
    engine.run("unknown", should_stop=never)
    assert jobs.get(job_id) == finished


def test_a_failing_job_fails_alone_and_says_why(engine, synthesizer, jobs, accept):
    bad, good = accept(), accept()

    def refuse(made):
        raise MaskBinary("All nuclei share one value.")

    synthesizer.before = refuse
    engine.run(bad, should_stop=never)
    synthesizer.before = lambda made: None
    engine.run(good, should_stop=never)
    failure = jobs.get(bad).failure
    assert (failure.code, failure.message) == ("mask_binary", "All nuclei share one value.")
    assert jobs.get(good).state is JobState.SUCCEEDED


def test_an_unexpected_error_stays_in_the_log(engine, synthesizer, jobs, accept, caplog):
    job_id = accept()

    def explode(made):
        raise RuntimeError("secret detail")

    synthesizer.before = explode
    engine.run(job_id, should_stop=never)
    failure = jobs.get(job_id).failure
    assert failure.code == "synthesis_failed"
    assert "secret" not in failure.message
    assert job_id in failure.message
    assert "secret detail" in caplog.text


def test_a_job_without_its_mask_fails(engine, jobs, artifacts, accept):
    job_id = accept()
    artifacts.remove(job_id)
    engine.run(job_id, should_stop=never)
    assert jobs.get(job_id).failure.code == "synthesis_failed"


def test_a_stop_keeps_what_is_done_and_the_next_run_goes_on(
    engine, synthesizer, jobs, artifacts, accept
):
    whole, stopped = accept(n=4), accept(n=4)
    engine.run(whole, should_stop=never)
    synthesizer.made = 0
    engine.run(stopped, should_stop=lambda: synthesizer.made == 2)
    job = jobs.get(stopped)
    assert job.state is JobState.QUEUED
    assert len(job.outputs) == 2
    engine.run(stopped, should_stop=never)
    assert synthesizer.made == 4
    assert jobs.get(stopped).state is JobState.SUCCEEDED
    assert jobs.get(stopped).outputs == jobs.get(whole).outputs
    for index in range(4):
        name = f"{index}.png"
        assert artifacts.get(stopped, name) == artifacts.get(whole, name)


def test_inputs_go_when_the_job_has_ended(engine, synthesizer, artifacts, accept):
    done, stopped, failed = accept(), accept(), accept()
    for job_id in (done, stopped, failed):
        artifacts.put(job_id, STYLE, b"")
    engine.run(done, should_stop=never)
    engine.run(stopped, should_stop=lambda: True)

    def refuse(made):
        raise MaskBinary("All nuclei share one value.")

    synthesizer.before = refuse
    engine.run(failed, should_stop=never)
    for job_id, kept in ((done, False), (stopped, True), (failed, False)):
        assert artifacts.exists(job_id, MASK) is kept
        assert artifacts.exists(job_id, STYLE) is kept
    assert artifacts.exists(done, "0.png")


def full_disk(*arguments):
    raise sqlite3.OperationalError("database or disk is full")


def test_a_job_whose_end_cannot_be_recorded_is_tried_again(
    engine, jobs, artifacts, accept, monkeypatch
):
    job_id = accept(n=2)
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "add_output", full_disk)
        patch.setattr(jobs, "fail", full_disk)
        with pytest.raises(sqlite3.OperationalError):
            engine.run(job_id, should_stop=never)
    assert jobs.get(job_id).state is JobState.RUNNING
    assert artifacts.exists(job_id, MASK)
    engine.retry(job_id)
    engine.run(job_id, should_stop=never)
    assert jobs.get(job_id).state is JobState.SUCCEEDED
    assert len(jobs.get(job_id).outputs) == 2


def test_it_is_not_tried_for_ever(engine, jobs, accept, monkeypatch):
    job_id = accept()
    for _ in range(MAX_ATTEMPTS):
        with monkeypatch.context() as patch:
            patch.setattr(jobs, "add_output", full_disk)
            patch.setattr(jobs, "fail", full_disk)
            with pytest.raises(sqlite3.OperationalError):
                engine.run(job_id, should_stop=never)
        engine.retry(job_id)
    failure = jobs.get(job_id).failure
    assert failure.code == "synthesis_failed"
    assert "could not record" in failure.message


def test_sweeps_files_without_a_job(engine, synthesizer, artifacts, accept):
    waiting, orphan = accept(), new_job_id()
    artifacts.put(orphan, MASK, b"")
    engine.sweep_orphans()
    kept = {waiting, thumbnail_scope(synthesizer.card.sha256)}
    assert set(artifacts.scopes()) == kept


def test_sweeps_what_is_older_than_the_retention(engine, jobs, artifacts, accept):
    old, waiting = accept(), accept()
    engine.run(old, should_stop=never)
    finished_at = jobs.get(old).finished_at
    engine.sweep(finished_at + RETENTION)
    assert jobs.get(old).state is JobState.SUCCEEDED
    engine.sweep(finished_at + RETENTION + timedelta(seconds=1))
    with pytest.raises(JobExpired):
        jobs.get(old)
    assert not artifacts.exists(old, "0.png")
    assert jobs.get(waiting).state is JobState.QUEUED
    assert artifacts.exists(waiting, "mask")


def test_keeping_house_sweeps_now_and_then(engine, monkeypatch):
    swept = []
    monkeypatch.setattr(engine, "sweep", swept.append)
    for _ in range(3):
        engine.keep_house()
    assert len(swept) == 1
    assert abs(swept[0] - datetime.now(UTC)) < timedelta(minutes=1)
