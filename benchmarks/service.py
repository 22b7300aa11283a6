"""The whole service over HTTP against the bare network, and against LitServe.

    pip install --constraint constraints.txt '.[benchmarks]'
    python -m benchmarks.service

The released checkpoint and 256 x 256 tiles. Three servers take turns, round after round, each
started anew and stopped again, so that whatever else the machine does meets all of them: ``sian
serve``, LitServe with the same model and its batching on (litserve_peer.py), and the bare
Synthesizer in this process. A row gives the median of the rounds and their spread. Writes
benchmarks/results/service.json.
"""

import base64
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.batching import CHECKPOINT, SIDE_PX, batching, spread
from benchmarks.serve import ROOT, TIMEOUT_S, label_mask, synthesize_s
from training.results import write_results
from worker import synthesis

RESULT = Path(__file__).parent / "results" / "service.json"
MAX_BATCH, MAX_WAIT_S = 8, 0.02
CLIENTS = 16

Tile = Callable[[int], float]
"""Makes the tile of a seed; seconds it took."""


@contextmanager
def sian(port: int, threads: int) -> Iterator[Tile]:
    """``sian serve``."""
    mask = label_mask(SIDE_PX)
    with tempfile.TemporaryDirectory() as data_dir:
        command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port)]
        settings = {"SIAN_DATA_DIR": data_dir, "SIAN_THREADS": str(threads)}
        with _process(command, port, "/readyz", settings):
            yield lambda seed: synthesize_s(port, mask, seed)


@contextmanager
def litserve(port: int, threads: int) -> Iterator[Tile]:
    """LitServe with the same model."""
    mask = base64.b64encode(label_mask(SIDE_PX)).decode()
    command = [
        sys.executable, "-m", "benchmarks.litserve_peer",
        str(port), str(threads), str(MAX_BATCH), str(MAX_WAIT_S),
    ]  # fmt: skip

    def tile(seed: int) -> float:
        body = json.dumps({"mask": mask, "organ": "kidney", "seed": seed}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/predict", body, {"Content-Type": "application/json"}
        )
        began = time.perf_counter()
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            if not response.read().startswith(b"\x89PNG"):
                raise RuntimeError("LitServe answered with something else than a PNG")
        return time.perf_counter() - began

    # OpenMP's idle threads give way, as in ours.
    with _process(command, port, "/health", {"OMP_WAIT_POLICY": "PASSIVE"}):
        yield tile


@contextmanager
def _process(
    command: Sequence[str], port: int, health: str, settings: dict[str, str]
) -> Iterator[None]:
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while not _is_healthy(port, health):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(command)} does not start")
            time.sleep(0.05)
        yield
    finally:
        os.killpg(process.pid, 15)
        process.wait(TIMEOUT_S)


def _is_healthy(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def one_at_a_time(tile: Tile, tiles: int) -> list[float]:
    """Latencies in seconds."""
    return [tile(seed) for seed in range(tiles)]


def together(tile: Tile, tiles: int) -> tuple[float, list[float]]:
    """Tiles per second of ``CLIENTS`` clients, and their latencies in seconds."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        began = time.perf_counter()
        latencies_s = list(clients.map(tile, range(tiles)))
        return tiles / (time.perf_counter() - began), latencies_s


class Bare:
    """The network without a service, in this process."""

    def __init__(self, threads: int) -> None:
        from model.formats import read_mask

        self._synthesizer = synthesis.load(
            CHECKPOINT, device="cpu", threads=threads, max_batch=MAX_BATCH
        )
        self._batching = batching(self._synthesizer)
        self._labels = read_mask(label_mask(SIDE_PX))
        self._style = self._synthesizer.styles.pick("kidney", 0)

    def tile(self, seed: int) -> float:
        """One call of ``Synthesizer.synthesize``."""
        began = time.perf_counter()
        self._synthesizer.synthesize(self._labels, self._style, seed=seed)
        return time.perf_counter() - began

    def batched(self, tiles: int) -> float:
        """Tiles per second in batches that go through the network as one."""
        began = time.perf_counter()
        for first in range(0, tiles, MAX_BATCH):
            inputs = [
                self._synthesizer.prepare(self._labels, self._style, seed=first + index)
                for index in range(MAX_BATCH)
            ]
            self._batching.paint(inputs)
        return tiles / (time.perf_counter() - began)


def p99(latencies_s: Sequence[float]) -> float:
    return sorted(latencies_s)[int(0.99 * len(latencies_s))]


def compare(threads: int, rounds: int, singles: int, tiles: int) -> list[dict[str, Any]]:
    """The servers in turns; a round is every measure of each."""
    bare = Bare(threads)
    bare.tile(0)
    alone: dict[str, list[float]] = {"bare": [], "sian": [], "litserve": []}
    rate: dict[str, list[float]] = {"bare_batched": [], "sian": [], "litserve": []}
    tail: dict[str, list[float]] = {"sian": [], "litserve": []}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        alone["bare"].append(statistics.median(one_at_a_time(bare.tile, singles)))
        rate["bare_batched"].append(bare.batched(tiles))
        for name, server in (("sian", sian), ("litserve", litserve)):
            with server(free_port(), threads) as tile:
                one_at_a_time(tile, 3)  # warm
                alone[name].append(statistics.median(one_at_a_time(tile, singles)))
                tiles_per_s, latencies_s = together(tile, tiles)
                rate[name].append(tiles_per_s)
                tail[name].append(p99(latencies_s))

    def ratio(of: list[float], to: list[float]) -> dict[str, float]:
        return spread([a / b for a, b in zip(of, to, strict=True)])

    return [
        {
            "what": "one client, p50 in seconds",
            "tiles": singles,
            "rounds": rounds,
            **{name: spread(values) for name, values in alone.items()},
            "sian_to_bare": ratio(alone["sian"], alone["bare"]),
        },
        {
            "what": f"{CLIENTS} clients, tiles per second",
            "tiles": tiles,
            "rounds": rounds,
            **{name: spread(values) for name, values in rate.items()},
            "sian_to_bare_batched": ratio(rate["sian"], rate["bare_batched"]),
            "sian_to_litserve": ratio(rate["sian"], rate["litserve"]),
        },
        {
            "what": f"{CLIENTS} clients, p99 in seconds",
            "tiles": tiles,
            "rounds": rounds,
            **{name: spread(values) for name, values in tail.items()},
            "sian_to_litserve": ratio(tail["sian"], tail["litserve"]),
        },
    ]


def main(
    threads: Annotated[int, typer.Option(help="CPU threads of the network.")] = os.cpu_count() or 1,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds.")] = 5,
    singles: Annotated[int, typer.Option(min=1, help="Tiles of one client in a round.")] = 20,
    tiles: Annotated[int, typer.Option(min=100, help="Tiles of all clients in a round.")] = 128,
    out: Annotated[Path, typer.Option(help="Where the result goes.")] = RESULT,
) -> None:
    """Measure and write the result."""
    rows = compare(threads, rounds, singles, tiles)
    write_results(out, rows, command="python -m benchmarks.service", threads=threads)
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    typer.run(main)
