"""Instance masks in and out: what is accepted keeps its ids."""

import io
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image
from skimage.measure import label

from model.errors import (
    MaskTooLarge,
    MaskTooSmall,
    MaskUnreadable,
    ParameterInvalid,
)
from model.formats import (
    MAX_ID,
    MEDIA_TYPES,
    SUFFIXES,
    MaskFormat,
    format_of,
    read_mask,
    write_mask,
)
from tests.model.encoders import (
    GREY,
    PALETTE,
    npy,
    palette_png,
    pillow,
    regions,
    shallow_png,
    tiff,
    two_nuclei,
)

MASK = two_nuclei()
BLOCKS = hnp.array_shapes(min_dims=2, max_dims=2, min_side=4, max_side=8)
BLOCK_PX = 5
FORMATS = get_args(MaskFormat)


def masks(max_id: int) -> st.SearchStrategy[NDArray[np.int64]]:
    """Square nuclei side by side, each with its own id."""
    ids = hnp.arrays(np.int64, BLOCKS, elements=st.integers(0, max_id), unique=True)
    return ids.map(lambda ids: ids.repeat(BLOCK_PX, axis=0).repeat(BLOCK_PX, axis=1))


@st.composite
def crowds(draw: st.DrawFn) -> NDArray[np.int64]:
    """Three ids strewn over few pixels: touching in every way, in pieces, with holes."""
    shape = draw(st.tuples(st.integers(16, 20), st.integers(16, 20)))
    mask = np.zeros(shape, np.int64)
    patch = draw(hnp.arrays(np.int64, (6, 6), elements=st.sampled_from([0, 2, 7, 900])))
    top, left = draw(st.integers(0, shape[0] - 6)), draw(st.integers(0, shape[1] - 6))
    mask[top : top + 6, left : left + 6] = patch
    # Enough whole nuclei that pieces do not pass for those of a class map.
    mask[0::2, -1] = np.arange(1000, 1000 + len(mask[0::2]))
    mask[-1, 0::2] = np.arange(2000, 2000 + len(mask[-1, 0::2]))
    return mask


class TestRoundTrip:
    @given(masks(MAX_ID), st.sampled_from([name for name in FORMATS if name != "png"]))
    def test_all_formats_but_png_keep_every_id(
        self, mask: NDArray[np.int64], format: MaskFormat
    ) -> None:
        read = read_mask(write_mask(mask, format), size=mask.shape)
        np.testing.assert_array_equal(read, mask)

    @given(masks(65_535))
    def test_png_keeps_ids_of_16_bits(self, mask: NDArray[np.int64]) -> None:
        np.testing.assert_array_equal(read_mask(write_mask(mask, "png")), mask)

    @given(crowds(), st.sampled_from(FORMATS))
    def test_touching_nuclei_holes_and_pieces_are_kept(
        self, mask: NDArray[np.int64], format: MaskFormat
    ) -> None:
        read = read_mask(write_mask(mask, format), size=mask.shape)
        np.testing.assert_array_equal(read, mask)

    @pytest.mark.parametrize("format", FORMATS)
    def test_a_mask_without_nuclei(self, format: MaskFormat) -> None:
        read = read_mask(write_mask(np.zeros((20, 30), np.uint8), format), size=(20, 30))
        np.testing.assert_array_equal(read, np.zeros((20, 30)))

    @pytest.mark.parametrize("format", FORMATS)
    def test_a_nucleus_that_fills_the_image(self, format: MaskFormat) -> None:
        mask = np.full((16, 20), 5)
        np.testing.assert_array_equal(read_mask(write_mask(mask, format)), mask)

    @pytest.mark.parametrize("format", FORMATS)
    def test_equal_masks_give_equal_bytes(
        self, format: MaskFormat, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        column_major = np.asfortranarray(MASK.astype(np.uint8))
        data = write_mask(MASK, format)
        monkeypatch.setattr("time.asctime", lambda: "Thu Jan  1 00:00:00 2099")
        assert write_mask(column_major, format) == data

    @pytest.mark.parametrize("format", ["png", "tiff", "npy"])
    def test_other_software_reads_the_same_ids(self, format: MaskFormat) -> None:
        stream = io.BytesIO(write_mask(MASK, format))
        array = np.load(stream) if format == "npy" else np.asarray(Image.open(stream))
        np.testing.assert_array_equal(array, MASK)

    @given(mask=st.one_of(masks(MAX_ID), crowds()), format=st.sampled_from(FORMATS))
    def test_components_do_not_depend_on_the_format(
        self, mask: NDArray[np.int64], format: MaskFormat
    ) -> None:
        binary = (mask > 0).astype(np.uint8)
        read = read_mask(write_mask(binary, format), size=mask.shape, label_components=True)
        np.testing.assert_array_equal(read, label(binary, connectivity=2))

    def test_result_is_writable_int32(self) -> None:
        mask = read_mask(npy(MASK.astype(np.int32)))
        assert mask.dtype == np.int32
        assert mask.flags.writeable
        assert mask.flags.c_contiguous


class TestAccepted:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_grey_png(self, dtype: type) -> None:
        np.testing.assert_array_equal(read_mask(pillow(MASK.astype(dtype), "PNG")), MASK)

    @pytest.mark.parametrize("depth", [2, 4])
    @pytest.mark.parametrize("colour_type", [GREY, PALETTE])
    def test_shallow_png_is_not_stretched(self, depth: int, colour_type: int) -> None:
        mask = two_nuclei(1, 2**depth - 1)
        np.testing.assert_array_equal(read_mask(shallow_png(mask, depth, colour_type)), mask)

    @pytest.mark.parametrize("colour_type", [GREY, PALETTE])
    def test_one_bit_png_of_one_nucleus(self, colour_type: int) -> None:
        mask = two_nuclei(1, 0)
        np.testing.assert_array_equal(read_mask(shallow_png(mask, 1, colour_type)), mask)

    def test_palette_png_gives_its_indices(self) -> None:
        np.testing.assert_array_equal(read_mask(palette_png(MASK)), MASK)

    @pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd", "lzma"])
    @pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"])
    def test_tiff_of_any_integer(self, dtype: str, compression: str | None) -> None:
        data = tiff(MASK.astype(dtype), compression=compression)
        np.testing.assert_array_equal(read_mask(data), MASK)

    @pytest.mark.parametrize(
        "options",
        [
            {"compression": "lzw", "predictor": True},
            {"compression": "zlib", "predictor": True},
            {"compression": "lzw", "tile": (16, 16)},
            {"tile": (256, 256)},
            {"rowsperstrip": 3},
            {"byteorder": ">"},
            {"bigtiff": True},
            {"imagej": True},
            {"ome": True},
            {"photometric": "miniswhite"},
            {"photometric": "palette", "colormap": np.zeros((3, 65536), np.uint16)},
        ],
        ids=str,
    )
    def test_tiff_however_it_is_laid_out(self, options: dict[str, Any]) -> None:
        np.testing.assert_array_equal(read_mask(tiff(MASK.astype(np.uint16), **options)), MASK)

    @pytest.mark.parametrize("dtype", ["u1", "<i2", ">i2", "<u4", ">i4", "<i8", ">u8"])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_npy_of_any_integer_and_order(self, dtype: str, order: Any) -> None:
        array = np.array(MASK, dtype, order=order)
        np.testing.assert_array_equal(read_mask(npy(array)), MASK)

    def test_pure_stroma(self) -> None:
        assert read_mask(npy(np.zeros((16, 16), np.uint8))).sum() == 0

    def test_one_nucleus_of_any_value(self) -> None:
        mask = two_nuclei(255, 0)
        np.testing.assert_array_equal(read_mask(pillow(mask.astype(np.uint8), "PNG")), mask)

    def test_one_nucleus_joined_by_a_corner(self) -> None:
        mask = np.zeros((16, 16), np.uint8)
        mask[3, 3] = mask[4, 4] = 7
        np.testing.assert_array_equal(read_mask(npy(mask)), mask)

    def test_an_id_in_two_pieces_among_others(self) -> None:
        mask = two_nuclei()
        mask[18, 20] = 3
        np.testing.assert_array_equal(read_mask(npy(mask)), mask)

    @pytest.mark.parametrize("pieces", [2, 3])
    def test_every_id_in_a_few_pieces(self, pieces: int) -> None:
        mask = regions(ids=2, each=pieces)
        np.testing.assert_array_equal(read_mask(npy(mask)), mask)

    def test_every_slide_of_monuseg_and_its_crops(self, monuseg: Path) -> None:
        slides = sorted(monuseg.glob("*/instances/*.png"))
        assert len(slides) == 44
        for slide in slides:
            mask = read_mask(slide.read_bytes())
            for side in (64, 256):
                for top, left in product(range(0, len(mask) - side + 1, side), repeat=2):
                    crop = mask[top : top + side, left : left + side]
                    if len(np.unique(crop[crop > 0])) > 1:  # one in two pieces counts as binary
                        read_mask(npy(crop))

    def test_the_largest_id(self) -> None:
        assert read_mask(npy(two_nuclei(1, MAX_ID))).max() == MAX_ID

    def test_sizes_at_both_limits(self) -> None:
        assert read_mask(npy(np.zeros((16, 1024), np.uint8))).shape == (16, 1024)

    def test_max_side_raises_the_limit(self) -> None:
        data = npy(np.zeros((16, 2000), np.uint8))
        assert read_mask(data, max_side=2000).shape == (16, 2000)


class TestSpecks:
    """Millions of nuclei in a small file would take gigabytes wherever they go."""

    @pytest.mark.parametrize("label_components", [True, False])
    def test_more_than_a_mask_can_hold(self, label_components: bool) -> None:
        specks = np.zeros((1024, 1024), np.int32)
        specks[::3, ::3] = 1 + np.arange(342 * 342).reshape(342, 342)
        with pytest.raises(MaskUnreadable, match="116964 nuclei, more than one for every 16"):
            read_mask(write_mask(specks, "tiff"), label_components=label_components)

    def test_a_small_mask_of_single_pixels(self) -> None:
        mask = np.arange(1, 257, dtype=np.int32).reshape(16, 16)
        np.testing.assert_array_equal(read_mask(write_mask(mask, "png")), mask)


class TestLabelComponents:
    def test_a_binary_mask_is_split(self) -> None:
        mask = read_mask(npy(two_nuclei(255, 255)), label_components=True)
        np.testing.assert_array_equal(mask, two_nuclei(1, 2))

    def test_a_bool_mask_is_split(self) -> None:
        mask = read_mask(npy(two_nuclei() > 0), label_components=True)
        np.testing.assert_array_equal(mask, two_nuclei(1, 2))

    def test_touching_regions_of_different_value_stay_apart(self) -> None:
        classes = np.zeros((16, 16), np.uint8)
        classes[2:6, 2:6] = 1
        classes[2:6, 6:9] = 2
        classes[10:12, 2:6] = 1
        mask = read_mask(npy(classes), label_components=True)
        assert [len(np.unique(mask[classes == value])) for value in (0, 1, 2)] == [1, 2, 1]

    def test_corners_connect(self) -> None:
        mask = np.zeros((16, 16), np.uint8)
        mask[3, 3] = mask[4, 4] = 1
        assert read_mask(npy(mask), label_components=True).max() == 1


class TestSize:
    @pytest.mark.parametrize("format", ["png", "tiff", "npy", "mat", "coco", "pannuke"])
    def test_must_be_that_of_a_file_that_has_one(self, format: MaskFormat) -> None:
        data = write_mask(MASK, format)
        np.testing.assert_array_equal(read_mask(data, size=(20, 24)), MASK)
        with pytest.raises(ParameterInvalid, match="25 x 20 px, but the mask file is 24 x 20"):
            read_mask(data, size=(20, 25))

    @pytest.mark.parametrize("format", ["geojson", "xml"])
    def test_is_given_for_outlines(self, format: MaskFormat) -> None:
        data = write_mask(MASK, format)
        np.testing.assert_array_equal(read_mask(data, size=(20, 24)), MASK)
        large = np.pad(MASK, [(0, 80), (0, 100)])
        np.testing.assert_array_equal(read_mask(data, size=(100, 124)), large)

    @pytest.mark.parametrize("format", ["geojson", "xml"])
    def test_without_it_outlines_lie_in_the_smallest_box(self, format: MaskFormat) -> None:
        mask = np.pad(MASK, [(3, 5), (6, 7)])
        np.testing.assert_array_equal(read_mask(write_mask(mask, format)), mask[:18, :18])

    @pytest.mark.parametrize("format", ["geojson", "xml"])
    def test_is_asked_for(self, format: MaskFormat) -> None:
        with pytest.raises(MaskTooSmall, match="Give the size of the image"):
            read_mask(write_mask(MASK, format))
        with pytest.raises(MaskUnreadable, match="Give its size"):
            read_mask(write_mask(np.zeros_like(MASK), format))

    @pytest.mark.parametrize("format", ["geojson", "xml"])
    def test_has_the_same_bounds(self, format: MaskFormat) -> None:
        far = np.pad(MASK, [(1020, 0), (10, 0)])
        for size in (None, (1040, 34)):
            with pytest.raises(MaskTooLarge):
                read_mask(write_mask(far, format), size=size)
        assert read_mask(write_mask(far, format), size=far.shape, max_side=2000).shape == far.shape
        with pytest.raises(MaskTooSmall):
            read_mask(write_mask(MASK, format), size=(20, 8))

    @pytest.mark.parametrize("size", [(0, 24), (-1, 24), (20,), (20, 24, 3)])
    def test_that_is_none(self, size: Any) -> None:
        with pytest.raises(ParameterInvalid, match="expected height and width"):
            read_mask(write_mask(MASK, "png"), size=size)


class TestNames:
    def test_every_format_has_a_suffix_and_a_media_type(self) -> None:
        assert set(SUFFIXES) == set(MEDIA_TYPES) == set(FORMATS)
        assert len(set(SUFFIXES.values())) == len(FORMATS)
        assert all("/" in media_type for media_type in MEDIA_TYPES.values())

    @pytest.mark.parametrize("format", FORMATS)
    def test_a_suffix_names_its_format(self, format: MaskFormat) -> None:
        assert format_of(Path(f"out/Mask.1{SUFFIXES[format]}")) == format
        assert format_of(Path(f"MASK{SUFFIXES[format].upper()}")) == format

    @pytest.mark.parametrize(("name", "format"), [("a.tiff", "tiff"), ("a.json", "coco")])
    def test_other_suffixes(self, name: str, format: MaskFormat) -> None:
        assert format_of(Path(name)) == format

    @pytest.mark.parametrize("name", ["mask", "mask.jpg", "png", ".npy/mask"])
    def test_a_name_of_no_format(self, name: str) -> None:
        with pytest.raises(ParameterInvalid, match=r"\.pannuke\.npy"):
            format_of(Path(name))
