"""Whatever the bytes, reading them ends in a result or in InvalidInput, within bounded memory."""

import contextlib
import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.io import savemat

from model.errors import InvalidInput
from model.formats import read_mask, write_mask
from model.images import read_image
from model.mask_formats.coco import coco_annotations
from tests.model.encoders import (
    RGB,
    colourful,
    jpeg_in_tiff,
    jpeg_that_claims,
    npy_header,
    palette_png,
    pillow,
    png_bomb,
    tiff,
    tiff_bomb,
    two_nuclei,
)

ROOT = Path(__file__).parents[2]
MASK = two_nuclei().astype(np.uint16)
MAT_HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
LARGE_RLE = b'[{"segmentation":{"size":[100000,100000],"counts":[0,10000000000]}}]'
LARGE_OUTLINE = (
    b'{"type":"Feature","geometry":{"type":"Polygon","coordinates":'
    b"[[[0,0],[1e7,0],[1e7,1e7],[0,1e7]]]}}"
)
BILLION_LAUGHS = (
    b'<!DOCTYPE a [<!ENTITY a0 "ha">'
    + b"".join(b'<!ENTITY a%d "%s">' % (k, b"&a%d;" % (k - 1) * 10) for k in range(1, 10))
    + b"]><Annotations>&a9;</Annotations>"
)
COCO_POLYGONS = {
    "images": [{"id": 1, "height": 20, "width": 24}],
    "annotations": coco_annotations(MASK, image_id=1, as_polygons=True),
}


def mat(mask: NDArray[np.uint16], *, do_compression: bool) -> bytes:
    stream = io.BytesIO()
    savemat(stream, {"inst_map": mask, "inst_type": [1, 2]}, do_compression=do_compression)
    return stream.getvalue()


def mat_bomb(height: int, width: int) -> bytes:
    """A .mat that declares this size and holds 1 GB of zeros in a compressed variable."""
    matrix = struct.pack("<IIIIII", 14, 10**9 + 64, 6, 8, 12, 0)  # int32 array
    matrix += struct.pack("<IIii", 5, 8, height, width) + struct.pack("<II", 1, 8) + b"inst_map"
    content = matrix + struct.pack("<II", 5, 10**9)
    start, zeros = zlib.compressobj(9), zlib.compressobj(9, wbits=-15)
    data = start.compress(content) + start.flush(zlib.Z_FULL_FLUSH)
    data += 1000 * (zeros.compress(bytes(10**6)) + zeros.flush(zlib.Z_FULL_FLUSH))
    return MAT_HEADER + struct.pack("<II", 15, len(data)) + data


VALID = (
    write_mask(MASK, "png"),
    write_mask(MASK, "tiff"),
    write_mask(MASK, "npy"),
    write_mask(MASK, "mat"),
    mat(MASK, do_compression=False),
    write_mask(MASK, "geojson"),
    write_mask(MASK, "coco"),
    json.dumps(COCO_POLYGONS).encode(),
    write_mask(MASK, "xml"),
    write_mask(MASK, "pannuke"),
    palette_png(MASK),
    tiff(MASK, compression="lzw", predictor=True),
    tiff(MASK, tile=(16, 16), byteorder=">"),
    tiff(MASK, imagej=True),
    pillow(colourful(), "PNG"),
    pillow(colourful(), "JPEG"),
    pillow(colourful(), "TIFF", compression="tiff_lzw"),
    pillow(colourful(), "TIFF", compression="jpeg"),
    tiff(colourful(), photometric="rgb", tile=(32, 32), compression="zlib"),
)
MAGICS = (
    b"\x89PNG\r\n\x1a\n",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"\x93NUMPY\x01\0",
    b"\xff\xd8\xff",
    b"MATLAB 5.0 MAT-file".ljust(126) + b"IM",
    b"MATLAB 5.0 MAT-file".ljust(126) + b"IM\x0e\0\0\0\x80\0\0\0",
    b'{"type":"Feature"',
    b'{"annotations":[',
    b"<Annotations>",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "counts", "size", "id"]), inner, max_size=2)
    ),
    max_leaves=5,
)
READERS: tuple[Callable[[bytes], object], ...] = (read_mask, read_image)


@st.composite
def damaged_json(draw: st.DrawFn) -> bytes:
    """A valid annotation with a few of its values replaced by others."""
    text = draw(st.sampled_from([write_mask(MASK, "geojson"), write_mask(MASK, "coco")]))
    content = json.loads(draw(st.sampled_from([text.decode(), json.dumps(COCO_POLYGONS)])))
    for _ in range(draw(st.integers(1, 3))):
        _replace_somewhere(draw, content)
    return json.dumps(content).encode()


def _replace_somewhere(draw: st.DrawFn, content: Any) -> None:
    while isinstance(content, (dict, list)) and content:
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        key = draw(st.sampled_from(keys))
        if not draw(st.booleans()) or not isinstance(content[key], (dict, list)):
            content[key] = draw(JSON)
            return
        content = content[key]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A valid file with a few bytes changed, removed or cut off, mostly near its header."""
    data = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 6))):
        if len(data) < 16:
            break
        at = draw(st.integers(0, min(len(data), draw(st.sampled_from([64, 400, 10**6]))) - 1))
        match draw(st.sampled_from(["byte", "run", "remove", "cut"])):
            case "byte":
                data[at] = draw(st.integers(0, 255))
            case "run":
                data[at : at + 4] = bytes([draw(st.sampled_from([0, 127, 128, 255]))] * 4)
            case "remove":
                del data[at : at + draw(st.integers(1, 8))]
            case "cut":
                del data[max(at, 8) :]
    return bytes(data)


def read(reader: Callable[[bytes], object], data: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        reader(data)


# Pillow warns about some damaged files that it can read all the same.
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("reader", READERS)
@given(data=damaged())
# A TIFF that claims RGB and one sample once decoded to three dimensions.
@example(data=tiff(MASK).replace(b"\x06\x01\x03\0\x01\0\0\0\x01", b"\x06\x01\x03\0\x01\0\0\0\x02"))
def test_damaged_files_raise_nothing_else(reader: Callable[[bytes], object], data: bytes) -> None:
    read(reader, data)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("reader", READERS)
@given(magic=st.sampled_from(MAGICS), tail=st.binary(max_size=300))
def test_random_bytes_raise_nothing_else(
    reader: Callable[[bytes], object], magic: bytes, tail: bytes
) -> None:
    read(reader, magic + tail)
    read(reader, tail)


@given(data=damaged_json())
def test_damaged_annotations_raise_nothing_else(data: bytes) -> None:
    read(read_mask, data)


_PEAK = """
import resource, sys
from model.errors import InvalidInput
from model.formats import read_mask
from model.images import read_image

data = sys.stdin.buffer.read()
reader = {"read_mask": read_mask, "read_image": read_image}[sys.argv[1]]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    reader(data)
    outcome = "read"
except InvalidInput as error:
    outcome = error.code
print(outcome, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(
    ("reader", "data", "code"),
    [
        ("read_mask", png_bomb(30_000, 30_000), "mask_too_large"),
        ("read_mask", tiff_bomb(64, 64, 30_000), "mask_unreadable"),
        ("read_mask", tiff_bomb(64, 64, 64), "mask_unreadable"),
        ("read_mask", tiff_bomb(30_000, 30_000, 30_000), "mask_too_large"),
        ("read_mask", tiff_bomb(1024, 1024, 1024, depth=1000), "mask_unreadable"),
        ("read_mask", npy_header((30_000, 30_000), "<i8"), "mask_too_large"),
        ("read_mask", npy_header((1000, 1000), "V100000"), "mask_unreadable"),
        ("read_mask", npy_header((30_000, 30_000, 6), "<f8"), "mask_too_large"),
        ("read_mask", mat_bomb(64, 64), "mask_unreadable"),
        ("read_mask", mat_bomb(30_000, 30_000), "mask_too_large"),
        ("read_mask", LARGE_RLE, "mask_too_large"),
        ("read_mask", LARGE_OUTLINE, "mask_too_large"),
        ("read_mask", b"[" * 2_000_000, "mask_unreadable"),
        ("read_mask", b"<Annotations>" + b"<a>" * 900_000, "mask_unreadable"),
        ("read_mask", BILLION_LAUGHS, "mask_unreadable"),
        ("read_image", png_bomb(30_000, 30_000, 8, RGB), "style_too_large"),
        ("read_image", jpeg_that_claims(20_000), "style_too_large"),
        ("read_image", tiff_bomb(64, 64, 30_000, 3), "style_unreadable"),
        ("read_image", tiff_bomb(64, 64, 64, 3), "style_unreadable"),
        ("read_image", tiff_bomb(512, 512, 512, 3, depth=1300), "style_unreadable"),
        ("read_image", jpeg_in_tiff(64, 64, jpeg_that_claims(20_000)), "style_unreadable"),
    ],
    ids=[
        "mask png",
        "mask tiff tile",
        "mask tiff stream",
        "mask tiff",
        "mask tiff depth",
        "mask npy",
        "mask npy record",
        "mask pannuke",
        "mask mat stream",
        "mask mat",
        "mask run lengths",
        "mask outline",
        "mask json depth",
        "mask xml depth",
        "mask xml entities",
        "style png",
        "style jpeg",
        "style tiff tile",
        "style tiff stream",
        "style tiff depth",
        "style jpeg in tiff",
    ],
)
def test_a_bomb_takes_little_memory(reader: str, data: bytes, code: str) -> None:
    """What it asks for is 110 MB to 100 GB."""
    assert len(data) < 3_000_000
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", _PEAK, reader],
        cwd=ROOT,
        input=data,
        capture_output=True,
        check=False,
    )
    assert run.stderr == b""
    outcome, megabytes = run.stdout.split()
    assert outcome.decode() == code
    assert int(megabytes) < 50
