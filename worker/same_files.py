"""Whether this process has the files that the jobs in Redis belong to.

One that looked for them elsewhere would find no mask and fail every job that it takes. So the
files carry a mark, an empty file with a random name, and Redis has the name.
"""

import secrets

from model.errors import SettingsInvalid
from worker.artifacts import Artifacts
from worker.redis_jobs import RedisJobs

_SCOPE = "identity"


def check(jobs: RedisJobs, artifacts: Artifacts, *, place: str) -> None:
    """Mark the files if Redis knows of none yet. May be called by many processes at once.

    Args:
        place: the setting that says where the files are, for the error.

    Raises:
        SettingsInvalid: Redis knows of other files.
        StoreUnavailable, StorageUnavailable
    """
    mark = jobs.files_mark() or _marked(jobs, artifacts)
    if not artifacts.exists(_SCOPE, mark):
        raise SettingsInvalid(
            f"{place}: the files of the jobs in Redis are not there. Every front end and worker "
            "on one Redis needs the same files: set the same SIAN_ARTIFACTS_URL, or else the same "
            "SIAN_DATA_DIR as an absolute path. If those files are gone for good, stop all of "
            'them, run: redis-cli -u "$SIAN_BROKER_URL" DEL sian:files, and start them again; '
            "jobs that wait then fail."
        )


def _marked(jobs: RedisJobs, artifacts: Artifacts) -> str:
    """Mark the files; the mark that counts, which is another's if that was faster."""
    mark = secrets.token_hex(16)
    # Before Redis has it: whoever reads it there must find it here.
    artifacts.put(_SCOPE, mark, b"")
    known = jobs.mark_files(mark)
    if known != mark:
        artifacts.discard(_SCOPE, mark)
    return known
