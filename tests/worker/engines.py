"""What the tests of the engine share."""

import hashlib
import threading

from model.errors import StorageUnavailable
from tests.fakes import FakeSynthesizer
from tests.waiting import PATIENCE_S
from worker.engine import Engine
from worker.jobs import JobState


class Failures(list):
    def __init__(self):
        super().__init__()
        self.happened = threading.Event()

    def __call__(self, error):
        self.append(error)
        self.happened.set()


class Hold:
    """Holds the device up at its next tile until it may go on."""

    def __init__(self, synthesizer: FakeSynthesizer):
        self.reached, self.go_on = threading.Event(), threading.Event()
        synthesizer.before = self

    def __call__(self, made: int) -> None:
        self.reached.set()
        assert self.go_on.wait(PATIENCE_S)


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


def lose_worker(jobs, job_id):
    """As if a worker had died with it."""
    assert jobs.start(job_id, lease_s=-1)
    assert jobs.reap() == [job_id]


def away(*arguments, **options):
    raise StorageUnavailable("no space left on the disk", retry_after_s=5)


def submissions(engine: Engine) -> threading.Semaphore:
    """Released whenever something was handed in to the batcher."""
    submitted = threading.Semaphore(0)
    waiting = engine._batcher._waiting
    append = waiting.append
    waiting.append = lambda item: (append(item), submitted.release())
    return submitted
