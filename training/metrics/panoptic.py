"""How well predicted nuclei match true ones: panoptic quality and AJI.

Instance masks are integer arrays (H, W) in which 0 is background and every other value is a
nucleus; ids may have gaps and be of any size. Without a nucleus in either mask there is nothing
to measure: every quality is NaN then. With nuclei in only one of them every quality is 0.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer]
Indices = NDArray[np.intp]

SMALLEST_IOU = 0.5
"""A match needs more than this; then no nucleus can be part of two matches."""


@dataclass(frozen=True)
class PanopticQuality:
    """Of one image, or the mean over images (``mean_panoptic``)."""

    dq: float
    """Detection quality, the F1 score TP / (TP + FP / 2 + FN / 2), 0..1."""
    sq: float
    """Segmentation quality: mean IoU of the matches, 0..1; 0 without a match."""
    pq: float
    """Panoptic quality: DQ times SQ of the image."""
    true_positives: int
    false_positives: int
    false_negatives: int


def panoptic_quality(truth_labels: Labels, predicted_labels: Labels) -> PanopticQuality:
    """Panoptic quality of one image (Kirillov et al. 2019), for the single class nucleus.

    A true and a predicted nucleus match when their IoU is strictly greater than .5. Raises
    ValueError for masks of different shapes, of other than integers, or with negative ids.
    """
    overlaps = _overlaps(truth_labels, predicted_labels)
    matched = overlaps.iou[overlaps.iou > SMALLEST_IOU]
    found = len(matched)
    invented = len(overlaps.predicted_area) - found
    missed = len(overlaps.truth_area) - found
    if found + invented + missed == 0:
        return PanopticQuality(np.nan, np.nan, np.nan, 0, 0, 0)
    dq = found / (found + invented / 2 + missed / 2)
    sq = float(matched.mean()) if found else 0.0
    return PanopticQuality(dq, sq, dq * sq, found, invented, missed)


def mean_panoptic(pairs: Iterable[tuple[Labels, Labels]]) -> PanopticQuality:
    """Means of DQ, SQ and PQ over images, given as pairs (truth, predicted); counts are summed.

    An image without nuclei in both masks is left out of the means; the means of images that are
    all like that are NaN. Each image weighs the same, so PQ is not DQ times SQ here. Raises
    ValueError without images.
    """
    scores = [panoptic_quality(truth, predicted) for truth, predicted in pairs]
    if not scores:
        raise ValueError("a mean needs at least one image")
    measured = np.array([(s.dq, s.sq, s.pq) for s in scores if not np.isnan(s.pq)])
    dq, sq, pq = measured.mean(axis=0).tolist() if len(measured) else (np.nan,) * 3
    return PanopticQuality(
        dq,
        sq,
        pq,
        sum(s.true_positives for s in scores),
        sum(s.false_positives for s in scores),
        sum(s.false_negatives for s in scores),
    )


def aji(truth_labels: Labels, predicted_labels: Labels) -> float:
    """Aggregated Jaccard index of one image (Kumar et al. 2017), 0..1.

    Each true nucleus takes the prediction of highest IoU, the lowest id among equals. The index
    is the sum of their intersections over the sum of their unions; true nuclei that nothing
    overlaps and predictions that none took add their area to the unions. A prediction may be
    taken by several true nuclei, as in the authors' final evaluation code, and counts each time.
    Raises ValueError as ``panoptic_quality`` does.
    """
    overlaps = _overlaps(truth_labels, predicted_labels)
    by_quality = np.lexsort((overlaps.predicted, -overlaps.iou, overlaps.truth))
    _, first = np.unique(overlaps.truth[by_quality], return_index=True)
    return _aggregated(overlaps, by_quality[first])


@dataclass(frozen=True)
class _Overlaps:
    """The K pairs of a true and a predicted nucleus that share pixels, out of n and m nuclei."""

    truth: Indices
    """Index of the true nucleus of each pair, from 0: (K,)."""
    predicted: Indices
    shared: Indices
    """Pixels in common: (K,)."""
    truth_area: Indices
    """Pixels of each true nucleus: (n,)."""
    predicted_area: Indices
    """Pixels of each predicted nucleus: (m,)."""

    @cached_property
    def union(self) -> Indices:
        """Pixels in either nucleus of each pair: (K,)."""
        areas = self.truth_area[self.truth] + self.predicted_area[self.predicted]
        return np.asarray(areas - self.shared, dtype=np.intp)

    @cached_property
    def iou(self) -> NDArray[np.float64]:
        return np.asarray(self.shared / self.union, dtype=np.float64)


def _overlaps(truth_labels: Labels, predicted_labels: Labels) -> _Overlaps:
    if truth_labels.shape != predicted_labels.shape:
        raise ValueError(f"cannot compare shapes {truth_labels.shape} and {predicted_labels.shape}")
    truth, predicted = _compact(truth_labels), _compact(predicted_labels)
    truth_area, predicted_area = np.bincount(truth)[1:], np.bincount(predicted)[1:]
    columns = len(predicted_area) + 1
    pairs, shared = np.unique(truth * columns + predicted, return_counts=True)
    rows, places = np.divmod(pairs, columns)
    nuclei = (rows > 0) & (places > 0)
    return _Overlaps(
        rows[nuclei] - 1, places[nuclei] - 1, shared[nuclei], truth_area, predicted_area
    )


def _compact(labels: Labels) -> Indices:
    """Ids replaced by their ranks from 1, flattened; background stays 0."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"an instance mask holds integers, not {labels.dtype}")
    if labels.size and labels.min() < 0:
        raise ValueError("an instance mask holds no negative ids")
    flat = labels.ravel()
    return np.searchsorted(np.unique(flat[flat > 0]), flat, side="right")


def _aggregated(overlaps: _Overlaps, chosen: Indices) -> float:
    """Intersections over unions of the chosen pairs, and of the nuclei in none of them."""
    alone = np.delete(overlaps.truth_area, overlaps.truth[chosen]).sum()
    alone += np.delete(overlaps.predicted_area, overlaps.predicted[chosen]).sum()
    union = overlaps.union[chosen].sum() + alone
    return float(overlaps.shared[chosen].sum() / union) if union else float("nan")
