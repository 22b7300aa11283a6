"""``sian dataset`` is killed in the middle, and finished by the same command."""

import hashlib
import json
import signal
import subprocess
import sys

import numpy as np

from model.formats import read_mask
from tests.processes import RELEASE, ROOT
from tests.waiting import observed

COUNT, SIDE = 200, 64


def test_a_kill_in_the_middle(tmp_path):
    out = tmp_path / "dataset"
    command = [
        sys.executable, "-m", "app.cli", "dataset", "--out", str(out), "--count", str(COUNT),
        "--size", str(SIDE), "--formats", "coco,geojson,mat,pannuke",
        "--checkpoint", str(RELEASE),
    ]  # fmt: skip
    killed = subprocess.Popen(command, cwd=ROOT)

    def has_begun():
        assert killed.poll() is None
        return (out / "provenance/000030.json").is_file()

    observed(has_begun)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    kept = {file.name: file.stat().st_mtime_ns for file in (out / "provenance").glob("*.json")}
    assert 31 <= len(kept) < COUNT

    finished = subprocess.run(command, cwd=ROOT, check=True, stderr=subprocess.PIPE, text=True)

    assert f"{out}: {len(kept)} of {COUNT} tiles\n" in finished.stderr
    images = sorted((out / "images").iterdir())
    assert [image.name for image in images] == [f"{k:06d}.png" for k in range(COUNT)]
    assert len({image.read_bytes() for image in images}) == COUNT
    for name, changed in kept.items():
        assert (out / "provenance" / name).stat().st_mtime_ns == changed
    annotations = json.loads((out / "coco.json").read_text())["annotations"]
    stacked = np.load(out / "pannuke/masks.npy", mmap_mode="r")
    for k in range(COUNT):
        ids = set(np.unique(read_mask((out / f"masks/{k:06d}.png").read_bytes())).tolist()) - {0}
        assert ids
        assert {one["instance_id"] for one in annotations if one["image_id"] == k + 1} == ids
        assert set(np.unique(stacked[k, ..., 0]).tolist()) - {0} == ids
        for name, size in (("geojson", (SIDE, SIDE)), ("mat", None)):
            found = read_mask((out / f"{name}/{k:06d}.{name}").read_bytes(), size=size)
            assert set(np.unique(found).tolist()) - {0} == ids
    lines = (out / "SHA256SUMS").read_text().splitlines()
    files = [file for file in out.rglob("*") if file.is_file() and file.name[0] != "."]
    assert len(lines) == len(files) - 1
    for line in lines:
        digest, _, name = line.partition("  ")
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
