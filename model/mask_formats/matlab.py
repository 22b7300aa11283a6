"""HoVer-Net's .mat: a MATLAB 5 file with the instance mask as its variable inst_map.

The other variables are not read. Of inst_map the header is read first, and no more decompressed
than it declares, so that a small file costs little.
"""

import io
import reprlib
import struct
import zlib
from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.errors import MaskShape, MaskUnreadable
from model.mask import Reading, check_mask, whole_numbers

MAGIC = b"MATLAB 5.0"
VARIABLE = "inst_map"

_HEADER_BYTES = 128
_TEXT_BYTES = 116
_MATRIX, _COMPRESSED = 14, 15
_MATRIX_TAGS = (struct.pack("<I", _MATRIX), struct.pack(">I", _MATRIX))
_INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
_NUMERIC = ("double", "single", "logical", *_INTEGERS)
_MOST_VARIABLES = 1000
_DESCRIPTION_BYTES = 4096  # more than flags, dimensions and name of a variable take
_DAMAGED = "The .mat file is damaged or truncated. Export or upload it again."


def decode(data: bytes, reading: Reading) -> NDArray[Any]:
    """inst_map of a .mat file, (H, W); whole numbers of floating point are converted.

    Raises:
        MaskUnreadable: no inst_map, or one that is no numeric array; damaged files end in this
            or in whatever zlib and scipy raise.
        MaskShape, MaskTooLarge, MaskTooSmall, ParameterInvalid: by its declared size.
    """
    from scipy.io import loadmat, whosmat

    names = []
    for variable in _variables(data):
        ((name, shape, kind),) = whosmat(io.BytesIO(variable.description()))
        names.append(name)
        if name != VARIABLE:
            continue
        if kind not in _NUMERIC:
            raise MaskUnreadable(
                f"{VARIABLE} in the .mat file is of MATLAB's class {kind}. Save it as an array "
                "of integers."
            )
        if len(shape) != 2:
            raise MaskShape(
                f"{VARIABLE} in the .mat file has the shape {shape}. Save one plane, "
                "(height, width)."
            )
        reading.check_size(*shape)
        file = variable.file(8 * prod(shape) + _DESCRIPTION_BYTES)
        content = loadmat(io.BytesIO(file), variable_names=[VARIABLE])
        return whole_numbers(content[VARIABLE])
    raise MaskUnreadable(
        f"The .mat file holds no variable {VARIABLE}, only {reprlib.repr(names)}. Save the mask "
        f"under that name: scipy.io.savemat(path, {{'{VARIABLE}': mask}})."
    )


def encode(mask: NDArray[Any]) -> bytes:
    """An instance mask (H, W) as a compressed .mat file with the int32 variable inst_map."""
    from scipy.io import savemat

    check_mask(mask)
    stream = io.BytesIO()
    savemat(stream, {VARIABLE: mask.astype(np.int32)}, do_compression=True)
    # scipy writes platform and time there; equal masks are to give equal bytes.
    text = b"MATLAB 5.0 MAT-file".ljust(_TEXT_BYTES)
    return text + stream.getvalue()[_TEXT_BYTES:]


class _Variable(NamedTuple):
    """One variable of a .mat file, which can be made into a file of its own."""

    header: bytes
    content: bytes
    is_compressed: bool

    def description(self) -> bytes:
        """A file that ends somewhere after type, shape and name of the variable."""
        if not self.is_compressed:
            return self.header + self.content[:_DESCRIPTION_BYTES]
        content = zlib.decompressobj().decompress(self.content, _DESCRIPTION_BYTES)
        # What is compressed again would be decompressed without a limit by whoever reads the file.
        if not content.startswith(_MATRIX_TAGS):
            raise MaskUnreadable(_DAMAGED)
        return self.header + content

    def file(self, max_bytes: int) -> bytes:
        """A file that holds it; raises MaskUnreadable if it takes more than ``max_bytes``."""
        if not self.is_compressed:
            return self.header + self.content
        decompressor = zlib.decompressobj()
        content = decompressor.decompress(self.content, max_bytes)
        if not decompressor.eof:
            raise MaskUnreadable(_DAMAGED)
        return self.header + content


def _variables(data: bytes) -> Iterator[_Variable]:
    header = data[:_HEADER_BYTES]
    order = "<" if header[126:128] == b"IM" else ">"
    at = _HEADER_BYTES
    for _ in range(_MOST_VARIABLES):
        if at >= len(data):
            return
        kind, length = struct.unpack_from(f"{order}II", data, at)
        end = at + 8 + length
        if kind not in (_MATRIX, _COMPRESSED) or end > len(data):
            raise MaskUnreadable(_DAMAGED)
        is_compressed = kind == _COMPRESSED
        content = data[at + 8 : end] if is_compressed else data[at:end]
        yield _Variable(header, content, is_compressed)
        at = end
    raise MaskUnreadable(
        f"The .mat file holds more than {_MOST_VARIABLES} variables. Save {VARIABLE} alone."
    )
