"""What a bundle holds besides its tiles: annotations of all tiles in one file, a manifest, a card,
sums. Made of the finished tiles, one at a time, so that a bundle of any size fits in memory."""

import hashlib
import io
import json
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.errors import CheckpointChanged
from model.formats import read_mask
from model.images import read_image
from model.mask_formats.coco import CATEGORY, coco_annotations
from model.mask_formats.pannuke import CHANNELS, pannuke_array
from model.version import code_version
from worker.dataset.request import DatasetRequest
from worker.dataset.tile import IMAGES, MASKS, PROVENANCE, stem
from worker.request import sha256

Read = Callable[[str], bytes]
"""A file of the finished tiles by its path in the bundle."""

Member = tuple[str, Iterator[bytes]]

SUMS = "SHA256SUMS"


@dataclass
class Summary:
    """What the card and the manifest say of all tiles."""

    organs: Counter[str] = field(default_factory=Counter)
    nuclei: list[int] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    sums: dict[str, str] = field(default_factory=dict)

    def add(self, k: int, data: bytes) -> None:
        """Take in tile k by its provenance, a JSON file.

        Raises CheckpointChanged if it is of another checkpoint than those before.
        """
        path = f"{PROVENANCE}/{stem(k)}.json"
        provenance = json.loads(data)
        checkpoint = provenance["checkpoint_sha256"]
        if checkpoint != self.facts.get("checkpoint_sha256", checkpoint):
            raise CheckpointChanged(
                f"Tile {k} is of another checkpoint than those before it; make the dataset anew."
            )
        self.organs[provenance["organ"]] += 1
        self.nuclei.append(provenance["nuclei"])
        self.facts = provenance
        self.sums |= {**provenance["files"], path: sha256(data)}


def members(request: DatasetRequest, read: Read, summary: Summary) -> Iterator[Member]:
    """Paths and contents of what is not a tile's own, to be written in this order. The contents
    must be taken to their end before the next member is asked for.

    summary: of all tiles.
    """

    def summed(path: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
            yield chunk
        summary.sums[path] = digest.hexdigest()

    found: list[Member] = []
    if "coco" in request.formats:
        found.append(("coco.json", _coco(request, read)))
    if "pannuke" in request.formats:
        found += [
            ("pannuke/images.npy", _pannuke_images(request, read)),
            ("pannuke/masks.npy", _pannuke_masks(request, read)),
            ("pannuke/types.npy", _pannuke_types(request)),
        ]
    found.append(("manifest.json", iter([_manifest(request, summary)])))
    found.append(("README.md", iter([card(request, summary).encode()])))
    for path, chunks in found:
        yield path, summed(path, chunks)
    lines = (f"{digest}  {path}\n" for path, digest in sorted(summary.sums.items()))
    yield SUMS, iter(["".join(lines).encode()])


def _coco(request: DatasetRequest, read: Read) -> Iterator[bytes]:
    """One JSON document, written piece by piece. Ids of images are the tiles' numbers and 1 more:
    some readers take an id of 0 for none."""
    head = {
        "info": {"description": "Synthetic H&E tiles", "version": code_version()},
        "categories": [CATEGORY],
        "images": [
            {
                "id": k + 1,
                "file_name": f"{IMAGES}/{stem(k)}.png",
                "width": request.width,
                "height": request.height,
            }
            for k in range(request.count)
        ],
    }
    yield json.dumps(head, separators=(",", ":")).encode()[:-1] + b',"annotations":['
    first_id = 1
    for k in range(request.count):
        mask = read_mask(read(f"{MASKS}/{stem(k)}.png"))
        found = coco_annotations(mask, image_id=k + 1, first_id=first_id)
        text = ",".join(json.dumps(one, separators=(",", ":")) for one in found)
        if text:
            yield ("," if first_id > 1 else "").encode() + text.encode()
        first_id += len(found)
    yield b"]}\n"


def _pannuke_images(request: DatasetRequest, read: Read) -> Iterator[bytes]:
    yield _npy_header((request.count, request.height, request.width, 3), np.dtype(np.uint8))
    for k in range(request.count):
        yield np.ascontiguousarray(read_image(read(f"{IMAGES}/{stem(k)}.png"))).tobytes()


def _pannuke_masks(request: DatasetRequest, read: Read) -> Iterator[bytes]:
    shape = (request.count, request.height, request.width, CHANNELS)
    yield _npy_header(shape, np.dtype(np.int32))
    for k in range(request.count):
        mask = read_mask(read(f"{MASKS}/{stem(k)}.png"))
        yield pannuke_array(mask).tobytes()


def _pannuke_types(request: DatasetRequest) -> Iterator[bytes]:
    stream = io.BytesIO()
    np.save(stream, np.array([request.organ(k) for k in range(request.count)]), allow_pickle=False)
    yield stream.getvalue()


def _npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Of the array that follows, row by row."""
    stream = io.BytesIO()
    described = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue()


def _manifest(request: DatasetRequest, summary: Summary) -> bytes:
    content = {
        "synthetic": True,
        "request": json.loads(request.to_json()),
        **{name: summary.facts[name] for name in ("checkpoint", "checkpoint_sha256", "mpp")},
        "code_version": code_version(),
        "licence": summary.facts["licence"],
        "tiles": dict(sorted(summary.organs.items())),
        "nuclei": sum(summary.nuclei),
    }
    return (json.dumps(content, indent=2) + "\n").encode()


def card(request: DatasetRequest, summary: Summary) -> str:
    """A page on the dataset: what it holds, what it is for, and what not."""
    per_tile = sorted(summary.nuclei)
    rows = "\n".join(f"| {organ} | {tiles} |" for organ, tiles in sorted(summary.organs.items()))
    formats = ", ".join(("png", *request.formats))
    facts = summary.facts
    return f"""# Synthetic H&E tiles with instance masks

{request.count} tiles of {request.width} x {request.height} px at {facts["mpp"]} micrometres per
pixel, with {sum(per_tile)} nuclei, each of which is outlined.

**All of it is synthetic.** The masks are drawn from statistics of nuclei; the images are painted
from the masks by the checkpoint `{facts["checkpoint"]}`
(SHA-256 {facts["checkpoint_sha256"]}), version {facts["code_version"]} of SIAN.

| organ | tiles |
| --- | --- |
{rows}

Nuclei per tile: median {statistics.median(per_tile):g}, {per_tile[0]} to {per_tile[-1]}.

## What is where

- `images/`, `masks/`: PNG with equal names. A mask's pixel is the id of its nucleus, 0 the stroma.
- Annotations: {formats}. Ids are the same everywhere.
- `provenance/`: for each tile its seeds, organ and the SHA-256 of its files.
- `manifest.json`: the request; the same request and checkpoint give the same files.
- `{SUMS}`: check with `sha256sum --check {SUMS}`.

## Use

For research and for training models, alone or beside real tiles; not for diagnosis, and no
evidence about any patient or tissue. An organ is a stain, a nuclear texture and the sizes and
crowding of nuclei, not that organ's architecture. Types of nuclei are not told apart: PanNuke's
arrays have them all in the channel of neoplastic nuclei.

Licence of the checkpoint and of these tiles: {facts["licence"]}.
"""
