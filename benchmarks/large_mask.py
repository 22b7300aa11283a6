"""Time and memory of tiles above one pass of the network.

    python -m benchmarks.large_mask

``sian synthesize`` with the released checkpoint on random masks of growing size, each in a process
of its own that may have so much memory (ulimit -d) and no more; and reading the mask alone, as the
front end does. Writes benchmarks/results/large_mask.json.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.common.command import recorded_command
from benchmarks.common.environment import own_environment
from benchmarks.serve import ROOT
from training.results import write_results

RESULT = Path(__file__).parent / "results" / "large_mask.json"
READ = (
    "import pathlib, sys; from model.formats import read_mask; "
    "read_mask(pathlib.Path(sys.argv[1]).read_bytes(), max_side=8192)"
)
SIDES = "1024,2048,4096,8192"


def measure(folder: Path, side: int, limit_mib: int, *, painting: bool) -> dict[str, Any]:
    """One mask, read, and one tile of it, each in a process of its own."""
    # What one pass makes is a PNG, what windows make a TIFF.
    suffix = "png" if side <= 1024 else "tif"
    mask, tile = folder / f"mask-{side}.tif", folder / f"tile-{side}.{suffix}"
    sian = [sys.executable, "-m", "app.cli"]
    drawn = ["masks", "--organ", "kidney", "--size", str(side), "--seed", "1", "--out", str(mask)]
    subprocess.run([*sian, *drawn], cwd=ROOT, env=own_environment(), check=True)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (limit_mib * 2**20,) * 2)

    _, reading_mib = run([sys.executable, "-c", READ, str(mask)], limit)
    row: dict[str, Any] = {
        "side_px": side,
        "mask_mb": round(mask.stat().st_size / 1e6, 2),
        "reading_peak_mib": reading_mib,
    }
    if painting:
        options = ["--mask", str(mask), "--organ", "kidney", "--seed", "1", "--out", str(tile)]
        took_s, peak_mib = run([*sian, "synthesize", *options], limit)
        tile_mb = round(tile.stat().st_size / 1e6, 1)
        row |= {"seconds": round(took_s, 1), "peak_mib": peak_mib, "tile_mb": tile_mb}
    return row


def run(command: list[str], limit: Callable[[], None]) -> tuple[float, int]:
    """Seconds, and peak resident memory in MiB."""
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, env=own_environment(), preexec_fn=limit)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise RuntimeError(f"{' '.join(command)} ended with status {status}")
    return time.monotonic() - began, usage.ru_maxrss // 1024


def main(
    context: typer.Context,
    sides: Annotated[str, typer.Option(help="Pixels, comma separated.")] = SIDES,
    limit_mib: Annotated[int, typer.Option(help="What a process may have.")] = 4000,
    painting: Annotated[bool, typer.Option(help="Or read the masks only.")] = True,
    out: Annotated[Path, typer.Option(help="Where the result goes.")] = RESULT,
) -> None:
    """Measure and write the result."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for side in map(int, sides.split(",")):
            rows.append(measure(Path(folder), side, limit_mib, painting=painting))
            print(json.dumps(rows[-1]), flush=True)
    command = recorded_command("benchmarks.large_mask", context)
    load = [round(average, 1) for average in os.getloadavg()[:2]]
    write_results(
        out, rows, command=command, threads=os.cpu_count() or 1, limit_mib=limit_mib,
        load_average_1_5_min=load,
    )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
