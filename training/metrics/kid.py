"""Kernel distance between two sets of features, without taking them for Gaussians.

    MMD^2 = mean k(a, a') + mean k(b, b') - 2 mean k(a, b),    k(x, y) = (x.y / D + 1)^3

over pairs a != a' and b != b' (Gretton et al. 2012; with Inception features it is the KID of
Binkowski et al. 2018). The estimate is unbiased: its expectation does not depend on the number of
images, and it can fall below 0 when the sets are alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.metrics.frechet import Features

Values = NDArray[np.float64]
Subsets = NDArray[np.bool_]
"""Which rows each of S subsets holds: (S, N)."""

SUBSETS = 100
SUBSET_SIZE = 100
_DEGREE = 3


@dataclass(frozen=True)
class KernelDistance:
    """Over the subsets."""

    mean: float
    """The distance, an unbiased MMD^2."""
    deviation: float
    """Standard deviation of a subset's estimate (divisor: number of subsets)."""


def kernel_distance(
    features_a: Features,
    features_b: Features,
    *,
    subsets: int = SUBSETS,
    subset_size: int = SUBSET_SIZE,
    seed: int = 0,
) -> KernelDistance:
    """The distance between (N, D) and (M, D) features, from ``subsets`` pairs of random subsets.

    Each subset holds ``subset_size`` rows, at least 2 and at most N and M, drawn from ``seed``
    without repetition. Takes 8 (N^2 + M^2 + N M) bytes. Raises ValueError for arguments that do
    not fit.
    """
    if features_a.ndim != 2 or features_b.ndim != 2 or features_a.shape[1] != features_b.shape[1]:
        raise ValueError(f"cannot compare shapes {features_a.shape} and {features_b.shape}")
    fewest = min(len(features_a), len(features_b))
    if not 2 <= subset_size <= fewest:
        raise ValueError(f"a subset of {fewest} rows has 2 to {fewest} of them, not {subset_size}")
    if subsets < 1:
        raise ValueError("a mean needs at least one subset")
    draw = np.random.default_rng(seed)
    chosen_a, chosen_b = (
        draw.permuted(np.tile(np.arange(len(rows)) < subset_size, (subsets, 1)), axis=1)
        for rows in (features_a, features_b)
    )
    estimates = _estimates(features_a, features_b, chosen_a, chosen_b)
    return KernelDistance(float(estimates.mean()), float(estimates.std()))


def squared_mmd(features_a: Features, features_b: Features) -> float:
    """The unbiased estimate of MMD^2 from all of (N, D) and (M, D) features; N and M at least 2."""
    everything = (np.ones((1, len(rows)), dtype=bool) for rows in (features_a, features_b))
    return float(_estimates(features_a, features_b, *everything)[0])


def jackknife_error(
    features_a: Features, features_b: Features, groups_a: Sequence[str], groups_b: Sequence[str]
) -> float | None:
    """Standard error of MMD^2 over groups that were drawn as wholes, such as slides.

    Each group of ``groups_b`` is left out in turn, in both sets: the jackknife,
    sqrt((G - 1) / G sum (theta_g - mean theta)^2). None where that cannot be told: for a single
    group, and when without one of them fewer than two rows are left.
    """
    names = sorted(set(groups_b))
    kept_a, kept_b = (
        np.array([[group != name for group in groups] for name in names])
        for groups in (groups_a, groups_b)
    )
    if min(kept_a.sum(axis=1).min(), kept_b.sum(axis=1).min()) < 2:
        return None
    left = _estimates(features_a, features_b, kept_a, kept_b)
    return float(np.sqrt((len(names) - 1) * left.var()))


def _estimates(a: Features, b: Features, chosen_a: Subsets, chosen_b: Subsets) -> Values:
    """One estimate of MMD^2 a pair of subsets: (S,).

    The kernel is computed once between all rows, because subsets share most of it.
    """
    a, b = a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)
    weights_a, weights_b = chosen_a.astype(np.float64), chosen_b.astype(np.float64)
    between = _sums(_kernel(a, b), weights_a, weights_b)
    between /= weights_a.sum(axis=1) * weights_b.sum(axis=1)
    return _within(a, weights_a) + _within(b, weights_b) - 2 * between


def _within(features: Features, weights: Values) -> Values:
    """Per subset, the mean of the kernel over pairs of different rows."""
    kernel, count = _kernel(features, features), weights.sum(axis=1)
    np.fill_diagonal(kernel, 0)
    mean = _sums(kernel, weights, weights) / (count * (count - 1))
    return np.asarray(mean, dtype=np.float64)


def _sums(kernel: Values, rows: Values, columns: Values) -> Values:
    """Per subset s, the sum of rows[s, i] kernel[i, j] columns[s, j]."""
    return np.asarray(((rows @ kernel) * columns).sum(axis=1), dtype=np.float64)


def _kernel(a: Features, b: Features) -> Values:
    return np.asarray((a @ b.T / a.shape[1] + 1) ** _DEGREE, dtype=np.float64)
