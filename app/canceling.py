"""How a job is canceled, over HTTP and on the command line."""

import logging
from collections.abc import Callable

from model.errors import SettingsInvalid, StorageUnavailable
from worker.artifacts import Artifacts
from worker.jobs import Job, JobState, JobStore

logger = logging.getLogger(__name__)


def cancel(jobs: JobStore, artifacts: Callable[[], Artifacts], job_id: str) -> Job:
    """Cancel an unfinished job; a finished one stays as it is. Mask and style image of a job that
    was queued go with it; those of a running one are removed by its worker.

    Raises JobUnknown, JobExpired, StoreUnavailable.
    """
    was_queued = jobs.get(job_id).state is JobState.QUEUED
    job = jobs.cancel(job_id)
    if was_queued and job.state is JobState.CANCELED:
        try:
            _remove_inputs(artifacts(), job)
        except (StorageUnavailable, SettingsInvalid) as error:
            logger.warning("files of job %s are left: %s", job_id, error)
    return job


def _remove_inputs(artifacts: Artifacts, job: Job) -> None:
    if not job.outputs:
        artifacts.remove(job.id)
        return
    for name in job.request.inputs:  # it has been running, and its tiles stay
        artifacts.discard(job.id, name)
