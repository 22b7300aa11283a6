"""Frechet distance between two sets of features, each taken for a Gaussian.

    d2 = |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2)

(Dowson and Landau 1982; with Inception features it is the FID of Heusel et al. 2017.)
Covariances are divided by N - 1. The value depends on the number of images: compare only
distances of equal N.
"""

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Features = NDArray[np.float64]


def frechet_distance(features_a: Features, features_b: Features) -> float:
    """The squared distance d2 between (N, D) and (M, D) features; N and M at least 2.

    With A and B the centred features over sqrt(N - 1), C1 = A'A and C2 = B'B, the eigenvalues
    of C1 C2 are the squared singular values of A B', so the trace is the sum of those singular
    values. That needs no square root of a matrix, stays exact when there are fewer images than
    features (the covariances are singular then), and costs an SVD of the smaller of N and D.
    """
    if features_a.ndim != 2 or features_b.ndim != 2 or features_a.shape[1] != features_b.shape[1]:
        raise ValueError(f"cannot compare shapes {features_a.shape} and {features_b.shape}")
    if min(len(features_a), len(features_b)) < 2:
        raise ValueError("a covariance needs at least two rows of features")
    mean_a, root_a = _mean_and_root(features_a)
    mean_b, root_b = _mean_and_root(features_b)
    cross = scipy.linalg.svdvals(root_a @ root_b.T).sum()
    spread = np.square(root_a).sum() + np.square(root_b).sum() - 2 * cross
    return float(np.square(mean_a - mean_b).sum() + max(spread, 0.0))


def _mean_and_root(features: Features) -> tuple[Features, Features]:
    """The mean (D,) and a matrix R (at most D rows) with R'R = the covariance."""
    features = features.astype(np.float64, copy=False)
    mean = features.mean(axis=0)
    root = (features - mean) / np.sqrt(len(features) - 1)
    if len(root) > root.shape[1]:
        root = scipy.linalg.qr(root, mode="r", check_finite=True)[0][: root.shape[1]]
    return mean, root
