import io
import threading
from concurrent.futures import Future

import pytest
from PIL import Image

from model.errors import CheckpointMismatch
from model.synthesizer import Synthesizer
from tests.fakes import ORGANS, mask_png, style_png
from tests.waiting import PATIENCE_S
from tests.worker.engines import away, lose_worker, state, stored, submissions
from worker import synthesis
from worker.engine import Engine
from worker.inputs import MASK
from worker.jobs import MAX_ATTEMPTS, JobState
from worker.request import SynthesisRequest, sha256
from worker.style import Style
from worker.thumbnails import thumbnail_scope

# Loading and warming up


def test_is_ready_when_it_is_warm(synthesizer, jobs, artifacts, caplog):
    caplog.set_level("INFO")
    engine = Engine(lambda: synthesizer, jobs, artifacts)
    assert not engine.health().is_ready
    assert "loaded" in engine.health().reason
    engine.prepare()
    assert engine.health().is_ready
    assert synthesizer.made == len(ORGANS)
    assert "ready after" in caplog.text
    engine.stop()
    assert engine.health().reason == "The worker is stopping."


def test_is_not_ready_if_loading_fails(jobs, artifacts):
    def load():
        raise CheckpointMismatch("does not fit")

    engine = Engine(load, jobs, artifacts)
    with pytest.raises(CheckpointMismatch):
        engine.prepare()
    assert not engine.health().is_ready
    engine.stop()


def test_a_stop_while_it_warms_up(synthesizer, jobs, artifacts):
    engine = Engine(lambda: synthesizer, jobs, artifacts)
    engine.prepare(should_stop=lambda: synthesizer.made == 1)
    assert synthesizer.made == 1
    assert not engine.health().is_ready
    engine.stop()


def test_runs_nothing_before_it_is_prepared(synthesizer, jobs, artifacts, accept):
    job_id = accept()
    engine = Engine(lambda: synthesizer, jobs, artifacts)
    with pytest.raises(RuntimeError, match="prepare"):
        engine.run(job_id)
    assert state(jobs, job_id) is JobState.QUEUED
    engine.stop()
    assert engine.run(job_id) is False


def test_paints_a_thumbnail_of_every_organ_once(start, synthesizer, artifacts):
    start()
    scope = thumbnail_scope(synthesizer.card.sha256)
    for organ in ORGANS:
        thumbnail = Image.open(io.BytesIO(artifacts.get(scope, f"{organ}.png")))
        assert thumbnail.size == (128, 128)
    synthesizer.passes.clear()
    start()
    assert len(synthesizer.passes) == 1  # the warm-up


@pytest.mark.parametrize("method", ["exists", "put"])
def test_is_ready_without_thumbnails_if_they_cannot_be_stored(
    start, artifacts, monkeypatch, caplog, method
):
    monkeypatch.setattr(artifacts, method, away)
    assert start().health().is_ready
    assert "thumbnail" in caplog.text


# Jobs, many at a time


def test_tiles_of_different_jobs_are_painted_together(start, synthesizer, jobs, accept, threads,
                                                      hold):  # fmt: skip
    synthesizer.together = 8
    engine = start()
    synthesizer.passes.clear()
    held = hold()
    first = accept(seed=0)
    running = [threads.submit(engine.run, first)]
    assert held.reached.wait(PATIENCE_S)
    waiting = [accept(seed=seed) for seed in range(1, 9)]
    submitted = submissions(engine)
    running += [threads.submit(engine.run, job_id) for job_id in waiting]
    for _ in waiting:
        assert submitted.acquire(timeout=PATIENCE_S)
    held.go_on.set()
    assert all(future.result(PATIENCE_S) for future in running)
    assert [sorted(seeds) for seeds in synthesizer.passes] == [[0], list(range(1, 9))]
    assert all(state(jobs, job_id) is JobState.SUCCEEDED for job_id in waiting)


def test_no_more_of_one_job_are_under_way_than_a_batch(start, synthesizer, accept, threads, hold):
    engine = start(max_batch=2)
    held = hold()
    submitted = submissions(engine)
    running = threads.submit(engine.run, accept(n=6))
    assert held.reached.wait(PATIENCE_S)
    for _ in range(2):
        assert submitted.acquire(timeout=PATIENCE_S)
    assert not submitted.acquire(timeout=0.05)
    held.go_on.set()
    assert running.result(PATIENCE_S)


@pytest.mark.parametrize("max_batch", [1, 2, 3])
def test_more_tiles_than_a_batch(start, jobs, accept, max_batch):
    engine = start(max_batch=max_batch)
    job_id = accept(n=5)
    assert engine.run(job_id)
    assert jobs.get(job_id).state is JobState.SUCCEEDED
    assert len(jobs.get(job_id).outputs) == 5


@pytest.mark.parametrize("pad_batches", [False, True])
def test_the_bytes_of_a_request_alone_on_the_command_line(
    start, checkpoint, jobs, artifacts, accept, threads, pad_batches
):
    """A real network, as on the CPU and as on a GPU: whatever runs beside a job, and however it
    is batched, its tiles are those of ``sian synthesize``."""
    loaded = Synthesizer.load(checkpoint, max_batch=4)
    network = Synthesizer(
        loaded.generator, loaded.encoder, loaded.card, loaded.styles,
        max_batch=4, pad_batches=pad_batches,
    )  # fmt: skip
    wanted = [
        {"seed": seed, "organ": ORGANS[seed % 3], "side": (64, 100)[seed % 2], "n": 1 + seed % 3}
        for seed in range(9)
    ] + [{"seed": 5, "style": style_png(), "n": 2}]
    expected = []
    for fields in wanted:
        mask, style = mask_png(fields.get("side", 64)), fields.get("style")
        images = [style] if style else []
        request = SynthesisRequest(
            sha256(mask),
            Style(image_sha256=sha256(style)) if style else Style(name=fields["organ"]),
            fields["seed"],
            n=fields["n"],
        )
        expected.append([t.data for t in synthesis.synthesize(network, request, mask, images)])
    engine = start(network, max_batch=4)
    accepted = [accept(**fields) for fields in wanted]
    assert all(threads.map(engine.run, accepted))
    assert [stored(jobs, artifacts, job_id) for job_id in accepted] == expected


def test_a_job_run_by_many_stores_each_tile_once(engine, jobs, artifacts, accept, threads):
    job_id = accept(n=4)
    assert all(threads.map(engine.run, [job_id] * 16))
    assert len(stored(jobs, artifacts, job_id)) == 4


def test_memory_that_runs_out_fails_the_job_and_then_ends_the_engine(
    engine, synthesizer, jobs, accept, failures
):
    def no_memory(made):
        raise MemoryError

    synthesizer.before = no_memory
    for _ in range(3):
        assert failures == []
        job_id = accept(n=2)
        assert engine.run(job_id) is True
        assert jobs.get(job_id).failure.code == "out_of_memory"
    assert failures.happened.wait(PATIENCE_S)
    assert failures[0].code == "out_of_memory"
    assert engine.health().reason == str(failures[0])
    left = accept()
    assert engine.run(left) is False
    assert state(jobs, left) is JobState.QUEUED


def test_memory_that_runs_out_while_it_prepares_is_the_jobs_error(
    engine, synthesizer, jobs, accept, monkeypatch
):
    def no_memory(*arguments, **options):
        raise MemoryError

    job_id = accept()
    monkeypatch.setattr(synthesizer, "tile", no_memory)
    engine.run(job_id)
    assert jobs.get(job_id).failure.code == "out_of_memory"


# Stops


def test_a_stop_keeps_what_is_done_and_the_next_engine_goes_on(
    start, synthesizer, jobs, artifacts, accept
):
    engine = start()
    whole, stopped = accept(n=4), accept(n=4)
    engine.run(whole)
    stopper = threading.Thread(target=engine.stop)
    synthesizer.made = 0

    def stop_at_the_second(made):
        if made == 1:
            stopper.start()
            assert engine._batcher._stopping.wait(PATIENCE_S)

    synthesizer.before = stop_at_the_second
    assert engine.run(stopped) is False
    stopper.join(PATIENCE_S)
    assert not stopper.is_alive()
    job = jobs.get(stopped)
    assert (job.state, job.attempts, len(job.outputs)) == (JobState.QUEUED, 0, 2)
    assert artifacts.exists(stopped, MASK)
    synthesizer.before = lambda made: None
    assert start().run(stopped) is True
    assert synthesizer.made == 2
    assert jobs.get(stopped).outputs == jobs.get(whole).outputs
    assert stored(jobs, artifacts, stopped) == stored(jobs, artifacts, whole)


def test_what_was_painted_before_a_stop_is_not_lost(
    start, synthesizer, jobs, artifacts, accept, threads, monkeypatch
):
    """A pass gave the whole batch, and the stop came while its first tile was stored."""
    synthesizer.together = 8
    engine = start(max_wait_s=PATIENCE_S)
    job_id = accept(n=12)
    put = artifacts.put

    def stop_first(scope, name, data):
        if not engine._stopping.is_set():
            threads.submit(engine.stop)
            assert engine._batcher._stopping.wait(PATIENCE_S)
        put(scope, name, data)

    monkeypatch.setattr(artifacts, "put", stop_first)
    assert engine.run(job_id) is False
    assert len(jobs.get(job_id).outputs) == 8


def test_a_stop_puts_back_what_waits(engine, synthesizer, jobs, accept, threads, hold):
    held = hold()
    first, waiting = accept(), [accept() for _ in range(3)]
    suspect = accept()
    lose_worker(jobs, suspect)
    running = threads.submit(engine.run, first)
    assert held.reached.wait(PATIENCE_S)
    submitted = submissions(engine)
    rest = [threads.submit(engine.run, job_id) for job_id in waiting]
    for _ in waiting:
        assert submitted.acquire(timeout=PATIENCE_S)
    rest.append(threads.submit(engine.run, suspect))
    stopper = threading.Thread(target=engine.stop)
    stopper.start()
    assert not any(future.result(PATIENCE_S) for future in rest)
    assert not engine.health().is_ready
    held.go_on.set()
    assert running.result(PATIENCE_S) is True
    stopper.join(PATIENCE_S)
    assert state(jobs, first) is JobState.SUCCEEDED
    assert all(jobs.get(each).attempts == 0 for each in waiting)
    assert jobs.queued() == [*waiting, suspect]
    assert engine.run(waiting[0]) is False


# A device that fails


def test_a_device_that_stalls_ends_the_engine_and_lets_go_of_its_jobs(
    start, synthesizer, jobs, accept, threads, failures, hold
):
    engine = start(stall_s=0.05, lease_s=0.1)
    held = hold()
    stuck = threads.submit(engine.run, accept())
    assert failures.happened.wait(PATIENCE_S)
    assert failures[0].code == "worker_stalled"
    assert "no progress" in engine.health().reason
    engine.stop()
    assert stuck.result(PATIENCE_S) in (True, False)
    (job_id,) = [*jobs.queued(), *jobs.reap(everything=True)]
    assert jobs.get(job_id).attempts == 1
    held.go_on.set()
    assert len(failures) == 1


def test_a_device_that_is_lost_costs_its_jobs_an_attempt(
    start, synthesizer, jobs, accept, failures
):
    import torch

    def lose(made):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    job_id = accept()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        synthesizer.before = lambda made: None
        engine = start()
        synthesizer.before = lose
        failures.happened.clear()
        assert engine.run(job_id) is False
        assert failures.happened.wait(PATIENCE_S)
        assert "log says why" in str(failures[-1])
        assert jobs.get(job_id).attempts == attempt
    assert jobs.get(job_id).failure.code == "worker_lost"


def test_a_stop_from_on_failure_ends_everything(start, synthesizer, jobs, accept, threads):
    ended: Future[None] = Future()

    def end(error):
        engine.stop()
        ended.set_result(None)

    def no_memory(made):
        raise MemoryError

    engine = start(on_failure=end)
    synthesizer.before = no_memory
    for _ in range(3):
        engine.run(accept())
    ended.result(PATIENCE_S)
    engine.stop()
    assert not engine._batcher._thread.is_alive()
