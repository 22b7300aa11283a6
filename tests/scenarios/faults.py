"""The ``sian`` command with a fault built in: python -m tests.scenarios.faults FAULT COMMAND ..."""

import os
import signal
import sys

POISON_SEED = 666


def poison() -> None:
    """The worker is killed when it starts a job of this seed."""
    from worker.redis_jobs import RedisJobs

    start = RedisJobs.start

    def start_or_die(self, job_id, *, lease_s):
        claim = start(self, job_id, lease_s=lease_s)
        if claim is not None and claim.job.request.seed == POISON_SEED:
            os.kill(os.getpid(), signal.SIGKILL)
        return claim

    RedisJobs.start = start_or_die


def dies_before_publishing() -> None:
    """The front end is killed when a job is accepted and its workers are not told yet."""
    from worker.celery_queue import CeleryQueue

    def die(self, job_id):
        os.kill(os.getpid(), signal.SIGKILL)

    CeleryQueue.submit = die


if __name__ == "__main__":
    fault = sys.argv.pop(1)
    {"poison": poison, "dies-before-publishing": dies_before_publishing}[fault]()

    from app.cli import main

    main()
