import hashlib
import io
import json
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image

from model.errors import CheckpointMismatch, MaskBinary, StorageUnavailable, StoreUnavailable
from model.synthesizer import Synthesizer
from tests.fakes import ORGANS, FakeSynthesizer, mask_png, style_png
from worker import job_run, metrics, synthesis
from worker.engine import Engine
from worker.inputs import MASK, STYLE
from worker.jobs import MAX_ATTEMPTS, JobState, Output
from worker.request import Style, SynthesisRequest, sha256, tile_seed
from worker.thumbnails import thumbnail_scope

PATIENCE_S = 30
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def synthesizer(checkpoint) -> FakeSynthesizer:
    return FakeSynthesizer(checkpoint)


@pytest.fixture
def failures():
    """What the engine's ``on_failure`` was called with."""
    return Failures()


class Failures(list):
    def __init__(self):
        super().__init__()
        self.happened = threading.Event()

    def __call__(self, error):
        self.append(error)
        self.happened.set()


@pytest.fixture
def start(synthesizer, jobs, artifacts, failures):
    """Makes engines that are ready."""
    made = []

    def start(synthesizer=synthesizer, **options) -> Engine:
        engine = Engine(lambda: synthesizer, jobs, artifacts, **{"on_failure": failures, **options})
        made.append(engine)
        engine.prepare()
        synthesizer.made = 0
        return engine

    yield start
    for engine in made:
        engine.stop()


@pytest.fixture
def engine(start) -> Engine:
    return start()


class Hold:
    """Holds the device up at its next tile until it may go on."""

    def __init__(self, synthesizer: FakeSynthesizer):
        self.reached, self.go_on = threading.Event(), threading.Event()
        synthesizer.before = self

    def __call__(self, made: int) -> None:
        self.reached.set()
        assert self.go_on.wait(PATIENCE_S)


@pytest.fixture
def threads(start):
    """As those of a queue."""
    with ThreadPoolExecutor(32) as pool:
        yield pool


@pytest.fixture
def hold(synthesizer, threads):
    holds = []

    def hold() -> Hold:
        holds.append(Hold(synthesizer))
        return holds[-1]

    yield hold
    for each in holds:
        each.go_on.set()


def until(is_so):
    """Returns once it is."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)


def state(jobs, job_id):
    return jobs.get(job_id).state


def stored(jobs, artifacts, job_id):
    """The tiles of a finished job, checked against its record."""
    job = jobs.get(job_id)
    assert job.state is JobState.SUCCEEDED, job
    assert len(job.outputs) == job.request.n
    tiles = [artifacts.get(job_id, f"{index}.png") for index in range(job.request.n)]
    assert [hashlib.sha256(tile).hexdigest() for tile in tiles] == [
        output.sha256 for output in job.outputs
    ]
    return tiles


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


def away(*arguments, **options):
    raise StorageUnavailable("no space left on the disk", retry_after_s=5)


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
    assert jobs.get(job_id).failure.code == "synthesis_failed"


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


def test_storage_that_is_away_fails_the_job_with_its_code(
    engine, jobs, artifacts, accept, monkeypatch
):
    unreadable, unwritable, untidy = accept(), accept(), accept()
    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "get", away)
        engine.run(unreadable)
    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "put", away)
        engine.run(unwritable)
    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "discard", away)
        engine.run(untidy)
    for job_id in (unreadable, unwritable):
        assert jobs.get(job_id).failure.code == "storage_unavailable"
    assert not artifacts.exists(unwritable, "0.png")
    assert state(jobs, untidy) is JobState.SUCCEEDED


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


def submissions(engine: Engine) -> threading.Semaphore:
    """Released whenever something was handed in to the batcher."""
    submitted = threading.Semaphore(0)
    waiting = engine._batcher._waiting
    append = waiting.append
    waiting.append = lambda item: (append(item), submitted.release())
    return submitted


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
        request = SynthesisRequest(
            sha256(mask),
            Style(image_sha256=sha256(style)) if style else Style(organ=fields["organ"]),
            fields["seed"],
            n=fields["n"],
        )
        expected.append([t.png for t in synthesis.synthesize(network, request, mask, style)])
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


# Jobs that were started before


def lose_worker(jobs, job_id):
    """As if a worker had died with it."""
    assert jobs.start(job_id, lease_s=-1)
    assert jobs.reap() == [job_id]


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


# A store that is away


class Outage:
    """Methods of a store fail so many times; ``after``, they fail after having worked."""

    def __init__(self, jobs, monkeypatch, methods, times, *, after=False):
        self.left = times
        for name in methods:
            monkeypatch.setattr(jobs, name, self._failing(getattr(jobs, name), after))

    def _failing(self, method, after):
        def fail(*arguments, **options):
            if self.left > 0:
                self.left -= 1
                if after:
                    method(*arguments, **options)
                raise StoreUnavailable("The job records are away.", retry_after_s=1)
            return method(*arguments, **options)

        return fail


@pytest.fixture
def no_pause(monkeypatch):
    monkeypatch.setattr(job_run, "_PAUSE_S", 0.001)


@pytest.mark.parametrize("method", ["add_output", "finish"])
@pytest.mark.parametrize("after", [False, True])
def test_a_short_outage_costs_nothing(
    engine, jobs, artifacts, accept, monkeypatch, no_pause, method, after
):
    """Also if what seemed to fail had been recorded."""
    job_id = accept(n=3)
    Outage(jobs, monkeypatch, [method], 1 if after else 5, after=after)
    assert engine.run(job_id) is True
    assert len(stored(jobs, artifacts, job_id)) == 3
    assert jobs.get(job_id).attempts == 1


def test_a_failure_is_recorded_after_an_outage(
    engine, jobs, artifacts, accept, monkeypatch, no_pause
):
    job_id = accept()
    artifacts.remove(job_id)
    Outage(jobs, monkeypatch, ["fail"], 5)
    assert engine.run(job_id) is True
    assert jobs.get(job_id).failure.code == "synthesis_failed"


EVERYTHING = ["add_output", "renew", "fail", "finish", "requeue"]


def test_an_outage_longer_than_the_lease(start, jobs, artifacts, accept, monkeypatch, no_pause):
    """If nobody took the job back meanwhile, it is still this engine's."""
    engine = start(lease_s=0.02)
    job_id = accept(n=2)
    outage = Outage(jobs, monkeypatch, EVERYTHING, 10**9)
    tried = after_many_failures(outage)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(engine.run, job_id)
        tried()
        outage.left = 0
        while not running.result(PATIENCE_S):
            running = threads.submit(engine.run, job_id)
    assert len(stored(jobs, artifacts, job_id)) == 2
    assert jobs.get(job_id).attempts == 1


def after_many_failures(outage):
    """Returns a function that returns when the outage has been met a hundred times."""
    left = outage.left
    return lambda: until(lambda: outage.left <= left - 100)


def test_a_job_taken_back_in_an_outage_is_let_go(
    start, jobs, artifacts, accept, monkeypatch, no_pause
):
    engine = start(lease_s=0.02)
    job_id = accept(n=2)
    outage = Outage(jobs, monkeypatch, EVERYTHING, 10**9)
    tried = after_many_failures(outage)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(engine.run, job_id)
        tried()
        assert jobs.reap(everything=True) == [job_id]
        other = jobs.start(job_id, lease_s=60)
        outage.left = 0
        assert running.result(PATIENCE_S) is True
    job = jobs.get(job_id)
    assert (job.state, job.outputs) == (JobState.RUNNING, ())
    assert artifacts.exists(job_id, MASK)
    assert jobs.finish(other)


def test_a_stop_ends_the_patience_with_an_outage(
    start, jobs, artifacts, accept, monkeypatch, no_pause
):
    engine = start()
    job_id = accept(n=2)
    with monkeypatch.context() as patch, ThreadPoolExecutor(1) as threads:
        outage = Outage(jobs, patch, EVERYTHING, 10**9)
        tried = after_many_failures(outage)
        running = threads.submit(engine.run, job_id)
        tried()
        engine.stop()
        with pytest.raises(StoreUnavailable):
            running.result(PATIENCE_S)
    assert state(jobs, job_id) is JobState.RUNNING
    assert jobs.reap(everything=True) == [job_id]
    assert start().run(job_id) is True
    assert len(stored(jobs, artifacts, job_id)) == 2


@pytest.mark.parametrize("method", ["get", "start"])
def test_a_job_that_cannot_be_started_stays_queued(engine, jobs, accept, monkeypatch, method):
    job_id = accept()
    with monkeypatch.context() as patch:
        Outage(jobs, patch, [method], 1)
        with pytest.raises(StoreUnavailable):
            engine.run(job_id)
    assert state(jobs, job_id) is JobState.QUEUED
    assert engine.run(job_id) is True
    assert state(jobs, job_id) is JobState.SUCCEEDED


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
        assert "illegal memory access" in str(failures[-1])
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
