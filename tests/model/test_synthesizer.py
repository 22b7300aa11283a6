"""The public door, on a small random network."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.checkpoint import save_checkpoint
from model.encoder import build_encoder
from model.errors import (
    MaskFloat,
    MaskTooLarge,
    MaskTooSmall,
    ParameterInvalid,
    StyleTooSmall,
    StyleUnreadable,
)
from model.generator import Generator
from model.synthesizer import Synthesizer, style_windows
from tests.networks import TINY


@pytest.fixture(scope="module")
def synthesizer(tmp_path_factory: pytest.TempPathFactory) -> Synthesizer:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("checkpoint") / "random.safetensors"
    statistics = [0.3, -0.1, 0.2, 0.3, 0.3, 0.2, 0.05, 0.02, 0.05]
    vectors = np.stack([[*rng.normal(size=6), *statistics] for _ in range(3)]).astype(np.float32)
    card = {
        "name": "random", "licence": "none", "mpp": 0.25, "training": {}, "code_version": "0",
        "styles": {"kidney": [{}] * 3},
    }  # fmt: skip
    save_checkpoint(path, Generator(TINY), build_encoder(TINY), {"kidney": vectors}, card)
    return Synthesizer.load(path)


def mask(height: int = 70, width: int = 50) -> NDArray[np.int32]:
    labels = np.zeros((height, width), np.int32)
    labels[10:22, 10:25] = 3
    labels[22:35, 12:30] = 70_000
    return labels


def style(synthesizer: Synthesizer) -> NDArray[np.float32]:
    return synthesizer.styles.vector("kidney")


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 31), (64, 64), (100, 257)])
def test_the_tile_has_the_size_of_the_mask(
    synthesizer: Synthesizer, height: int, width: int
) -> None:
    labels = np.zeros((height, width), np.uint8)
    tile = synthesizer.synthesize(labels, style(synthesizer), seed=0)
    assert tile.shape == (height, width, 3)
    assert tile.dtype == np.uint8


def test_same_inputs_same_bytes_whatever_ran_between(synthesizer: Synthesizer) -> None:
    first = synthesizer.synthesize(mask(), style(synthesizer), seed=5)
    synthesizer.synthesize(mask(33, 40), style(synthesizer), seed=6)
    torch.manual_seed(123)
    again = synthesizer.synthesize(mask(), style(synthesizer), seed=5)
    np.testing.assert_array_equal(first, again)
    other = synthesizer.synthesize(mask(), style(synthesizer), seed=6)
    assert not np.array_equal(first, other)


def test_a_style_in_double_precision_is_the_same_style(synthesizer: Synthesizer) -> None:
    vector = style(synthesizer)
    tile = synthesizer.synthesize(mask(), vector.astype(np.float64), seed=5)  # type: ignore[arg-type]
    np.testing.assert_array_equal(tile, synthesizer.synthesize(mask(), vector, seed=5))


def test_ids_do_not_matter_but_instances_do(synthesizer: Synthesizer) -> None:
    labels = mask()
    renamed = np.where(labels > 0, 80_000 - labels, 0)
    merged = np.where(labels > 0, 1, 0)
    tile = synthesizer.synthesize(labels, style(synthesizer), seed=1)
    np.testing.assert_array_equal(tile, synthesizer.synthesize(renamed, style(synthesizer), seed=1))
    assert not np.array_equal(tile, synthesizer.synthesize(merged, style(synthesizer), seed=1))


def test_the_mean_colour_of_the_style_moves_the_tile(synthesizer: Synthesizer) -> None:
    vector = style(synthesizer)
    redder = vector.copy()
    redder[6] += 0.4  # the mean of red, in [-1, 1]
    plain = synthesizer.synthesize(mask(), vector, seed=1).astype(int)
    moved = synthesizer.synthesize(mask(), redder, seed=1).astype(int)
    shift = (moved - plain).mean((0, 1))
    assert shift[0] > 25
    assert abs(shift[1:]).max() < 15


def test_encoding_a_uniform_image_gives_its_colour(synthesizer: Synthesizer) -> None:
    image = np.full((100, 64, 3), (255, 128, 0), np.uint8)
    vector = synthesizer.encode_style(image)
    assert vector.shape == (15,)
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector[6:9], [1, 0, -1], atol=0.01)


def test_read_only_pictures_are_fine(synthesizer: Synthesizer) -> None:
    """As NumPy sees an image opened by Pillow."""
    image = np.full((64, 64, 3), 120, np.uint8)
    expected = synthesizer.encode_style(image)
    image.flags.writeable = False
    np.testing.assert_array_equal(synthesizer.encode_style(image), expected)


def test_large_style_images_are_read_in_windows() -> None:
    assert style_windows(64, 256) == [(slice(0, 64), slice(0, 256))]
    assert len(style_windows(257, 512)) == 4
    assert style_windows(257, 300)[-1] == (slice(128, 256), slice(150, 300))
    many = style_windows(10_000, 10_000)
    assert len(many) == 16
    assert len({(window[0].start, window[1].start) for window in many}) == 16


def test_bad_inputs_are_refused(synthesizer: Synthesizer) -> None:
    vector = style(synthesizer)
    cases: list[tuple[type[Exception], NDArray[np.generic], NDArray[np.float32], int]] = [
        (MaskTooSmall, mask(15, 40), vector, 0),
        (MaskTooLarge, mask(40, 1025), vector, 0),
        (MaskFloat, mask().astype(float), vector, 0),
        (ParameterInvalid, mask(), vector[:-1], 0),
        (ParameterInvalid, mask(), vector * np.float32("nan"), 0),
        (ParameterInvalid, mask(), vector, -1),
        (ParameterInvalid, mask(), vector, 2**64),
    ]
    for error, labels, used, seed in cases:
        with pytest.raises(error):
            synthesizer.synthesize(labels, used, seed=seed)  # type: ignore[arg-type]
    with pytest.raises(StyleUnreadable, match="convert"):
        synthesizer.encode_style(np.zeros((100, 100, 4), np.uint8))
    with pytest.raises(StyleTooSmall):
        synthesizer.encode_style(np.zeros((63, 100, 3), np.uint8))
