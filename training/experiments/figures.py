"""Figures 1, 4 and 5 of the paper, from the same tiles as its tables."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.evaluation.report import colour_instances, write_sheet
from training.evaluation.tiles import Tile
from training.experiments.given import GIVEN
from training.experiments.laboratory import ImageU8, Laboratory
from training.experiments.report import stem_of, tiling_of
from training.experiments.styles import middle_of, sources_of
from training.experiments.table1 import draw_judged
from training.results import write_results


@dataclass(frozen=True)
class _Drawn:
    """The judged tiles, what each method made of them, by its name, and the methods' titles."""

    tiles: Sequence[Tile]
    images: dict[str, list[ImageU8]]
    titles: list[str]


_CLUSTER_PX = 96
_SEEN_PX = 192
_EXAMPLES = 3


def write_figures(
    laboratory: Laboratory, methods: Sequence[str], folder: Path, *, command: str
) -> list[Path]:
    """Write figure1 (organs), figure4 (methods) and figure5 (clustered nuclei) as PNG files, and
    figures as JSON: what they were made from. Returns their paths.

    Their names end with the scale, and with the methods where they are not all, as tables' do.
    """
    seed, known = laboratory.scale.seeds[0], laboratory.methods
    for method in methods:
        laboratory.check(method, seed)
    source = {method: sources_of(known[method])[0] for method in methods}
    images = {m: draw_judged(laboratory, m, seed, source[m]).images for m in methods}
    judged = laboratory.judged
    drawn = _Drawn(judged, images, [known[method].title for method in methods])
    label = laboratory.given.label if laboratory.given else None
    names = [stem_of(figure, laboratory.scale, methods, given=label) for figure in _DRAWN]
    shown = {
        name: [_told(judged[k]) for k in figure(folder / f"{name}.png", drawn)]
        for name, figure in zip(names, _DRAWN.values(), strict=True)
    }
    rows = [
        {
            "method": method,
            "seed": seed,
            "style_source": source[method],
            **laboratory.facts(method, [seed]),
        }
        for method in methods
    ]
    facts = folder / f"{stem_of('figures', laboratory.scale, methods, given=label)}.json"
    write_results(
        facts,
        rows,
        command=command,
        threads=torch.get_num_threads(),
        **laboratory.sitting.facts,
        scale=asdict(laboratory.scale),
        tiling=tiling_of(laboratory.scale),
        figures=shown,
    )
    return [*(folder / f"{name}.png" for name in names), facts]


def _told(tile: Tile) -> dict[str, Any]:
    return {"slide": tile.slide_id, "organ": tile.organ, "top": tile.top, "left": tile.left}


def _organs(path: Path, drawn: _Drawn) -> list[int]:
    """A column for each organ: the real tile, then SIAN's from its mask. Returns the tiles."""
    shown = organ_places(drawn.tiles)
    rows = [[drawn.tiles[k].image_u8 for k in shown.values()]]
    rows += [
        [drawn.images[method][k] for k in shown.values()]
        for method in ("sian", "sian-release", GIVEN)
        if method in drawn.images
    ]
    _write(path, list(shown), rows)
    return list(shown.values())


def _methods(path: Path, drawn: _Drawn) -> list[int]:
    """A row for each of three masks: real tile, mask, and what every method makes of it. Returns
    the tiles."""
    tiles = drawn.tiles
    places = [int(k) for k in np.linspace(0, len(tiles) - 1, 2 * _EXAMPLES + 1)[1::2]]
    rows = [
        [
            tiles[k].image_u8,
            colour_instances(tiles[k].mask_labels),
            *(images[k] for images in drawn.images.values()),
        ]
        for k in places
    ]
    _write(path, ["real", "instance mask", *drawn.titles], rows)
    return places


def _clusters(path: Path, drawn: _Drawn) -> list[int]:
    """The densest clusters of touching nuclei, each of another slide, close up. Returns their
    tiles."""
    tiles = drawn.tiles
    clusters = [densest_cluster(tile.mask_labels) for tile in tiles]
    of_slides: dict[str, int] = {}
    for k in sorted(range(len(tiles)), key=lambda k: -clusters[k][0]):
        of_slides.setdefault(tiles[k].slide_id, k)
    densest = list(of_slides.values())[:_EXAMPLES]
    rows = []
    for k in densest:
        _, top, left = clusters[k]
        window = np.s_[top : top + _CLUSTER_PX, left : left + _CLUSTER_PX]
        pictures = [colour_instances(tiles[k].mask_labels), tiles[k].image_u8]
        pictures += [images[k] for images in drawn.images.values()]
        rows.append([picture[window] for picture in pictures])
    _write(path, ["instance mask", "real", *drawn.titles], rows)
    return densest


_DRAWN = {"figure1": _organs, "figure4": _methods, "figure5": _clusters}


def organ_places(tiles: Sequence[Tile]) -> dict[str, int]:
    """Of each organ the tile in the middle of those of its first slide."""
    slides: dict[str, str] = {}
    for tile in tiles:
        slides.setdefault(tile.organ, tile.slide_id)
    found: dict[str, int] = {}
    for organ, slide_id in sorted(slides.items()):
        places = [k for k, tile in enumerate(tiles) if tile.slide_id == slide_id]
        found[organ] = places[middle_of([tiles[k] for k in places])]
    return found


def densest_cluster(mask_labels: NDArray[np.int32]) -> tuple[int, int, int]:
    """(contacts, top, left) of the window with most pixels where two nuclei touch; of several,
    the one in their middle."""
    contact = np.zeros(mask_labels.shape, np.int64)
    for axis in (0, 1):
        here, there = np.moveaxis(mask_labels, axis, 0)[:-1], np.moveaxis(mask_labels, axis, 0)[1:]
        np.moveaxis(contact, axis, 0)[:-1] += (here != there) & (here > 0) & (there > 0)
    summed = np.pad(contact.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    side = min(_CLUSTER_PX, *mask_labels.shape)
    windows = (
        summed[side:, side:] - summed[:-side, side:] - summed[side:, :-side]
        + summed[:-side, :-side]
    )  # fmt: skip
    tops, lefts = np.nonzero(windows == windows.max())
    middle = np.argmin(np.hypot(tops - tops.mean(), lefts - lefts.mean()))
    return int(windows.max()), int(tops[middle]), int(lefts[middle])


def _write(path: Path, titles: Sequence[str], rows: Sequence[Sequence[ImageU8]]) -> None:
    """A sheet of pictures, each pixel enlarged to a square until they are large enough to see."""
    times = -(-_SEEN_PX // rows[0][0].shape[0])
    large = [
        [
            np.asarray(picture.repeat(times, axis=0).repeat(times, axis=1), np.uint8)
            for picture in row
        ]
        for row in rows
    ]
    write_sheet(path, titles, large)
