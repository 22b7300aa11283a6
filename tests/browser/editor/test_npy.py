"""Masks as .npy files, against NumPy."""

import base64
import io

import numpy as np
import pytest

_ENCODE = """([ids, width, height]) => {
    const file = npy.encodeNpy(Int32Array.from(ids), width, height);
    return btoa(String.fromCharCode(...file));
}"""
_DECODE = """(text) => {
    const file = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    try {
        const { labels, width, height } = npy.decodeNpy(file.buffer);
        return { ids: [...labels], width, height };
    } catch (error) {
        return { error: `${error.name}: ${error.message}` };
    }
}"""

_IDS = np.array([[0, 1, 127], [0, 100, 7]])


def _saved(array: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def _decoded(modules, file: bytes) -> dict:
    return modules.evaluate(_DECODE, base64.b64encode(file).decode())


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (16, 8192), (64, 33)])
def test_numpy_reads_what_is_written_as_it_would_write_it(modules, shape):
    draw = np.random.default_rng(5)
    mask = draw.integers(0, 2**31, shape).astype(np.int32)
    if mask.size > 20_000:
        mask[:, 1000:] = 0
    height, width = shape
    text = modules.evaluate(_ENCODE, [mask[:, :1000].ravel().tolist(), min(width, 1000), height])
    file = base64.b64decode(text)
    assert file == _saved(mask[:, :1000])
    np.testing.assert_array_equal(np.load(io.BytesIO(file)), mask[:, :1000])


@pytest.mark.parametrize("kind", ["?", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8"])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_integer_type_is_read(modules, kind, big_endian, order):
    mask = _IDS.astype(np.dtype(kind).newbyteorder(">") if big_endian else kind)
    found = _decoded(modules, _saved(np.array(mask, order=order)))
    assert found == {"ids": mask.astype(int).ravel().tolist(), "width": 3, "height": 2}


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format_is_read(modules, version):
    found = _decoded(modules, _saved(_IDS, version=version))
    assert found == {"ids": _IDS.ravel().tolist(), "width": 3, "height": 2}


@pytest.mark.parametrize("kind", ["<u4", "<i8", ">u8"])
def test_the_largest_ids_come_back(modules, kind):
    mask = np.array([[65_535, 65_536, 16_777_217, 2**31 - 1]], kind)
    assert _decoded(modules, _saved(mask))["ids"] == mask[0].tolist()


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        (b"", "The file is no .npy"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "The file is no .npy"),
        (_saved(np.zeros((4, 4), np.int32))[:-1], "The file has 191 bytes of 192; it was cut"),
        (_saved(np.zeros(4, np.int32)), "The array has 1 dimensions"),
        (_saved(np.zeros((2, 2, 6), np.int32)), "The array has 3 dimensions"),
        (_saved(np.zeros((2, 2), np.float32)), "The array holds f4; a mask holds integers"),
        (_saved(np.array([["a"]])), "The array holds U1; a mask holds integers"),
        (_saved(np.zeros((2, 2), [("id", "<i4")])), "The header of the .npy file cannot be read"),
        (_saved(np.full((2, 2), -1, np.int16)), "An id is below 0 or above 2147483647"),
        (_saved(np.full((2, 2), 2**31, np.uint32)), "An id is below 0 or above 2147483647"),
        (_saved(np.full((2, 2), 2**32, np.uint64)), "An id is below 0 or above 2147483647"),
        (_saved(np.full((2, 2), 2**31, np.int64)), "An id is below 0 or above 2147483647"),
        (_saved(np.full((2, 2), -5, np.int64)), "An id is below 0 or above 2147483647"),
    ],
)
def test_what_is_no_mask_is_refused_in_words(modules, file, complaint):
    assert _decoded(modules, file)["error"].startswith(f"NpyError: {complaint}")


def test_ids_that_do_not_fill_the_size_are_not_written(modules):
    with pytest.raises(Exception, match="5 ids do not fill 2 x 3 px"):
        modules.evaluate(_ENCODE, [[1, 2, 3, 4, 5], 2, 3])
