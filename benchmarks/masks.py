"""Time to draw a random nucleus-like mask of 256 x 256 px on one core, organ by organ.

    python -m benchmarks.masks

Writes benchmarks/results/masks.json.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and scipy are loaded

import statistics
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from model.nuclei import random_mask
from model.nuclei_statistics import organ_statistics, organs_with_statistics
from training.results import write_results

SIDE_PX = 256
MASKS = 50
TARGET_MS = 200.0
RESULT = Path(__file__).parent / "results" / "masks.json"


def main(
    out: Annotated[Path, typer.Option(help="Where the result goes.")] = RESULT,
) -> None:
    """Time random masks and write the result."""
    rows: list[dict[str, Any]] = []
    table = Table("organ", "nuclei", "median, ms", "worst, ms", "target")
    for organ in organs_with_statistics():
        wanted = organ_statistics(organ)
        random_mask(wanted, SIDE_PX, SIDE_PX, seed=0)
        times, counts = [], []
        for seed in range(MASKS):
            start = time.perf_counter()
            mask = random_mask(wanted, SIDE_PX, SIDE_PX, seed=seed)
            times.append(1e3 * (time.perf_counter() - start))
            counts.append(int(mask.max()))
        row = {
            "organ": organ,
            "nuclei": statistics.median(counts),
            "median_ms": round(statistics.median(times), 1),
            "worst_ms": round(max(times), 1),
            "target_ms": TARGET_MS,
        }
        rows.append(row)
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
    write_results(out, rows, command="python -m benchmarks.masks", threads=1, masks=MASKS)


if __name__ == "__main__":
    typer.run(main)
