"""Tell the kinds of mask file apart, and decode each to one plane of stored values.

Label images and arrays are decoded here, other formats in ``model.mask_formats``. Each decoder
reads the header, refuses what can be no mask or is too large, and only then decodes pixels, or
draws outlines. What the values mean is checked in ``model.formats``. Decoders raise their own
subclass of ``MaskError`` for what they understand and anything at all for a damaged file;
``model.formats.read_mask`` turns the rest into ``MaskUnreadable``.
"""

import io
import struct
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from model import tiff
from model.errors import MaskColour, MaskShape, MaskUnreadable
from model.mask import Reading
from model.mask_formats import aperio, coco, geojson, json_text, matlab, pannuke

Values = NDArray[Any]
Decoder = Callable[[bytes, Reading], Values]

FORMATS = "PNG, TIFF, .npy, .mat, GeoJSON, COCO JSON and Aperio XML"

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_NPY_MAGIC = b"\x93NUMPY"

_OTHER_FILES = (
    (b"PK\x03\x04", "a zip archive or .npz; unpack it, or save one array with numpy.save"),
    (b"\x1f\x8b", "a gzip file; unpack it"),
    (b"MATLAB 7.3", "a MATLAB 7.3 file, which is HDF5; save it with save(..., '-v7')"),
    (b"\x89HDF", "an HDF5 file; save its instance map with numpy.save"),
    (b"GIF8", "a GIF; save the labels as PNG"),
    (b"BM", "a BMP; save the labels as PNG"),
    (b"RIFF", "a WebP or other RIFF file; save the labels as PNG"),
)
_TEXT_START = 1000  # bytes of white space that text may begin with

_ONE_CHANNEL = (
    "A mask has one channel that holds an integer id for every nucleus and 0 for the stroma. "
    "If the channels are equal, save one of them; if nuclei are painted in colours, give each "
    "its own id; then save as a greyscale PNG or TIFF of 8 or 16 bits."
)
_ONE_PLANE = "Send one plane, (height, width)."


def decoder_for(data: bytes) -> Decoder:
    """The decoder for these bytes, by their first few. Raises MaskUnreadable."""
    for magics, decoder in _BY_MAGIC:
        if data.startswith(magics):
            return decoder
    text = data[:_TEXT_START].removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith((b"{", b"[")):
        return decode_json
    if text.startswith(b"<"):
        return aperio.decode
    if data.startswith(b"\xff\xd8\xff"):
        raise MaskUnreadable(
            "The mask is a JPEG, whose lossy compression changes ids along every edge. "
            "Export the labels again as PNG, TIFF or .npy; converting the JPEG does not help."
        )
    for magic, hint in _OTHER_FILES:
        if data.startswith(magic):
            raise MaskUnreadable(f"The mask looks like {hint}.")
    raise MaskUnreadable(
        f"The mask is in none of the formats that are read: {FORMATS}. Save it in one of them."
    )


def decode_png(data: bytes, reading: Reading) -> Values:
    """Greyscale or palette PNG -> stored values, (H, W); a palette's indices are the ids."""
    if data[12:16] != b"IHDR":
        raise MaskUnreadable("The mask is a PNG without a header. Export or upload it again.")
    width, height, depth, colour_type = struct.unpack(">IIBB", data[16:26])
    reading.check_size(height, width)
    if colour_type in (2, 4, 6):
        kind = {2: "an RGB image", 4: "greyscale with transparency", 6: "an RGBA image"}
        raise MaskColour(f"The mask is {kind[colour_type]}. {_ONE_CHANNEL}")
    # Decoding alone does not look at checksums: a flipped bit could become another id.
    PngImageFile(io.BytesIO(data)).verify()
    # The class itself rather than Image.open, whose size check warns through global state.
    with PngImageFile(io.BytesIO(data)) as image:
        if image.is_animated:
            raise MaskShape(f"The mask is an animated PNG. {_ONE_PLANE}")
        values: Values = np.asarray(image)
    if colour_type == 0 and depth in (2, 4):
        # Pillow stretches shallow greys to 0..255.
        values = values // (255 // (2**depth - 1))
    return values


def decode_tiff(data: bytes, reading: Reading) -> Values:
    """One-page, one-sample TIFF -> stored values, (H, W)."""
    with tiff.open_page(data) as page:
        reading.check_size(page.imagelength, page.imagewidth)
        if page.samplesperpixel != 1:
            raise MaskColour(
                f"The mask is a TIFF of {page.samplesperpixel} channels. {_ONE_CHANNEL}"
            )
        if tiff.has_more_pages(page):
            raise MaskShape(f"The mask is a TIFF of several pages. {_ONE_PLANE}")
        if tiff.compression(page) not in tiff.LOSSLESS:
            raise MaskUnreadable(
                f"The mask is a TIFF compressed with {tiff.compression(page)}, which may be "
                "lossy. Export it without compression, or with LZW or Deflate."
            )
        return tiff.read_page(page, data)


def decode_npy(data: bytes, reading: Reading) -> Values:
    """.npy -> ids, (H, W), of the stored type unless it is PanNuke's; nothing is unpickled."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise MaskUnreadable(f"The mask is .npy of version {version}. {_SAVE_NPY}")
    shape, column_major, dtype = read_header(stream, max_header_size=1000)
    if dtype.hasobject or dtype.kind not in "biuf":
        raise MaskUnreadable(f"The mask is .npy of type {dtype}. {_SAVE_NPY}")
    if pannuke.is_pannuke(shape):
        pannuke.check_shape(shape, reading)
        return pannuke.flatten(_stored(data, stream.tell(), shape, dtype, column_major))
    if len(shape) == 3 and (shape[2] in (3, 4) or shape[0] in (3, 4)):
        raise MaskColour(f"The mask is an array of shape {shape}. {_ONE_CHANNEL}")
    if len(shape) != 2:
        raise MaskShape(f"The mask is an array of shape {shape}. {_ONE_PLANE}")
    reading.check_size(*shape)
    return _stored(data, stream.tell(), shape, dtype, column_major)


def decode_json(data: bytes, reading: Reading) -> Values:
    """GeoJSON or COCO JSON -> ids, (H, W)."""
    content = json_text.load(data, reading)
    if geojson.is_geojson(content):
        return geojson.decode(content, reading)
    if coco.is_coco(content):
        return coco.decode(content, reading)
    raise MaskUnreadable(
        "The mask is JSON but neither GeoJSON (a FeatureCollection) nor COCO (annotations with a "
        "segmentation). Of HoVer-Net's output send the .mat file."
    )


def _stored(
    data: bytes, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any], column_major: bool
) -> Values:
    """The array in the file, without copying."""
    values: Values = np.frombuffer(data, dtype, count=prod(shape), offset=offset)
    return values.reshape(shape, order="F" if column_major else "C")


_BY_MAGIC: tuple[tuple[bytes | tuple[bytes, ...], Decoder], ...] = (
    (_PNG_MAGIC, decode_png),
    (tiff.MAGICS, decode_tiff),
    (_NPY_MAGIC, decode_npy),
    (matlab.MAGIC, matlab.decode),
)
_SAVE_NPY = "Save a plain integer array with numpy.save."
