"""COCO JSON: against pycocotools, and as other software writes it."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pycocotools import mask as pycoco

from model.errors import InvalidInput, MaskShape, MaskTooLarge, MaskUnreadable, ParameterInvalid
from model.formats import read_mask, write_mask
from model.mask import MAX_ID
from model.mask_formats.coco import coco_annotations
from model.mask_formats.run_lengths import decompressed

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)
MASKS = hnp.arrays(np.int64, SHAPES, elements=st.sampled_from([0, 0, 1, 2, 70_000]))
HEIGHT, WIDTH = 24, 30


def image(**others: Any) -> dict[str, Any]:
    return {"id": 1, "height": HEIGHT, "width": WIDTH, "file_name": "a.png"} | others


def box(left: int, top: int, side: int = 4) -> list[int]:
    """As a polygon of COCO."""
    right, bottom = left + side, top + side
    return [left, top, right, top, right, bottom, left, bottom]


def pixels(left: int, top: int, side: int = 4) -> NDArray[np.int64]:
    mask = np.zeros((HEIGHT, WIDTH), np.int64)
    mask[top : top + side, left : left + side] = 1
    return mask


def compressed(mask: NDArray[Any]) -> dict[str, Any]:
    found = pycoco.encode(np.asfortranarray(mask, np.uint8))
    return {"size": found["size"], "counts": found["counts"].decode()}


def uncompressed(mask: NDArray[Any]) -> dict[str, Any]:
    column = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(column, prepend=0)).tolist()
    counts = np.diff([0, *edges, len(column)]).tolist()
    return {"size": list(mask.shape), "counts": counts}


def annotation(segmentation: Any, **others: Any) -> dict[str, Any]:
    return {"image_id": 1, "category_id": 1, "segmentation": segmentation, "iscrowd": 0} | others


def content(*annotations: Any, **others: Any) -> dict[str, Any]:
    return {"images": [image()], "annotations": list(annotations), "categories": []} | others


def read(found: Any, **options: Any) -> NDArray[np.int32]:
    return read_mask(json.dumps(found).encode(), **options)


class TestWritten:
    @given(MASKS, st.booleans())
    def test_annotations_are_what_pycocotools_would_say(
        self, mask: NDArray[np.int64], as_polygons: bool
    ) -> None:
        found = coco_annotations(
            mask, image_id=5, first_id=100, category_id=3, as_polygons=as_polygons
        )
        ids = np.unique(mask[mask > 0])
        assert [entry["instance_id"] for entry in found] == ids.tolist()
        assert [entry["id"] for entry in found] == list(range(100, 100 + len(ids)))
        for entry in found:
            nucleus = mask == entry["instance_id"]
            assert (entry["image_id"], entry["category_id"], entry["iscrowd"]) == (5, 3, 0)
            assert entry["area"] == nucleus.sum()
            rows, cols = np.nonzero(nucleus)
            left, top = cols.min(), rows.min()
            assert entry["bbox"] == [left, top, cols.max() + 1 - left, rows.max() + 1 - top]
            if isinstance(entry["segmentation"], dict):
                assert entry["segmentation"] == compressed(nucleus)

    def test_polygons_are_corners_and_holes_stay_run_lengths(self) -> None:
        mask = np.zeros((HEIGHT, WIDTH), int)
        mask[2:6, 3:7] = 1
        mask[2:6, 10:14] = mask[10:12, 10:12] = 2
        mask[12:18, 20:26] = 3
        mask[14, 22] = 0
        first, second, third = (
            found["segmentation"] for found in coco_annotations(mask, image_id=1, as_polygons=True)
        )
        assert first == [box(3, 2)]
        assert second == [box(10, 2), box(10, 10, 2)]
        assert third == compressed(mask == 3)
        assert first == coco_annotations(mask == 1, image_id=1, as_polygons=True)[0]["segmentation"]

    @given(MASKS)
    def test_polygons_come_back(self, mask: NDArray[np.int64]) -> None:
        mask = np.pad(mask, [(0, 20), (0, 20)], constant_values=9)
        mask[1:-1:2, -1] = np.arange(100, 100 + len(mask[1:-1:2]))
        annotations = coco_annotations(mask, image_id=1, as_polygons=True)
        height, width = mask.shape
        images = [{"id": 1, "height": height, "width": width}]
        again = read({"images": images, "annotations": annotations})
        np.testing.assert_array_equal(again, mask)

    def test_a_file_is_a_data_set_of_one_image(self) -> None:
        found = json.loads(write_mask(pixels(3, 4) * 80_000, "coco"))
        assert found["images"] == [{"id": 1, "width": 30, "height": 24, "file_name": "tile.png"}]
        assert found["categories"] == [{"id": 1, "name": "nucleus", "supercategory": "cell"}]
        (only,) = found["annotations"]
        assert (only["id"], only["instance_id"], only["image_id"]) == (1, 80_000, 1)
        assert only["bbox"] == [3, 4, 4, 4]


class TestRead:
    @pytest.mark.parametrize("encode", [compressed, uncompressed])
    @pytest.mark.parametrize("iscrowd", [0, 1])
    def test_run_lengths(self, encode: Any, iscrowd: int) -> None:
        masks = [pixels(1, 1), pixels(9, 9)]
        found = [
            annotation(encode(mask), id=id, iscrowd=iscrowd)
            for id, mask in zip((70_000, 2), masks, strict=True)
        ]
        np.testing.assert_array_equal(read(content(*found)), masks[0] * 70_000 + masks[1] * 2)

    def test_polygons_and_several_categories(self) -> None:
        first = annotation([box(1, 1), box(4, 1), box(12, 1)], id=4, category_id=2)
        second = annotation([box(20, 9)], id=11, category_id=7)
        mask = read(content(first, second))
        expected = 4 * (pixels(1, 1) | pixels(4, 1) | pixels(12, 1)) + 11 * pixels(20, 9)
        np.testing.assert_array_equal(mask, expected)

    def test_ids_are_instance_ids_where_there_are_any(self) -> None:
        found = [
            annotation([box(1, 1)], id=1, instance_id=7),
            annotation([box(9, 9)], id=2, instance_id=7),
            annotation([box(20, 9)], id=7),
        ]
        expected = 7 * (pixels(1, 1) | pixels(9, 9)) + 8 * pixels(20, 9)
        np.testing.assert_array_equal(read(content(*found)), expected)

    @pytest.mark.parametrize("id", [None, 0, -1, "3", 2.5, True, MAX_ID + 1, 900_100_259_690])
    def test_ids_of_no_mask_are_numbered_after_the_others(self, id: Any) -> None:
        found = [annotation([box(1, 1)], id=id), annotation([box(9, 9)], id=41)]
        np.testing.assert_array_equal(read(content(*found)), 42 * pixels(1, 1) + 41 * pixels(9, 9))

    def test_a_results_file(self) -> None:
        found = [annotation(compressed(pixels(x, 1)), score=0.9) for x in (1, 9)]
        np.testing.assert_array_equal(read(found), pixels(1, 1) + 2 * pixels(9, 1))

    def test_polygons_of_an_unknown_size(self) -> None:
        found = {"annotations": [annotation([box(16, 12)]), annotation([box(1, 1)])]}
        assert read(found).shape == (16, 20)
        assert read(found, size=(30, 40)).shape == (30, 40)
        assert read(found | {"images": [{"id": 1}]}, size=(30, 40)).shape == (30, 40)

    def test_later_annotations_win_and_polygons_before_run_lengths(self) -> None:
        runs = [annotation(compressed(pixels(left, 1, 6))) for left in (1, 4)]
        outline = annotation([box(1, 1, 2)])
        mask = read(content(outline, *runs))
        assert mask[1, 1] == 1
        assert mask[6, 3] == 2
        assert mask[6, 4] == 3

    def test_an_empty_run_length_is_a_nucleus_without_pixels(self) -> None:
        empty = annotation(compressed(pixels(0, 0, 0)))
        also = annotation({"size": [HEIGHT, WIDTH], "counts": []})
        mask = read(content(empty, also, annotation([box(1, 1)])))
        np.testing.assert_array_equal(mask, 3 * pixels(1, 1))

    @given(
        st.lists(st.integers(0, 10_000), min_size=1, max_size=40),
        st.integers(0, 2**31),
    )
    def test_decompression_inverts_pycocotools(self, counts: list[int], first: int) -> None:
        counts = [first, *counts]
        total = sum(counts)
        text = pycoco.frPyObjects({"size": [1, total], "counts": counts}, 1, total)["counts"]
        assert decompressed(np.frombuffer(text, np.uint8)).tolist() == counts


def runs(counts: Any, size: Any = (HEIGHT, WIDTH)) -> dict[str, Any]:
    return content(annotation({"size": list(size), "counts": counts}, id=6))


DAMAGED: dict[str, tuple[Any, type[InvalidInput], str]] = {
    "several images": (
        content(annotation([box(1, 1)]), images=[image(), image(id=2)]),
        MaskShape,
        "2 images",
    ),
    "annotations of several images": (
        content(annotation([box(1, 1)]), annotation([box(1, 1)], image_id=2)),
        MaskShape,
        "2 images",
    ),
    "annotations that are none": (content(3), MaskUnreadable, "no list of objects"),
    "annotations that are no list": ({"annotations": {}}, MaskUnreadable, "no list of objects"),
    "boxes only": (content(annotation([], id=5)), MaskUnreadable, "of id 5 has neither"),
    "no segmentation": (content({"id": 5}), MaskUnreadable, "of id 5 has neither"),
    "an odd polygon": (content(annotation([[1, 2, 3]])), MaskUnreadable, "polygons of x, y"),
    "a nested polygon": (content(annotation([[[1, 2], [3, 4]], 5])), MaskUnreadable, "of x, y"),
    "text as polygon": (content(annotation("here")), MaskUnreadable, "polygons of x, y"),
    "NaN in a polygon": (
        content(annotation([[1, 2, float("nan"), 4, 5, 6]])),
        MaskUnreadable,
        "not finite",
    ),
    "another size": (runs([720], (HEIGHT, WIDTH + 1)), MaskUnreadable, "size [24, 31]"),
    "no size": (content(annotation({"counts": [720]})), MaskUnreadable, "size None"),
    "a size of text": (content(images=[image(height="24")]), MaskUnreadable, "as integers"),
    "a size of one side": (content(images=[{"height": 24}]), MaskUnreadable, "[24, None]"),
    "a large image": (content(images=[image(height=10**6)]), MaskTooLarge, "30 x 1000000"),
    "large run lengths": (
        [annotation({"size": [10**6, 10**6], "counts": [10**12]})],
        MaskTooLarge,
        "1000000 x 1000000",
    ),
    "too few pixels": (runs([10, 5]), MaskUnreadable, "nucleus 6 in the COCO file do not add up"),
    "too many pixels": (runs([10, 5, 720]), MaskUnreadable, "do not add up"),
    "a sum that wraps around": (
        runs([2**63 - 1, 2**63 - 1, 722]),
        MaskUnreadable,
        "do not add up",
    ),
    "negative counts": (runs([700, -10, 30]), MaskUnreadable, "do not add up"),
    "counts beyond 64 bits": (runs([2**70]), MaskUnreadable, "neither text nor integers"),
    "fractional counts": (runs([719.5, 0.5]), MaskUnreadable, "neither text nor integers"),
    "no counts": (runs(None), MaskUnreadable, "neither text nor integers"),
    "compressed, cut off": (runs(compressed(pixels(1, 1))["counts"] + "P"), MaskUnreadable, "dam"),
    "compressed, too short": (runs("1"), MaskUnreadable, "do not add up"),
    "compressed, negative": (runs("O"), MaskUnreadable, "do not add up"),
    "compressed, beyond 35 bits": (runs("o" * 30 + "0"), MaskUnreadable, "damaged"),
    "other characters": (runs("!!"), MaskUnreadable, "damaged"),
    "characters beyond ASCII": (runs("\u20ac\xff"), MaskUnreadable, "damaged"),
    "nuclei upon each other": (
        content(*[annotation({"size": [HEIGHT, WIDTH], "counts": [0, 720]})] * 17),
        MaskUnreadable,
        "more than 16 deep",
    ),
}


class TestDamaged:
    @pytest.mark.parametrize(("found", "error", "words"), DAMAGED.values(), ids=DAMAGED)
    def test_files_are_refused(self, found: Any, error: type[InvalidInput], words: str) -> None:
        with pytest.raises(error) as caught:
            read(found)
        assert type(caught.value) is error
        assert words in str(caught.value)

    def test_size_must_be_that_of_the_run_lengths(self) -> None:
        found = [annotation(compressed(pixels(1, 1)))]
        with pytest.raises(ParameterInvalid, match="but the mask file is 30 x 24"):
            read(found, size=(24, 31))

    def test_annotations_are_counted(self) -> None:
        found = content(*[annotation([box(1, 1)])] * 300)
        with pytest.raises(MaskUnreadable, match="300 annotations, too many"):
            read(found, max_side=64)
