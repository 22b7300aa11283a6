"""Outlines along the edges of pixels, and drawing them: against shapely and skimage."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image
from skimage.draw import polygon as skimage_polygon

from model.errors import MaskFloat, MaskIdTooLarge, MaskShape, MaskUnreadable, MaskUnwritable
from model.formats import MaskFormat, write_mask
from model.mask import MAX_ID, Reading
from model.mask_formats import aperio, drawing
from model.mask_formats.drawing import Rule, draw, draw_new, numbered, polygons
from model.mask_formats.outlines import outlines, trace

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)
MASKS = hnp.arrays(np.int64, SHAPES, elements=st.sampled_from([0, 0, 1, 2, 70_000]))
POINTS = st.tuples(st.integers(-6, 24), st.integers(-6, 24))
FRACTIONS = st.integers(-500, 2000).map(lambda number: number / 97)
RINGS = st.lists(POINTS, min_size=1, max_size=9).map(lambda ring: np.array(ring, float))


class TestOutlines:
    @given(MASKS)
    def test_are_the_union_of_the_pixels(self, mask: NDArray[np.int64]) -> None:
        found = outlines(mask)
        assert list(found) == np.unique(mask[mask > 0]).tolist()
        for id, outline in found.items():
            assert outline.is_valid
            rows, cols = np.nonzero(mask == id)
            pixels = shapely.union_all(shapely.box(cols, rows, cols + 1, rows + 1))
            assert shapely.equals(outline, pixels)
            assert outline.area == len(rows)

    @given(MASKS)
    def test_have_corners_only_and_shells_that_are_counterclockwise(
        self, mask: NDArray[np.int64]
    ) -> None:
        for outline in outlines(mask).values():
            for part in shapely.get_parts(outline):
                assert part.exterior.is_ccw
                assert not any(hole.is_ccw for hole in part.interiors)
                for ring in (part.exterior, *part.interiors):
                    sides = np.diff(np.array(ring.coords), axis=0)
                    assert ((sides == 0).sum(axis=1) == 1).all()
                    horizontal = sides[:, 1] == 0
                    assert (horizontal != np.roll(horizontal, 1)).all()

    def test_of_a_frame_has_a_hole(self) -> None:
        mask = np.full((3, 3), 4)
        mask[1, 1] = 0
        outline = outlines(mask)[4]
        assert outline.geom_type == "Polygon"
        assert list(outline.exterior.coords) == [(0, 0), (3, 0), (3, 3), (0, 3), (0, 0)]
        assert [shapely.Polygon(hole).bounds for hole in outline.interiors] == [(1, 1, 2, 2)]

    def test_of_pixels_that_meet_in_a_corner_are_two(self) -> None:
        outline = outlines(np.eye(2, dtype=int))[1]
        assert outline.geom_type == "MultiPolygon"
        assert [part.bounds for part in shapely.get_parts(outline)] == [(0, 0, 1, 1), (1, 1, 2, 2)]

    def test_a_hole_that_reaches_the_outside_in_a_corner_stays_a_hole(self) -> None:
        mask = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]])
        outline = outlines(mask)[1]
        assert outline.geom_type == "Polygon"
        assert outline.is_valid
        assert len(outline.interiors) == 1

    def test_a_nucleus_within_another_fills_its_hole(self) -> None:
        mask = np.full((5, 5), 1)
        mask[1:4, 1:4] = 2
        found = outlines(mask)
        assert shapely.equals(shapely.Polygon(found[1].interiors[0]), found[2])

    def test_of_no_nuclei(self) -> None:
        assert outlines(np.zeros((4, 5), np.uint8)) == {}
        assert len(trace(np.zeros((4, 5), np.uint8)).vertices) == 0

    @pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint64])
    def test_of_any_integer_type_and_memory_order(self, dtype: type) -> None:
        mask = np.asfortranarray(np.pad(np.ones((2, 3), dtype), 1))
        (outline,) = outlines(mask).values()
        assert outline.bounds == (1, 1, 4, 3)

    def test_of_what_is_no_mask(self) -> None:
        with pytest.raises(MaskFloat):
            outlines(np.zeros((3, 3)))
        with pytest.raises(MaskShape):
            outlines(np.zeros((3, 3, 1), int))


def drawn(rings: list[Any], shape: tuple[int, int], rule: Rule = drawing.PLAIN) -> NDArray[Any]:
    mask = np.zeros(shape, np.int32)
    draw(mask, polygons([(1, [np.array(ring, float) for ring in rings])]), rule)
    return mask


class TestDrawing:
    @given(MASKS, st.sampled_from([1, 5, 2_000_000]))
    def test_outlines_come_back(self, mask: NDArray[np.int64], chunk: int) -> None:
        again = np.zeros(mask.shape, np.int32)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(drawing, "_CHUNK", chunk)
            draw(again, trace(mask))
        np.testing.assert_array_equal(again, mask)

    @given(st.lists(st.tuples(*[FRACTIONS] * 2), min_size=3, max_size=3))
    def test_a_pixel_is_inside_when_its_centre_is(self, corners: list[Any]) -> None:
        triangle = shapely.Polygon(corners)
        cols, rows = np.meshgrid(np.arange(15) + 0.5, np.arange(12) + 0.5)
        mask = drawn([corners], (12, 15))
        on_edge = shapely.distance(triangle.boundary, shapely.points(cols, rows)) < 1e-6
        inside = shapely.contains_xy(triangle, cols, rows)
        np.testing.assert_array_equal(mask[~on_edge] > 0, inside[~on_edge])

    @given(st.lists(RINGS, min_size=1, max_size=3), st.sampled_from([0.5, 1, 2]))
    def test_with_edges_it_is_what_skimage_draws(
        self, regions: list[NDArray[np.float64]], scale: float
    ) -> None:
        shape = (14, 17)
        expected = np.zeros(shape, np.int32)
        moved = [scale * region - 1 + 1e-4 for region in regions]
        for id, region in reversed(list(enumerate(moved, start=1))):
            if len(region) > 2:
                expected[skimage_polygon(region[:, 1], region[:, 0], shape)] = id
        mask = np.zeros(shape, np.int32)
        pieces = [(id, [region]) for id, region in enumerate(moved, start=1)]
        draw(mask, polygons(pieces[::-1]), aperio.RULE)
        np.testing.assert_array_equal(mask, expected)

    def test_centres_on_edges_belong_to_one_of_two_neighbours(self) -> None:
        left = [(2.5, 2.5), (6.5, 2.5), (6.5, 9.5), (2.5, 9.5)]
        right = [(x + 4, y) for x, y in left]
        one, other = drawn([left], (12, 12)), drawn([right], (12, 12))
        assert one.sum() == other.sum() == 4 * 7
        assert (one & other).sum() == 0
        assert one[2:9, 2:6].all()

    def test_rings_are_filled_even_odd(self) -> None:
        rings = [[(0, 0), (9, 0), (9, 9), (0, 9)], [(2, 2), (7, 2), (7, 7), (2, 7)]]
        star = [(5, 0), (8, 9.9), (0, 4), (10, 4), (2, 9.9)]
        assert drawn(rings, (9, 9)).sum() == 81 - 25
        assert drawn([star], (10, 10))[5, 5] == 0

    def test_later_pieces_win_and_pieces_of_one_id_add_up(self) -> None:
        box = np.array([(0, 0), (6, 0), (6, 6), (0, 6)], float)
        mask = np.zeros((10, 10), np.int32)
        draw(mask, polygons([(7, [box]), (7, [box + 2]), (300_000, [box + 4])]))
        assert mask[3, 3] == mask[0, 0] == 7
        assert mask[5, 5] == 300_000
        assert (mask == 7).sum() == 36 + 36 - 16 - 16

    @pytest.mark.parametrize("rule", [drawing.PLAIN, Rule(0.5, True)])
    def test_what_reaches_over_the_border_is_cut_off(self, rule: Rule) -> None:
        assert drawn([[(-9.5, -3), (4, -3), (4, 50), (-9.5, 50)]], (8, 8), rule).sum() == 4 * 8
        outside = [(-9.1, 0), (-2.5, 0), (-2.5, 8), (-9.1, 8)]
        assert drawn([outside], (8, 8), rule).sum() == 0
        assert drawn([[(7 - x, y) for x, y in outside]], (8, 8), rule).sum() == 0

    @pytest.mark.parametrize("ring", [[], [(1, 1)], [(1, 1), (5, 5)], [(3, 3)] * 5])
    def test_rings_that_enclose_nothing(self, ring: list[Any]) -> None:
        rings = [np.array(ring, float).reshape(-1, 2)]
        box = np.array([(0, 0), (2, 0), (2, 2), (0, 2)], float)
        mask = np.zeros((8, 8), np.int32)
        draw(mask, polygons([(1, rings), (2, [box]), (3, rings), (4, [])]))
        assert (mask == 2).sum() == mask.astype(bool).sum() == 4

    def test_of_nothing(self) -> None:
        assert draw_new(polygons([]), Reading(64, (20, 30))).sum() == 0


class TestBounds:
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e9, -1e300])
    def test_coordinates_that_are_no_pixels(self, value: float) -> None:
        ring = np.array([(0, 0), (20, value), (20, 20)], float)
        for size in (None, (32, 32)):
            with pytest.raises(MaskUnreadable, match="not finite or far beyond"):
                draw_new(polygons([(1, [ring])]), Reading(64, size))

    def test_outlines_that_all_lie_outside(self) -> None:
        ring = np.array([(100, 100), (120, 100), (120, 120)], float)
        with pytest.raises(MaskUnreadable, match="subtract the position"):
            draw_new(polygons([(1, [ring])]), Reading(64, (32, 32)))

    def test_outlines_upon_each_other(self) -> None:
        box = np.array([(0, 0), (32, 0), (32, 32), (0, 32)], float)
        deep = [(id, [box]) for id in range(1, 17)]
        assert draw_new(polygons(deep), Reading(64, (32, 32))).min() == 16
        with pytest.raises(MaskUnreadable, match="more than 16 deep"):
            draw_new(polygons([*deep, (17, [box])]), Reading(64, (32, 32)))

    def test_an_outline_of_endless_zigzag(self) -> None:
        rungs = 200
        ring = np.array([(x / 10, 32 * (x % 2)) for x in range(rungs)], float)
        with pytest.raises(MaskUnreadable, match="too many or too ragged"):
            draw_new(polygons([(1, [ring])]), Reading(64, (32, 32)))

    def test_a_single_outline_of_zigzag(self) -> None:
        """The whole mask has room for twice as many crossings."""
        ring = np.array([(x / 3, 1024 * (x % 2)) for x in range(2100)], float)
        with pytest.raises(MaskUnreadable, match="An outline is too ragged"):
            draw_new(polygons([(1, [ring])]), Reading(1024, (1024, 1024)))
        half = draw_new(polygons([(1, [ring[:1000]]), (2, [ring[1000:]])]), Reading(1024))
        assert set(np.unique(half)) == {0, 1, 2}

    @pytest.mark.parametrize("limit", ["_MOST_NUCLEI", "_MOST_EDGES"])
    @pytest.mark.parametrize("format", ["geojson", "coco", "xml"])
    def test_more_than_outlines_are_for(
        self, limit: str, format: MaskFormat, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mask = np.zeros((32, 32), np.int32)
        mask[2:8, 2:8], mask[12:20, 12:20] = 1, 2
        write_mask(mask, format)
        monkeypatch.setattr(f"model.mask_formats.outlines.{limit}", 1)
        with pytest.raises(MaskUnwritable, match="Write it as TIFF"):
            write_mask(mask, format)
        write_mask(mask, "tiff")


class TestNumbered:
    def test_ids_are_kept_and_others_follow(self) -> None:
        assert numbered([]) == []
        assert numbered([None, 0, -3]) == [1, 2, 3]
        assert numbered([5, None, 70_000, MAX_ID + 1, 5]) == [5, 70_001, 70_000, 70_002, 5]
        assert numbered([MAX_ID]) == [MAX_ID]

    def test_there_may_be_no_number_left(self) -> None:
        with pytest.raises(MaskIdTooLarge, match="no number is left"):
            numbered([MAX_ID, None])


def test_outlines_of_monuseg_have_the_areas_of_their_nuclei(monuseg: Path) -> None:
    for path in sorted(monuseg.glob("*/instances/*.png"))[::6]:
        mask = np.asarray(Image.open(path)).astype(np.int32)
        found = outlines(mask)
        ids, areas = np.unique(mask[mask > 0], return_counts=True)
        assert list(found) == ids.tolist()
        geometries = np.array(list(found.values()))
        np.testing.assert_array_equal(shapely.area(geometries), areas)
        assert shapely.is_valid(geometries).all()
