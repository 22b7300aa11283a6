"""Read and write instance masks: label images, arrays, and outlines of nuclei.

An instance mask is one plane of integers (H, W): 0 is the stroma, any positive value is the
id of a nucleus. Ids may have gaps and go up to 2**31 - 1. They are returned as they came.

What a file is, is decided by its content, never by its name. Sizes are checked in the header,
before any pixel is decoded, so a small file cannot ask for much memory. Whatever is wrong
with a file ends in a subclass of ``InvalidInput`` whose message says what to do.

Accepted (docs/masks.md says more of each):
    PNG      greyscale of 1, 2, 4, 8 or 16 bits; or palette, whose indices are the ids.
    TIFF     one page, one sample of up to 64 bits, integer; not compressed, or losslessly with
             LZW, Deflate, PackBits, Zstandard or LZMA; strips or tiles; BigTIFF; any byte order.
             The stored values are the ids, whatever the file says about their display.
    .npy     two-dimensional, any integer type or bool, any byte or memory order; no pickles.
    PanNuke  one image of its masks.npy: (H, W, 6) or (1, H, W, 6), integers or whole floats.
    .mat     HoVer-Net's: the variable inst_map of a MATLAB 5 file.
    GeoJSON  QuPath's detections, cells or annotations.
    COCO     the annotations of one image: run lengths or polygons.
    XML      Aperio ImageScope's regions, as MoNuSeg is published.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model import components
from model.errors import (
    InvalidInput,
    MaskBinary,
    MaskEmptyFile,
    MaskUnreadable,
    MaskUnwritable,
    ParameterInvalid,
)
from model.mask import LARGEST_MASK_PX, MAX_ID, PIXELS_PER_NUCLEUS, Reading, check_mask
from model.mask_files import decoder_for
from model.mask_formats import aperio, coco, geojson, matlab, outlines, pannuke

__all__ = [
    "MAX_ID",
    "MEDIA_TYPES",
    "SUFFIXES",
    "MaskFormat",
    "format_of",
    "numbered",
    "read_mask",
    "write_mask",
]

_PNG_MAX_ID = 2**16 - 1
_ALWAYS_NUCLEI = 2**16  # so many cost little, however small the mask
# A nucleus may lie in several pieces, which is rare: MoNuSeg's masks have 1.03 a nucleus at
# most, and the worst 64 px crop of them 2.5. Classes have dozens.
_CLASS_MAP_COMPONENTS = 4

_WITH_OUTLINES = ("geojson", "coco", "xml")

MaskFormat = Literal["png", "tiff", "npy", "mat", "geojson", "coco", "xml", "pannuke"]


def read_mask(
    data: bytes,
    *,
    label_components: bool = False,
    max_side: int = LARGEST_MASK_PX,
    size: tuple[int, int] | None = None,
) -> NDArray[np.int32]:
    """Decode an instance mask, (H, W), from the bytes of a file in any format above.

    A mask without nuclei is legal: it is pure stroma. A pixel belongs to an outline when its
    centre lies inside.

    Args:
        data: the whole file.
        label_components: make every 8-connected region of one value a nucleus of its own, with
            new ids 1, 2, ... from top to bottom. For binary masks and class maps; touching
            nuclei merge. Without it ids are kept, and a binary mask is refused.
        max_side: largest height and width accepted, pixels.
        size: (height, width) of the image, pixels, for GeoJSON and XML, which do not hold it, and
            for COCO where it does not. Without it, the smallest size that holds all outlines.

    Raises:
        MaskEmptyFile: no bytes.
        MaskUnreadable: of no format above; damaged; lossy; or a pickle.
        MaskTooLarge, MaskTooSmall: a side above ``max_side`` or below 16 px.
        ParameterInvalid: ``size`` is no size, or not that of the file.
        MaskColour: several channels.
        MaskShape: several pages or images, or an array that is not two-dimensional.
        MaskFloat, MaskNegative, MaskIdTooLarge: values that are no ids.
        MaskUnreadable: more nuclei than one for every 16 pixels, above 65,536.
        MaskBinary: one positive value that covers several 8-connected components; or few values
            that cover many, as the classes of a class map do.
    """
    if not data:
        raise MaskEmptyFile("The mask file is empty (0 bytes). Send the file's content.")
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ParameterInvalid(f"size is {size}; expected height and width in pixels.")
    values = _decode(data, Reading(max_side, size))
    check_mask(values)
    mask = np.array(values, dtype=np.int32, order="C")
    if label_components:
        labelled = components.label_components(mask)
        _check_count(int(labelled.max()), mask.size)
        return labelled
    _check_ids(mask)
    return mask


def write_mask(mask: NDArray[Any], format: MaskFormat) -> bytes:
    """Encode an instance mask, (H, W) of integers, so that ``read_mask`` returns its ids.

    PNG is 16-bit greyscale; TIFF is Deflate-compressed, 16-bit where the ids fit and else
    32-bit, both unsigned; arrays are int32; outlines run along the edges of pixels. GeoJSON and
    XML do not hold the mask's size. Equal masks give equal bytes.

    Raises:
        MaskShape, MaskFloat, MaskNegative, MaskIdTooLarge: ``mask`` is no instance mask.
        MaskUnwritable: an id above 65,535 for PNG; too many or too ragged nuclei for outlines.
        ParameterInvalid: another format.
    """
    check_mask(mask)
    if format not in _FORMATS:
        raise ParameterInvalid(
            f"There is no mask format {format!r}; choose one of {', '.join(_FORMATS)}."
        )
    if format in _WITH_OUTLINES:
        outlines.check_writable(mask)
    return _FORMATS[format].encode(mask)


def format_of(path: Path) -> MaskFormat:
    """The format that the name of a file asks for: by ``SUFFIXES``; .tiff and .json will do, too.

    Raises ParameterInvalid where it asks for none.
    """
    return _NAMED[_suffix_of(path)]


def numbered(path: Path, index: int) -> Path:
    """One of several files of that name, with its number before the suffix that says the format:
    ``mask.coco.json`` becomes ``mask-0.coco.json``.

    Raises ParameterInvalid as ``format_of``.
    """
    end = len(path.name) - len(_suffix_of(path))
    return path.with_name(f"{path.name[:end]}-{index}{path.name[end:]}")


def _suffix_of(path: Path) -> str:
    # Longest first: .pannuke.npy is no .npy.
    for suffix in sorted(_NAMED, key=len, reverse=True):
        if path.name.lower().endswith(suffix):
            return suffix
    raise ParameterInvalid(
        f"{path}: the name says no mask format; let it end in one of {', '.join(_NAMED)}."
    )


def _decode(data: bytes, reading: Reading) -> NDArray[Any]:
    decode = decoder_for(data)
    try:
        return decode(data, reading)
    except InvalidInput:
        raise
    except Exception as error:  # decoders meet damage in too many ways to list
        raise MaskUnreadable(
            "The mask file is damaged or truncated. Export or upload it again. "
            f"(The decoder said: {str(error) or type(error).__name__}.)"
        ) from error


def _check_count(nuclei: int, pixels: int) -> None:
    """Every nucleus takes memory wherever it goes, and a small file can hold millions of specks."""
    if nuclei > max(_ALWAYS_NUCLEI, pixels // PIXELS_PER_NUCLEUS):
        raise MaskUnreadable(
            f"The mask holds {nuclei} nuclei, more than one for every {PIXELS_PER_NUCLEUS} of its "
            "pixels. Remove the specks; a picture or a map of probabilities is no instance mask."
        )


def _check_ids(mask: NDArray[np.int32]) -> None:
    """Raise MaskBinary for values that cannot be ids, one a nucleus."""
    ids, count = components.distinct_ids(mask), components.count_components(mask)
    _check_count(len(ids), mask.size)
    if len(ids) == 1 and count > 1:
        found = f"The mask is binary: all nuclei share the value {ids[0]}."
    elif len(ids) > 1 and count >= _CLASS_MAP_COMPONENTS * len(ids):
        found = (
            f"The mask looks like a class map: it holds {len(ids)} values and {count} regions "
            "that are apart."
        )
    else:
        return
    raise MaskBinary(
        f"{found} Give each nucleus its own id; or set label_components=true "
        "(--label-components) to make every connected component of one value a nucleus, which "
        "merges nuclei that touch."
    )


def _encode_png(mask: NDArray[Any]) -> bytes:
    from PIL import Image

    highest = int(mask.max())
    if highest > _PNG_MAX_ID:
        raise MaskUnwritable(
            f"The mask holds the id {highest}, but a PNG holds ids up to {_PNG_MAX_ID}. "
            "Write it as TIFF or .npy."
        )
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint16)).save(stream, "PNG")
    return stream.getvalue()


def _encode_tiff(mask: NDArray[Any]) -> bytes:
    from tifffile import imwrite

    dtype = np.uint16 if mask.max() <= _PNG_MAX_ID else np.uint32
    stream = io.BytesIO()
    imwrite(
        stream,
        np.ascontiguousarray(mask, dtype),
        photometric="minisblack",
        compression="zlib",
        metadata=None,
    )
    return stream.getvalue()


def _encode_npy(mask: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(mask, np.int32), allow_pickle=False)
    return stream.getvalue()


def _encode_pannuke(mask: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, pannuke.pannuke_array(mask)[None], allow_pickle=False)
    return stream.getvalue()


class _Format(NamedTuple):
    suffix: str
    media_type: str
    encode: Callable[[NDArray[Any]], bytes]


_FORMATS: dict[MaskFormat, _Format] = {
    "png": _Format(".png", "image/png", _encode_png),
    "tiff": _Format(".tif", "image/tiff", _encode_tiff),
    "npy": _Format(".npy", "application/octet-stream", _encode_npy),
    "mat": _Format(".mat", "application/x-matlab-data", matlab.encode),
    "geojson": _Format(".geojson", "application/geo+json", geojson.encode),
    "coco": _Format(".coco.json", "application/json", coco.encode),
    "xml": _Format(".xml", "application/xml", aperio.encode),
    "pannuke": _Format(".pannuke.npy", "application/octet-stream", _encode_pannuke),
}

SUFFIXES: dict[MaskFormat, str] = {name: format.suffix for name, format in _FORMATS.items()}
"""How names of files in each format end."""

_NAMED: dict[str, MaskFormat] = {
    **{suffix: name for name, suffix in SUFFIXES.items()},
    ".tiff": "tiff",
    ".json": "coco",
}

MEDIA_TYPES: dict[MaskFormat, str] = {name: format.media_type for name, format in _FORMATS.items()}
"""Content types of each format."""
