"""The whole service over HTTP against the bare network, and against LitServe.

    pip install --constraint constraints.txt '.[benchmarks]'
    python -m benchmarks.service

The released checkpoint and 256 x 256 tiles. Three servers take turns, round after round, each
started anew and stopped again, so that whatever else the machine does meets all of them: ``sian
serve``, LitServe with the same model and its batching on (litserve_peer.py), and the bare
Synthesizer in this process. Another one begins each round, and each is warmed up first in every
way that is measured. A row gives the median of the rounds and their spread. Writes
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from benchmarks.batching import (
    CHECKPOINT,
    MAX_BATCH,
    batching,
    paint_in_batches,
    whole_batches,
)
from benchmarks.common.command import recorded_command
from benchmarks.common.environment import own_environment
from benchmarks.common.no_http import SIDE_PX
from benchmarks.common.rounds import in_turns, percentile, ratios, seconds, spread
from benchmarks.serve import ROOT, TIMEOUT_S, label_mask, synthesize_s
from training.results import write_results
from worker import synthesis

RESULT = Path(__file__).parent / "results" / "service.json"
MAX_WAIT_S = 0.02
CLIENTS = 16
WARM_UP = 3
"""Tiles of one client before those that count; of all clients, one each."""

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
        env=own_environment(**settings),
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


class Turn(NamedTuple):
    """What one of the three did in a round."""

    p50_s: float
    """Of one client."""
    tiles_per_s: float
    """Of all clients, or in batches."""
    latencies_s: Sequence[float]
    """Of all clients; none of the bare network."""


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

    def turn(self, singles: int, tiles: int) -> Turn:
        """One tile after another, then batches that go through the network as one."""
        one_at_a_time(self._tile, WARM_UP)
        p50_s = statistics.median(one_at_a_time(self._tile, singles))
        self._batched(CLIENTS)
        return Turn(p50_s, tiles / seconds(lambda: self._batched(tiles)), ())

    def _tile(self, seed: int) -> float:
        return seconds(lambda: self._synthesizer.synthesize(self._labels, self._style, seed=seed))

    def _batched(self, tiles: int) -> None:
        paint_in_batches(self._batching, self._labels, self._style, tiles)


def served_turn(tile: Tile, singles: int, tiles: int) -> Turn:
    """One client, then all of them."""
    one_at_a_time(tile, WARM_UP)
    p50_s = statistics.median(one_at_a_time(tile, singles))
    together(tile, CLIENTS)
    return Turn(p50_s, *together(tile, tiles))


def compare(threads: int, rounds: int, singles: int, tiles: int) -> list[dict[str, Any]]:
    """The servers in turns; a round is every measure of each."""
    bare, servers = Bare(threads), {"sian": sian, "litserve": litserve}

    def turn(name: str, number: int) -> Turn:
        print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr)
        if name == "bare":
            return bare.turn(singles, tiles)
        with servers[name](free_port(), threads) as tile:
            return served_turn(tile, singles, tiles)

    ways = {name: partial(turn, name) for name in ("bare", *servers)}
    # No round to warm up: servers are started anew in each, and each turn warms up.
    return _rows(in_turns(ways, rounds, discarded=0), singles, tiles)


def _rows(turns: Mapping[str, Sequence[Turn]], singles: int, tiles: int) -> list[dict[str, Any]]:
    """turns: of bare, sian and litserve, round by round."""
    alone = {name: [turn.p50_s for turn in values] for name, values in turns.items()}
    rate = {name: [turn.tiles_per_s for turn in values] for name, values in turns.items()}
    rate = {"bare_batched": rate.pop("bare"), **rate}
    tail = {
        name: [percentile(turn.latencies_s, 99) for turn in turns[name]]
        for name in ("sian", "litserve")
    }

    def row(
        what: str, count: int, measured: Mapping[str, Sequence[float]], *others: str
    ) -> dict[str, Any]:
        return {
            "what": what,
            "tiles": count,
            "rounds": len(turns["sian"]),
            **{name: spread(values) for name, values in measured.items()},
            **{f"sian_to_{k}": spread(ratios(measured["sian"], measured[k])) for k in others},
        }

    return [
        row("one client, p50 in seconds", singles, alone, "bare"),
        row(f"{CLIENTS} clients, tiles per second", tiles, rate, "bare_batched", "litserve"),
        row(f"{CLIENTS} clients, p99 in seconds", tiles, tail, "litserve"),
    ]


def main(
    context: typer.Context,
    threads: Annotated[int, typer.Option(help="CPU threads of the network.")] = os.cpu_count() or 1,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds.")] = 5,
    singles: Annotated[int, typer.Option(min=1, help="Tiles of one client in a round.")] = 20,
    tiles: Annotated[
        int,
        typer.Option(
            min=100, callback=whole_batches, help="Of all clients in a round, in batches of 8."
        ),
    ] = 128,
    out: Annotated[Path, typer.Option(help="Where the result goes.")] = RESULT,
) -> None:
    """Measure and write the result."""
    rows = compare(threads, rounds, singles, tiles)
    command = recorded_command("benchmarks.service", context)
    write_results(out, rows, command=command, threads=threads)
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    typer.run(main)
