"""Masks come and go with their ids as they are."""

import io
import json

import numpy as np
import pytest
from playwright.sync_api import expect

from model.formats import read_mask, write_mask
from tests.browser.studio import Studio


@pytest.fixture(scope="module")
def four_hundred() -> np.ndarray:
    """400 nuclei of 8 x 8 px whose ids have gaps and go beyond 8 bits."""
    mask = np.zeros((256, 320), np.int32)
    for number in range(400):
        row, column = divmod(number, 25)
        mask[16 * row + 2 : 16 * row + 10, 12 * column + 2 : 12 * column + 10] = 17 + 150 * number
    return mask


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_400_nuclei_of_16_bits_keep_their_ids(studio: Studio, four_hundred, tmp_path, format):
    path = tmp_path / f"mask.{format}"
    path.write_bytes(write_mask(four_hundred, format))
    studio.open_mask(path)
    studio.expect_mask(320, 256, "400 nuclei")
    studio.make()
    for name in ("PNG", "TIFF", ".npy", "GeoJSON (QuPath)", "COCO"):
        data = studio.download_mask(name)
        assert np.array_equal(read_mask(data, size=(256, 320) if "Geo" in name else None),
                              four_hundred), name  # fmt: skip


def test_ids_beyond_16_bits(studio: Studio, four_hundred, tmp_path):
    large = np.where(four_hundred > 0, four_hundred + 2_000_000_000, 0).astype(np.int32)
    path = tmp_path / "mask.tif"
    path.write_bytes(write_mask(large, "tiff"))
    studio.open_mask(path)
    studio.expect_mask(320, 256, "400 nuclei")
    studio.make()
    assert np.array_equal(np.load(io.BytesIO(studio.download_mask(".npy"))), large)
    studio.provoked = {"422"}
    studio.page.get_by_label("Format of the mask").select_option(label="PNG")
    studio.page.get_by_role("button", name="Download mask as").click()
    expect(studio.problem).to_contain_text("This format cannot hold the mask")


def test_outlines_ask_for_the_size_of_their_image(studio: Studio, four_hundred, tmp_path):
    path = tmp_path / "outlines.geojson"
    path.write_bytes(write_mask(four_hundred, "geojson"))
    studio.open_mask(path)
    dialog = studio.page.get_by_role("dialog", name="How large is the image?")
    dialog.get_by_label("Width, px").fill("320")
    dialog.get_by_role("button", name="Open").click()
    height = dialog.get_by_label("Height, px")
    expect(height).to_be_focused()  # the browser says that it is missing
    height.fill("256")
    dialog.get_by_role("button", name="Open").click()
    studio.expect_mask(320, 256, "400 nuclei")


def test_a_mask_is_dropped(studio: Studio, four_hundred):
    coco = write_mask(four_hundred, "coco").decode()
    assert studio.drop(coco, "nuclei.json", "#compare")
    studio.expect_mask(320, 256, "400 nuclei \u00b7 nuclei.json")
    assert studio.drop(coco, "beside.json", ".foot")
    studio.expect_mask(320, 256, "400 nuclei \u00b7 nuclei.json")


def test_a_generated_mask_is_that_of_its_seed(studio: Studio):
    studio.choose("Where the mask comes from", "Generate")
    studio.page.get_by_label("Nuclei as in").select_option("kidney")
    studio.page.get_by_label("Width, px").first.fill("192")
    studio.page.get_by_label("Height, px").first.fill("128")
    seed = 2**63 - 1  # no JavaScript number
    studio.page.get_by_label("Seed of the mask").fill(str(seed))
    studio.page.get_by_role("button", name="Generate mask").click()
    studio.expect_mask(192, 128)
    studio.make()
    wish = {"organ": "kidney", "width": 192, "height": 128, "seed": seed, "format": "npy"}
    answer = studio.page.request.post(
        f"{studio.address}/masks",
        data=json.dumps(wish),
        headers={"Content-Type": "application/json"},
    )
    expected = np.load(io.BytesIO(answer.body()))
    assert np.array_equal(np.load(io.BytesIO(studio.download_mask(".npy"))), expected)


def test_what_is_large_is_so_at_the_scale_of_the_network(studio: Studio):
    """At 0.25 \u00b5m a pixel. Of a large mask the service makes one tile a job."""
    tiles, mpp = (
        studio.page.get_by_label("Tiles", exact=True),
        studio.page.get_by_label("Pixel size"),
    )
    studio.start_empty(600, 64)
    for size, most in (("0.5", "1"), ("", "16"), ("0.4", "16"), ("1", "1")):
        mpp.fill(size)
        mpp.blur()
        expect(tiles).to_have_attribute("max", most)
    studio.start_empty(300, 64)
    expect(tiles).to_have_attribute("max", "1")
    studio.start_empty(250, 64)
    expect(tiles).to_have_attribute("max", "16")


UNREADABLE = """() => {
    Blob.prototype.arrayBuffer = async () => {
        throw new DOMException("It is a folder.", "NotFoundError");
    };
}"""


def test_files_that_cannot_be_read_at_all(studio: Studio):
    """Folders, for browsers."""
    studio.page.evaluate(UNREADABLE)
    assert studio.drop("", "masks", "#mask-panel")
    problem = studio.page.locator("#mask-problem")
    expect(problem).to_contain_text("This file cannot be read as a mask")
    expect(problem).to_contain_text("masks cannot be read. The browser says: It is a folder.")
    assert studio.drop("", "styles", "#style-panel")
    expect(studio.page.locator("#style-problem")).to_contain_text("This style image cannot be read")
    studio.expect_mask(256, 256, "85 nuclei")
