"""What the engine costs on top of the bare network, and what batches bring.

    python -m benchmarks.batching

The released checkpoint and 256 x 256 tiles, without HTTP: jobs go through SqliteJobs, Artifacts
and a LocalQueue as in ``sian serve``. What is compared is measured in turns, round after round,
so that whatever else the machine does meets all of it; a row gives the median of the rounds and
their spread. Writes benchmarks/results/batching.json.
"""

import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.serve import ROOT, label_mask
from training.results import write_results
from worker import metrics, synthesis
from worker.artifacts import Artifacts
from worker.engine import Engine
from worker.inputs import MASK
from worker.jobs import JobState, new_job_id
from worker.queue import LocalQueue
from worker.request import SynthesisRequest, sha256
from worker.sqlite_jobs import SqliteJobs
from worker.style import Style

RESULT = Path(__file__).parent / "results" / "batching.json"
CHECKPOINT = ROOT / "checkpoints" / "sian-release.safetensors"
SIDE_PX = 256
PATIENCE_S = 600.0


class Service:
    """The service without HTTP."""

    def __init__(self, engine: Engine, jobs: SqliteJobs, artifacts: Artifacts) -> None:
        self._jobs, self._artifacts = jobs, artifacts
        self._queue = LocalQueue(engine, jobs, on_failure=lambda error: None)
        self._changed = threading.Condition()
        self._mask = label_mask(SIDE_PX)
        jobs.on_change = self._notify
        self._queue.start()
        with self._changed:
            while not engine.health().is_ready:
                self._changed.wait(0.1)

    def stop(self) -> None:
        self._queue.stop()
        self._jobs.close()

    def synthesize(self, seeds: Sequence[int], *, at_a_time: int) -> list[float]:
        """One job a seed, so many at a time; seconds that each took."""
        clients = threading.BoundedSemaphore(at_a_time)
        latencies_s: list[float] = []

        def client(seed: int) -> None:
            with clients:
                latencies_s.append(self._synthesize(seed))

        threads = [threading.Thread(target=client, args=[seed]) for seed in seeds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return latencies_s

    def _synthesize(self, seed: int) -> float:
        request = SynthesisRequest(sha256(self._mask), Style(name="kidney"), seed)
        job_id = new_job_id()
        began = time.perf_counter()
        self._artifacts.put(job_id, MASK, self._mask)
        self._jobs.create(job_id, request, limit=1000)
        self._queue.submit(job_id)
        with self._changed:
            if not self._changed.wait_for(
                lambda: self._jobs.get(job_id).is_finished, timeout=PATIENCE_S
            ):
                raise RuntimeError("a job does not end")
        took_s = time.perf_counter() - began
        if self._jobs.get(job_id).state is not JobState.SUCCEEDED:
            raise RuntimeError(f"a job failed: {self._jobs.get(job_id).failure}")
        return took_s

    def _notify(self, job_id: str) -> None:
        with self._changed:
            self._changed.notify_all()


@contextmanager
def running(synthesizer: Any) -> Iterator[Service]:
    with tempfile.TemporaryDirectory() as folder:
        jobs = SqliteJobs(Path(folder) / "jobs.sqlite")
        artifacts = Artifacts(Path(folder) / "artifacts")
        service = Service(Engine(lambda: synthesizer, jobs, artifacts), jobs, artifacts)
        try:
            yield service
        finally:
            service.stop()


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, and what half of the values lie between."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return {"median": round(middle, 4), "q1": round(low, 4), "q3": round(high, 4)}


def batching(synthesizer: Any) -> Any:
    """The same network with true batches, as on a GPU."""
    from model.synthesizer import Synthesizer

    return Synthesizer(
        synthesizer.generator,
        synthesizer.encoder,
        synthesizer.card,
        synthesizer.styles,
        max_batch=synthesizer.max_batch,
        pad_batches=True,
    )


def compare_one_at_a_time(synthesizer: Any, service: Service, labels: Any, rounds: int) -> Any:
    """Bare call and whole job, in turns."""
    style = synthesizer.styles.pick("kidney", 0)
    bare_s, job_s, bare_cpu_s, job_cpu_s = [], [], [], []
    for seed in range(rounds):
        began_cpu_s = time.process_time()
        bare_s.append(seconds(lambda seed=seed: synthesizer.synthesize(labels, style, seed=seed)))
        between_cpu_s = time.process_time()
        job_s += service.synthesize([seed], at_a_time=1)
        bare_cpu_s.append(between_cpu_s - began_cpu_s)
        job_cpu_s.append(time.process_time() - between_cpu_s)
    return {
        "what": "one at a time",
        "tiles": rounds,
        "bare_s": spread(bare_s),
        "engine_s": spread(job_s),
        "bare_cpu_s": spread(bare_cpu_s),
        "engine_cpu_s": spread(job_cpu_s),
        "ratio_of_p50": round(statistics.median(job_s) / statistics.median(bare_s), 3),
        "ratio_in_turns": spread([job / bare for job, bare in zip(job_s, bare_s, strict=True)]),
    }


def overhead(synthesizer: Any, service: Service, labels: Any, rounds: int) -> Any:
    """A whole job whose network takes no time, less what the bare call prepares, in turns."""
    style = synthesizer.styles.pick("kidney", 0)
    image_u8 = synthesizer.synthesize(labels, style, seed=0)
    prepare_s, job_s = [], []
    synthesizer.paint = lambda tiles, **options: [image_u8 for _ in tiles]
    for seed in range(rounds):
        prepare_s.append(seconds(lambda seed=seed: synthesizer.prepare(labels, style, seed=seed)))
        job_s += service.synthesize([seed], at_a_time=1)
    del synthesizer.paint
    return {
        "what": "one at a time, without the network",
        "tiles": rounds,
        "prepare_s": spread(prepare_s),
        "engine_s": spread(job_s),
        "overhead_s": spread([j - p for j, p in zip(job_s, prepare_s, strict=True)]),
    }


def compare_throughput(
    synthesizer: Any, service: Service, labels: Any, rounds: int, tiles: int
) -> Any:
    """Tiles per second: bare one after another, side by side and in batches of eight; and sixteen
    jobs at a time."""
    style = synthesizer.styles.pick("kidney", 0)

    def bare() -> None:
        for seed in range(tiles):
            synthesizer.synthesize(labels, style, seed=seed)

    def painted_by(painter: Any) -> None:
        for first in range(0, tiles, painter.max_batch):
            painter.paint(
                [
                    painter.prepare(labels, style, seed=seed)
                    for seed in range(first, first + painter.max_batch)
                ]
            )

    in_batches = batching(synthesizer)
    ways: dict[str, Callable[[], object]] = {
        "bare": bare,
        "engine": lambda: service.synthesize(range(tiles), at_a_time=16),
        "side_by_side": lambda: painted_by(synthesizer),
        "batched": lambda: painted_by(in_batches),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            rates[name].append(tiles / seconds(way))
    ratios = {
        name: [e / b for e, b in zip(rates["engine"], rates[name], strict=True)]
        for name in ways
        if name != "engine"
    }
    return {
        "what": "sixteen at a time, tiles per second",
        "tiles": tiles,
        "rounds": rounds,
        **{name: spread(values) for name, values in rates.items()},
        **{f"engine_to_{name}": spread(values) for name, values in ratios.items()},
    }


def compare_side_by_side(synthesizer: Any, side: int, rounds: int) -> Any:
    """Tiles of one size, side by side on the cores against one after another on all of them."""
    from model.formats import read_mask

    labels = read_mask(label_mask(max(side, SIDE_PX)))[:side, :side]
    style = synthesizer.styles.pick("kidney", 0)
    inputs = [synthesizer.prepare(labels, style, seed=seed) for seed in range(4)]
    ratios = []
    for _ in range(rounds + 1):  # the first to warm up
        one_by_one_s = seconds(lambda: [synthesizer.paint([each]) for each in inputs])
        ratios.append(one_by_one_s / seconds(lambda: synthesizer.paint(inputs)))
    return {
        "what": f"side by side, {side} px",
        "at_once": synthesizer.at_once(inputs[0].shape),
        "rounds": rounds,
        "speed_to_one_by_one": spread(ratios[1:]),
    }


def mean_batch(service: Service, jobs: int) -> Any:
    """How many tiles went to the device together, with so many jobs of one tile at once."""
    count, total = batches()
    latencies_s = sorted(service.synthesize(range(jobs), at_a_time=jobs))
    count, total = batches()[0] - count, batches()[1] - total
    return {
        "what": f"{jobs} jobs of one tile at once",
        "mean_batch": round(total / count, 2),
        "p50_s": round(latencies_s[len(latencies_s) // 2], 2),
        "p99_s": round(latencies_s[int(0.99 * len(latencies_s))], 2),
    }


def batches() -> tuple[float, float]:
    """How many there were, and how many tiles in them."""
    value = metrics.REGISTRY.get_sample_value
    return value("sian_batch_size_count") or 0.0, value("sian_batch_size_sum") or 0.0


def main(
    threads: Annotated[int, typer.Option(help="CPU threads of the network.")] = os.cpu_count() or 1,
    singles: Annotated[int, typer.Option(min=2, help="Tiles made one at a time.")] = 40,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds of throughput.")] = 5,
    tiles: Annotated[int, typer.Option(min=16, help="Tiles in a round.")] = 32,
    out: Annotated[Path, typer.Option(help="Where the result goes.")] = RESULT,
) -> None:
    """Measure the engine and write the result."""
    synthesizer = synthesis.load(CHECKPOINT, device="cpu", threads=threads)
    from model.formats import read_mask

    labels = read_mask(label_mask(SIDE_PX))
    with running(synthesizer) as service:
        service.synthesize(range(4), at_a_time=4)  # warm
        rows = [
            compare_one_at_a_time(synthesizer, service, labels, singles),
            overhead(synthesizer, service, labels, singles),
            compare_throughput(synthesizer, service, labels, rounds, tiles),
            mean_batch(service, 64),
            *(compare_side_by_side(synthesizer, side, rounds) for side in (64, 128, 256, 512)),
        ]
    command = f"python -m benchmarks.batching --singles {singles} --rounds {rounds} --tiles {tiles}"
    load = [round(average, 1) for average in os.getloadavg()[:2]]
    write_results(out, rows, command=command, threads=threads, load_average_1_5_min=load)
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    typer.run(main)
