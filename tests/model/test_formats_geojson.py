"""GeoJSON: as QuPath imports it, and as its versions and others export it."""

import json
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from model.errors import InvalidInput, MaskBinary, MaskIdTooLarge, MaskTooLarge, MaskUnreadable
from model.formats import read_mask, write_mask
from model.mask import MAX_ID
from model.mask_formats.geojson import feature_collection

SIZE = (24, 30)


def box(left: float, top: float, side: float = 4) -> list[list[float]]:
    right, bottom = left + side, top + side
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def polygon(*rings: list[list[float]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def feature(geometry: Any, *, id: Any = None, **properties: Any) -> dict[str, Any]:
    found = {"type": "Feature", "geometry": geometry, "properties": properties}
    return found if id is None else found | {"id": id}


def collection(*features: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


def read(content: Any, **options: Any) -> NDArray[np.int32]:
    return read_mask(json.dumps(content).encode(), **({"size": SIZE} | options))


def filled(**boxes: tuple[int, int]) -> NDArray[np.int32]:
    """A mask of 4 px boxes: id=(left, top)."""
    mask = np.zeros(SIZE, np.int32)
    for name, (left, top) in boxes.items():
        mask[top : top + 4, left : left + 4] = int(name.removeprefix("id"))
    return mask


def uuid(number: int) -> str:
    """One as QuPath draws them."""
    return str(uuid5(UUID(int=0), str(number)))


class TestWritten:
    def test_as_qupath_imports_it(self) -> None:
        mask = filled(id7=(2, 3))
        assert json.loads(write_mask(mask, "geojson")) == {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "id": "00000000-0000-0000-0000-000000000007",
                    "geometry": {
                        "type": "Polygon",
                        "coordinates": [[[2, 3], [6, 3], [6, 7], [2, 7], [2, 3]]],
                    },
                    "properties": {
                        "objectType": "detection",
                        "classification": {"name": "Nucleus"},
                    },
                }
            ],
        }

    def test_text_and_building_block_agree(self) -> None:
        mask = np.kron(np.arange(12).reshape(3, 4) * 30_000, np.ones((6, 6), int))
        mask[2, 8] = 0  # a hole
        mask[17, 0] = 30_000  # a second piece
        content = feature_collection(mask)
        assert json.loads(write_mask(mask, "geojson")) == content
        ids = [UUID(found["id"]).int for found in content["features"]]
        assert ids == np.unique(mask[mask > 0]).tolist()
        for id, found in zip(ids, content["features"], strict=True):
            geometry = shapely.geometry.shape(found["geometry"])
            assert geometry.is_valid
            assert geometry.area == (mask == id).sum()
            assert shapely.get_parts(geometry)[0].exterior.is_ccw


class TestQuPath:
    def test_detections_of_version_0_5(self) -> None:
        first = feature(
            polygon(box(1, 1)),
            id=uuid(1),
            objectType="detection",
            classification={"name": "Tumor", "color": [200, 0, 0]},
            measurements={"Area": 16.0, "Nucleus: Circularity": float("nan")},
        )
        second = feature(polygon(box(10, 10)), id=uuid(2), objectType="detection", isLocked=True)
        np.testing.assert_array_equal(
            read(collection(first, second)), filled(id1=(1, 1), id2=(10, 10))
        )

    def test_cells_count_with_their_nucleus(self) -> None:
        cell = feature(polygon(box(0, 0, 10)), id=uuid(1), objectType="cell")
        cell["nucleusGeometry"] = polygon(box(3, 3))
        without = feature(polygon(box(20, 3)), id=uuid(2), objectType="cell")
        np.testing.assert_array_equal(
            read(collection(cell, without)), filled(id1=(3, 3), id2=(20, 3))
        )

    @pytest.mark.parametrize(
        "kind", ["annotation", "tile", "tmaCore", "root", "PathAnnotationObject"]
    )
    def test_other_objects_are_left_out_beside_detections(self, kind: str) -> None:
        region = feature(polygon(box(0, 0, 24)), objectType=kind)
        nucleus = feature(polygon(box(3, 3)), objectType="detection")
        np.testing.assert_array_equal(read(collection(region, nucleus)), filled(id1=(3, 3)))

    def test_annotations_count_where_there_is_nothing_else(self) -> None:
        tile = feature(polygon(box(0, 0, 24)), objectType="tile")
        drawn = [feature(polygon(box(x, 3)), objectType="annotation") for x in (1, 9)]
        np.testing.assert_array_equal(
            read(collection(tile, *drawn)), filled(id1=(1, 3), id2=(9, 3))
        )

    @pytest.mark.parametrize("key", ["objectType", "object_type", "type"])
    def test_every_name_of_the_type_is_known(self, key: str) -> None:
        region = feature(polygon(box(0, 0, 24)), **{key: "annotation"})
        nucleus = feature(polygon(box(3, 3)), **{key: "detection"})
        np.testing.assert_array_equal(read(collection(region, nucleus)), filled(id1=(3, 3)))

    def test_version_0_2_has_the_type_as_id_and_no_collection(self) -> None:
        region = feature(polygon(box(0, 0, 24)), id="PathAnnotationObject")
        cells = [feature(polygon(box(x, 3)), id="PathCellObject") for x in (1, 9)]
        np.testing.assert_array_equal(read([region, *cells]), filled(id1=(1, 3), id2=(9, 3)))

    def test_child_objects_count(self) -> None:
        child = feature(polygon(box(3, 3)), id=uuid(2), objectType="detection")
        parent = feature(polygon(box(0, 0, 24)), objectType="annotation", childObjects=[child])
        np.testing.assert_array_equal(read(collection(parent)), filled(id1=(3, 3)))

    def test_ids_come_back_after_nuclei_were_added(self) -> None:
        content = json.loads(write_mask(filled(id70000=(1, 1), id3=(8, 8)), "geojson"))
        content["features"].insert(0, feature(polygon(box(20, 20)), id=uuid(1)))
        content["features"][0]["properties"]["objectType"] = "detection"
        np.testing.assert_array_equal(
            read(content), filled(id70000=(1, 1), id3=(8, 8), id70001=(20, 20))
        )


class TestOthers:
    def test_one_feature_and_unknown_keys(self) -> None:
        found = feature(polygon(box(1, 1))) | {"bbox": [1, 1, 5, 5], "x": {"counts": ["a"]}}
        np.testing.assert_array_equal(read(found), filled(id1=(1, 1)))
        assert read(collection(found) | {"crs": {"type": "name"}, "size": 3}).max() == 1

    @pytest.mark.parametrize("id", [12, "12", "00000000-0000-0000-0000-00000000000c"])
    def test_ids_that_are_numbers_are_kept(self, id: Any) -> None:
        np.testing.assert_array_equal(
            read(collection(feature(polygon(box(1, 1)), id=id))), filled(id12=(1, 1))
        )

    @pytest.mark.parametrize("id", [0, -4, 1.5, True, "a", "", [1], {"a": 1}, MAX_ID + 1, 10**30])
    def test_other_ids_are_not(self, id: Any) -> None:
        features = [feature(polygon(box(1, 1)), id=id), feature(polygon(box(9, 9)), id=5)]
        np.testing.assert_array_equal(read(collection(*features)), filled(id6=(1, 1), id5=(9, 9)))

    def test_features_of_one_id_are_one_nucleus(self) -> None:
        mask = read(collection(*[feature(polygon(box(x, 1)), id=4) for x in (1, 5, 9)]))
        np.testing.assert_array_equal(np.unique(mask), [0, 4])
        assert (mask == 4).sum() == 3 * 16

    def test_heights_holes_and_several_polygons(self) -> None:
        ring = [[x, y, 7.5] for x, y in box(1, 1, 8)]
        several = {"type": "MultiPolygon", "coordinates": [[ring, box(3, 3, 2)], [box(10, 1, 4)]]}
        mask = read(collection(feature(several), feature(polygon(box(20, 1)))))
        assert (mask == 1).sum() == 64 - 4 + 16
        assert (mask == 2).sum() == 16

    def test_geometry_collections_count_with_their_polygons(self) -> None:
        members = [{"type": "Point", "coordinates": [1, 1]}, polygon(box(1, 1))]
        found = feature({"type": "GeometryCollection", "geometries": members})
        np.testing.assert_array_equal(read(collection(found)), filled(id1=(1, 1)))

    @pytest.mark.parametrize(
        "geometry",
        [
            None,
            {"type": "Point", "coordinates": [1, 2]},
            {"type": "LineString", "coordinates": [[1, 2], [5, 9]]},
            {"type": "Polygon", "coordinates": []},
            {"type": "MultiPolygon", "coordinates": [[[]]]},
        ],
        ids=str,
    )
    def test_what_has_no_area_is_left_out(self, geometry: Any) -> None:
        found = [feature(geometry), feature(polygon(box(1, 1)))]
        np.testing.assert_array_equal(read(collection(*found)), filled(id1=(1, 1)))
        with pytest.raises(MaskUnreadable, match="1 features, but no polygon"):
            read(collection(feature(geometry)))

    def test_later_features_win(self) -> None:
        found = [feature(polygon(box(1, 1, 6))), feature(polygon(box(1, 1)))]
        mask = read(collection(*found))
        assert (mask == 2).sum() == 16
        assert (mask == 1).sum() == 36 - 16

    def test_outlines_at_the_border_are_cut(self) -> None:
        mask = read(collection(feature(polygon(box(-2, -2))), feature(polygon(box(28, 22)))))
        assert (mask == 1).sum() == (mask == 2).sum() == 4
        assert mask[0, 0] == 1
        assert mask[-1, -1] == 2

    def test_half_a_pixel_decides(self) -> None:
        mask = read(collection(feature(polygon(box(1.4, 1.6))), feature(polygon(box(9, 9)))))
        np.testing.assert_array_equal(mask, filled(id1=(1, 2), id2=(9, 9)))

    def test_one_feature_for_all_nuclei_is_binary(self) -> None:
        all_of_them = {"type": "MultiPolygon", "coordinates": [[box(1, 1)], [box(9, 9)]]}
        with pytest.raises(MaskBinary, match="label_components"):
            read(collection(feature(all_of_them)))
        mask = read(collection(feature(all_of_them)), label_components=True)
        np.testing.assert_array_equal(mask, filled(id1=(1, 1), id2=(9, 9)))

    def test_text_may_begin_with_a_mark_and_white_space(self) -> None:
        text = "\ufeff\n\t " + json.dumps(collection(feature(polygon(box(1, 1)))))
        assert read_mask(text.encode(), size=SIZE).max() == 1


DAMAGED: dict[str, tuple[Any, type[InvalidInput], str]] = {
    "no features": (
        {"type": "FeatureCollection"} | {"features": None},
        MaskUnreadable,
        "Entry 1 of the GeoJSON is no Feature",
    ),
    "a geometry as feature": (collection(polygon(box(1, 1))), MaskUnreadable, "no Feature"),
    "a number as feature": (collection(feature(polygon(box(1, 1))), 3), MaskUnreadable, "Entry 2"),
    "flat coordinates": (
        collection(feature({"type": "Polygon", "coordinates": [[1, 1, 2, 2, 3, 3]]})),
        MaskUnreadable,
        "no rings of [x, y]",
    ),
    "text as coordinates": (
        collection(feature({"type": "Polygon", "coordinates": "here"})),
        MaskUnreadable,
        "no rings of [x, y]",
    ),
    "coordinates of one number": (
        collection(feature({"type": "Polygon", "coordinates": [[[1], [2], [3]]]})),
        MaskUnreadable,
        "no rings of [x, y]",
    ),
    "NaN": (collection(feature(polygon([[1, 1], [9, float("nan")], [5, 5]]))), MaskUnreadable, ""),
    "infinity": (collection(feature(polygon([[1, 1], [1e400, 3], [5, 5]]))), MaskUnreadable, ""),
    "null": (collection(feature(polygon([[1, 1], [None, 3], [5, 5]]))), MaskUnreadable, "finite"),
    "a long integer": (
        collection(feature(polygon([[1, 1], [10**400, 3], [5, 5]]))),
        MaskUnreadable,
        "no rings",
    ),
    "micrometres of a slide": (
        collection(feature(polygon(box(9000, 9000)))),
        MaskUnreadable,
        "subtract the position",
    ),
    "no id left": (
        collection(feature(polygon(box(1, 1)), id=MAX_ID), feature(polygon(box(9, 9)))),
        MaskIdTooLarge,
        "no number is left",
    ),
}


class TestDamaged:
    @pytest.mark.parametrize(("content", "error", "words"), DAMAGED.values(), ids=DAMAGED)
    def test_files_are_refused(self, content: Any, error: type[InvalidInput], words: str) -> None:
        with pytest.raises(error) as caught:
            read(content)
        assert words in str(caught.value)

    def test_a_slide_without_size_is_too_large(self) -> None:
        with pytest.raises(MaskTooLarge, match="9004 x 9004 px"):
            read(collection(feature(polygon(box(9000, 9000)))), size=None)

    def test_values_are_counted_before_they_are_read(self) -> None:
        text = b"[" + b"0," * (4 * 64**2) + b"0]"
        with pytest.raises(MaskUnreadable, match="JSON of 16385 values"):
            read_mask(text, max_side=64)
