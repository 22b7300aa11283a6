"""Masks that are refused: each with its own class of error and a sentence that helps."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from model.errors import (
    MaskBinary,
    MaskColour,
    MaskEmptyFile,
    MaskError,
    MaskFloat,
    MaskIdTooLarge,
    MaskNegative,
    MaskShape,
    MaskTooLarge,
    MaskTooSmall,
    MaskUnreadable,
    MaskUnwritable,
    ParameterInvalid,
)
from model.formats import MAX_ID, read_mask, write_mask
from tests.model.encoders import (
    GREY,
    colourful,
    npy,
    npy_header,
    pillow,
    png_bomb,
    regions,
    shallow_png,
    tiff,
    two_nuclei,
)

MASK = two_nuclei()


def rare_class() -> NDArray[np.uint8]:
    """A class map whose third class is there once."""
    classes = regions(ids=2, each=8)
    classes[-3:, :3] = 3
    return classes


def animated_png() -> bytes:
    frames = [Image.fromarray(MASK.astype(np.uint8) * k) for k in (1, 2)]
    stream = io.BytesIO()
    frames[0].save(stream, "PNG", save_all=True, append_images=frames[1:])
    return stream.getvalue()


def flipped_bit(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


STACK = np.stack([MASK] * 5).astype(np.uint16)
PNG = write_mask(MASK, "png")

REFUSED: dict[str, tuple[bytes, type[MaskError], str]] = {
    "empty file": (b"", MaskEmptyFile, "0 bytes"),
    "binary png": (pillow((MASK > 0).astype(np.uint8) * 255, "PNG"), MaskBinary, "label_comp"),
    "one-bit png": (shallow_png(MASK > 0, 1, GREY), MaskBinary, "value 1"),
    "bool npy": (npy(MASK > 0), MaskBinary, "own id"),
    "class map": (npy(regions(ids=3, each=4)), MaskBinary, "3 values and 12 regions"),
    "class map with a rare class": (npy(rare_class()), MaskBinary, "3 values and 17 regions"),
    "rgb png": (pillow(colourful(), "PNG"), MaskColour, "RGB"),
    "rgb png, equal channels": (
        pillow(np.repeat(MASK[..., None], 3, 2).astype(np.uint8), "PNG"),
        MaskColour,
        "If the channels are equal, save one",
    ),
    "rgba png": (pillow(colourful(channels=4), "PNG"), MaskColour, "RGBA"),
    "grey png with alpha": (pillow(colourful(channels=2), "PNG"), MaskColour, "transparency"),
    "rgb tiff": (tiff(colourful(), photometric="rgb"), MaskColour, "3 channels"),
    "rgb npy": (npy(colourful()), MaskColour, "(64, 80, 3)"),
    "channel-first npy": (npy(np.zeros((3, 20, 20), int)), MaskColour, "one channel"),
    "float npy": (npy(MASK.astype(float)), MaskFloat, "astype"),
    "float tiff": (tiff(MASK.astype(np.float32)), MaskFloat, "float32"),
    "negative npy": (npy(-MASK), MaskNegative, "-9"),
    "negative tiff": (tiff(-MASK.astype(np.int16)), MaskNegative, "0"),
    "id above 31 bits, npy": (npy(two_nuclei(1, 2**31)), MaskIdTooLarge, "2147483648"),
    "id above 31 bits, tiff": (
        tiff(two_nuclei(1, 2**32 - 1).astype(np.uint32)),
        MaskIdTooLarge,
        "4294967295",
    ),
    "several tiff pages": (tiff(STACK, photometric="minisblack"), MaskShape, "several pages"),
    "imagej stack": (tiff(STACK, imagej=True), MaskShape, "several pages"),
    "animated png": (animated_png(), MaskShape, "animated"),
    "one-dimensional npy": (npy(np.arange(400)), MaskShape, "one plane"),
    "stacked npy": (npy(STACK), MaskShape, "(5, 20, 24)"),
    "small": (pillow(np.zeros((4, 400), np.uint8), "PNG"), MaskTooSmall, "400 x 4"),
    "empty npy": (npy(np.zeros((0, 0), int)), MaskTooSmall, "0 x 0"),
    "large": (pillow(np.zeros((16, 1025), np.uint8), "PNG"), MaskTooLarge, "1025 x 16"),
    "large tiff": (tiff(np.zeros((1025, 16), np.uint8)), MaskTooLarge, "1024 px"),
    "large npy": (npy_header((10**9, 10**9), "<i8"), MaskTooLarge, "smaller"),
    "png bomb": (png_bomb(30_000, 30_000), MaskTooLarge, "30000 x 30000"),
    "jpeg": (pillow(colourful(), "JPEG"), MaskUnreadable, "lossy"),
    "jpeg in tiff": (
        tiff(np.zeros((32, 32), np.uint8), compression="jpeg"),
        MaskUnreadable,
        "LZW",
    ),
    "objects npy": (npy(MASK.astype(object), allow_pickle=True), MaskUnreadable, "object"),
    "text npy": (npy(np.full((20, 20), "a")), MaskUnreadable, "plain integer array"),
    "complex npy": (npy(MASK.astype(complex)), MaskUnreadable, "complex128"),
    "npz": (b"PK\x03\x04 and more", MaskUnreadable, "numpy.save"),
    "gzip": (b"\x1f\x8b and more", MaskUnreadable, "unpack"),
    "matlab 7.3": (b"MATLAB 7.3 MAT-file, HDF5", MaskUnreadable, "'-v7'"),
    "hdf5": (b"\x89HDF\r\n\x1a\n", MaskUnreadable, "HDF5"),
    "json of something else": (b'{"nuc": {}}', MaskUnreadable, "send the .mat file"),
    "json list of something else": (b"[1, 2]", MaskUnreadable, "neither GeoJSON"),
    "broken json": (b'{"type": ', MaskUnreadable, "looks like JSON"),
    "nested json": (b"[" * 100_000, MaskUnreadable, "nested too deeply"),
    "html": (b"<html></html>", MaskUnreadable, "root is <html>"),
    "text": (b"hello", MaskUnreadable, "none of the formats that are read: PNG"),
    "truncated png": (PNG[:-20], MaskUnreadable, "truncated"),
    "png with a flipped bit": (flipped_bit(PNG, 60), MaskUnreadable, "damaged"),
    "npy without its array": (npy_header((20, 20), "<i4"), MaskUnreadable, "truncated"),
}


class TestRefused:
    @pytest.mark.parametrize(("data", "error", "words"), REFUSED.values(), ids=REFUSED)
    def test_with_its_own_class_and_a_sentence(
        self, data: bytes, error: type[MaskError], words: str
    ) -> None:
        with pytest.raises(error) as caught:
            read_mask(data)
        assert type(caught.value) is error
        assert words in str(caught.value)
        assert str(caught.value).endswith((".", ".)"))

    @pytest.mark.parametrize(
        "data",
        [
            write_mask(MASK, "tiff"),
            write_mask(MASK, "npy"),
            tiff(MASK.astype(np.uint16)),
            tiff(MASK.astype(np.uint16), compression="lzw", rowsperstrip=3),
            tiff(MASK.astype(np.uint16), tile=(16, 16)),
            write_mask(MASK, "mat"),
            write_mask(MASK, "geojson"),
            write_mask(MASK, "coco"),
            write_mask(MASK, "xml"),
            write_mask(MASK, "pannuke")[:4000],
        ],
        ids=[
            "deflate",
            "npy",
            "uncompressed",
            "lzw strips",
            "tiles",
            "mat",
            "geojson",
            "coco",
            "xml",
            "pannuke",
        ],
    )
    def test_at_every_truncation(self, data: bytes) -> None:
        for length in range(1, len(data)):
            with pytest.raises(MaskUnreadable):
                read_mask(data[:length])

    def test_png_at_every_truncation_of_its_content(self) -> None:
        last_chunk = 12
        for length in range(1, len(PNG) - last_chunk + 1):
            with pytest.raises(MaskUnreadable):
                read_mask(PNG[:length])


class TestNotWritten:
    @pytest.mark.parametrize(
        ("mask", "error", "words"),
        [
            (two_nuclei(1, 65_536), MaskUnwritable, "TIFF"),
            (-MASK, MaskNegative, "-9"),
            (MASK.astype(float), MaskFloat, "astype"),
            (MASK[None], MaskShape, "(1, 20, 24)"),
            (MASK[:0], MaskShape, "(0, 24)"),
            (two_nuclei(1, MAX_ID + 1), MaskIdTooLarge, "2147483648"),
        ],
        ids=["id above 16 bits", "negative", "float", "3-d", "empty", "id above 31 bits"],
    )
    def test_a_mask_that_png_cannot_hold(
        self, mask: NDArray[Any], error: type[MaskError], words: str
    ) -> None:
        with pytest.raises(error) as caught:
            write_mask(mask, "png")
        assert words in str(caught.value)

    def test_an_unknown_format(self) -> None:
        with pytest.raises(ParameterInvalid, match="png, tiff, npy"):
            write_mask(MASK, "jpeg")  # type: ignore[arg-type]
