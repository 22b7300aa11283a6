"""Time of the layout maps on one core, and what it is spent on.

    python -m benchmarks.layout

Masks of elliptical nuclei: 256 x 256 with 100, 1000 x 1000 with 500, and the same two with
the nuclei packed so that most of them touch. Writes benchmarks/results/layout.json.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and scipy are loaded

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from skimage.draw import ellipse

from model.layout import layout_maps
from training.results import write_results

CASES = ((256, 100, 20.0), (1000, 500, 400.0))  # side, nuclei, target in ms
REPEATS = 15
RESULT = Path(__file__).parent / "results" / "layout.json"


def nuclei(side: int, count: int, spread: float) -> NDArray[np.int32]:
    """``count`` ellipses with half axes of 5 to 11 px; a smaller ``spread`` crowds them."""
    rng = np.random.default_rng(0)
    mask = np.zeros((side, side), np.int32)
    placed = 0
    while placed < count:
        row, col = side / 2 + (rng.random(2) - 0.5) * side * spread
        inside = ellipse(row, col, *rng.uniform(5, 11, 2), mask.shape, rng.uniform(0, np.pi))
        free = mask[inside] == 0
        if free.mean() > 0.6:
            placed += 1
            mask[inside[0][free], inside[1][free]] = placed
    return mask


def milliseconds(function: Callable[[], object]) -> list[float]:
    function()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    return times


def main(
    out: Annotated[Path, typer.Option(help="Where the result goes.")] = RESULT,
) -> None:
    """Measure the layout maps and write the result."""
    rows: list[dict[str, Any]] = []
    table = Table(
        "mask", "nuclei", "layout maps, ms", "worst", "two distance transforms, ms", "target"
    )
    for side, count, target in CASES:
        for name, spread in (("scattered", 1.0), ("crowded", 0.75)):
            mask = nuclei(side, count, spread)
            maps = milliseconds(lambda mask=mask: layout_maps(mask))
            # The floor: the two distance transforms that any such map needs.
            transform = milliseconds(
                lambda mask=mask: ndimage.distance_transform_edt(
                    mask > 0, return_distances=False, return_indices=True
                )
            )
            row = {
                "side_px": side,
                "nuclei": count,
                "arrangement": name,
                "median_ms": round(statistics.median(maps), 2),
                "worst_ms": round(max(maps), 2),
                "two_transforms_ms": round(2 * statistics.median(transform), 2),
                "target_ms": target,
            }
            rows.append(row)
            table.add_row(
                f"{side} x {side} {name}", str(count), f"{row['median_ms']:.1f}",
                f"{row['worst_ms']:.1f}", f"{row['two_transforms_ms']:.1f}", f"{target:.0f}",
            )  # fmt: skip
    Console().print(table)
    write_results(out, rows, command="python -m benchmarks.layout", threads=1, repeats=REPEATS)


if __name__ == "__main__":
    typer.run(main)
