"""Aperio XML: as ImageScope and MoNuSeg have it, and as it is written here."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.errors import MaskUnreadable
from model.formats import read_mask, write_mask

SIZE = (24, 30)
Outline = list[tuple[float, float]]


def box(left: float, top: float, side: float = 4) -> Outline:
    """Around the pixels from (left, top) on, in Aperio's coordinates."""
    x, y = left + 0.5, top + 0.5
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


def region(outline: Outline, *, hole: bool = False, id: str | None = None) -> str:
    vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in outline)
    attribute = "" if id is None else f'<Attribute Name="instance_id" Id="3" Value="{id}"/>'
    return (
        f'<Region Id="99" Type="0" NegativeROA="{int(hole)}"><Attributes>{attribute}</Attributes>'
        f"<Vertices>{vertices}</Vertices></Region>"
    )


def annotations(*regions: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Annotations MicronsPerPixel="0.25">'
        '<Annotation Id="1"><Attributes><Attribute Name="instance_id" Value="5"/></Attributes>'
        f"<Regions><RegionAttributeHeaders/>{''.join(regions)}</Regions></Annotation></Annotations>"
    ).encode()


def read(*regions: str) -> NDArray[np.int32]:
    return read_mask(annotations(*regions), size=SIZE)


def filled(*boxes: tuple[int, int, int], side: int = 4) -> NDArray[np.int32]:
    """A mask of boxes: (id, left, top)."""
    mask = np.zeros(SIZE, np.int32)
    for id, left, top in boxes:
        mask[top : top + side, left : left + side] = id
    return mask


class TestRead:
    def test_regions_are_numbered_in_their_order(self) -> None:
        mask = read(region(box(9, 9)), region([]), region(box(1, 1)))
        np.testing.assert_array_equal(mask, filled((1, 9, 9), (3, 1, 1)))

    def test_the_first_region_keeps_the_pixel(self) -> None:
        mask = read(region(box(1, 1)), region(box(3, 1)), region(box(1, 1)))
        assert [(mask == id).sum() for id in (1, 2, 3)] == [16, 8, 0]

    def test_negative_regions_are_holes_in_the_one_before(self) -> None:
        mask = read(
            region(box(1, 1, 10)),
            region(box(3, 3), hole=True),
            region(box(8, 8, 2), hole=True),
            region(box(3, 3)),
        )
        assert (mask == 1).sum() == 100 - 16 - 4
        np.testing.assert_array_equal(mask == 2, filled((1, 3, 3)))

    def test_a_negative_region_at_first_is_a_nucleus(self) -> None:
        np.testing.assert_array_equal(read(region(box(1, 1), hole=True)), filled((1, 1, 1)))

    def test_ids_of_the_file_are_kept(self) -> None:
        mask = read(
            region(box(1, 1), id="70000"),
            region(box(9, 1)),
            region(box(9, 9), id="70000"),
            region(box(20, 9), id="2147483648"),
            region(box(20, 17), id="two"),
        )
        boxes = [(70_000, 1, 1), (70_001, 9, 1), (70_000, 9, 9), (70_002, 20, 9), (70_003, 20, 17)]
        np.testing.assert_array_equal(mask, filled(*boxes))

    def test_an_outline_of_very_many_vertices(self) -> None:
        (left, top), *others = box(1, 1)
        upper_side = [(left + 4 * step / 50_000, top) for step in range(50_000)]
        np.testing.assert_array_equal(read(region([*upper_side, *others])), filled((1, 1, 1)))


class TestWritten:
    def test_as_image_scope_has_it(self) -> None:
        mask = filled((7, 2, 3))
        mask[4, 3] = 0
        root = ElementTree.fromstring(write_mask(mask, "xml"))
        assert root.tag == "Annotations"
        shell, hole = root.findall("Annotation/Regions/Region")
        assert (shell.get("Id"), hole.get("Id")) == ("1", "2")
        assert (shell.get("NegativeROA"), hole.get("NegativeROA")) == ("0", "1")
        for found, length in ((shell, 4), (hole, 4)):
            assert found.find("Attributes/Attribute").attrib == {
                "Name": "instance_id",
                "Id": "1",
                "Value": "7",
            }
            assert len(found.findall("Vertices/Vertex")) == length
        # Aperio's first pixel has its centre at (1, 1).
        positions = [(v.get("X"), v.get("Y")) for v in shell.iter("Vertex")]
        assert positions == [("2.5", "3.5"), ("6.5", "3.5"), ("6.5", "7.5"), ("2.5", "7.5")]


BOMB = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>
<Annotations>&b;</Annotations>"""
OUTSIDE = b"""<!DOCTYPE a SYSTEM "file:///etc/passwd"><Annotations/>"""
GOOD = annotations(region(box(1, 1)))


class TestRefused:
    @pytest.mark.parametrize("data", [BOMB, OUTSIDE, b"<!DOCTYPE Annotations>" + GOOD])
    def test_document_types_and_entities(self, data: bytes) -> None:
        with pytest.raises(MaskUnreadable, match="<!DOCTYPE"):
            read_mask(data, size=SIZE)

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (GOOD.replace(b"Annotations", b"ASAP_Annotations"), "root is <ASAP_Annotations>"),
            (GOOD.replace(b'X="1.5"', b'X="one"'), "without numeric X and Y"),
            (GOOD.replace(b'X="1.5"', b""), "without numeric X and Y"),
            (GOOD.replace(b'X="1.5"', b'X="nan"'), "not finite"),
            (GOOD.replace(b'X="1.5"', b'X="-1e12"'), "far beyond"),
            (GOOD.replace(b"UTF-8", b"no-such"), "cannot be read as Aperio XML"),
            (GOOD.replace(b"</Region>", b""), "cannot be read as Aperio XML"),
            (b"<" * 3000, "cannot be read as Aperio XML"),
        ],
    )
    def test_what_is_no_annotation(self, data: bytes, words: str) -> None:
        with pytest.raises(MaskUnreadable) as caught:
            read_mask(data, size=SIZE)
        assert words in str(caught.value)

    def test_tags_are_counted_before_they_are_read(self) -> None:
        data = b"<Annotations>" + b"<a/>" * 4096 + b"</Annotations>"
        with pytest.raises(MaskUnreadable, match="4098 XML tags"):
            read_mask(data, size=(24, 30), max_side=64)


def test_published_outlines_give_the_label_maps(monuseg: Path) -> None:
    samples = sorted((monuseg / "xml-sample").glob("*.xml"))
    assert len(samples) == 3
    for path in samples:
        labels = np.asarray(Image.open(monuseg / "test" / "instances" / f"{path.stem}.png"))
        mask = read_mask(path.read_bytes(), size=labels.shape)
        np.testing.assert_array_equal(mask, labels)
