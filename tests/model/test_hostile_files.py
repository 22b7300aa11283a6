"""Whatever the bytes, reading them ends in a result or in InvalidInput, within bounded memory."""

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.errors import InvalidInput
from model.formats import read_mask, write_mask
from model.images import read_image
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
VALID = (
    write_mask(MASK, "png"),
    write_mask(MASK, "tiff"),
    write_mask(MASK, "npy"),
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
MAGICS = (b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"\x93NUMPY\x01\0", b"\xff\xd8\xff")
READERS: tuple[Callable[[bytes], object], ...] = (read_mask, read_image)


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
        ("read_mask", npy_header((30_000, 30_000), "<i8"), "mask_too_large"),
        ("read_mask", npy_header((1000, 1000), "V100000"), "mask_unreadable"),
        ("read_image", png_bomb(30_000, 30_000, 8, RGB), "style_too_large"),
        ("read_image", jpeg_that_claims(20_000), "style_too_large"),
        ("read_image", tiff_bomb(64, 64, 30_000, 3), "style_unreadable"),
        ("read_image", tiff_bomb(64, 64, 64, 3), "style_unreadable"),
        ("read_image", jpeg_in_tiff(64, 64, jpeg_that_claims(20_000)), "style_unreadable"),
    ],
    ids=[
        "mask png",
        "mask tiff tile",
        "mask tiff stream",
        "mask tiff",
        "mask npy",
        "mask npy record",
        "style png",
        "style jpeg",
        "style tiff tile",
        "style tiff stream",
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
