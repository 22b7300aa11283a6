"""Crops of annotated images: where they come from, and that sample k is its own."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from model.errors import DataInvalid
from training.segmentation.config import SegNetConfig
from training.segmentation.data import Annotated, AnnotatedCrops, _window
from training.segmentation.instances import class_map

MakeConfig = Callable[..., SegNetConfig]


def plain(side: int, grey: int) -> Annotated:
    image = np.full((side, side, 3), grey, np.uint8)
    return Annotated(image, np.zeros((side, side), np.int32))


def coordinates(side: int) -> Annotated:
    """Every pixel holds its row and column."""
    rows, columns = np.indices((side, side), np.uint8)
    return Annotated(np.stack([rows, columns, rows], -1), np.zeros((side, side), np.int32))


def test_sample_k_is_the_same_whatever_was_read_before(
    annotated: list[Annotated], segnet_config: MakeConfig
) -> None:
    first = AnnotatedCrops(annotated, segnet_config())
    second = AnnotatedCrops(annotated, segnet_config())
    for k in (7, 3):
        second[k]
    for key, value in first[3].items():
        assert torch.equal(value, second[3][key])
    assert not torch.equal(first[3]["image"], first[4]["image"])
    other = AnnotatedCrops(annotated, segnet_config(seed=1))
    assert not torch.equal(first[3]["image"], other[3]["image"])


def test_a_slide_counts_as_often_as_it_has_crops(segnet_config: MakeConfig) -> None:
    """As 30 slides of 1000 px beside tiles of 256 px: 7 x 7 crops at a stride of half a crop."""
    images = [plain(128, 0), *[plain(32, 255)] * 49]
    dataset = AnnotatedCrops(images, segnet_config(crop_px=32, augment=False))
    slides = sum(int(dataset[k]["image"][0, 0, 0] == 0) for k in range(1000))
    assert slides == pytest.approx(500, abs=50)  # three standard deviations


def test_the_published_union(segnet_config: MakeConfig) -> None:
    """Of 30 slides and 5,000 tiles, 1,470 parts in 6,470 are real."""
    images = [plain(1000, 0)] * 30 + [plain(256, 255)] * 5000
    dataset = AnnotatedCrops(images, segnet_config(crop_px=256))
    assert dataset._last_places[[29, -1]].tolist() == [1470, 6470]


def test_crops_lie_anywhere(segnet_config: MakeConfig) -> None:
    dataset = AnnotatedCrops([coordinates(36)], segnet_config(crop_px=32, augment=False))
    corners = [tuple(dataset[k]["image"][:2, 0, 0].tolist()) for k in range(400)]
    assert set(corners) == {(row, col) for row in range(5) for col in range(5)}


def test_without_augmentation_a_crop_is_left_as_it_is(segnet_config: MakeConfig) -> None:
    source = coordinates(50)
    dataset = AnnotatedCrops([source], segnet_config(crop_px=32, augment=False))
    for k in range(5):
        crop = dataset[k]["image"].permute(1, 2, 0).numpy()
        row, col = crop[0, 0, :2]
        np.testing.assert_array_equal(crop, source.image_u8[row : row + 32, col : col + 32])


def test_augmentation_moves_image_and_classes_together(
    annotated: list[Annotated], segnet_config: MakeConfig
) -> None:
    """Nuclei of these slides are dark: whatever the turn and blur, the classes lie on them."""
    dataset = AnnotatedCrops(annotated, segnet_config())
    for k in range(20):
        sample = dataset[k]
        assert sample["image"].shape == (3, 64, 64)
        assert sample["classes"].shape == (64, 64)
        assert sample["classes"].dtype == torch.uint8
        nuclei, brightness = sample["classes"] > 0, sample["image"].float().mean(0)
        assert brightness[nuclei].mean() < brightness[~nuclei].mean() - 60


def test_augmentation_turns_by_any_angle_and_blurs(
    annotated: list[Annotated], segnet_config: MakeConfig
) -> None:
    """In a crop turned by quarters every colour is one of the source; others hold mixed ones."""
    rng = np.random.default_rng(0)
    image = rng.choice(np.array([0, 200], np.uint8), (160, 160, 3))
    source = Annotated(image, annotated[0].labels)
    dataset = AnnotatedCrops([source], segnet_config())
    mixed, flat = 0, 0
    for k in range(100):
        crop = dataset[k]["image"].numpy()
        mixed += bool(((crop > 0) & (crop < 200)).any())
        flat += bool((crop[:, 1:] == crop[:, :-1]).mean() > 0.6)  # half of them in pure noise
    assert 35 <= mixed <= 65
    assert 2 <= flat <= 60


def test_classes_are_those_of_the_turned_labels(
    annotated: list[Annotated], segnet_config: MakeConfig
) -> None:
    """The crop is cut first: nuclei have no boundary along its border."""
    labels = np.ones((64, 64), np.int32)
    image = annotated[0].image_u8[:64, :64]
    dataset = AnnotatedCrops([Annotated(image, labels)], segnet_config())
    for k in range(4):
        assert (dataset[k]["classes"] == 1).all()
    whole = AnnotatedCrops([Annotated(image, annotated[0].labels[:64, :64])], segnet_config())
    expected = class_map(annotated[0].labels[:64, :64])
    turned = [np.rot90(expected[:, ::flip], turns) for flip in (1, -1) for turns in range(4)]
    quarters = [
        k for k in range(30) if any((whole[k]["classes"] == t.copy()).all() for t in turned)
    ]
    assert 8 <= len(quarters) <= 22  # half of the crops


@pytest.mark.parametrize(("top", "left"), [(0, 0), (-6, -9), (40, 20), (-12, 30)])
def test_an_image_is_mirrored_beyond_its_borders(top: int, left: int) -> None:
    source = coordinates(50)
    image, labels = _window(source, top, left, 32)
    padded = np.pad(source.image_u8, ((30, 30), (30, 30), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(image, padded[top + 30 :, left + 30 :][:32, :32])
    assert labels.shape == (32, 32)


def test_images_that_cannot_be_used_are_said_plainly(segnet_config: MakeConfig) -> None:
    with pytest.raises(DataInvalid, match="no images"):
        AnnotatedCrops([], segnet_config())
    with pytest.raises(DataInvalid, match="60 x 60 px, smaller than the crops of 64 px"):
        AnnotatedCrops([plain(60, 0)], segnet_config())
