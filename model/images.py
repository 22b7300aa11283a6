"""Read style images and write tiles; 8-bit RGB in memory."""

import io
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile, PngInfo

from model import tiff
from model.errors import (
    InvalidInput,
    ParameterInvalid,
    StyleTooLarge,
    StyleTooSmall,
    StyleUnreadable,
)

if TYPE_CHECKING:
    from tifffile import TiffPage

SMALLEST_STYLE_PX = 64
MAX_STYLE_PIXELS = 64_000_000

_DECODERS = {b"\x89PNG\r\n\x1a\n": PngImageFile, b"\xff\xd8\xff": JpegImageFile}
_ORIENTATION = 274
_ASSOCIATED_ALPHA = 1
_UNSPECIFIED = 0

_TIFF_TILE_PX = 256
_BIGTIFF_BYTES = 2**31  # the pyramid and incompressible pixels stay below 4 GiB

_NO_COLOUR = (
    "The style image holds no colour; it must be an RGB image of H&E-stained tissue. "
    "Check that mask and style are not swapped."
)


def read_image(data: bytes, *, max_pixels: int = MAX_STYLE_PIXELS) -> NDArray[np.uint8]:
    """Decode a style image, PNG, JPEG or TIFF, to (H, W, 3) RGB in 0..255.

    16-bit channels keep their high byte. Transparent pixels are laid over white, the colour of
    an empty slide. EXIF orientation is applied; colour profiles are not. Of a TIFF with several
    pages the first is read. The size is checked in the header, before any pixel is decoded.

    Args:
        data: the whole file.
        max_pixels: largest height times width accepted.

    Raises:
        StyleUnreadable: empty, no PNG, JPEG or TIFF, damaged, or without colour.
        StyleTooSmall: a side below 64 px.
        StyleTooLarge: more than ``max_pixels``.
    """
    if not data:
        raise StyleUnreadable("The style image is empty (0 bytes). Send the file's content.")
    try:
        with _opened(data, max_pixels) as image:
            ImageOps.exif_transpose(image, in_place=True)
            image_u8 = np.array(_on_white(image))
    except InvalidInput:
        raise
    except Exception as error:  # decoders meet damage in too many ways to list
        raise StyleUnreadable(
            "The style image is damaged or truncated. Export or upload it again. "
            f"(The decoder said: {str(error) or type(error).__name__}.)"
        ) from error
    if _is_grey(image_u8):
        raise StyleUnreadable(_NO_COLOUR)
    return image_u8


def encode_png(image_u8: NDArray[np.uint8], text: Mapping[str, str]) -> bytes:
    """Encode (H, W, 3) RGB as PNG with one text chunk an entry of ``text``, sorted by key.

    The same image and text give the same bytes. Raises ParameterInvalid for another shape or
    type of array.
    """
    _check_rgb(image_u8)
    chunks = PngInfo()
    for key in sorted(text):
        chunks.add_text(key, text[key])
    stream = io.BytesIO()
    # Texture hardly ever repeats: looking for longer matches than runs took three times as long
    # for a tile and saved nothing (measured).
    Image.fromarray(image_u8).save(stream, "PNG", pnginfo=chunks, compress_type=zlib.Z_RLE)
    return stream.getvalue()


def encode_tiff(image_u8: NDArray[np.uint8], description: str, *, mpp: float) -> bytes:
    """Encode (H, W, 3) RGB as a tiled, lossless TIFF with a pyramid of halved levels, as viewers of
    slides open it.

    The same image and description give the same bytes. Raises ParameterInvalid for another shape
    or type of array.

    Args:
        description: into the tag ImageDescription; ASCII.
        mpp: micrometres per pixel.
    """
    from tifffile import TiffWriter

    _check_rgb(image_u8)
    stream = io.BytesIO()
    options: dict[str, Any] = {
        "photometric": "rgb",
        "tile": (_TIFF_TILE_PX, _TIFF_TILE_PX),
        "compression": "zlib",
        # Higher levels took longer and saved nothing (measured).
        "compressionargs": {"level": 1},
        "predictor": True,
        "resolutionunit": "CENTIMETER",
        "metadata": None,
        "software": "SIAN",
    }
    level, factor = image_u8, 1
    with TiffWriter(stream, bigtiff=image_u8.nbytes > _BIGTIFF_BYTES) as writer:
        while True:
            resolution = 1e4 / (mpp * factor)
            writer.write(
                level,
                resolution=(resolution, resolution),
                subfiletype=0 if factor == 1 else 1,
                description=description if factor == 1 else None,
                **options,
            )
            if max(level.shape[:2]) <= 2 * _TIFF_TILE_PX:
                return stream.getvalue()
            level, factor = _halved(level), 2 * factor


def _halved(image_u8: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Means of 2 x 2 pixels; an odd last row or column is left out."""
    height, width = (side // 2 * 2 for side in image_u8.shape[:2])
    quads = image_u8[:height, :width].reshape(height // 2, 2, width // 2, 2, 3)
    sums = quads.sum(axis=(1, 3), dtype=np.uint16)
    return np.asarray((sums + 2) // 4, np.uint8)


def _check_rgb(image_u8: NDArray[np.uint8]) -> None:
    if image_u8.ndim != 3 or image_u8.shape[2] != 3 or image_u8.dtype != np.uint8:
        raise ParameterInvalid(
            f"An image is (height, width, 3) of uint8; got {image_u8.shape} of {image_u8.dtype}."
        )


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[Image.Image]:
    """The image, once its size and its kind of pixels are known to be right."""
    if data.startswith(tiff.MAGICS):
        yield _from_tiff(data, max_pixels)
        return
    for magic, decoder in _DECODERS.items():
        if data.startswith(magic):
            # The class itself: Image.open would warn of large images through global state.
            with decoder(io.BytesIO(data)) as image:
                _check_size(image.width, image.height, max_pixels)
                if image.mode in ("1", "L", "LA", "I") or image.mode.startswith("I;"):
                    raise StyleUnreadable(_NO_COLOUR)
                yield image
            return
    raise StyleUnreadable(
        "The style image is neither PNG, JPEG nor TIFF. Save it in one of these formats."
    )


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise StyleTooLarge(
            f"The style image is {width} x {height} px; the limit is {max_pixels} pixels in "
            "all. Send a crop: a few hundred pixels a side show a style."
        )
    if min(width, height) < SMALLEST_STYLE_PX:
        raise StyleTooSmall(
            f"The style image is {width} x {height} px; it needs at least {SMALLEST_STYLE_PX} px "
            "a side. Send a larger crop of the slide."
        )


def _from_tiff(data: bytes, max_pixels: int) -> Image.Image:
    """The first page. Not through Pillow's TIFF reader: libtiff below it allocates whatever
    the tags ask for, and 16-bit planes come out in wrong colours."""
    with tiff.open_page(data) as page:
        _check_size(page.imagewidth, page.imagelength, max_pixels)
        _check_tiff_kind(page)
        values = tiff.read_page(page, data)
        if values.dtype == np.uint16:
            values = (values >> 8).astype(np.uint8)
        extra = next(iter(page.extrasamples), _UNSPECIFIED)
        orientation = page.tags.valueof(_ORIENTATION, 1)
    image = _as_pillow(np.ascontiguousarray(values), extra)
    image.getexif()[_ORIENTATION] = orientation
    return image


def _check_tiff_kind(page: "TiffPage") -> None:
    """Refuse a page that holds no RGB, or holds it in a way that is not read here."""
    if page.samplesperpixel < 3 and tiff.photometric(page) != "PALETTE":
        raise StyleUnreadable(_NO_COLOUR)
    if tiff.compression(page) not in tiff.LOSSLESS | tiff.JPEG:
        raise StyleUnreadable(
            f"The style image is a TIFF compressed with {tiff.compression(page)}, which is "
            "not read here. Save it as PNG, or as TIFF with LZW or JPEG compression."
        )
    # tifffile turns YCbCr into RGB while it decodes JPEG, and only then.
    colours = {"RGB", "YCBCR"} if tiff.compression(page) in tiff.JPEG else {"RGB"}
    if (
        tiff.photometric(page) not in colours
        or page.samplesperpixel > 4
        or page.dtype not in (np.uint8, np.uint16)
    ):
        raise StyleUnreadable(
            f"The style image is a TIFF of {page.samplesperpixel} {page.dtype} channels, "
            f"{tiff.photometric(page)}. Save it as RGB of 8 or 16 bits."
        )


def _as_pillow(values: NDArray[np.uint8], extra: int) -> Image.Image:
    """(H, W, 3 or 4) -> RGB or RGBA; what a fourth channel means is in ``extra``."""
    height, width, channels = values.shape
    if channels == 3:
        return Image.fromarray(values)
    if extra == _UNSPECIFIED:
        return Image.fromarray(values[..., :3])
    mode = "RGBa" if extra == _ASSOCIATED_ALPHA else "RGBA"
    return Image.frombytes(mode, (width, height), values.tobytes()).convert("RGBA")


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    image = image if image.mode == "RGBA" else image.convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=image.getchannel("A"))
    return canvas


def _is_grey(image_u8: NDArray[np.uint8]) -> bool:
    red, green, blue = np.moveaxis(image_u8, -1, 0)
    return bool(np.array_equal(red, green) and np.array_equal(green, blue))
