"""QuPath's GeoJSON: one feature for each nucleus, coordinates in pixels from the top left.

Reading: of objects that QuPath calls detections or cells each is a nucleus; annotations, which may
be whole regions, count only where there are neither. A cell counts with its nucleus. Tiles, TMA
cores, points and lines are left out. Child objects count like others.

The id of a nucleus is the feature's ``id``, which QuPath keeps: a UUID that is the number itself,
as ``detections`` makes it, or a plain number. Others are numbered after the highest, in the order
of the file. Features that share an id are one nucleus.
"""

import json
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from model.errors import MaskUnreadable
from model.mask import MAX_ID, Reading
from model.mask_formats.drawing import draw_new, numbered, polygons
from model.mask_formats.json_text import Area
from model.mask_formats.outlines import Polygons, trace

CLASS = "Nucleus"

_NUCLEI = ("detection", "cell", "PathDetectionObject", "PathCellObject")
_NO_NUCLEI = ("tile", "tmaCore", "tma_core", "root", "PathTileObject", "TMACoreObject")
_LEGACY_TYPES = ("PathAnnotationObject", *_NUCLEI[2:], *_NO_NUCLEI[4:])  # QuPath 0.2, in "id"

Feature = dict[str, Any]


def is_geojson(content: Any) -> bool:
    """Whether parsed JSON is a feature collection, a feature, or a list of features."""
    if isinstance(content, list):
        return bool(content) and is_geojson(content[0])
    return isinstance(content, dict) and content.get("type") in ("Feature", "FeatureCollection")


def decode(content: Any, reading: Reading) -> NDArray[np.int32]:
    """Draw the nuclei of parsed GeoJSON, (H, W). Where they overlap the later one wins.

    Raises:
        MaskUnreadable: features without what makes one, or as ``drawing.draw_new``.
        MaskTooLarge, MaskTooSmall, MaskIdTooLarge: as ``drawing.draw_new`` and ``numbered``.
    """
    if isinstance(content, dict) and content["type"] == "FeatureCollection":
        content = content.get("features")
    features = list(_flattened(content if isinstance(content, list) else [content]))
    kinds = [_kind(feature) for feature in features]
    if any(kind in _NUCLEI for kind in kinds):
        wanted = [kind in _NUCLEI for kind in kinds]
    else:
        wanted = [kind not in _NO_NUCLEI for kind in kinds]
    nuclei = [feature for feature, is_wanted in zip(features, wanted, strict=True) if is_wanted]
    areas = [_areas(feature) for feature in nuclei]
    if features and not any(areas):
        raise MaskUnreadable(
            f"The GeoJSON holds {len(features)} features, but no polygon that could be a nucleus. "
            "Export detections, cells or annotations that have outlines."
        )
    nuclei = [feature for feature, area in zip(nuclei, areas, strict=True) if area]
    ids = numbered([_id(feature.get("id")) for feature in nuclei])
    pieces = [
        (id, rings) for id, area in zip(ids, filter(None, areas), strict=True) for rings in area
    ]
    return draw_new(polygons(pieces), reading)


def detections(mask: NDArray[Any]) -> Iterator[Feature]:
    """A QuPath detection for each nucleus of an instance mask (H, W), by ascending id.

    ``id`` is the UUID whose number is the nucleus' id; the class is "Nucleus". The geometry is
    as ``outlines.outlines``: a Polygon or MultiPolygon with integer coordinates.
    """
    traced = trace(mask)
    for id, group in groupby(range(len(traced.ids)), traced.ids.tolist().__getitem__):
        pieces = [_coordinates(traced, polygon) for polygon in group]
        alone = len(pieces) == 1
        yield {
            "type": "Feature",
            "id": str(UUID(int=id)),
            "geometry": {
                "type": "Polygon" if alone else "MultiPolygon",
                "coordinates": pieces[0] if alone else pieces,
            },
            "properties": {"objectType": "detection", "classification": {"name": CLASS}},
        }


def feature_collection(mask: NDArray[Any]) -> dict[str, Any]:
    """The ``detections`` of an instance mask (H, W) as QuPath imports them, ready for ``json``."""
    return {"type": "FeatureCollection", "features": list(detections(mask))}


def encode(mask: NDArray[Any]) -> bytes:
    """``feature_collection`` as JSON text, without holding it as a whole."""
    texts = (json.dumps(feature, separators=(",", ":")) for feature in detections(mask))
    return f'{{"type":"FeatureCollection","features":[{",".join(texts)}]}}'.encode()


def _coordinates(traced: Polygons, polygon: int) -> list[list[list[int]]]:
    """The rings of one polygon, closed as GeoJSON wants them."""
    first, last = traced.polygons[polygon : polygon + 2]
    bounds = traced.rings[first : last + 1].tolist()
    rings = [traced.vertices[start:end].tolist() for start, end in pairwise(bounds)]
    return [[*ring, ring[0]] for ring in rings]


def _flattened(found: list[Any]) -> Iterator[Feature]:
    """Features, each before its child objects."""
    for number, feature in enumerate(found, start=1):
        if not isinstance(feature, dict) or feature.get("type") != "Feature":
            raise MaskUnreadable(
                f"Entry {number} of the GeoJSON is no Feature. Export it again, as a "
                "FeatureCollection."
            )
        yield feature
        properties = _properties(feature)
        children = properties.get("childObjects", properties.get("children"))
        if isinstance(children, list):
            yield from _flattened(children)


def _properties(feature: Feature) -> dict[str, Any]:
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}


def _kind(feature: Feature) -> object:
    """What QuPath calls the object, in the words of whichever version wrote the file."""
    properties = _properties(feature)
    for key in ("objectType", "object_type", "type"):
        if key in properties:
            return properties[key]
    return feature["id"] if feature.get("id") in _LEGACY_TYPES else None


def _areas(feature: Feature) -> list[list[NDArray[np.float64]]]:
    return _polygons_of(feature.get("nucleusGeometry") or feature.get("geometry"))


def _polygons_of(geometry: Any) -> list[list[NDArray[np.float64]]]:
    """The polygons of a geometry; none of points, lines and nothing."""
    if isinstance(geometry, Area):
        return [polygon for polygon in geometry.polygons if polygon]
    if not isinstance(geometry, dict):
        return []
    if geometry.get("type") in ("Polygon", "MultiPolygon"):
        raise MaskUnreadable(
            "The GeoJSON holds a polygon whose coordinates are no rings of [x, y] positions. "
            "Export or upload it again."
        )
    members = geometry.get("geometries")
    if not isinstance(members, list):
        return []
    return [polygon for member in members for polygon in _polygons_of(member)]


def _id(value: Any) -> int | None:
    """The nucleus' id in a feature's: a number, as text or not, or a UUID that is one."""
    if isinstance(value, str):
        try:
            value = int(value) if value.isdecimal() else UUID(value).int
        except ValueError:
            return None
    is_id = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_ID
    return value if is_id else None
