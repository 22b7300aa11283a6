"""Nucleus boundaries in Aperio XML (as MoNuSeg releases them) drawn as an instance mask."""

from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import XMLParser

import numpy as np
from numpy.typing import NDArray

from model.errors import DataInvalid, MaskUnreadable
from model.mask_formats import aperio, drawing


def read_regions(path: Path) -> list[NDArray[np.float64]]:
    """The closed outlines in the file, in document order: one (V, 2) array of x, y each.

    Coordinates are Aperio's, unshifted. Raises DataInvalid when the file is no Aperio XML.
    """
    try:
        # Files of one's own: no guard against hostile XML, for which training has no library.
        regions = aperio.parse(path.read_bytes(), XMLParser)
    except (OSError, MaskUnreadable) as error:
        raise DataInvalid(f"{path}: {error}") from error
    return [regions.vertices[start:end] for start, end in pairwise(regions.rings.tolist())]


def rasterise(regions: list[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Draws outlines (V, 2) of x, y as an instance mask of ``shape`` (H, W).

    Region i (from 0) gets id i + 1. Where regions overlap the first one keeps the pixel, so a
    region that lies wholly under earlier ones leaves a gap in the ids. Outlines of fewer than
    three vertices enclose nothing and leave a gap too.
    """
    labels = np.zeros(shape, dtype=np.int32)
    numbered = [(id, [outline]) for id, outline in enumerate(regions, start=1)]
    drawing.draw(labels, aperio.on_pixels(drawing.polygons(numbered)), aperio.RULE)
    return labels
