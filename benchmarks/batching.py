"""What the engine costs on top of the bare network, and what batches bring.

    python -m benchmarks.batching

The released checkpoint and 256 x 256 tiles, without HTTP: jobs go through SqliteJobs, Artifacts
and a LocalQueue as in ``sian serve``. What is compared is measured in turns, round after round,
each time another one first, so that whatever else the machine does meets all of it; a row gives
the median of the rounds and their spread. Writes benchmarks/results/batching.json.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from benchmarks.common.command import recorded_command
from benchmarks.common.no_http import SIDE_PX, Service, running
from benchmarks.common.rounds import in_turns, latencies, ratios, seconds, spread
from benchmarks.serve import ROOT, label_mask
from training.results import write_results
from worker import metrics, synthesis

RESULT = Path(__file__).parent / "results" / "batching.json"
CHECKPOINT = ROOT / "checkpoints" / "sian-release.safetensors"
MAX_BATCH = 8


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


def whole_batches(tiles: int) -> int:
    """Raises BadParameter for tiles that leave the last batch partly filled: it takes as long as a
    full one, and the tiles a second of the batches would be too few."""
    if tiles % MAX_BATCH:
        raise typer.BadParameter(f"{tiles} is no multiple of {MAX_BATCH}, the size of a batch.")
    return tiles


def paint_in_batches(painter: Any, labels: Any, style: Any, tiles: int) -> None:
    """So many tiles of one mask in full batches. ``tiles``: see ``whole_batches``."""
    whole_batches(tiles)
    for first in range(0, tiles, MAX_BATCH):
        seeds = range(first, first + MAX_BATCH)
        painter.paint([painter.prepare(labels, style, seed=seed) for seed in seeds])


class Took(NamedTuple):
    """Seconds on the clock, and of all threads together."""

    wall_s: float
    cpu_s: float


def compare_one_at_a_time(synthesizer: Any, service: Service, labels: Any, rounds: int) -> Any:
    """Bare call and whole job, in turns."""
    style = synthesizer.styles.pick("kidney", 0)

    def took(work: Callable[[], object]) -> Took:
        began_cpu_s = time.process_time()
        return Took(seconds(work), time.process_time() - began_cpu_s)

    measured = in_turns(
        {
            "bare": lambda seed: took(lambda: synthesizer.synthesize(labels, style, seed=seed)),
            "engine": lambda seed: took(lambda: service.synthesize([seed], at_a_time=1)),
        },
        rounds,
    )
    return _one_at_a_time_row(measured["bare"], measured["engine"])


def _one_at_a_time_row(bare: Sequence[Took], engine: Sequence[Took]) -> dict[str, Any]:
    bare_s, engine_s = [took.wall_s for took in bare], [took.wall_s for took in engine]
    return {
        "what": "one at a time",
        "tiles": len(bare),
        "bare_s": spread(bare_s),
        "engine_s": spread(engine_s),
        "bare_cpu_s": spread([took.cpu_s for took in bare]),
        "engine_cpu_s": spread([took.cpu_s for took in engine]),
        "ratio_of_p50": round(statistics.median(engine_s) / statistics.median(bare_s), 3),
        "ratio_in_turns": spread(ratios(engine_s, bare_s)),
    }


def overhead(synthesizer: Any, service: Service, labels: Any, rounds: int) -> Any:
    """A whole job whose network takes no time, less what the bare call prepares, in turns."""
    style = synthesizer.styles.pick("kidney", 0)
    image_u8 = synthesizer.synthesize(labels, style, seed=0)

    def prepare_s(seed: int) -> float:
        return seconds(lambda: synthesizer.prepare(labels, style, seed=seed))

    def job_s(seed: int) -> float:
        return service.synthesize([seed], at_a_time=1)[0]

    synthesizer.paint = lambda tiles, **options: [image_u8 for _ in tiles]
    try:
        measured = in_turns({"prepare": prepare_s, "engine": job_s}, rounds)
    finally:
        del synthesizer.paint
    return _overhead_row(measured["prepare"], measured["engine"])


def _overhead_row(prepare_s: Sequence[float], job_s: Sequence[float]) -> dict[str, Any]:
    return {
        "what": "one at a time, without the network",
        "tiles": len(job_s),
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
    in_batches = batching(synthesizer)
    ways: dict[str, Callable[[], object]] = {
        "bare": lambda: [synthesizer.synthesize(labels, style, seed=seed) for seed in range(tiles)],
        "engine": lambda: service.synthesize(range(tiles), at_a_time=16),
        "side_by_side": lambda: paint_in_batches(synthesizer, labels, style, tiles),
        "batched": lambda: paint_in_batches(in_batches, labels, style, tiles),
    }

    def rate(way: Callable[[], object]) -> Callable[[int], float]:
        return lambda number: tiles / seconds(way)

    measured = in_turns({name: rate(way) for name, way in ways.items()}, rounds)
    return _throughput_row(measured, tiles)


def _throughput_row(rates: Mapping[str, Sequence[float]], tiles: int) -> dict[str, Any]:
    """rates: tiles per second of each way, round by round."""
    others = {name: values for name, values in rates.items() if name != "engine"}
    return {
        "what": "sixteen at a time, tiles per second",
        "tiles": tiles,
        "rounds": len(rates["engine"]),
        **{name: spread(values) for name, values in rates.items()},
        **{f"engine_to_{k}": spread(ratios(rates["engine"], v)) for k, v in others.items()},
    }


def compare_side_by_side(synthesizer: Any, side: int, rounds: int) -> Any:
    """Tiles of one size, side by side on the cores against one after another on all of them."""
    from model.formats import read_mask

    labels = read_mask(label_mask(max(side, SIDE_PX)))[:side, :side]
    style = synthesizer.styles.pick("kidney", 0)
    inputs = [synthesizer.prepare(labels, style, seed=seed) for seed in range(4)]

    def one_by_one() -> None:
        for each in inputs:
            synthesizer.paint([each])

    measured = in_turns(
        {
            "one by one": lambda number: seconds(one_by_one),
            "side by side": lambda number: seconds(lambda: synthesizer.paint(inputs)),
        },
        rounds,
    )
    return {
        "what": f"side by side, {side} px",
        "at_once": synthesizer.at_once(inputs[0].shape),
        "rounds": rounds,
        "speed_to_one_by_one": spread(ratios(measured["one by one"], measured["side by side"])),
    }


def mean_batch(service: Service, jobs: int) -> Any:
    """How many tiles went to the device together, with so many jobs of one tile at once."""
    count_before, total_before = batches()
    latencies_s = service.synthesize(range(jobs), at_a_time=jobs)
    count, total = batches()
    return {
        "what": f"{jobs} jobs of one tile at once",
        "mean_batch": round((total - total_before) / (count - count_before), 2),
        **latencies(latencies_s, 99),
    }


def batches() -> tuple[float, float]:
    """How many there were, and how many tiles in them."""
    value = metrics.REGISTRY.get_sample_value
    return value("sian_batch_size_count") or 0.0, value("sian_batch_size_sum") or 0.0


def main(
    context: typer.Context,
    threads: Annotated[int, typer.Option(help="CPU threads of the network.")] = os.cpu_count() or 1,
    singles: Annotated[int, typer.Option(min=2, help="Tiles made one at a time.")] = 40,
    rounds: Annotated[int, typer.Option(min=2, help="Rounds of throughput.")] = 5,
    tiles: Annotated[
        int,
        typer.Option(min=16, callback=whole_batches, help="Tiles in a round, in batches of 8."),
    ] = 32,
    out: Annotated[Path, typer.Option(help="Where the result goes.")] = RESULT,
) -> None:
    """Measure the engine and write the result."""
    synthesizer = synthesis.load(CHECKPOINT, device="cpu", threads=threads, max_batch=MAX_BATCH)
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
    command = recorded_command("benchmarks.batching", context)
    load = [round(average, 1) for average in os.getloadavg()[:2]]
    write_results(out, rows, command=command, threads=threads, load_average_1_5_min=load)
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    typer.run(main)
