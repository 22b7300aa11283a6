"""Crops of annotated images: where they come from, and that sample k is its own."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from model.errors import DataInvalid
from training.segmentation.config import SegNetConfig
from training.segmentation.data import Annotated, AnnotatedCrops, _classes, _window
from training.segmentation.instances import UNTOLD, class_map

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
    """Of 7 x 7 crops at a stride of half a crop, beside tiles of one."""
    images = [plain(128, 0), *[plain(32, 255)] * 49]
    dataset = AnnotatedCrops(images, segnet_config(crop_px=32, augment=False))
    slides = sum(int(dataset[k]["image"][0, 0, 0] == 0) for k in range(1000))
    assert slides == pytest.approx(500, abs=50)  # three standard deviations


def test_the_published_union(segnet_config: MakeConfig) -> None:
    """Of 30 slides and 5,000 tiles, 1,470 parts in 6,470 are real."""
    config = segnet_config(crop_px=256)
    assert AnnotatedCrops([plain(1000, 0)] * 30, config)._last_places[-1] == 1470
    assert config.synthetic_share == pytest.approx(1 - 1470 / 6470)


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_synthetic_images_have_their_share_however_many_they_are(
    segnet_config: MakeConfig, share: float
) -> None:
    config = segnet_config(crop_px=32, augment=False, synthetic_share=share)
    for count in (2, 60):
        added = [plain(32, 100 + grey) for grey in range(count)]
        crops = AnnotatedCrops([plain(128, 0)], config, added)
        greys = [int(crops[k]["image"][0, 0, 0]) for k in range(1000)]
        synthetic = [grey for grey in greys if grey]
        assert len(synthetic) == pytest.approx(1000 * share, abs=45)  # three deviations
        assert len(set(synthetic)) > 0.9 * count


def test_without_synthetic_images_the_share_changes_nothing(
    annotated: list[Annotated], segnet_config: MakeConfig
) -> None:
    one, other = (AnnotatedCrops(annotated, segnet_config(synthetic_share=s)) for s in (0.1, 0.9))
    assert all(torch.equal(one[k]["image"], other[k]["image"]) for k in range(5))


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
    """The crop is cut first: nuclei have no boundary along its border. Beyond the image nothing is
    told."""
    labels = np.ones((64, 64), np.int32)
    image = annotated[0].image_u8[:64, :64]
    dataset = AnnotatedCrops([Annotated(image, labels)], segnet_config())
    untold = [int((dataset[k]["classes"] == UNTOLD).sum()) for k in range(30)]
    assert all(((dataset[k]["classes"] == 1) | (dataset[k]["classes"] == UNTOLD)).all()
               for k in range(30))  # fmt: skip
    assert 8 <= sum(count > 0 for count in untold) <= 22  # half of the crops are turned
    assert max(untold) < 0.2 * 64**2  # a square turned by 45 degrees leaves .17 of another
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
    inside = np.pad(np.ones((50, 50), bool), 30)[top + 30 :, left + 30 :][:32, :32]
    np.testing.assert_array_equal(labels, np.where(inside, 0, -1))


def test_a_nucleus_at_the_border_has_no_boundary_there() -> None:
    labels = np.zeros((50, 50), np.int32)
    labels[:12, 10:30] = 7
    _, window = _window(Annotated(np.zeros((50, 50, 3), np.uint8), labels), -8, 0, 50)
    classes = _classes(window)
    assert (classes[:8] == UNTOLD).all()
    assert np.array_equal(classes[8:], class_map(labels)[:42])
    assert (classes[8, 12:28] == 1).all()


def test_images_that_cannot_be_used_are_said_plainly(segnet_config: MakeConfig) -> None:
    with pytest.raises(DataInvalid, match="no images"):
        AnnotatedCrops([], segnet_config())
    with pytest.raises(DataInvalid, match="60 x 60 px, smaller than the crops of 64 px"):
        AnnotatedCrops([plain(60, 0)], segnet_config())
