"""Masks above 1024 px a side: the service and the command line give the same TIFF, and memory
does not grow with the tile."""

import json
import os
import resource
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model.formats import write_mask
from model.nuclei import random_mask
from model.nuclei_statistics import organ_statistics
from tests.processes import RELEASE, ROOT

TALL_PX, WIDE_PX, DATA_MIB = 3072, 352, 1500
"""A tile of four windows, and the memory of its own that a process may have for it: windows one by
one, as with a single thread, need less than 1,300 MiB, a single pass more than 1,700 (measured)."""


def sian(*arguments: str, data_mib: int | None = None) -> None:
    def limit() -> None:
        if data_mib is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (data_mib * 2**20,) * 2)

    command = [sys.executable, "-m", "app.cli", *arguments]
    one_by_one = {"SIAN_THREADS": "1"} if data_mib else {}
    environment = {**os.environ, **one_by_one}
    subprocess.run(command, cwd=ROOT, check=True, preexec_fn=limit, env=environment)


def nuclei(height: int, width: int) -> NDArray[np.int32]:
    return random_mask(organ_statistics("kidney"), height, width, seed=1)


@pytest.fixture
def mask_path(tmp_path: Path) -> Path:
    path = tmp_path / "mask.tif"
    path.write_bytes(write_mask(nuclei(1040, 96), "tiff"))
    return path


def test_the_service_and_the_command_line_give_the_same(server, mask_path, tmp_path):
    mask = mask_path.read_bytes()
    answer = server.synthesize(mask, organ="kidney", seed=1)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "image/tiff"
    out = tmp_path / "tile.tif"
    sian(
        "synthesize", "--mask", str(mask_path), "--organ", "kidney", "--seed", "1",
        "--checkpoint", str(RELEASE), "--out", str(out),
    )  # fmt: skip
    # By digest: to show how 300 kB differ, pytest would need hours.
    assert sha256(answer.content).digest() == sha256(out.read_bytes()).digest()
    manifest = json.loads(out.with_suffix(".json").read_text())
    assert f'"{manifest["tile_sha256"]}"' == answer.headers["ETag"]
    href = f"{answer.headers['Content-Location']}/outputs/0"
    part = server.client.get(href, headers={"Range": "bytes=1-4"})
    assert (part.status_code, part.headers["Content-Type"]) == (206, "image/tiff")
    assert part.content == answer.content[1:5]
    assert part.headers["Content-Range"] == f"bytes 1-4/{len(answer.content)}"
    head = server.client.head(href)
    assert head.headers["Content-Length"] == str(len(answer.content))
    assert sha256(server.client.get(href).content).digest() == sha256(answer.content).digest()


def test_progress_counts_windows(server):
    mask = write_mask(nuclei(3000, 64), "tiff")
    headers = {"Prefer": "respond-async", "Accept": "application/json"}
    job = server.synthesize(mask, headers=headers, organ="kidney", seed=2).json()
    with server.client.stream("GET", job["links"]["events"]) as events:
        lines = [line for line in events.iter_lines() if line.startswith("data: ")]
    seen = [json.loads(line.removeprefix("data: "))["progress"] for line in lines]
    windows = [progress for progress in seen if progress["unit"] == "windows"]
    (total,) = {progress["total"] for progress in windows}
    done = [progress["done"] for progress in windows]
    assert done == sorted(done)
    # Events may leave out some: the second window may be painted before the first is told of.
    assert set(done) & set(range(1, total))
    assert seen[-1] == {"done": 1, "total": 1, "unit": "tiles"}


@pytest.mark.parametrize(
    ("fields", "headers", "status", "said"),
    [
        ({"n": 2}, {}, 422, "one tile a request"),
        ({}, {"Accept": "image/png"}, 406, "image/tiff or application/json"),
    ],
)
def test_what_cannot_be_had_is_said_before_it_is_painted(
    server, mask_path, fields, headers, status, said
):
    answer = server.synthesize(mask_path.read_bytes(), organ="kidney", headers=headers, **fields)
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_memory_does_not_grow_with_the_tile(tmp_path):
    mask_path = tmp_path / "mask.tif"
    mask_path.write_bytes(write_mask(nuclei(TALL_PX, WIDE_PX), "tiff"))
    sian(
        "synthesize", "--mask", str(mask_path), "--organ", "kidney", "--seed", "1",
        "--checkpoint", str(RELEASE), "--out", str(tmp_path / "tile.tif"),
        data_mib=DATA_MIB,
    )  # fmt: skip
    assert (tmp_path / "tile.tif").stat().st_size > 2**20
