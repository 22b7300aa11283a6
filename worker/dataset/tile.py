"""One tile of a dataset: its image, its mask, and its mask in the formats asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model.formats import SUFFIXES, MaskFormat, write_mask
from model.images import encode_png
from model.mask import LARGEST_MASK_PX
from model.version import code_version
from worker import manifest
from worker.dataset.request import DatasetRequest
from worker.request import sha256

if TYPE_CHECKING:
    from model.checkpoint import Card
    from model.synthesizer import Synthesizer  # imports torch
    from model.tile import TileInput

IMAGES, MASKS, PROVENANCE = "images", "masks", "provenance"
OF_ALL: frozenset[MaskFormat] = frozenset({"coco", "pannuke"})
"""Formats that hold all tiles in one file; the others have a folder with a file for each."""


def stem(k: int) -> str:
    """What the files of tile k are called, without their suffix."""
    return f"{k:06d}"


def path_of(format: MaskFormat, k: int) -> str:
    """Where in a bundle the annotation of tile k is, in a format that has a file a tile."""
    return f"{format}/{stem(k)}{SUFFIXES[format]}"


@dataclass(frozen=True)
class DatasetTile:
    """files: by their path in the bundle; the provenance, which names all others with their
    SHA-256, comes last."""

    index: int
    files: dict[str, bytes]


def tile_inputs(
    synthesizer: Synthesizer, request: DatasetRequest, tiles: Sequence[int]
) -> list[tuple[NDArray[np.int32], TileInput]]:
    """The masks of some tiles, and what the network takes for each."""
    prepared = []
    for k in tiles:
        mask = request.mask(k).draw(max_side=LARGEST_MASK_PX)
        seed = request.tile_seed(k)
        style = synthesizer.styles.pick(request.organ(k), seed)
        tile_input = synthesizer.tile(synthesizer.layout(mask), style, seed=seed)
        prepared.append((mask, tile_input))
    return prepared


def finished(
    synthesizer: Synthesizer,
    request: DatasetRequest,
    k: int,
    mask: NDArray[np.int32],
    image_u8: NDArray[np.uint8],
) -> DatasetTile:
    """Tile k from what the network made of it. The same request gives the same bytes."""
    facts = _facts(synthesizer.card, request, k, mask)
    facts["exemplar"] = synthesizer.styles.pick_index(request.organ(k), request.tile_seed(k))
    files = {
        f"{IMAGES}/{stem(k)}.png": encode_png(image_u8, manifest.png_text(facts)),
        f"{MASKS}/{stem(k)}.png": write_mask(mask, "png"),
    }
    files |= {
        path_of(name, k): write_mask(mask, name) for name in request.formats if name not in OF_ALL
    }
    facts["files"] = {path: sha256(data) for path, data in files.items()}
    provenance = (json.dumps(facts, indent=2) + "\n").encode()
    return DatasetTile(k, {**files, f"{PROVENANCE}/{stem(k)}.json": provenance})


def paint(
    synthesizer: Synthesizer, request: DatasetRequest, tiles: Sequence[int]
) -> Iterator[DatasetTile]:
    """Some tiles, painted together as the device takes them; in the thread that calls."""
    prepared = tile_inputs(synthesizer, request, tiles)
    images = synthesizer.paint([tile_input for _, tile_input in prepared])
    for k, (mask, _), image_u8 in zip(tiles, prepared, images, strict=True):
        yield finished(synthesizer, request, k, mask, image_u8)


def _facts(card: Card, request: DatasetRequest, k: int, mask: NDArray[np.int32]) -> dict[str, Any]:
    """Everything that determines the tile, and the terms of its use."""
    wish = request.mask(k)
    return {
        "synthetic": True,
        "checkpoint": card.name,
        "checkpoint_sha256": card.sha256,
        "code_version": code_version(),
        "dataset_seed": request.seed,
        "tile": k,
        "organ": wish.organ,
        "seed": request.tile_seed(k),
        "mask_seed": wish.seed,
        "nuclei": int(mask.max()),
        "mpp": card.mpp,
        "licence": card.licence,
    }
