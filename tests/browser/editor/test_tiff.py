"""Masks as TIFF files, against the service's own reader and tifffile."""

import base64
import io

import numpy as np
import pytest
import tifffile

from model.formats import read_mask

_ENCODE = """async ([text, width, height]) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const file = await tiff.encodeTiff(new Int32Array(bytes.buffer), width, height);
    const packed = new Uint8Array(await file.arrayBuffer());
    let out = "";
    for (let i = 0; i < packed.length; i += 4096)
        out += String.fromCharCode(...packed.subarray(i, i + 4096));
    return btoa(out);
}"""


def _encoded(modules, mask: np.ndarray) -> bytes:
    height, width = mask.shape
    text = base64.b64encode(mask.astype("<i4").tobytes()).decode()
    return base64.b64decode(modules.evaluate(_ENCODE, [text, width, height]))


@pytest.mark.parametrize(
    ("shape", "strips"), [((16, 16), 1), ((64, 4096), 1), ((65, 4096), 2), ((5, 300_000), 5)]
)
def test_what_is_written_is_read_with_the_same_ids(modules, shape, strips):
    rows, columns = np.indices(shape)
    mask = (rows // 5 * 1000 + columns // 7).astype(np.int32)
    mask[-1, -1] = 2**31 - 1
    file = _encoded(modules, mask)
    assert len(file) < mask.nbytes / 4
    with tifffile.TiffFile(io.BytesIO(file)) as found:
        page = found.pages.first
        assert (page.dtype, page.compression) == (np.uint32, tifffile.COMPRESSION.ADOBE_DEFLATE)
        assert len(page.dataoffsets) == strips
        np.testing.assert_array_equal(page.asarray(), mask)
    if max(shape) <= 8192:
        np.testing.assert_array_equal(read_mask(file, max_side=8192), mask)


def test_a_length_that_does_not_fill_the_image_is_refused(modules):
    message = """() => tiff.encodeTiff(new Int32Array(5), 2, 3).catch((error) => error.message)"""
    assert modules.evaluate(message) == "5 ids do not fill 2 x 3 px."
