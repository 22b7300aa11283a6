"""Read JSON that holds outlines, in memory bounded by the number of its values.

Outlines and run lengths become arrays as soon as each has been parsed: as lists of Python numbers
those of a large mask would take gigabytes.
"""

import json
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import MaskUnreadable
from model.mask import Reading

_VALUES_PER_PIXEL = 4  # of the largest mask accepted; those of crowded slides have less than one


class Area(NamedTuple):
    """A Polygon or MultiPolygon of GeoJSON: of each polygon the rings, (N, 2) of x, y."""

    polygons: list[list[NDArray[np.float64]]]


def load(data: bytes, reading: Reading) -> Any:
    """The content of JSON text, with these in place of what they were made of:

    ``Area`` for a GeoJSON Polygon or MultiPolygon; (N, 2) arrays for the polygons of a COCO
    ``segmentation``; and int64 arrays for its ``counts``, if they are a list. What cannot be
    made into one stays as it is, for the caller to refuse or ignore.

    Raises:
        MaskUnreadable: no JSON, nested too deeply, or more values than a mask can need.
    """
    values = data.count(b",") + data.count(b"[") + data.count(b"{")
    if values > _VALUES_PER_PIXEL * reading.max_side**2:
        raise MaskUnreadable(
            f"The mask is JSON of {values} values, too many for an image of "
            f"{reading.max_side} px a side. Export the nuclei alone, with simpler outlines and "
            "without measurements."
        )
    try:
        return json.loads(data, object_hook=_compact)
    except RecursionError as error:
        raise MaskUnreadable(
            "The mask is JSON that is nested too deeply for an annotation. Export it again."
        ) from error
    except ValueError as error:
        raise MaskUnreadable(
            f"The mask looks like JSON but cannot be read ({error}). Export or upload it again."
        ) from error


def _compact(entry: dict[str, Any]) -> Any:
    try:
        if entry.get("type") == "Polygon":
            return Area([_rings(entry["coordinates"])])
        if entry.get("type") == "MultiPolygon":
            return Area([_rings(polygon) for polygon in entry["coordinates"]])
        if isinstance(entry.get("segmentation"), list):
            flat = [np.array(ring, np.float64) for ring in entry["segmentation"]]
            entry["segmentation"] = [ring.reshape(-1, 2) for ring in flat]
        if isinstance(entry.get("counts"), list):
            entry["counts"] = _integers(entry["counts"])
    except (KeyError, OverflowError, TypeError, ValueError):
        pass  # no outline after all, or a damaged one
    return entry


def _rings(coordinates: list[Any]) -> list[NDArray[np.float64]]:
    """Positions may have a height, which is dropped."""
    rings = [np.array(ring, np.float64) for ring in coordinates if ring]
    return [ring[:, :2].copy() for ring in rings if _is_ring(ring)]


def _is_ring(ring: NDArray[Any]) -> bool:
    if ring.ndim != 2 or ring.shape[1] < 2:
        raise ValueError("no list of positions")
    return True


def _integers(values: list[Any]) -> NDArray[np.int64]:
    integers = np.array(values)
    if len(values) and (integers.ndim != 1 or integers.dtype.kind != "i"):
        raise ValueError("no list of integers")
    return integers.astype(np.int64)
