"""Instances to classes and back: closed forms, a slow reference, and MoNuSeg's masks."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import disk

from training.data.monuseg import read_dataset
from training.metrics.panoptic import mean_panoptic
from training.segmentation.instances import BOUNDARY, INSIDE, class_map, recover_instances

MASKS = arrays(np.int32, (7, 9), elements=st.sampled_from([0, 1, 1, 1, 2, 2**31 - 1]))
# Blocks of 4 x 4 pixels of a class, so that components are large enough to be kept.
CLASSES = arrays(np.uint8, (6, 6), elements=st.sampled_from([0, 1, 1, 2])).map(
    lambda coarse: np.kron(coarse, np.ones((4, 4), np.uint8))
)


def slow_class_map(labels: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Pixel by pixel, from the definition."""
    height, width = labels.shape
    classes = np.zeros(labels.shape, np.uint8)
    for row, col in zip(*np.nonzero(labels), strict=True):
        near = [
            labels[y, x]
            for y in range(height)
            for x in range(width)
            if (y - row) ** 2 + (x - col) ** 2 <= 4
        ]
        classes[row, col] = 2 if any(label != labels[row, col] for label in near) else 1
    return classes


@given(MASKS)
def test_classes_are_those_of_the_definition(labels: NDArray[np.int32]) -> None:
    np.testing.assert_array_equal(class_map(labels), slow_class_map(labels))


def test_a_mask_smaller_than_the_disk() -> None:
    np.testing.assert_array_equal(class_map(np.array([[3]])), [[INSIDE]])
    np.testing.assert_array_equal(class_map(np.array([[3, 0]])), [[BOUNDARY, 0]])


def test_a_square_comes_back_without_its_corners() -> None:
    """9 x 9 px: 5 x 5 are inside, and their disk lacks three pixels at each corner."""
    labels = np.zeros((20, 20), np.int32)
    labels[5:14, 5:14] = 7
    classes = class_map(labels)
    assert (classes == INSIDE).sum() == 25
    assert (classes == BOUNDARY).sum() == 56
    recovered = recover_instances(classes)
    assert recovered.dtype == np.int32
    assert set(np.unique(recovered)) == {0, 1}
    assert (recovered == 1).sum() == 81 - 12
    assert not recovered[labels == 0].any()


def test_touching_nuclei_come_back_apart() -> None:
    labels = np.zeros((12, 22), np.int32)
    labels[1:11, 1:11], labels[1:11, 11:21] = 4, 9
    recovered = recover_instances(class_map(labels))
    assert recovered.max() == 2
    assert set(np.unique(recovered[labels == 4])) == {0, 1}
    assert set(np.unique(recovered[labels == 9])) == {0, 2}
    assert (recovered > 0).sum() == 2 * (100 - 12)


def test_a_nucleus_cut_by_the_border_has_no_boundary_there() -> None:
    labels = np.ones((8, 8), np.int32)
    np.testing.assert_array_equal(class_map(labels), labels)
    np.testing.assert_array_equal(recover_instances(class_map(labels)), labels)


def test_holes_are_filled_before_pixels_are_counted() -> None:
    classes = np.zeros((12, 12), np.uint8)
    classes[3:8, 3:8] = INSIDE
    classes[4:7, 4:7] = BOUNDARY  # 16 pixels of a ring, 25 once it is filled
    assert (recover_instances(classes)[3:8, 3:8] == 1).all()


def test_nineteen_pixels_are_no_nucleus() -> None:
    classes = np.zeros((12, 12), np.uint8)
    classes[3:8, 3:7] = INSIDE
    assert recover_instances(classes).max() == 1
    classes[3, 3] = BOUNDARY
    assert recover_instances(classes).max() == 0


def test_neighbours_grow_up_to_each_other() -> None:
    classes = np.zeros((5, 15), np.uint8)
    classes[:, :6], classes[:, 8:] = INSIDE, INSIDE
    np.testing.assert_array_equal(recover_instances(classes), [[1] * 7 + [2] * 8] * 5)


@given(CLASSES)
def test_recovery_grows_what_is_inside_by_a_disk_and_nothing_else(
    classes: NDArray[np.uint8],
) -> None:
    recovered = recover_instances(classes)
    components, count = ndimage.label(ndimage.binary_fill_holes(classes == INSIDE))
    kept = [k for k in range(1, count + 1) if (components == k).sum() >= 20]
    grown = ndimage.binary_dilation(np.isin(components, kept), disk(2))
    np.testing.assert_array_equal(recovered > 0, grown)
    # One id each, in order, and the pixels of a component are its own.
    for label, k in enumerate(kept, start=1):
        assert (recovered[components == k] == label).all()
        alone = ndimage.binary_dilation(components == k, disk(2))
        assert not (recovered[~alone] == label).any()
    assert recovered.max() == len(kept)


def test_an_empty_map_has_no_instances() -> None:
    assert not recover_instances(class_map(np.zeros((9, 9), np.int32))).any()


def test_most_nuclei_of_monuseg_survive_the_round_trip(monuseg: Path) -> None:
    """PQ .969 over the 30 training slides; here every fifth."""
    slides = [slide for slide in read_dataset(monuseg) if slide.split == "train"][::5]
    masks = [slide.labels() for slide in slides]
    quality = mean_panoptic((mask, recover_instances(class_map(mask))) for mask in masks)
    assert quality.pq > 0.95
    assert quality.sq > 0.97
