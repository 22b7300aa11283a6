"""How much memory a job takes in Redis, from its creation to its tombstone.

    python -m benchmarks.redis_memory

Starts a Redis of its own. Writes benchmarks/results/redis-memory.json.
"""

from pathlib import Path
from typing import Annotated, Any

import redis
import typer

from benchmarks.common.command import recorded_command
from tests.redis_server import RedisServer
from training.results import write_results
from worker.jobs import Output, new_job_id
from worker.redis_jobs import RedisJobs
from worker.request import SynthesisRequest
from worker.style import Style

RESULT = Path(__file__).parent / "results" / "redis-memory.json"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def main(
    context: typer.Context,
    jobs: Annotated[int, typer.Option(help="How many to take the mean of.")] = 2000,
    out: Annotated[Path, typer.Option(help="Where the result goes.")] = RESULT,
) -> None:
    """Measure and write the result."""
    rows = [measure(jobs, tiles) for tiles in (1, 16)]
    command = recorded_command("benchmarks.redis_memory", context)
    write_results(out, rows, command=command, threads=1)
    for row in rows:
        print(row)


def measure(count: int, tiles: int) -> dict[str, Any]:
    """Mean bytes a job, of ``count`` jobs with so many tiles, in each part of their lives."""
    server = RedisServer()
    try:
        with redis.Redis.from_url(server.url) as client:
            return _measure(client, RedisJobs(server.url), count, tiles)
    finally:
        server.remove()


def _measure(client: Any, store: RedisJobs, count: int, tiles: int) -> dict[str, Any]:
    request = SynthesisRequest(SHA256, Style(name="kidney"), seed=7, n=tiles)
    store.create(new_job_id(), request, limit=count + 1)  # what is there once is not counted
    ids = [new_job_id() for _ in range(count)]

    def used_bytes() -> int:
        return int(client.info("memory")["used_memory"])

    empty = used_bytes()
    for job_id in ids:
        store.create(job_id, request, limit=count + 1)
    queued = used_bytes()
    for job_id in ids:
        claim = store.start(job_id, lease_s=60)
        assert claim is not None
        for index in range(tiles):
            store.add_output(claim, Output(7 + index, SHA256), index)
        store.finish(claim)
    finished = used_bytes()
    for job_id in ids:
        store.expire(job_id)
    expired = used_bytes()
    store.close()
    return {
        "tiles": tiles,
        "queued_bytes": round((queued - empty) / count),
        "finished_bytes": round((finished - empty) / count),
        "expired_bytes": round((expired - empty) / count),
    }


if __name__ == "__main__":
    typer.run(main)
