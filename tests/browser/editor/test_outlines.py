"""Outlines against a count of the edges between pixels, one by one."""

import numpy as np
import pytest

_SEGMENTS = """([ids, width, height, options]) =>
    outlines.outlineSegments(Int32Array.from(ids), width, height, options)"""

Edge = tuple[int, int, int, int]


def _masks() -> list[np.ndarray]:
    draw = np.random.default_rng(6)
    blocks = np.kron(draw.integers(0, 5, (6, 7)), np.ones((3, 2), int))
    return [
        np.zeros((4, 5), int),
        np.full((4, 5), 9),
        draw.integers(0, 3, (9, 13)),
        blocks * 700_001,
        np.array([[7]]),
    ]


def _edges(mask: np.ndarray, number: int | None = None) -> set[Edge]:
    """All edges of pixels between different ids, the outside being 0."""
    padded = np.pad(mask, 1)
    edges = set()
    for y in range(mask.shape[0] + 1):
        for x in range(mask.shape[1] + 1):
            here = padded[y + 1, x + 1]
            for other, edge in (
                (padded[y, x + 1], (x, y, x + 1, y)),
                (padded[y + 1, x], (x, y, x, y + 1)),
            ):
                if here != other and number in (None, here, other):
                    edges.add(edge)
    return edges


def _found(modules, mask: np.ndarray, **options) -> list[Edge]:
    height, width = mask.shape
    flat = modules.evaluate(_SEGMENTS, [mask.ravel().tolist(), width, height, options])
    edges = []
    for x0, y0, x1, y1 in np.reshape(flat, (-1, 4)).astype(int).tolist():
        assert (x0 == x1) != (y0 == y1)
        edges += [(x, y0, x + 1, y0) for x in range(x0, x1)]
        edges += [(x0, y, x0, y + 1) for y in range(y0, y1)]
    return edges


@pytest.mark.parametrize("mask", _masks())
def test_every_edge_is_in_one_segment_and_no_other_is(modules, mask):
    found = _found(modules, mask)
    assert len(found) == len(set(found))
    assert set(found) == _edges(mask)


def test_the_outline_of_one_nucleus_is_its_own(modules):
    mask = _masks()[3]
    for number in np.unique(mask)[1:].tolist():
        found = _found(modules, mask, id=number)
        assert len(found) == len(set(found))
        assert set(found) == _edges(mask, number)


def test_a_part_of_the_image_has_the_edges_of_its_pixels(modules):
    mask = _masks()[3]
    part = {"x0": 3, "y0": 4, "x1": 11, "y1": 9}
    expected = {
        (x0, y0, x1, y1)
        for x0, y0, x1, y1 in _edges(mask)
        if x0 >= 3 and x1 <= 11 and y0 >= 4 and y1 <= 9
    }
    assert set(_found(modules, mask, region=part)) == expected


def test_straight_edges_are_one_segment(modules):
    mask = np.zeros((20, 20), int)
    mask[5:15, 4:12] = 3
    height, width = mask.shape
    flat = modules.evaluate(_SEGMENTS, [mask.ravel().tolist(), width, height, {}])
    segments = {tuple(segment) for segment in np.reshape(flat, (-1, 4)).astype(int).tolist()}
    assert segments == {(4, 5, 12, 5), (4, 15, 12, 15), (4, 5, 4, 15), (12, 5, 12, 15)}


def test_the_path_is_drawn_along_the_edges(modules):
    """One pixel of a mask, ten times as large: a square of lines around it, and nothing in it."""
    alphas = modules.evaluate(
        """() => {
            const context = new OffscreenCanvas(50, 50).getContext("2d");
            context.scale(10, 10);
            context.lineWidth = 0.2;
            const ids = new Int32Array(25);
            ids[12] = 1;
            context.stroke(outlines.outlines(ids, 5, 5));
            const { data } = context.getImageData(0, 0, 50, 50);
            const alpha = (x, y) => data[4 * (50 * y + x) + 3];
            return [alpha(20, 25), alpha(29, 25), alpha(25, 20), alpha(25, 29), alpha(25, 25)];
        }"""
    )
    assert alphas == [255, 255, 255, 255, 0]
