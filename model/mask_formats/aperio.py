"""Aperio ImageScope's XML, in which MoNuSeg is published: one region for each nucleus.

Regions are numbered in the order of the file, whatever their ``Id``; those that ``write_mask``
made have the id of their nucleus as the attribute ``instance_id``. A region with NegativeROA="1"
is a hole in the one before it. Where regions overlap the first one keeps the pixel, so one that
lies wholly under earlier ones leaves a gap in the ids; so does one of fewer than three vertices.

Aperio counts pixels from 1, arrays from 0. Boundaries in MoNuSeg mostly run through the centres of
pixels, so a rule must say who owns a pixel that lies exactly on one: moving the outlines a hair
less than a pixel leaves out the upper and left side and keeps the lower and right one, which is
how the published label maps were drawn (equal in every pixel on the slides compared).
"""

import reprlib
from array import array
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any
from xml.etree.ElementTree import ParseError, XMLParser

import numpy as np
from numpy.typing import NDArray

from model.errors import MaskUnreadable
from model.mask import Reading
from model.mask_formats.drawing import Rule, draw_new, numbered, ranges
from model.mask_formats.outlines import Polygons, trace

_SHIFT_PX = -1.0 + 1e-4
RULE = Rule(first_centre=0.0, with_edges=True)
"""For outlines that ``on_pixels`` has moved."""
_ID = "instance_id"
_AGAIN = "Export or download the annotation again."


def decode(data: bytes, reading: Reading) -> NDArray[np.int32]:
    """Draw the regions of Aperio XML, (H, W).

    Raises:
        MaskUnreadable: more elements than a mask can need, or as ``read_regions`` and
            ``drawing.draw_new``.
        MaskTooLarge, MaskTooSmall, MaskIdTooLarge: as ``drawing.draw_new`` and ``numbered``.
    """
    elements = data.count(b"<")
    if elements > reading.max_side**2:
        raise MaskUnreadable(
            f"The annotation has {elements} XML tags, too many for an image of "
            f"{reading.max_side} px a side. Export the nuclei of one image, with simpler outlines."
        )
    return draw_new(on_pixels(read_regions(data)), reading, RULE)


def read_regions(data: bytes) -> Polygons:
    """The regions of Aperio XML in document order, each with its holes.

    Coordinates are Aperio's. Ids are 1, 2, ... or those that the file gives. Raises
    MaskUnreadable when it is no Aperio XML.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    try:
        return parse(data, partial(DefusedXMLParser, forbid_dtd=True))
    except DefusedXmlException as error:
        raise MaskUnreadable(
            "The annotation declares a document type or entities, which are not accepted. Remove "
            "the <!DOCTYPE ...> from the XML."
        ) from error


def parse(data: bytes, parser_for: Callable[..., XMLParser]) -> Polygons:
    """``read_regions`` with an XML parser that is made by ``parser_for(target=...)``."""
    regions = _Regions()
    # No tree: as one, a large annotation would take gigabytes.
    parser = parser_for(target=regions)
    try:
        parser.feed(data)
        parser.close()
    except (ParseError, LookupError) as error:
        raise MaskUnreadable(
            f"The annotation cannot be read as Aperio XML ({error}). {_AGAIN}"
        ) from error
    return regions.found()


def on_pixels(regions: Polygons) -> Polygons:
    """Regions in Aperio's coordinates -> in those of ``RULE``, the first ones drawn last."""
    sizes = np.diff(regions.polygons)[::-1]
    rings = ranges(regions.polygons[:-1][::-1], sizes)
    lengths = np.diff(regions.rings)[rings]
    vertices = ranges(regions.rings[:-1][rings], lengths)
    return Polygons(
        vertices=regions.vertices[vertices] + _SHIFT_PX,
        rings=np.append(0, np.cumsum(lengths)),
        polygons=np.append(0, np.cumsum(sizes)),
        ids=regions.ids[::-1].copy(),
    )


def encode(mask: NDArray[Any]) -> bytes:
    """An instance mask (H, W) as Aperio XML: a region for each piece, with its holes after it.

    Outlines run along the edges of pixels; ``instance_id`` is the nucleus' id.
    """
    traced = trace(mask)
    lines = [
        '<Annotations MicronsPerPixel="0">',
        '<Annotation Id="1" Name="" Type="4" LineColor="65280" Visible="1" Selected="0">',
        "<Attributes/>",
        "<Regions>",
        "<RegionAttributeHeaders>"
        f'<AttributeHeader Id="1" Name="{_ID}" ColumnWidth="-1"/></RegionAttributeHeaders>',
    ]
    for id, (first, last) in zip(
        traced.ids.tolist(), pairwise(traced.polygons.tolist()), strict=True
    ):
        for ring in range(first, last):
            vertices = traced.vertices[traced.rings[ring] : traced.rings[ring + 1]]
            lines += _region(ring + 1, id, vertices, is_hole=ring > first)
    lines += ["</Regions>", "<Plots/>", "</Annotation>", "</Annotations>"]
    return "\n".join(lines).encode()


def _region(number: int, id: int, vertices: NDArray[Any], *, is_hole: bool) -> list[str]:
    return [
        f'<Region Id="{number}" Type="0" Selected="0" Text="" NegativeROA="{int(is_hole)}" '
        f'InputRegionId="0" Analyze="1" DisplayId="{number}">',
        f'<Attributes><Attribute Name="{_ID}" Id="1" Value="{id}"/></Attributes>',
        "<Vertices>",
        # Half a pixel, as Aperio's first pixel has its centre at (1, 1).
        *(f'<Vertex X="{x}.5" Y="{y}.5"/>' for x, y in vertices.tolist()),
        "</Vertices>",
        "</Region>",
    ]


class _Regions:
    """Collects regions while the XML is parsed; the parser calls ``start`` and ``end``."""

    def __init__(self) -> None:
        self._root: str | None = None
        self._coordinates = array("d")
        self._rings = array("q")  # where each starts
        self._polygons = array("q")
        self._ids = array("q")  # 0 where the file gives none
        self._is_inside = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._root is None:
            self._root = tag
            if tag != "Annotations":
                raise MaskUnreadable(
                    f"This is XML but not an Aperio annotation: its root is <{tag[:30]}> instead "
                    "of <Annotations>. Save the annotation of the image."
                )
        if tag == "Region":
            self._is_inside = True
            is_hole = attributes.get("NegativeROA") == "1" and len(self._polygons) > 0
            if not is_hole:
                self._polygons.append(len(self._rings))
                self._ids.append(0)
            self._rings.append(len(self._coordinates) // 2)
        elif tag == "Vertex" and self._is_inside:
            self._add_vertex(attributes)
        elif tag == "Attribute" and self._is_inside and attributes.get("Name") == _ID:
            value = attributes.get("Value", "")
            # Longer numbers are no ids; int64 holds these.
            self._ids[-1] = int(value) if value.isdecimal() and len(value) <= 18 else 0

    def end(self, tag: str) -> None:
        if tag == "Region":
            self._is_inside = False

    def found(self) -> Polygons:
        vertices = np.array(self._coordinates, np.float64).reshape(-1, 2)
        ids = np.array(self._ids, np.int64)
        if not ids.any():
            ids = np.arange(1, len(ids) + 1)
        return Polygons(
            vertices,
            np.append(np.array(self._rings, np.int64), len(vertices)),
            np.append(np.array(self._polygons, np.int64), len(self._rings)),
            np.array(numbered(ids.tolist()), np.int64),
        )

    def _add_vertex(self, attributes: dict[str, str]) -> None:
        try:
            position = float(attributes["X"]), float(attributes["Y"])
        except (KeyError, ValueError) as error:
            raise MaskUnreadable(
                "The annotation holds a vertex without numeric X and Y "
                f"({reprlib.repr(attributes)}). {_AGAIN}"
            ) from error
        self._coordinates.extend(position)
