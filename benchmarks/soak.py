"""A deployment under full load for half an hour: does its memory grow, is a job lost?

    python -m benchmarks.soak [--minutes 30]

Redis, a front end and a worker, each a process of its own, on the released checkpoint. Sixteen
clients ask for 128 x 128 tiles as fast as they are answered; one request in eight has a
reference image, one in sixteen is not waited for and its job looked at later. Every half minute
the memory of the three processes is noted. Writes benchmarks/results/soak.json; a request without
an answer is counted there, and the exit code is 1.
"""

import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer

from benchmarks.common.command import recorded_command
from benchmarks.common.environment import without_settings
from benchmarks.common.rounds import latencies
from benchmarks.serve import label_mask
from tests.fakes import style_png
from tests.processes import Server, Worker
from tests.redis_server import RedisServer
from training.results import write_results

RESULT = Path(__file__).parent / "results" / "soak.json"
CLIENTS = 16
SIDE_PX = 128
SAMPLE_S = 30.0
PAUSE_S = 1.0
PATIENCE_S = 300.0
"""How long jobs may take that are left when the clients have stopped."""
_WARM = 0.2
"""The first part of a run, in which caches and pools fill, is not held against it."""


class Clients:
    """What the clients did: counts of answers and of errors, latencies, jobs to look at later."""

    def __init__(self, address: str, **options: Any) -> None:
        """options: of the HTTP client."""
        self._address, self._options = address, options
        self._mask, self._style = label_mask(SIDE_PX), style_png(256)
        self._lock = threading.Lock()
        self.answers: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        """Requests that had no answer, or one that could not be used, by the error's name."""
        self.latencies_s: list[float] = []
        self.later: list[str] = []
        self.stop = threading.Event()

    def run(self, number: int) -> None:
        """One client, until told to stop."""
        rng = random.Random(number)
        with httpx2.Client(base_url=self._address, timeout=300, **self._options) as client:
            while not self.stop.is_set():
                try:
                    self._ask(client, rng)
                except Exception as error:  # of any kind: the load must not fall unnoticed
                    with self._lock:
                        self.errors[type(error).__name__] += 1
                    self.stop.wait(PAUSE_S)

    def _ask(self, client: httpx2.Client, rng: random.Random) -> None:
        files, data = {"mask": self._mask}, {"seed": str(rng.getrandbits(32))}
        if rng.random() < 1 / 8:
            files["style"] = self._style
        else:
            data["organ"] = rng.choice(["kidney", "colon", "breast"])
        headers = {"Prefer": "respond-async"} if rng.random() < 1 / 16 else {}
        began = time.perf_counter()
        answer = client.post("/synthesize", files=files, data=data, headers=headers)
        self._note(answer, time.perf_counter() - began)

    def _note(self, answer: httpx2.Response, took_s: float) -> None:
        with self._lock:
            self.answers[answer.status_code] += 1
            if answer.status_code == 200:
                self.latencies_s.append(took_s)
            elif answer.status_code == 202:
                self.later.append(answer.headers["Location"])


@contextmanager
def asking(clients: Clients) -> Iterator[None]:
    """All clients ask meanwhile, and have their last answers at its end."""
    threads = [threading.Thread(target=clients.run, args=[k]) for k in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        clients.stop.set()
        for thread in threads:
            thread.join()


class Later:
    """The jobs that nobody waited for, and how those ended that have."""

    def __init__(self, client: httpx2.Client, paths: list[str]) -> None:
        """paths: grows while clients ask."""
        self._client, self._paths = client, paths
        self._endings: dict[str, str] = {}

    def look(self) -> None:
        """Before they expire."""
        for path in self._running():
            try:
                ending = ending_in(self._client.get(path))
            except httpx2.TransportError:
                return  # the others would not be answered either; they are asked for again
            if ending is not None:
                self._endings[path] = ending

    def wait(self, patience_s: float, pause_s: float = PAUSE_S) -> None:
        """Looks until all have ended, or for so long."""
        deadline = time.monotonic() + patience_s
        self.look()
        while self._running() and time.monotonic() < deadline:
            time.sleep(pause_s)
            self.look()

    def counts(self) -> dict[str, int]:
        """Jobs by how they ended; those that have not are ``never ended``."""
        counts = Counter(self._endings.values())
        if running := len(self._running()):
            counts["never ended"] = running
        return dict(counts)

    def _running(self) -> list[str]:
        return [path for path in list(self._paths) if path not in self._endings]


def ending_in(answer: httpx2.Response) -> str | None:
    """How a job ended, from the answer at its address; None while it has not ended, and where the
    server could not tell and is to be asked again."""
    code = answer.status_code
    if code == 429 or code >= 500:
        return None
    if code != 200:  # a problem document, whose "status" is no job's
        return {404: "not found", 410: "expired"}.get(code, f"answered {code}")
    status = str(answer.json()["status"])
    return None if status in ("queued", "running") else status


def soak(minutes: float, threads: int) -> list[dict[str, Any]]:
    """The rows of a run of a deployment of its own."""
    redis = RedisServer()
    with tempfile.TemporaryDirectory() as folder:
        shared: dict[str, Any] = {
            "broker_url": redis.url,
            "artifacts_url": f"{folder}/artifacts",
            "retention_hours": 0.1,
        }
        with without_settings():
            server = Server(Path(folder), **shared)
            worker = Worker(data_dir=folder, **{**shared, "threads": threads})
        try:
            worker.wait_until_ready()
            return _measure(minutes, server, worker, redis)
        finally:
            worker.stop()
            server.stop()
            redis.remove()


def _measure(
    minutes: float, server: Server, worker: Worker, redis: RedisServer
) -> list[dict[str, Any]]:
    clients = Clients(server.address)
    later = Later(server.client, clients.later)
    memory: dict[str, list[float]] = {"front end": [], "worker": [], "redis": []}
    began = time.monotonic()
    with asking(clients):
        while time.monotonic() - began < 60 * minutes:
            clients.stop.wait(min(SAMPLE_S, 60 * minutes / 10))
            memory["front end"].append(server.memory_mb("VmRSS"))
            memory["worker"].append(worker.memory_mb("VmRSS"))
            memory["redis"].append(redis.memory_mb())
            later.look()
            print(
                f"{(time.monotonic() - began) / 60:5.1f} min, "
                f"{sum(clients.answers.values())} answers, {sum(clients.errors.values())} errors, "
                + ", ".join(f"{name} {values[-1]:.0f} MiB" for name, values in memory.items()),
                file=sys.stderr,
            )
    took_s = time.monotonic() - began
    later.wait(PATIENCE_S)
    return [
        _answers_row(clients, later.counts(), took_s),
        *(_memory_row(name, values) for name, values in memory.items()),
    ]


def _answers_row(clients: Clients, later: dict[str, int], took_s: float) -> dict[str, Any]:
    """A request answered 202 has no tile in its answer: it counts as a request alone."""
    requests = sum(clients.answers.values())
    return {
        "what": "answers",
        "minutes": round(took_s / 60, 1),
        "by_status": dict(sorted(clients.answers.items())),
        "requests": requests,
        "requests_per_s": round(requests / took_s, 2),
        "answered_tiles_per_s": round(clients.answers[200] / took_s, 2),
        **latencies(clients.latencies_s, 99),
        "jobs_nobody_waited_for": later,
        "client_errors": dict(clients.errors),
    }


def _memory_row(name: str, values_mib: Sequence[float]) -> dict[str, Any]:
    """values_mib: at equal intervals over the whole run."""
    warm = values_mib[int(_WARM * len(values_mib)) :]
    third = max(1, len(warm) // 3)
    first, last = statistics.median(warm[:third]), statistics.median(warm[-third:])
    return {
        "what": f"resident memory of the {name}, MiB",
        "first_third": round(first, 1),
        "last_third": round(last, 1),
        "growth": round(last / first - 1, 4),
        "peak": round(max(values_mib), 1),
    }


def main(
    context: typer.Context,
    minutes: Annotated[float, typer.Option(min=0.1, help="Length of the run.")] = 30.0,
    threads: Annotated[int, typer.Option(help="CPU threads of the network.")] = os.cpu_count() or 1,
    out: Annotated[Path, typer.Option(help="Where the result goes.")] = RESULT,
) -> None:
    """Measure and write the result."""
    rows = soak(minutes, threads)
    write_results(out, rows, command=recorded_command("benchmarks.soak", context), threads=threads)
    print(json.dumps(rows, indent=2))
    if errors := rows[0]["client_errors"]:
        print(f"requests had no answer: {errors}", file=sys.stderr)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
