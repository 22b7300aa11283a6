"""The first page of a TIFF, in memory bounded by the size that it declares.

A directory can promise much: tiles far larger than the image, strips beyond the end of the
file, a JPEG of other dimensions inside a tile. `open_page` lets callers look at the page
first; `read_page` checks every promise against the file before a pixel is decoded.
"""

import io
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

if TYPE_CHECKING:
    from tifffile import TiffPage

# What tifffile has to say about a damaged file reaches the caller as an exception; without a
# handler it would be printed as well.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""TIFF and BigTIFF, little and big endian."""

LOSSLESS = frozenset({"NONE", "LZW", "DEFLATE", "ADOBE_DEFLATE", "PACKBITS", "ZSTD", "LZMA"})
JPEG = frozenset({"JPEG"})

_TILE_SIDE = 1024
"""Tiles up to this side are fine however small the image, pixels."""


class DamagedTiff(Exception):
    """The file does not hold what its directory declares.

    Not in the tree of model.errors: the readers of masks and of style images turn it, like
    every complaint of a decoder, into their own error.
    """


@contextmanager
def open_page(data: bytes) -> Iterator["TiffPage"]:
    """The first page; its directory is read, its pixels are not."""
    from tifffile import TiffFile

    with TiffFile(io.BytesIO(data)) as tiff:
        yield tiff.pages.first


def compression(page: "TiffPage") -> str:
    """The name of the page's compression, such as LZW."""
    return str(getattr(page.compression, "name", page.compression))


def photometric(page: "TiffPage") -> str:
    """The name of the page's colour interpretation, such as RGB."""
    return str(getattr(page.photometric, "name", page.photometric))


def has_more_pages(page: "TiffPage") -> bool:
    """Whether the file holds more than one plane, as pages or the way ImageJ stores stacks."""
    tiff = page.parent
    if int((tiff.imagej_metadata or {}).get("images", 1)) > 1 or page.imagedepth > 1:
        return True
    try:
        tiff.pages[1]
    except IndexError:
        return False
    return True


def read_page(page: "TiffPage", data: bytes) -> NDArray[Any]:
    """Decode the page to (H, W), or (H, W, C) where it has several samples.

    The stored values, except that YCbCr JPEG becomes RGB. Callers check `compression` first:
    of the lossy ones only JPEG is bounded here. Raises DamagedTiff, or whatever tifffile
    raises for data it cannot decode.
    """
    _check_segments(page, data)
    values: NDArray[Any] = page.asarray(maxworkers=1)
    if page.samplesperpixel > 1 and page.planarconfig == 2:
        values = np.moveaxis(values, 0, -1)
    expected: Collection[int] = (page.imagelength, page.imagewidth)
    if page.samplesperpixel > 1:
        expected = (*expected, page.samplesperpixel)
    if values.shape != expected:
        raise DamagedTiff(f"its pixels have shape {values.shape}, not {expected}")
    return values


def _check_segments(page: "TiffPage", data: bytes) -> None:
    """Strips and tiles: all there, inside the file, and not much larger than the image."""
    if page.imagedepth > 1 or page.tiledepth > 1:
        raise DamagedTiff("it is a volume, and not one plane")
    if page.is_tiled:
        height, width = page.tilelength, page.tilewidth
    else:
        height, width = min(page.rowsperstrip, page.imagelength), page.imagewidth
    if height > max(_TILE_SIDE, page.imagelength + 15):
        raise DamagedTiff(f"its tiles are {height} px high")
    if width > max(_TILE_SIDE, page.imagewidth + 15):
        raise DamagedTiff(f"its tiles are {width} px wide")
    # tifffile fills strips that are absent with zeros: a mask would lose nuclei in silence.
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if len(segments) != prod(page.chunked):
        raise DamagedTiff(f"it lists {len(segments)} strips or tiles of {prod(page.chunked)}")
    for start, count in segments:
        if not 0 < start < start + count <= len(data):
            raise DamagedTiff("it ends before its pixels do")
        if compression(page) in JPEG:
            size = JpegImageFile(io.BytesIO(data[start : start + count])).size
            if size[0] > width or size[1] > height:
                raise DamagedTiff(f"a JPEG of {size[0]} x {size[1]} px is in a smaller tile")
