"""A dataset that two workers share, one of which is killed: every tile once, sums verify."""

import hashlib
import io
import signal
import zipfile

import numpy as np
from PIL import Image

from tests.waiting import observed

WISH = {"count": 64, "organs": ["kidney", "breast"], "width": 64, "height": 64, "seed": 11,
        "formats": ["coco", "geojson"]}  # fmt: skip


def test_a_worker_killed_while_it_makes_a_dataset(front, work, mask):
    front = front()
    # Each makes one part at a time. Both are there first, or one might make the whole dataset.
    doomed, other = work(max_batch=2), work(max_batch=2)
    doomed.wait_until_ready()
    other.wait_until_ready()
    path = front.client.post("/datasets", json=WISH).headers["Location"]

    def progress():
        return front.client.get(path).json()["progress"]["done"]

    observed(lambda: 'sian_job_records{state="running"} 2' in front.client.get("/metrics").text)
    observed(lambda: progress() >= 10)
    doomed.stop(signal.SIGKILL)
    assert front.client.get(path).json()["status"] == "running"
    # Somebody who waits for one tile does not wait for the dataset.
    assert front.synthesize(mask, organ="kidney").status_code == 200
    assert front.client.get(path).json()["status"] == "running"

    def is_complete():
        dataset = front.client.get(path).json()
        return dataset["links"]["remove"] and dataset

    dataset = observed(is_complete)
    assert dataset["status"] == "succeeded", dataset
    assert dataset["parts"] == 2
    assert other.wait_for("goes back to the queue: its worker is gone")

    data = front.client.get(dataset["links"]["bundle"]).content
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for line in files["SHA256SUMS"].decode().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256(files[name]).hexdigest() == digest, name
    tiles = [data for name, data in files.items() if name.startswith("images/")]
    assert len(tiles) == len(set(tiles)) == 64
    for name, data in files.items():
        if name.startswith("masks/"):
            assert np.asarray(Image.open(io.BytesIO(data))).shape == (64, 64)
