"""Nucleus boundaries in Aperio XML (as MoNuSeg releases them) drawn as an instance mask."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from model.errors import DataInvalid

# Aperio counts pixels from 1, arrays from 0. Boundaries mostly run through pixel centres, so
# a rule must say who owns a pixel that lies exactly on one: moving the polygon a hair less
# than one pixel leaves out the upper and left edge and keeps the lower and right one, which
# is how the published label maps were drawn (equal in every pixel on the slides compared).
_SHIFT_PX = -1.0 + 1e-4


def read_regions(path: Path) -> list[NDArray[np.float64]]:
    """The closed outlines in the file, in document order: one (V, 2) array of x, y each.

    Coordinates are Aperio's, unshifted. Raises DataInvalid when the file is no Aperio XML.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise DataInvalid(
            f"{path} cannot be read as Aperio XML ({error}). Download the annotation again."
        ) from error
    if root.tag != "Annotations":
        raise DataInvalid(
            f"{path} is XML but not an Aperio annotation: its root is <{root.tag}> instead of "
            "<Annotations>. Check that the annotation of the slide was saved under this name."
        )
    try:
        return [
            np.array(
                [(float(v.attrib["X"]), float(v.attrib["Y"])) for v in region.iter("Vertex")],
                dtype=np.float64,
            ).reshape(-1, 2)
            for region in root.iter("Region")
        ]
    except (KeyError, ValueError) as error:
        raise DataInvalid(
            f"{path} holds a vertex without numeric X and Y ({error}). Download it again."
        ) from error


def rasterise(regions: list[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Draws outlines (V, 2) of x, y as an instance mask of ``shape`` (H, W).

    Region i (from 0) gets id i + 1. Where regions overlap the first one keeps the pixel, so a
    region that lies wholly under earlier ones leaves a gap in the ids. Outlines of fewer than
    three vertices enclose nothing and leave a gap too.
    """
    labels = np.zeros(shape, dtype=np.int32)
    for index, outline in enumerate(regions, start=1):
        if len(outline) < 3:
            continue
        rows, cols = polygon(outline[:, 1] + _SHIFT_PX, outline[:, 0] + _SHIFT_PX, shape)
        free = labels[rows, cols] == 0
        labels[rows[free], cols[free]] = index
    return labels
