"""Panoptic quality, AJI against closed forms and slow references."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from training.metrics.panoptic import aji, mean_panoptic, panoptic_quality

Labels = NDArray[np.integer]

LARGE = 2**31 - 1
# Small, so that nuclei overlap in all ways; ids with gaps.
MASKS = arrays(np.int32, (5, 6), elements=st.sampled_from([0, 0, 1, 4, 70_000, LARGE]))


def rows(*widths: tuple[int, ...], side: int = 12) -> Labels:
    """A mask of bars one pixel high: in row y those of ``widths[y]``, from the left, ids from 1."""
    mask = np.zeros((len(widths), side), np.int32)
    label = 0
    for y, bars in enumerate(widths):
        left = 0
        for width in bars:
            label += 1
            mask[y, left : left + width] = label
            left += width
    return mask


def nuclei(mask: Labels) -> list[NDArray[np.bool_]]:
    return [mask == label for label in np.unique(mask) if label != 0]


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def slow_panoptic(truth: Labels, predicted: Labels) -> tuple[float, float, int, int, int]:
    """DQ, SQ, TP, FP, FN by comparing every pair."""
    trues, guesses = nuclei(truth), nuclei(predicted)
    matches = [iou(a, b) for a in trues for b in guesses if iou(a, b) > 0.5]
    found = len(matches)
    dq = found / (0.5 * len(trues) + 0.5 * len(guesses))
    sq = sum(matches) / found if found else 0.0
    return dq, sq, found, len(guesses) - found, len(trues) - found


def slow_aji(truth: Labels, predicted: Labels) -> float:
    trues, guesses = nuclei(truth), nuclei(predicted)
    shared = joined = 0
    used = set()
    for nucleus in trues:
        best = max(range(len(guesses)), key=lambda k: iou(nucleus, guesses[k]), default=None)
        if best is None or not (nucleus & guesses[best]).any():
            joined += nucleus.sum()
            continue
        shared += (nucleus & guesses[best]).sum()
        joined += (nucleus | guesses[best]).sum()
        used.add(best)
    joined += sum(guess.sum() for k, guess in enumerate(guesses) if k not in used)
    return float(shared / joined)


class TestPanopticQuality:
    def test_a_mask_matches_itself(self) -> None:
        mask = rows((3, 4), (5,))
        quality = panoptic_quality(mask, mask)
        assert (quality.dq, quality.sq, quality.pq) == (1, 1, 1)
        counts = quality.true_positives, quality.false_positives, quality.false_negatives
        assert counts == (3, 0, 0)

    def test_one_match_one_missed_two_invented(self) -> None:
        truth = rows((4,), (3,), (), ())
        predicted = rows((3,), (), (2,), (1,))
        quality = panoptic_quality(truth, predicted)
        counts = quality.true_positives, quality.false_positives, quality.false_negatives
        assert counts == (1, 2, 1)
        assert quality.dq == pytest.approx(1 / (1 + 2 / 2 + 1 / 2))
        assert quality.sq == pytest.approx(3 / 4)
        assert quality.pq == pytest.approx(0.4 * 0.75)

    def test_an_overlap_of_half_is_no_match(self) -> None:
        half = panoptic_quality(rows((8,)), rows((4,)))
        assert (half.true_positives, half.false_positives, half.false_negatives) == (0, 1, 1)
        assert (half.dq, half.sq, half.pq) == (0, 0, 0)
        assert panoptic_quality(rows((7,)), rows((4,))).sq == pytest.approx(4 / 7)

    def test_nuclei_in_one_mask_only(self) -> None:
        empty, mask = rows(()), rows((3, 2))
        assert panoptic_quality(mask, empty).false_negatives == 2
        assert panoptic_quality(empty, mask).false_positives == 2
        for measured in (panoptic_quality(mask, empty), panoptic_quality(empty, mask)):
            assert (measured.dq, measured.sq, measured.pq) == (0, 0, 0)

    def test_nothing_to_measure(self) -> None:
        quality = panoptic_quality(rows(()), rows(()))
        assert np.isnan([quality.dq, quality.sq, quality.pq]).all()
        assert quality.true_positives + quality.false_positives + quality.false_negatives == 0

    @given(MASKS, MASKS)
    def test_every_pair_compared(self, truth: Labels, predicted: Labels) -> None:
        if not truth.any() and not predicted.any():
            return
        quality = panoptic_quality(truth, predicted)
        dq, sq, *counts = slow_panoptic(truth, predicted)
        assert [
            quality.true_positives,
            quality.false_positives,
            quality.false_negatives,
        ] == counts
        assert quality.dq == pytest.approx(dq)
        assert quality.sq == pytest.approx(sq)
        assert quality.pq == pytest.approx(dq * sq)

    @given(MASKS, MASKS)
    def test_the_masks_change_places(self, truth: Labels, predicted: Labels) -> None:
        one, other = panoptic_quality(truth, predicted), panoptic_quality(predicted, truth)
        assert (one.false_positives, one.false_negatives) == (
            other.false_negatives,
            other.false_positives,
        )
        assert one.pq == pytest.approx(other.pq, nan_ok=True)


class TestMean:
    def test_images_weigh_the_same_whatever_they_hold(self) -> None:
        whole = rows((2,), (2,), (2,))
        pairs = [(whole, whole), (rows((4,)), rows((3,))), (rows((4,)), rows(()))]
        mean = mean_panoptic(pairs)
        assert mean.dq == pytest.approx(2 / 3)
        assert mean.sq == pytest.approx((1 + 0.75 + 0) / 3)
        assert mean.pq == pytest.approx((1 + 0.75 + 0) / 3)
        assert (mean.true_positives, mean.false_positives, mean.false_negatives) == (4, 0, 1)

    def test_images_without_nuclei_are_left_out(self) -> None:
        empty = rows(())
        assert mean_panoptic([(empty, empty), (rows((4,)), rows((3,)))]).pq == pytest.approx(0.75)
        assert np.isnan(mean_panoptic([(empty, empty)]).pq)

    def test_no_images(self) -> None:
        with pytest.raises(ValueError, match="at least one"):
            mean_panoptic([])


class TestAji:
    def test_unmatched_nuclei_join_the_union(self) -> None:
        truth = rows((4,), (3,), (), ())
        predicted = rows((3,), (), (2,), (1,))
        assert aji(truth, predicted) == pytest.approx(3 / (4 + 3 + 2 + 1))

    def test_a_prediction_over_two_nuclei_counts_twice(self) -> None:
        truth, predicted = rows((4, 2)), rows((6,))
        assert aji(truth, predicted) == pytest.approx((4 + 2) / (6 + 6))

    def test_of_equal_overlaps_the_lowest_id_is_taken(self) -> None:
        truth = np.array([[1, 1, 1, 1, 1, 1, 0, 0, 0]])
        small, large = (np.array([[a, a, b, b, b, 0, b, b, b]]) for a, b in ((3, 7), (7, 3)))
        # Both overlap by 1/3: two of two pixels, and three of six.
        assert aji(truth, small) == pytest.approx(2 / (6 + 6))
        assert aji(truth, large) == pytest.approx(3 / (9 + 2))

    def test_masks_without_nuclei(self) -> None:
        empty, mask = rows(()), rows((3, 2))
        assert aji(mask, mask) == 1
        assert aji(mask, empty) == 0
        assert aji(empty, mask) == 0
        assert np.isnan(aji(empty, empty))

    @given(MASKS, MASKS)
    def test_every_pair_compared(self, truth: Labels, predicted: Labels) -> None:
        if not truth.any() and not predicted.any():
            return
        assert aji(truth, predicted) == pytest.approx(slow_aji(truth, predicted))


@given(MASKS, MASKS, st.permutations([0, 1, 2, 3]))
def test_ids_are_only_names(truth: Labels, predicted: Labels, order: list[int]) -> None:
    names = np.array([2**63 + 1, 9, 2**40, 3], np.uint64)[order]
    renamed = np.zeros(truth.shape, np.uint64)
    for old, new in zip((1, 4, 70_000, LARGE), names, strict=True):
        renamed[truth == old] = new
    assert panoptic_quality(renamed, predicted).pq == pytest.approx(
        panoptic_quality(truth, predicted).pq, nan_ok=True
    )
    assert aji(renamed, predicted) == pytest.approx(aji(truth, predicted), nan_ok=True)


def test_random_nuclei_of_a_whole_tile() -> None:
    rng = np.random.default_rng(0)
    disc = np.hypot(*np.mgrid[-9:10, -9:10]) < 9.5
    masks = []
    for jitter in (0, 4):
        mask = np.zeros((256, 256), np.int32)
        places = np.random.default_rng(1).integers(8, 228, (90, 2))
        places += rng.integers(-jitter, jitter + 1, places.shape)
        for label, (y, x) in enumerate(places, start=100):
            mask[y : y + 19, x : x + 19][disc] = 3 * label
        masks.append(mask)
    quality = panoptic_quality(*masks)
    dq, sq, found, _, _ = slow_panoptic(*masks)
    assert 20 < found < 90
    assert (quality.dq, quality.sq) == pytest.approx((dq, sq))
    assert aji(*masks) == pytest.approx(slow_aji(*masks))


@pytest.mark.parametrize("measure", [panoptic_quality, aji])
def test_what_is_no_instance_mask(measure: object) -> None:
    assert callable(measure)
    mask = rows((3,))
    with pytest.raises(ValueError, match="cannot compare"):
        measure(mask, mask[:, :5])
    with pytest.raises(ValueError, match="integers"):
        measure(mask, mask.astype(float))
    with pytest.raises(ValueError, match="negative"):
        measure(mask, mask - 1)
