"""A deployment under full load for half an hour: does its memory grow, is a job lost?

    python -m benchmarks.soak [--minutes 30]

Redis, a front end and a worker, each a process of its own, on the released checkpoint. Sixteen
clients ask for 128 x 128 tiles as fast as they are answered; one request in eight has a
reference image, one in sixteen is not waited for and its job looked at later. Every half minute
the memory of the three processes is noted. Writes benchmarks/results/soak.json.
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
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer

from benchmarks.serve import label_mask
from tests.fakes import style_png
from tests.processes import Server, Worker
from tests.redis_server import RedisServer
from training.results import write_results

RESULT = Path(__file__).parent / "results" / "soak.json"
CLIENTS = 16
SIDE_PX = 128
SAMPLE_S = 30.0
_WARM = 0.2
"""The first part of a run, in which caches and pools fill, is not held against it."""


class Clients:
    """What the clients did: counts of answers, latencies, jobs to look at later."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = threading.Lock()
        self.answers: Counter[int] = Counter()
        self.latencies_s: list[float] = []
        self.later: list[str] = []
        self.stop = threading.Event()

    def run(self, number: int) -> None:
        """One client, until told to stop."""
        rng = random.Random(number)
        mask, style = label_mask(SIDE_PX), style_png(256)
        with httpx2.Client(base_url=self._address, timeout=300) as client:
            while not self.stop.is_set():
                files, data = {"mask": mask}, {"seed": str(rng.getrandbits(32))}
                if rng.random() < 1 / 8:
                    files["style"] = style
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


def soak(minutes: float, threads: int) -> list[dict[str, Any]]:
    redis = RedisServer()
    with tempfile.TemporaryDirectory() as folder:
        shared: dict[str, Any] = {
            "broker_url": redis.url,
            "artifacts_url": f"{folder}/artifacts",
            "retention_hours": 0.1,
        }
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
    threads = [threading.Thread(target=clients.run, args=[k]) for k in range(CLIENTS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    memory: dict[str, list[float]] = {"front end": [], "worker": [], "redis": []}
    seen: dict[str, str] = {}
    while time.monotonic() - began < 60 * minutes:
        clients.stop.wait(min(SAMPLE_S, 60 * minutes / 10))
        memory["front end"].append(server.memory_mb("VmRSS"))
        memory["worker"].append(worker.memory_mb("VmRSS"))
        memory["redis"].append(redis.memory_mb())
        _look(server, clients, seen)
        print(
            f"{(time.monotonic() - began) / 60:5.1f} min {sum(clients.answers.values())} answers, "
            + ", ".join(f"{name} {values[-1]:.0f} MiB" for name, values in memory.items()),
            file=sys.stderr,
        )
    clients.stop.set()
    for thread in threads:
        thread.join()
    took_s = time.monotonic() - began
    while len(seen) < len(clients.later):
        _look(server, clients, seen)
    return _rows(clients, seen, memory, took_s)


def _look(server: Server, clients: Clients, seen: dict[str, str]) -> None:
    """How the jobs that nobody waited for have ended, before they expire."""
    for path in list(clients.later):
        if path not in seen:
            answer = server.client.get(path)
            status = answer.json().get("status", answer.json().get("code"))
            if status not in ("queued", "running"):
                seen[path] = status


def _rows(
    clients: Clients, seen: dict[str, str], memory: dict[str, list[float]], took_s: float
) -> list[dict[str, Any]]:
    latencies_s = sorted(clients.latencies_s)
    rows: list[dict[str, Any]] = [
        {
            "what": "answers",
            "minutes": round(took_s / 60, 1),
            "by_status": dict(sorted(clients.answers.items())),
            "tiles_per_s": round(sum(clients.answers.values()) / took_s, 2),
            "p50_s": round(statistics.median(latencies_s), 3),
            "p99_s": round(latencies_s[int(0.99 * len(latencies_s))], 3),
            "jobs_nobody_waited_for": dict(Counter(seen.values())),
        }
    ]
    for name, values in memory.items():
        warm = values[int(_WARM * len(values)) :]
        third = max(1, len(warm) // 3)
        first, last = statistics.median(warm[:third]), statistics.median(warm[-third:])
        rows.append(
            {
                "what": f"resident memory of the {name}, MiB",
                "first_third": round(first, 1),
                "last_third": round(last, 1),
                "growth": round(last / first - 1, 4),
                "peak": round(max(values), 1),
            }
        )
    return rows


def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="Length of the run.")] = 30.0,
    threads: Annotated[int, typer.Option(help="CPU threads of the network.")] = os.cpu_count() or 1,
    out: Annotated[Path, typer.Option(help="Where the result goes.")] = RESULT,
) -> None:
    """Measure and write the result."""
    rows = soak(minutes, threads)
    write_results(out, rows, command="python -m benchmarks.soak", threads=threads)
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    typer.run(main)
