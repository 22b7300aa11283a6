"""HoVer-Net's .mat: written by scipy and MATLAB, and by nobody."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import loadmat, savemat, whosmat

from model.errors import (
    MaskError,
    MaskFloat,
    MaskIdTooLarge,
    MaskNegative,
    MaskShape,
    MaskTooLarge,
    MaskTooSmall,
    MaskUnreadable,
)
from model.formats import read_mask, write_mask
from tests.model.encoders import two_nuclei

MASK = two_nuclei(70_000, 3)


def mat(content: dict[str, Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    savemat(stream, content, **options)
    return stream.getvalue()


def hover_net(mask: NDArray[Any], **options: Any) -> bytes:
    """All that HoVer-Net's output and training labels hold, inst_map in their midst."""
    others = {
        "type_map": (mask > 0).astype(float),
        "inst_type": np.ones((2, 1)),
        "inst_map": mask,
        "inst_centroid": np.zeros((2, 2)),
        "inst_uid": np.array([[1], [2]]),
        "names": np.array(["a", "b"], object),
        "info": {"mpp": 0.25},
    }
    return mat(others, **options)


def big_endian(mask: NDArray[np.int32]) -> bytes:
    """An uncompressed file as MATLAB once wrote it on SPARC, by hand."""

    def element(kind: int, content: bytes) -> bytes:
        return struct.pack(">II", kind, len(content)) + content + bytes(-len(content) % 8)

    matrix = (
        element(6, struct.pack(">II", 12, 0))  # int32 array
        + element(5, struct.pack(">ii", *mask.shape))
        + element(1, b"inst_map")
        + element(5, mask.astype(">i4").tobytes(order="F"))
    )
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\1\0MI" + element(14, matrix)


class TestRead:
    @pytest.mark.parametrize("do_compression", [True, False])
    @pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "u4", "i8", "u8"])
    def test_inst_map_among_other_variables(self, dtype: str, do_compression: bool) -> None:
        data = hover_net(MASK.astype(dtype), do_compression=do_compression)
        np.testing.assert_array_equal(read_mask(data), MASK)

    @pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2"])
    def test_small_integers(self, dtype: str) -> None:
        mask = two_nuclei(3, 100)
        np.testing.assert_array_equal(read_mask(hover_net(mask.astype(dtype))), mask)

    def test_logical_arrays_are_binary_masks(self) -> None:
        data = hover_net(MASK > 0)
        np.testing.assert_array_equal(read_mask(data, label_components=True), two_nuclei(1, 2))

    def test_big_endian(self) -> None:
        np.testing.assert_array_equal(read_mask(big_endian(MASK.astype(np.int32))), MASK)


class TestWritten:
    def test_as_hover_net_loads_it(self) -> None:
        data = write_mask(MASK, "mat")
        assert whosmat(io.BytesIO(data)) == [("inst_map", (20, 24), "int32")]
        np.testing.assert_array_equal(loadmat(io.BytesIO(data))["inst_map"], MASK)
        assert loadmat(io.BytesIO(data))["__header__"] == b"MATLAB 5.0 MAT-file"


def compressed(header: bytes, content: bytes, cut: int = 0) -> bytes:
    packed = zlib.compress(content)
    packed = packed[: len(packed) - cut]
    return header + struct.pack("<II", 15, len(packed)) + packed


PLAIN = mat({"inst_map": MASK.astype(np.int32)})
HEADER, MATRIX = PLAIN[:128], PLAIN[128:]


REFUSED: dict[str, tuple[bytes, type[MaskError], str]] = {
    "no inst_map": (mat({"type_map": MASK}), MaskUnreadable, "only ['type_map']"),
    "nothing": (mat({}), MaskUnreadable, "no variable inst_map, only []"),
    "fractions": (mat({"inst_map": MASK / 2 + 0.25}), MaskFloat, "ids are integers"),
    "NaN": (mat({"inst_map": np.where(MASK > 0, np.nan, 0)}), MaskFloat, "ids are integers"),
    "infinity": (mat({"inst_map": np.where(MASK > 0, np.inf, 0)}), MaskFloat, "integers"),
    "negative": (mat({"inst_map": -MASK}), MaskNegative, "-70000"),
    "large ids": (mat({"inst_map": two_nuclei(1, 2**31)}), MaskIdTooLarge, "2147483648"),
    "complex": (mat({"inst_map": MASK * 1j}), MaskFloat, "complex"),
    "text": (mat({"inst_map": "abc"}), MaskUnreadable, "class char"),
    "a cell": (mat({"inst_map": np.array([1, "a"], object)}), MaskUnreadable, "class cell"),
    "a struct": (mat({"inst_map": {"a": 1}}), MaskUnreadable, "class struct"),
    "a stack": (mat({"inst_map": np.zeros((20, 20, 3))}), MaskShape, "(20, 20, 3)"),
    "large": (mat({"inst_map": np.zeros((2, 1025))}), MaskTooLarge, "1025 x 2"),
    "small": (mat({"inst_map": np.zeros((2, 100))}), MaskTooSmall, "100 x 2"),
    "more than its size needs": (
        compressed(HEADER, MATRIX + bytes(100_000)),
        MaskUnreadable,
        "damaged",
    ),
    "compressed twice": (
        compressed(HEADER, compressed(b"", MATRIX)),
        MaskUnreadable,
        "damaged",
    ),
    "no checksum": (compressed(HEADER, MATRIX, cut=4), MaskUnreadable, "damaged"),
    "another kind of element": (
        HEADER + struct.pack("<II", 9, 8) + bytes(8),
        MaskUnreadable,
        "damaged",
    ),
    "too many variables": (
        HEADER + mat({"a": 1})[128:] * 1000 + MATRIX,
        MaskUnreadable,
        "more than 1000 variables",
    ),
    "names without end": (mat({"a" * 31: 1}), MaskUnreadable, "no variable inst_map"),
}


class TestRefused:
    @pytest.mark.parametrize(("data", "error", "words"), REFUSED.values(), ids=REFUSED)
    def test_with_its_own_class(self, data: bytes, error: type[MaskError], words: str) -> None:
        with pytest.raises(error) as caught:
            read_mask(data)
        assert type(caught.value) is error
        assert words in str(caught.value)

    def test_a_flipped_bit_in_compressed_data(self) -> None:
        data = write_mask(MASK, "mat")
        at = len(data) - 3  # of the checksum
        with pytest.raises(MaskUnreadable, match="damaged"):
            read_mask(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
