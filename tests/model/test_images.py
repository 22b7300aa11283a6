"""Style images in, tiles out."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from model.errors import ParameterInvalid, StyleError, StyleTooLarge, StyleTooSmall, StyleUnreadable
from model.images import encode_png, read_image
from tests.model.encoders import RGB, colourful, palette_png, pillow, png_bomb, tiff, tiff_bomb

IMAGE = colourful()


def sixteen_bits(channels: int = 3) -> NDArray[np.uint16]:
    """The 8-bit gradient in the high bytes, anything in the low ones."""
    high = colourful(channels=channels).astype(np.uint16)
    return high * 256 + (high * 7) % 256


class TestRead:
    @pytest.mark.parametrize("format", ["PNG", "TIFF"])
    def test_lossless_formats_give_the_pixels(self, format: str) -> None:
        image_u8 = read_image(pillow(IMAGE, format))
        np.testing.assert_array_equal(image_u8, IMAGE)
        assert image_u8.flags.writeable

    def test_jpeg_comes_close(self) -> None:
        image_u8 = read_image(pillow(IMAGE, "JPEG", quality=95))
        assert np.abs(image_u8.astype(int) - IMAGE).mean() < 2

    @pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
    @pytest.mark.parametrize("tile", [None, (32, 48)])
    @pytest.mark.parametrize("byteorder", ["<", ">"])
    def test_tiff_however_it_is_laid_out(
        self, compression: str | None, tile: tuple[int, int] | None, byteorder: Any
    ) -> None:
        data = tiff(
            IMAGE, photometric="rgb", compression=compression, tile=tile, byteorder=byteorder
        )
        np.testing.assert_array_equal(read_image(data), IMAGE)

    @pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
    @pytest.mark.parametrize("planar", ["contig", "separate"])
    @pytest.mark.parametrize("bits", [8, 16])
    def test_tiff_of_8_and_16_bits_interleaved_or_in_planes(
        self, bits: int, planar: str, compression: str | None
    ) -> None:
        image = IMAGE if bits == 8 else sixteen_bits()
        stored = image if planar == "contig" else np.moveaxis(image, -1, 0)
        data = tiff(stored, photometric="rgb", planarconfig=planar, compression=compression)
        np.testing.assert_array_equal(read_image(data), IMAGE)

    def test_jpeg_tiles_of_a_slide(self) -> None:
        data = tiff(IMAGE, photometric="rgb", tile=(32, 32), compression="jpeg")
        assert np.abs(read_image(data).astype(int) - IMAGE).mean() < 4

    def test_jpeg_tiff_by_other_software(self) -> None:
        data = pillow(IMAGE, "TIFF", compression="jpeg", quality=95)
        assert np.abs(read_image(data).astype(int) - IMAGE).mean() < 4

    @pytest.mark.parametrize(
        ("extra", "expected"),
        [
            ("unassalpha", lambda rgb: (rgb + 255.0) / 2),
            ("assocalpha", lambda rgb: np.minimum(rgb, 127) + 128.0),
            ("unspecified", lambda rgb: rgb),
        ],
    )
    def test_fourth_channel_of_a_tiff(self, extra: str, expected: Any) -> None:
        rgba = colourful(channels=4)
        if extra == "assocalpha":  # colours are stored already multiplied
            rgba = np.minimum(rgba, 127)
        rgba[..., 3] = 127
        data = tiff(rgba, photometric="rgb", extrasamples=[extra])
        np.testing.assert_allclose(read_image(data), expected(rgba[..., :3]), atol=2)

    def test_first_of_several_pages(self) -> None:
        pages = np.stack([IMAGE, 255 - IMAGE])
        np.testing.assert_array_equal(read_image(tiff(pages, photometric="rgb")), IMAGE)

    def test_transparency_is_laid_over_white(self) -> None:
        rgba = colourful(channels=4)
        rgba[:32, :, 3] = 0
        rgba[32:, :, 3] = 255
        image_u8 = read_image(pillow(rgba, "PNG"))
        assert (image_u8[:32] == 255).all()
        np.testing.assert_array_equal(image_u8[32:], rgba[32:, :, :3])

    def test_half_transparency_is_half_white(self) -> None:
        rgba = colourful(channels=4)
        rgba[..., 3] = 128
        expected = rgba[..., :3] * (128 / 255) + 255 * (127 / 255)
        np.testing.assert_allclose(read_image(pillow(rgba, "PNG")), expected, atol=1)

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF"])
    def test_exif_orientation_is_applied(self, format: str) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6  # the top of the scene is the right side of the stored image
        image_u8 = read_image(pillow(IMAGE, format, exif=exif))
        upright = np.rot90(IMAGE, -1).astype(int)
        assert image_u8.shape == upright.shape
        assert np.abs(image_u8 - upright).mean() < 4

    def test_palette_image(self) -> None:
        indices = np.arange(64 * 64).reshape(64, 64) % 256
        colours = (17 * np.arange(768) % 256).reshape(256, 3)
        np.testing.assert_array_equal(read_image(palette_png(indices)), colours[indices])

    def test_cmyk_jpeg(self) -> None:
        stream = io.BytesIO()
        Image.fromarray(IMAGE).convert("CMYK").save(stream, "JPEG", quality=95)
        assert np.abs(read_image(stream.getvalue()).astype(int) - IMAGE).mean() < 4

    def test_the_smallest(self) -> None:
        assert read_image(pillow(colourful(64, 64), "PNG")).shape == (64, 64, 3)

    def test_max_pixels_raises_and_lowers_the_limit(self) -> None:
        data = pillow(IMAGE, "PNG")
        assert read_image(data, max_pixels=64 * 80).shape == (64, 80, 3)
        with pytest.raises(StyleTooLarge, match="80 x 64"):
            read_image(data, max_pixels=64 * 80 - 1)


GREY = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)

REFUSED: dict[str, tuple[bytes, type[StyleError], str]] = {
    "empty file": (b"", StyleUnreadable, "0 bytes"),
    "text": (b"hello", StyleUnreadable, "neither PNG, JPEG nor TIFF"),
    "numpy array": (b"\x93NUMPY", StyleUnreadable, "neither PNG, JPEG nor TIFF"),
    "4 x 4 px": (pillow(colourful(4, 4), "PNG"), StyleTooSmall, "64 px"),
    "one side too small": (pillow(colourful(63, 300), "JPEG"), StyleTooSmall, "300 x 63"),
    "png bomb": (png_bomb(30_000, 30_000, 8, RGB), StyleTooLarge, "30000 x 30000"),
    "tile bomb": (tiff_bomb(64, 64, 30_000, 3), StyleUnreadable, "tiles"),
    "grey png": (pillow(GREY.astype(np.uint8), "PNG"), StyleUnreadable, "swapped"),
    "16-bit grey png": (pillow(GREY, "PNG"), StyleUnreadable, "swapped"),
    "grey jpeg": (pillow(GREY.astype(np.uint8), "JPEG"), StyleUnreadable, "no colour"),
    "grey tiff": (tiff(GREY), StyleUnreadable, "no colour"),
    "float tiff": (tiff(GREY.astype(np.float32)), StyleUnreadable, "no colour"),
    "rgb with equal channels": (
        pillow(np.repeat(GREY[..., None], 3, 2).astype(np.uint8), "PNG"),
        StyleUnreadable,
        "no colour",
    ),
    "palette tiff": (
        tiff(GREY.astype(np.uint8), photometric="palette", colormap=np.zeros((3, 256), np.uint16)),
        StyleUnreadable,
        "PALETTE. Save it as RGB",
    ),
    "cmyk tiff": (
        tiff(colourful(channels=4), photometric="separated"),
        StyleUnreadable,
        "Save it as RGB",
    ),
    "cmyk jpeg in tiff": (
        tiff(colourful(channels=4), photometric="separated", compression="jpeg"),
        StyleUnreadable,
        "Save it as RGB",
    ),
    "float rgb tiff": (
        tiff(IMAGE.astype(np.float32), photometric="rgb"),
        StyleUnreadable,
        "float32",
    ),
    "jpeg 2000 in tiff": (
        tiff(IMAGE, photometric="rgb", compression="jpeg2000"),
        StyleUnreadable,
        "JPEG2000",
    ),
    "truncated png": (pillow(IMAGE, "PNG")[:-40], StyleUnreadable, "truncated"),
    "truncated jpeg": (pillow(IMAGE, "JPEG")[:-200], StyleUnreadable, "truncated"),
    "truncated tiff": (tiff(IMAGE, photometric="rgb")[:-200], StyleUnreadable, "truncated"),
}


@pytest.mark.parametrize(("data", "error", "words"), REFUSED.values(), ids=REFUSED)
def test_refused_with_its_own_class_and_a_sentence(
    data: bytes, error: type[StyleError], words: str
) -> None:
    with pytest.raises(error) as caught:
        read_image(data)
    assert type(caught.value) is error
    assert words in str(caught.value)
    assert str(caught.value).endswith((".", ".)"))


class TestEncode:
    @given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))))
    def test_the_pixels_come_back(self, image_u8: NDArray[np.uint8]) -> None:
        decoded = np.asarray(Image.open(io.BytesIO(encode_png(image_u8, {}))))
        np.testing.assert_array_equal(decoded, image_u8)

    def test_the_text_comes_back(self) -> None:
        text = {"seed": "7", "style": "breast", "note": "é and 染色"}
        with Image.open(io.BytesIO(encode_png(IMAGE, text))) as image:
            image.load()
            assert image.text == text  # type: ignore[attr-defined]

    def test_equal_input_gives_equal_bytes_whatever_the_order_of_the_text(self) -> None:
        text = {"a": "1", "b": "2"}
        turned = {"b": "2", "a": "1"}
        assert encode_png(IMAGE, text) == encode_png(np.asfortranarray(IMAGE), turned)

    def test_no_time_stamp(self) -> None:
        assert b"tIME" not in encode_png(IMAGE, {})

    @pytest.mark.parametrize(
        "image", [IMAGE[..., 0], IMAGE[..., :2], IMAGE.astype(float)], ids=["grey", "2", "float"]
    )
    def test_another_shape_or_type_is_refused(self, image: Any) -> None:
        with pytest.raises(ParameterInvalid, match="uint8"):
            encode_png(image, {})
