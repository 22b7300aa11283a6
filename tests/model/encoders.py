"""Files as other software writes them, and files that nobody should send."""

import io
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tifffile import imwrite

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE = 0, 2, 3
_JPEG, _DEFLATE = 7, 8


def regions(*, ids: int, each: int) -> NDArray[np.uint8]:
    """So many squares apart from each other with each of the values 1 to ``ids``."""
    squares = np.arange(ids * each, dtype=np.uint8) % ids + 1
    row = np.pad(squares[:, None], [(0, 0), (0, 1)]).ravel().repeat(3)
    return np.pad(np.tile(row, (3, 1)), [(5, 8), (0, 16)])


def two_nuclei(first: int = 3, second: int = 9) -> NDArray[np.int64]:
    """(20, 24): two separate nuclei."""
    mask = np.zeros((20, 24), np.int64)
    mask[2:5, 2:5] = first
    mask[10:15, 8:12] = second
    return mask


def colourful(height: int = 64, width: int = 80, channels: int = 3) -> NDArray[np.uint8]:
    """(H, W, channels): smooth gradients that differ between channels and axes."""
    rows, cols = np.mgrid[:height, :width]
    planes = [rows * 3, cols * 3, (rows + cols) * 2, 255 - rows - cols]
    return np.stack(planes[:channels], axis=-1).astype(np.uint8)


def pillow(array: NDArray[Any], format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format, **options)
    return stream.getvalue()


def tiff(array: NDArray[Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    imwrite(stream, array, **options)
    return stream.getvalue()


def npy(array: NDArray[Any], *, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def npy_header(shape: tuple[int, ...], dtype: str) -> bytes:
    """A .npy file that declares an array and holds none of it."""
    stream = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def palette_png(indices: NDArray[Any]) -> bytes:
    """An 8-bit palette PNG with these indices and a colour table of its own."""
    image = Image.fromarray(indices.astype(np.uint8)).copy()
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette(bytes((17 * value) % 256 for value in range(768)))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def shallow_png(values: NDArray[Any], depth: int, colour_type: int) -> bytes:
    """A PNG of 1, 2 or 4 bits a pixel, greyscale or palette, written by hand."""
    rows = []
    for row in values:
        bits = "".join(f"{int(value):0{depth}b}" for value in row)
        bits = bits.ljust(-(-len(bits) // 8) * 8, "0")
        rows.append(b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big"))
    colours = [("PLTE", bytes(3 * 2**depth))] if colour_type == PALETTE else []
    height, width = values.shape
    return _png(width, height, depth, colour_type, zlib.compress(b"".join(rows)), colours)


def png_bomb(width: int, height: int, depth: int = 1, colour_type: int = GREY) -> bytes:
    """A valid, all-black PNG of any size in little space."""
    row = 1 + -(-width * depth * (3 if colour_type == RGB else 1) // 8)
    return _png(width, height, depth, colour_type, _zeros(row * height))


def tiff_bomb(
    width: int, height: int, tile: int, samples: int = 1, *, depth: int | None = None
) -> bytes:
    """A Deflate TIFF of one tile, which holds 1 GB of zeros whatever the tile's size. depth: what
    the tile says it has."""
    data = _zeros(10**9)
    return _tiled(width, height, tile, samples, _DEFLATE, data, depth)


def jpeg_in_tiff(width: int, height: int, jpeg: bytes) -> bytes:
    """A TIFF of one 64 x 64 tile that holds this JPEG, whatever its dimensions."""
    return _tiled(width, height, 64, 3, _JPEG, jpeg)


def jpeg_that_claims(side: int) -> bytes:
    """A small JPEG whose header declares side x side pixels."""
    jpeg = bytearray(pillow(colourful(), "JPEG"))
    frame = jpeg.index(b"\xff\xc0") + 5  # after marker, length and precision
    jpeg[frame : frame + 4] = struct.pack(">HH", side, side)
    return bytes(jpeg)


def _tiled(
    width: int,
    height: int,
    tile: int,
    samples: int,
    compression: int,
    data: bytes,
    depth: int | None = None,
) -> bytes:
    """A TIFF of one tile, written by hand: no library writes such things."""
    depths = [] if depth is None else [(32998, depth)]
    entries = [
        (256, width),
        (257, height),
        (258, 8),  # bits per sample
        (259, compression),
        (262, 2 if samples == 3 else 1),
        (277, samples),
        (322, tile),
        (323, tile),
        # Where the tile starts: after header and directory.
        (324, 8 + 2 + 12 * (10 + len(depths)) + 4),
        (325, len(data)),
        *depths,
    ]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4) + data


def _zeros(count: int) -> bytes:
    """A zlib stream of many zero bytes, made by repeating the compressed form of a few."""
    block = 1 << 20
    once = zlib.compressobj(9, wbits=-15)
    piece = once.compress(bytes(block)) + once.flush(zlib.Z_FULL_FLUSH)
    rest = zlib.compressobj(9, wbits=-15)
    tail = rest.compress(bytes(count % block)) + rest.flush()
    adler32 = (count % 65521) << 16 | 1
    return b"\x78\xda" + piece * (count // block) + tail + struct.pack(">I", adler32)


def _png(
    width: int,
    height: int,
    depth: int,
    colour_type: int,
    data: bytes,
    more: Iterable[tuple[str, bytes]] = (),
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = [("IHDR", header), *more, ("IDAT", data), ("IEND", b"")]
    return PNG_MAGIC + b"".join(_chunk(name.encode(), content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum
