"""The editor's shapes by definition, a pixel at a time, in whole numbers."""

from itertools import pairwise

import numpy as np

Place = tuple[int, int]


def disc(shape: tuple[int, int], centre: Place, radius: int) -> np.ndarray:
    """Pixels at most ``radius`` + 1/2 from the centre."""
    return stroke(shape, [centre, centre], radius)


def stroke(shape: tuple[int, int], places: list[Place], radius: int) -> np.ndarray:
    """Pixels at most ``radius`` + 1/2 from the way along the places."""
    y, x = np.indices(shape)
    covered = np.zeros(shape, bool)
    for (ax, ay), (bx, by) in pairwise(places):
        dx, dy = bx - ax, by - ay
        length2 = dx**2 + dy**2
        along = dx * (x - ax) + dy * (y - ay)
        for px, py in ((ax, ay), (bx, by)):
            covered |= 4 * ((x - px) ** 2 + (y - py) ** 2) <= (2 * radius + 1) ** 2
        if length2:
            across2 = (dx * (y - ay) - dy * (x - ax)) ** 2
            near = 4 * across2 <= (2 * radius + 1) ** 2 * length2
            covered |= near & (along >= 0) & (along <= length2)
    return covered


def polygon(shape: tuple[int, int], corners: list[Place]) -> np.ndarray:
    """Pixels with a winding number that is not 0, or on the outline."""
    y, x = np.indices(shape)
    winding = np.zeros(shape, int)
    outline = np.zeros(shape, bool)
    for (ax, ay), (bx, by) in pairwise([*corners, corners[0]]):
        side = (bx - ax) * (y - ay) - (x - ax) * (by - ay)
        winding += (ay <= y) & (y < by) & (side > 0)
        winding -= (by <= y) & (y < ay) & (side < 0)
        inside_box = (
            (x >= min(ax, bx)) & (x <= max(ax, bx)) & (y >= min(ay, by)) & (y <= max(ay, by))
        )
        outline |= (side == 0) & inside_box
    return (winding != 0) | outline
