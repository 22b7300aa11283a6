"""Crops: what they hold, and that sample k is a function of (seed, k) alone."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.errors import DataInvalid
from model.layout import layout_maps
from tests.networks import TINY_BY_NUCLEUS
from training.config import LossWeights, TrainConfig
from training.data.augment import StainJitter, median_blur, turn
from training.data.crops import CropDataset, LoadedSlide, _grid, load_slides
from training.segmentation.instances import BACKGROUND, INSIDE

MakeConfig = Callable[..., TrainConfig]


def test_sample_k_is_the_same_whatever_was_read_before(
    tiny_config: MakeConfig, slides: list[LoadedSlide]
) -> None:
    config = tiny_config(median_blur=0.5)
    first, second = CropDataset(slides, config), CropDataset(slides, config)
    for k in (7, 3):
        second[k]
    for key, value in first[3].items():
        assert torch.equal(value, second[3][key])
    assert not torch.equal(first[3]["image"], first[4]["image"])
    other = CropDataset(slides, tiny_config(seed=1))
    assert not torch.equal(first[3]["image"], other[3]["image"])


def test_classes_are_those_of_the_augmented_mask_where_they_are_asked_for(
    tiny_config: MakeConfig, slides: list[LoadedSlide]
) -> None:
    config = tiny_config(weights=LossWeights(segmentation=1.0))
    plain, asked = CropDataset(slides, tiny_config()), CropDataset(slides, config)
    for k in range(4):
        sample = asked[k]
        nuclei = sample["layout"][0] > 0
        assert torch.equal(sample["classes"] != BACKGROUND, nuclei)
        assert 0.2 < (sample["classes"] == INSIDE).sum() / nuclei.sum() < 0.9
        assert "classes" not in plain[k]
        assert torch.equal(plain[k]["image"], sample["image"])


def test_nuclei_are_those_of_the_augmented_mask_where_they_are_asked_for(
    tiny_config: MakeConfig, slides: list[LoadedSlide]
) -> None:
    plain = CropDataset(slides, tiny_config())
    asked = CropDataset(slides, tiny_config(network=TINY_BY_NUCLEUS))
    for k in range(4):
        sample = asked[k]
        nuclei = sample["nuclei"]
        assert torch.equal(nuclei > 0, sample["layout"][0] > 0)
        assert nuclei.unique().tolist() == list(range(int(nuclei.max()) + 1))
        assert "nuclei" not in plain[k]
        assert torch.equal(plain[k]["layout"], sample["layout"])


@pytest.mark.parametrize("rotation", ["quarter", "any"])
def test_image_and_layout_stay_aligned(
    tiny_config: MakeConfig, slides: list[LoadedSlide], rotation: str
) -> None:
    """Nuclei of these slides are dark: after any augmentation the map must still lie on them."""
    dataset = CropDataset(slides, tiny_config(rotation=rotation, stain_jitter=0.0))
    for k in range(6):
        sample = dataset[k]
        assert sample["layout"].shape == (5, 64, 64)
        assert sample["image"].shape == (3, 64, 64)
        inside = sample["layout"][0] > 0
        brightness = sample["image"].float().mean(0)
        assert brightness[inside].mean() < brightness[~inside].mean() - 60


def test_maps_are_computed_after_augmentation(
    tiny_config: MakeConfig, slides: list[LoadedSlide]
) -> None:
    """The direction map of a crop is the one of its own nuclei, recomputed here from it."""
    dataset = CropDataset(slides, tiny_config())
    layout = dataset[2]["layout"].numpy()
    from scipy.ndimage import label

    nuclei = layout[0] > 0
    labels, _ = label(nuclei)
    isolated = [i for i in range(1, labels.max() + 1) if (layout[4][labels == i] == 1).sum() <= 3]
    assert isolated
    for i in isolated:
        alone = np.where(labels == i, 1, 0)
        expected = layout_maps(alone).direction
        assert (layout[2:4][:, labels == i] == expected[:, labels == i]).mean() > 0.9


def test_the_grid_visits_every_crop_once_an_epoch(
    tiny_config: MakeConfig, slides: list[LoadedSlide]
) -> None:
    config = tiny_config(sampling="grid", grid_stride_px=32)
    dataset = CropDataset(slides, config)
    assert len(dataset.grid) == 2 * 4 * 4
    for epoch in (0, 1):
        seen = {
            (slide.id, row, col)
            for k in range(32)
            for slide, row, col in [dataset._position(epoch * 32 + k, np.random.default_rng(0))]
        }
        assert len(seen) == 32


def test_the_grid_of_a_monuseg_slide_is_the_published_one() -> None:
    """49 crops a slide, 1,470 for 30 slides; the last rows and columns are in it."""
    starts = _grid(1000, 256, 128)
    assert len(starts) ** 2 == 49
    assert starts[0] == 0
    assert starts[-1] == 1000 - 256
    assert _grid(256, 256, 128) == [0]


def test_style_source(tiny_config: MakeConfig, slides: list[LoadedSlide]) -> None:
    same = CropDataset(slides, tiny_config(style_source="same"))[0]
    assert torch.equal(same["style"], same["image"])
    other = CropDataset(slides, tiny_config(style_source="other"))[0]
    assert not torch.equal(other["style"], other["image"])


@pytest.mark.parametrize("source", ["same", "other"])
@pytest.mark.parametrize("rotation", ["quarter", "any"])
def test_the_pixels_of_nuclei_are_those_of_their_own_crop(
    tiny_config: MakeConfig, slides: list[LoadedSlide], source: str, rotation: str
) -> None:
    """In slides whose nuclei are white and whose stroma is black."""
    black_and_white = [
        replace(slide, image_u8=np.repeat(255 * (slide.labels > 0)[..., None], 3, 2).astype("u1"))
        for slide in slides
    ]
    config = tiny_config(style_source=source, rotation=rotation, median_blur=0.0)
    dataset = CropDataset(black_and_white, config)
    # Bilinear turns leave grey at the edges, on whichever side the nearest label falls.
    tolerated = 0.02 if rotation == "any" else 0.0
    for k in range(4):
        sample = dataset[k]
        for image, foreground in (("image", "foreground"), ("style", "style_foreground")):
            differs = (sample[image][0] > 127) != sample[foreground]
            assert differs.float().mean() <= tolerated
        assert 0 < sample["style_foreground"].float().mean() < 1


def test_stain_jitter_is_the_same_for_crop_and_style(slides: list[LoadedSlide]) -> None:
    jitter = StainJitter.draw(np.random.default_rng(3))
    image = slides[0].image_u8
    moved = jitter(image)
    assert moved.dtype == np.uint8
    assert np.abs(moved.astype(int) - image).mean() > 3
    np.testing.assert_array_equal(jitter(image[:50]), moved[:50])  # pixel by pixel


def test_neutral_jitter_changes_nothing(slides: list[LoadedSlide]) -> None:
    neutral = StainJitter(np.ones(3), np.zeros(3), 1.0, 1.0)
    image = slides[0].image_u8
    # H, E and residual span RGB: only rounding and the clip of negative stains remain.
    assert np.abs(neutral(image).astype(int) - image).mean() < 3


def test_quarter_turns_cover_the_eight_symmetries() -> None:
    labels = np.arange(16, dtype=np.int32).reshape(4, 4)
    image = np.repeat(labels[..., None], 3, 2).astype(np.uint8)
    seen = set()
    for seed in range(80):
        turned, moved = turn(image, labels, "quarter", np.random.default_rng(seed))
        np.testing.assert_array_equal(turned[..., 0], moved)
        seen.add(moved.tobytes())
    assert len(seen) == 8


def test_median_blur_removes_a_speck() -> None:
    image = np.full((9, 9, 3), 100, np.uint8)
    image[4, 4] = 255
    assert (median_blur(image) == 100).all()


def test_no_slides_is_said_plainly() -> None:
    with pytest.raises(DataInvalid, match="no training slides"):
        load_slides([], smallest_px=64)
