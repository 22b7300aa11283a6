"""``sian jobs``: what whoever runs the service may see of the jobs and do with them.

It reads the job records themselves, so it needs no server and no API key, but access to Redis
(SIAN_BROKER_URL) or to the data folder (SIAN_DATA_DIR). To cancel a job also removes its mask and
style images, where the files of jobs are within reach.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.errors import JobExpired, JobUnknown, SettingsInvalid

if TYPE_CHECKING:
    from worker.artifacts import Artifacts
    from worker.jobs import Job, JobStore

jobs = typer.Typer()

_STATES = ("queued", "running", "succeeded", "failed", "canceled")
_FINISHED = 1
"""Exit code: there was nothing left to cancel."""
JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of the job.")]


@jobs.callback(invoke_without_command=True)
def list_jobs(
    context: typer.Context,
    state: Annotated[
        str | None, typer.Option(help=f"Only those in one state: {', '.join(_STATES)}.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to list.")] = 20,
) -> None:
    """Look at the jobs of the service; cancel one.

    Without a command: how many there are in each state, and the youngest of them. Reads the
    records in SIAN_BROKER_URL, or without it in SIAN_DATA_DIR.
    """
    if context.invoked_subcommand is not None:
        return
    if state is not None and state not in _STATES:
        raise typer.BadParameter(f"choose from {', '.join(_STATES)}", param_hint="--state")
    with _store() as store:
        print(", ".join(f"{count} {name}" for name, count in store.counts().items()))
        positions = {job_id: place for place, job_id in enumerate(store.queued())}
        found = (job for job in _youngest(store) if state in (None, job.state))
        rows = [_row(job, positions.get(job.id)) for job in islice(found, limit)]
    if rows:
        _print_table([("ID", "STATE", "AHEAD", "AGE", "ATTEMPTS", "OUTPUTS", "ERROR"), *rows])


@jobs.command()
def show(job_id: JobId) -> None:
    """One job's record, as JSON."""
    with _store() as store:
        job, position = store.get(job_id), store.position(job_id)
    request = {"kind": job.request.kind, **json.loads(job.request.to_json())}
    record = {**asdict(job), "request": request, "position": position}
    print(json.dumps(record, indent=2, default=_text))


@jobs.command()
def cancel(job_id: JobId) -> None:
    """Cancel a job that has not finished. A worker that runs it lets go within seconds."""
    from app import canceling

    with _store() as store:
        job = canceling.cancel(store, _artifacts, job_id)
    if job.state != "canceled":
        print(f"{job.id} had already {job.state}; nothing was canceled", file=sys.stderr)
        raise typer.Exit(_FINISHED)
    print(f"{job.id} {job.state}")


@contextmanager
def _store() -> Iterator[JobStore]:
    from app.settings import Settings

    settings = Settings.load()
    if settings.broker_url is not None:
        from worker.redis_jobs import RedisJobs

        store: JobStore = RedisJobs(settings.broker_url)
    else:
        from worker.sqlite_jobs import SqliteJobs

        path = settings.data_dir / "jobs.sqlite"
        if not path.exists():
            raise SettingsInvalid(
                f"SIAN_DATA_DIR={settings.data_dir}: there are no job records in it. Set it to the "
                "server's folder, or SIAN_BROKER_URL to its Redis."
            )
        store = SqliteJobs(path)
    try:
        yield store
    finally:
        store.close()


def _artifacts() -> Artifacts:
    """The files of the jobs, if they are within reach. Raises SettingsInvalid,
    StorageUnavailable."""
    from app.settings import Settings
    from worker.artifacts import Artifacts

    settings = Settings.load()
    place = settings.artifacts_url or str(settings.data_dir / "artifacts")
    if "://" not in place and not Path(place).is_dir():
        raise SettingsInvalid(f"SIAN_DATA_DIR or SIAN_ARTIFACTS_URL: there is no folder {place}.")
    return Artifacts(place)


def _youngest(store: JobStore) -> Iterator[Job]:
    for job_id in sorted(store.unexpired(), reverse=True):  # ids begin with the time
        try:
            yield store.get(job_id)
        except (JobUnknown, JobExpired):
            continue  # since a moment ago


def _row(job: Job, position: int | None) -> tuple[str, ...]:
    return (
        job.id,
        job.state,
        "" if position is None else str(position),
        _age(datetime.now(UTC) - job.created_at),
        str(job.attempts),
        f"{len(job.outputs)}/{job.request.n}",
        "" if job.failure is None else job.failure.code,
    )


def _age(age: timedelta) -> str:
    seconds = max(0, int(age.total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
