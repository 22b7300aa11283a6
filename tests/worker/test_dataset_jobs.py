"""A dataset made by jobs: divided among them, each tile once, the files of ``DatasetFolder``."""

import io
import json
import threading
import zipfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import StoreUnavailable
from model.synthesizer import Synthesizer
from tests.fakes import FakeSynthesizer
from tests.waiting import PATIENCE_S, until
from tests.worker.engines import lose_worker
from worker.dataset.folder import DatasetFolder
from worker.dataset.part import MOST_PARTS, DatasetPart, divide
from worker.dataset.request import DatasetRequest
from worker.dataset.stored import StoredDataset, unpacked
from worker.job_request import request_from_json
from worker.jobs import JobState, is_job_id, lost, new_job_id
from worker.request import sha256
from worker.waiting import NotNow

REQUEST = DatasetRequest(
    count=64,
    organs={"kidney": 2.0, "liver": 1.0},
    height=64,
    width=80,
    seed=5,
    formats=("coco", "geojson", "pannuke"),
)


@pytest.fixture
def accept_dataset(jobs, synthesizer):
    """Creates the jobs of a dataset; its parts."""

    def accept(request: DatasetRequest = REQUEST) -> list[DatasetPart]:
        parts = divide(request, new_job_id(), checkpoint_sha256=synthesizer.card.sha256)
        for part, job_id in zip(parts, parts[0].job_ids(), strict=True):
            jobs.create(job_id, part, limit=1000)
        return parts

    return accept


def ids(parts: list[DatasetPart]) -> list[str]:
    return parts[0].job_ids()


@given(count=st.integers(1, 3000), most=st.integers(-1, 20))
def test_parts_follow_one_another(count, most):
    request = DatasetRequest(count=count, organs={"kidney": 1.0})
    parts = divide(request, new_job_id(), checkpoint_sha256="ab", most=most)
    assert [k for part in parts for k in part.tiles] == list(range(count))
    assert len(parts) <= max(1, min(most, MOST_PARTS))
    assert len(parts) == 1 or min(part.n for part in parts) >= 32
    assert len(set(ids(parts))) == len(parts)
    assert all(is_job_id(job_id) for job_id in ids(parts))
    assert ids(parts)[0] == parts[0].dataset_id


def test_a_part_survives_being_written_down():
    part = divide(REQUEST, new_job_id(), checkpoint_sha256="ab")[1]
    assert request_from_json(part.to_json()) == part
    assert json.loads(part.to_json())["kind"] == "dataset"


def test_the_bundle_is_what_a_folder_gets(checkpoint, start, jobs, artifacts, accept_dataset,
                                          tmp_path):  # fmt: skip
    network = Synthesizer.load(checkpoint)
    engine, parts = start(network), accept_dataset()
    assert all(engine.run(job_id) for job_id in ids(parts))
    assert {jobs.get(job_id).state for job_id in ids(parts)} == {JobState.SUCCEEDED}
    stream = io.BytesIO(b"".join(StoredDataset(artifacts, parts).bundle()))
    with zipfile.ZipFile(stream) as archive:
        assert archive.testzip() is None
        bundled = {name: archive.read(name) for name in archive.namelist()}
        assert len(archive.namelist()) == len(bundled)

    path = tmp_path / "folder"
    folder = DatasetFolder(path, REQUEST, checkpoint_sha256=network.card.sha256)
    folder.make(network, lambda done: None)
    found = (file for file in path.rglob("*") if file.is_file() and file.name[0] != ".")
    assert bundled == {str(file.relative_to(path)): file.read_bytes() for file in found}


def test_records_name_the_seed_and_the_sum_of_every_tile(engine, jobs, artifacts, accept_dataset):
    parts = accept_dataset()
    for part, job_id in zip(parts, ids(parts), strict=True):
        engine.run(job_id)
        outputs = jobs.get(job_id).outputs
        assert [output.seed for output in outputs] == [REQUEST.tile_seed(k) for k in part.tiles]
        for index, (k, output) in enumerate(zip(part.tiles, outputs, strict=True)):
            data = artifacts.get(job_id, f"{index}.zip")
            assert sha256(data) == output.sha256
            provenance = artifacts.get(job_id, f"{index}.json")
            assert unpacked(data)[f"provenance/{k:06d}.json"] == provenance


def test_a_stop_puts_a_part_back_and_the_next_engine_goes_on(
    start, synthesizer, checkpoint, jobs, accept_dataset
):
    first, _ = ids(accept_dataset())
    engine = start()
    stopper = threading.Thread(target=engine.stop)

    def stop_at_the_sixth(made):
        if made == 5:
            stopper.start()
            assert engine._stopping.wait(PATIENCE_S)

    synthesizer.before = stop_at_the_sixth
    assert engine.run(first) is False
    stopper.join(PATIENCE_S)
    job = jobs.get(first)
    assert job.state is JobState.QUEUED
    assert 0 < len(job.outputs) < 32

    fresh = FakeSynthesizer(checkpoint)
    assert start(fresh).run(first)
    assert fresh.made == 32 - len(job.outputs)
    job = jobs.get(first)
    assert job.state is JobState.SUCCEEDED
    assert len({output.sha256 for output in job.outputs}) == 32


@pytest.mark.parametrize("end", ["cancel", "fail"])
def test_a_part_of_what_is_not_wanted_ends(engine, synthesizer, jobs, accept_dataset, end):
    first, second = ids(accept_dataset())
    if end == "cancel":
        jobs.cancel(second)
    else:
        jobs.fail(jobs.start(second, lease_s=60), lost())
    engine.run(first)
    failure = jobs.get(first).failure
    assert failure is not None
    assert failure.code == "job_canceled"
    assert synthesizer.made == 0


def test_a_part_of_what_was_never_accepted_ends(engine, synthesizer, jobs):
    parts = divide(REQUEST, new_job_id(), checkpoint_sha256=synthesizer.card.sha256)
    _, second = ids(parts)
    jobs.create(second, parts[1], limit=100)  # and then the front end died
    engine.run(second)
    assert jobs.get(second).failure.code == "job_unknown"
    assert synthesizer.made == 0


def test_parts_leave_half_of_the_threads_to_others(
    start, synthesizer, jobs, accept, accept_dataset, threads, hold
):
    engine, held = start(max_batch=4), hold()
    job_ids = [*ids(accept_dataset()), *ids(accept_dataset())]
    running = [threads.submit(engine.run, job_id) for job_id in job_ids[:2]]
    until(lambda: all(jobs.get(job_id).state is JobState.RUNNING for job_id in job_ids[:2]))
    with pytest.raises(NotNow):
        engine.run(job_ids[2])
    assert jobs.get(job_ids[2]).state is JobState.QUEUED
    other = accept()
    between = threads.submit(engine.run, other)  # runs beside them
    until(lambda: jobs.get(other).state is JobState.RUNNING)
    held.go_on.set()
    assert between.result(30)
    assert all(future.result(30) for future in running)


def test_a_part_whose_worker_died_does_not_keep_others_from_running(
    start, synthesizer, jobs, accept, accept_dataset, threads, hold
):
    engine, held = start(), hold()
    first, _ = ids(accept_dataset())
    assert jobs.start(first, lease_s=-1)
    jobs.reap()
    part = threads.submit(engine.run, first)
    assert held.reached.wait(30)
    other = accept()
    beside = threads.submit(engine.run, other)
    until(lambda: jobs.get(other).state is JobState.RUNNING)
    held.go_on.set()
    assert beside.result(30)
    assert part.result(30)


def test_a_part_makes_way_for_a_job_that_has_to_run_alone(
    start, synthesizer, jobs, accept, accept_dataset, threads, hold
):
    engine, held = start(), hold()
    first, _ = ids(accept_dataset())
    part = threads.submit(engine.run, first)
    assert held.reached.wait(PATIENCE_S)
    suspect = accept()
    lose_worker(jobs, suspect)
    alone = threads.submit(engine.run, suspect)
    until(lambda: engine._room.is_wanted)
    held.go_on.set()
    assert part.result(PATIENCE_S) is False
    assert alone.result(PATIENCE_S) is True
    job = jobs.get(first)
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)
    assert 0 < len(job.outputs) < 32
    assert engine.run(first)
    assert len({output.sha256 for output in jobs.get(first).outputs}) == 32


def test_a_part_begun_with_another_checkpoint_ends(engine, synthesizer, jobs):
    (part,) = divide(replace(REQUEST, count=2), new_job_id(), checkpoint_sha256="ab" * 32)
    jobs.create(part.dataset_id, part, limit=100)
    engine.run(part.dataset_id)
    assert jobs.get(part.dataset_id).failure.code == "checkpoint_changed"
    assert synthesizer.made == 0


def test_lost_workers_count_from_the_last_tile(start, synthesizer, jobs, accept_dataset):
    first, _ = ids(accept_dataset())
    for _ in range(2):
        lose_worker(jobs, first)
    assert jobs.get(first).attempts == 2
    engine = start()
    assert engine.run(first)
    assert jobs.get(first).attempts == 1


def test_an_outage_while_it_is_looked_whether_it_is_wanted_costs_nothing(
    engine, jobs, accept_dataset, monkeypatch
):
    parts = accept_dataset(replace(REQUEST, count=20))

    def away(job_id):
        raise StoreUnavailable("The store is away.", retry_after_s=1)

    monkeypatch.setattr(jobs, "state", away)
    assert engine.run(ids(parts)[0]) is True
    job = jobs.get(ids(parts)[0])
    assert (job.state, job.attempts, len(job.outputs)) == (JobState.SUCCEEDED, 1, 20)
