"""The kernel distance against closed forms and sums written out."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.metrics.kid import jackknife_error, kernel_distance, squared_mmd

Rows = NDArray[np.float64]


def gaussian(rows: int, dims: int, seed: int = 0) -> Rows:
    return np.random.default_rng(seed).normal(size=(rows, dims))


def kernel(x: Rows, y: Rows) -> float:
    return float((x @ y / len(x) + 1) ** 3)


def written_out(a: Rows, b: Rows) -> float:
    within = [np.mean([kernel(x, y) for x, y in combinations(rows, 2)]) for rows in (a, b)]
    return float(sum(within) - 2 * np.mean([kernel(x, y) for x in a for y in b]))


def test_two_pairs_by_hand() -> None:
    # (0 * 1 + 1)^3 + (2 * 3 + 1)^3 - 2 * (1 + 1 + 27 + 64) / 4
    a, b = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    assert squared_mmd(a, b) == pytest.approx(1 + 343 - 93 / 2)


def test_sets_of_one_value() -> None:
    a, b = np.full((4, 2), 1.0), np.tile([1.0, -1.0], (3, 1))
    # The product over D is 1 within the sets and 0 between them.
    assert squared_mmd(a, b) == pytest.approx(8 + 8 - 2)
    assert squared_mmd(a, a[:2]) == pytest.approx(0)


@given(st.integers(2, 7), st.integers(2, 7), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_the_sums_written_out(rows_a: int, rows_b: int, dims: int, seed: int) -> None:
    a, b = gaussian(rows_a, dims, seed), gaussian(rows_b, dims, seed + 1) + 0.5
    assert squared_mmd(a, b) == pytest.approx(written_out(a, b), abs=1e-9)
    assert squared_mmd(b, a) == pytest.approx(squared_mmd(a, b), abs=1e-9)


def test_the_kernel_compares_the_first_three_moments() -> None:
    # In one dimension (xy + 1)^3 = 1 + 3 xy + 3 (xy)^2 + (xy)^3, and the mean of (xy)^p over
    # pairs of different values is that over all pairs without the squares.
    a, b = gaussian(300, 1, 1)[:, 0], gaussian(200, 1, 2)[:, 0] * 2 + 0.5

    def within(values: Rows) -> float:
        count = len(values)
        return float((values.sum() ** 2 - np.square(values).sum()) / (count * (count - 1)))

    expected = sum(
        factor * (within(a**power) + within(b**power) - 2 * (a**power).mean() * (b**power).mean())
        for power, factor in ((1, 3), (2, 3), (3, 1))
    )
    assert squared_mmd(a[:, None], b[:, None]) == pytest.approx(expected, rel=1e-9)


def test_alike_sets_are_as_often_below_zero_as_above() -> None:
    values = [
        squared_mmd(gaussian(20, 3, seed), gaussian(20, 3, seed + 500)) for seed in range(200)
    ]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0 < max(values)


def test_subsets_are_drawn_evenly() -> None:
    a, b = gaussian(6, 2, 3), gaussian(5, 2, 4) * 1.5
    every = [
        squared_mmd(a[list(rows_a)], b[list(rows_b)])
        for rows_a in combinations(range(6), 3)
        for rows_b in combinations(range(5), 3)
    ]
    distance = kernel_distance(a, b, subsets=4000, subset_size=3, seed=5)
    assert np.mean(every) == pytest.approx(squared_mmd(a, b))
    assert distance.mean == pytest.approx(np.mean(every), abs=4 * np.std(every) / np.sqrt(4000))
    assert distance.deviation == pytest.approx(np.std(every), rel=0.1)


def test_subsets_of_everything_do_not_vary() -> None:
    a, b = gaussian(6, 3, 1), gaussian(6, 3, 2)
    distance = kernel_distance(a, b, subsets=5, subset_size=6)
    assert distance.mean == pytest.approx(squared_mmd(a, b))
    assert distance.deviation == pytest.approx(0, abs=1e-12)


def test_the_seed_decides_whatever_ran_before() -> None:
    a, b = gaussian(30, 4, 1), gaussian(40, 4, 2)

    def measure(seed: int) -> tuple[float, float]:
        distance = kernel_distance(a, b, subsets=10, subset_size=8, seed=seed)
        return distance.mean, distance.deviation

    first = measure(3)
    np.random.default_rng().normal(size=3)
    assert measure(3) == first
    assert measure(4) != first


def test_features_of_single_precision_are_summed_in_double() -> None:
    a, b = (gaussian(50, 16, seed).astype(np.float32) + 30 for seed in (1, 2))
    assert squared_mmd(a, b) == pytest.approx(
        squared_mmd(a.astype(np.float64), b.astype(np.float64)), rel=1e-12
    )


def test_arguments_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="cannot compare"):
        kernel_distance(gaussian(5, 3), gaussian(5, 4), subset_size=3)
    for size in (1, 6):
        with pytest.raises(ValueError, match="2 to 5 of them"):
            kernel_distance(gaussian(5, 3), gaussian(9, 3), subset_size=size)
    with pytest.raises(ValueError, match="at least one subset"):
        kernel_distance(gaussian(5, 3), gaussian(9, 3), subsets=0, subset_size=3)


def test_the_error_over_groups_is_the_jackknife() -> None:
    a, b = gaussian(9, 4), gaussian(12, 4, seed=1) + 0.5
    groups_a, groups_b = list("ccaabbbbc"), list("aaaabbbbcccc")
    left = [
        squared_mmd(a[[g != name for g in groups_a]], b[[g != name for g in groups_b]])
        for name in "abc"
    ]
    expected = np.sqrt(2 / 3 * sum((each - np.mean(left)) ** 2 for each in left))
    assert jackknife_error(a, b, groups_a, groups_b) == pytest.approx(expected)


def test_groups_that_are_alike_have_no_error() -> None:
    rows = gaussian(5, 3)
    a, b = np.tile(rows, (3, 1)), np.tile(rows + 1, (3, 1))
    groups = [name for name in "abc" for _ in range(5)]
    assert jackknife_error(a, b, groups, groups) == pytest.approx(0, abs=1e-12)


def test_the_error_is_that_of_drawing_groups() -> None:
    """Against the deviation of the distance over many draws of groups, which are shifted as wholes,
    as the tiles of a slide are."""
    draw = np.random.default_rng(0)
    groups = [str(k) for k in range(12) for _ in range(6)]
    found, errors = [], []
    for _ in range(80):
        shifts = 0.3 * draw.normal(size=(12, 8)).repeat(6, axis=0)
        a = 0.3 * draw.normal(size=(72, 8)) + 0.5
        b = 0.3 * draw.normal(size=(72, 8)) + shifts
        found.append(squared_mmd(a, b))
        errors.append(jackknife_error(a, b, ["a"] * 72, groups))
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(found), rel=0.25)


@pytest.mark.parametrize(
    ("groups_a", "groups_b"), [("aaaa", "aaaa"), ("aaab", "aabb"), ("ab", "ab")]
)
def test_groups_that_cannot_tell_have_no_error(groups_a: str, groups_b: str) -> None:
    rows = gaussian(4, 2)
    a, b = rows[: len(groups_a)], rows[: len(groups_b)]
    assert jackknife_error(a, b, list(groups_a), list(groups_b)) is None
