"""What the service needs: time to the first tile, latency, peak memory.

    python -m benchmarks.serve

Starts ``sian serve`` as a user would, with the released checkpoint and all cores, sends it tiles
over HTTP and writes benchmarks/results/serve.json. Memory is the peak resident set (VmHWM) of
the server's process: after the 256 x 256 tiles, and of a second server after 1024 x 1024 ones.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from benchmarks.common.command import recorded_command
from benchmarks.common.environment import own_environment
from benchmarks.common.rounds import latencies
from model.formats import write_mask
from training.results import write_results

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "serve.json"
TIMEOUT_S = 300.0


@contextmanager
def running_server(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """``sian serve`` with an empty data folder."""
    with tempfile.TemporaryDirectory() as data_dir:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--port", str(port)],
            cwd=ROOT,
            env=own_environment(SIAN_DATA_DIR=data_dir, SIAN_RESPONSE_WAIT_S=str(TIMEOUT_S)),
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)


def label_mask(side: int) -> bytes:
    """The nuclei of the thumbnails' mask, repeated, as 16-bit label PNG."""
    tile = np.asarray(Image.open(ROOT / "worker" / "thumbnail-mask.png")).astype(np.int32)
    repeats = side // len(tile)
    mask = np.tile(tile, (repeats, repeats))
    block = np.arange(repeats**2).reshape(repeats, repeats)
    block = block.repeat(len(tile), axis=0).repeat(len(tile), axis=1)
    return write_mask(np.where(mask > 0, mask + tile.max() * block, 0), "png")


def synthesize_s(port: int, mask: bytes, seed: int) -> float:
    """Seconds from sending a request to having its tile."""
    boundary = uuid.uuid4().hex
    parts = [
        b'name="mask"; filename="mask.png"\r\n\r\n' + mask,
        b'name="organ"\r\n\r\nkidney',
        b'name="seed"\r\n\r\n' + str(seed).encode(),
    ]
    marker = f"--{boundary}".encode()
    body = b"".join(
        marker + b"\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts
    )
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/synthesize",
        body + marker + b"--\r\n",
        {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Accept": "image/png",
        },
    )
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        response.read()
        if response.status != 200:
            raise RuntimeError(f"no tile in time: the server answered {response.status}")
    return time.perf_counter() - began


def wait_until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server stopped with exit code {process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=TIMEOUT_S):
                return
        except urllib.error.URLError:
            time.sleep(0.01)
    raise RuntimeError("the server does not answer")


def peak_mb(process: subprocess.Popen[bytes]) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kilobytes) / 1024


def measure(port: int, side: int, tiles: int, warm_up: int) -> dict[str, Any]:
    """A fresh server, ``warm_up`` tiles, then ``tiles`` that count, one after another."""
    mask = label_mask(side)
    began = time.perf_counter()
    with running_server(port) as process:
        wait_until_listening(port, process)
        # Sent while the network is being loaded: it is queued and done as soon as can be.
        synthesize_s(port, mask, seed=0)
        first_tile_s = time.perf_counter() - began
        for seed in range(warm_up):
            synthesize_s(port, mask, seed)
        latencies_s = [synthesize_s(port, mask, seed) for seed in range(tiles)]
        return {
            "side_px": side,
            "tiles": tiles,
            "first_tile_s": round(first_tile_s, 2),
            **latencies(latencies_s, 95),
            "peak_rss_mb": round(peak_mb(process)),
        }


def main(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="A free port.")] = 8765,
    tiles: Annotated[int, typer.Option(min=1, help="Tiles of 256 px that are timed.")] = 40,
    large_tiles: Annotated[int, typer.Option(min=1, help="Tiles of 1024 px that are timed.")] = 3,
    out: Annotated[Path, typer.Option(help="Where the result goes.")] = RESULT,
) -> None:
    """Measure the service and write the result."""
    rows = [
        measure(port, 256, tiles, warm_up=3),
        measure(port, 1024, large_tiles, warm_up=0),
    ]
    command = recorded_command("benchmarks.serve", context)
    write_results(out, rows, command=command, threads=os.cpu_count() or 1)
    print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    typer.run(main)
