import numpy as np
import pytest

from model.errors import MaskBinary, MaskTooLarge, MaskTooSmall, StyleTooLarge, StyleTooSmall
from tests.fakes import label_mask, mask_png, png, style_png
from tests.model.encoders import png_bomb
from worker.inputs import mask_input, style_input


def read(data: bytes, *, label_components: bool = False, mpp: float | None = None):
    return mask_input(data, label_components=label_components, mpp=mpp, network_mpp=0.25)


def test_a_mask_at_the_networks_scale_is_left_alone():
    for mpp in (None, 0.25, 0.2527):
        decoded = read(mask_png(64), mpp=mpp)
        np.testing.assert_array_equal(decoded.labels, label_mask(64))
        assert decoded.size == (64, 64)


def test_a_20x_mask_is_painted_at_40x():
    decoded = read(mask_png(64), mpp=0.5)
    assert decoded.labels.shape == (128, 128)
    assert decoded.size == (64, 64)
    assert set(np.unique(decoded.labels)) == {0, 1, 2, 5, 300}


def test_limits_hold_at_the_networks_scale():
    read(mask_png(512), mpp=0.5)
    with pytest.raises(MaskTooLarge, match=r"512 px a side.* at 0\.5 .* 1024 px at .* 0\.25"):
        read(mask_png(513), mpp=0.5)
    read(mask_png(1024))
    with pytest.raises(MaskTooLarge, match=r"1024 px a side. Cut it into smaller tiles\.$"):
        read(mask_png(1025))
    with pytest.raises(MaskTooSmall, match=r"10 x 10 at .* Pad it with 0"):
        read(mask_png(24), mpp=0.1)
    with pytest.raises(MaskTooSmall, match="Pad it with 0"):
        read(mask_png(8))


def test_fine_pixels_raise_no_limit():
    """At 0.1 a mask could have 2.5 times as many a side, which would take gigabytes."""
    for mpp in (0.1, None):
        with pytest.raises(MaskTooLarge, match=r"9000 x 9000 px.* 8192 px a side"):
            mask_input(
                png_bomb(9000, 9000),
                label_components=False,
                mpp=mpp,
                network_mpp=0.25,
                largest_px=8192,
            )


def test_components_are_labelled_on_request():
    binary = png(np.where(label_mask() > 0, 255, 0).astype(np.uint8))
    with pytest.raises(MaskBinary):
        read(binary)
    assert read(binary, label_components=True).labels.max() == 4


def test_a_style_image_follows_the_same_scale():
    assert style_input(style_png(80), mpp=None, network_mpp=0.25).shape == (80, 80, 3)
    assert style_input(style_png(80), mpp=0.5, network_mpp=0.25).shape == (160, 160, 3)
    with pytest.raises(StyleTooSmall, match="32 x 32 at"):
        style_input(style_png(80), mpp=0.1, network_mpp=0.25)


def test_a_style_image_is_limited_before_it_is_enlarged():
    with pytest.raises(StyleTooLarge, match="320 x 320 at"):
        style_input(style_png(80), mpp=1.0, network_mpp=0.25, max_pixels=100_000)
    with pytest.raises(StyleTooLarge):
        style_input(style_png(80), mpp=None, network_mpp=0.25, max_pixels=6_000)
