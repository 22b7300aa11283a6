"""From an empty mask to the same bytes after a reload."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from model.formats import read_mask
from tests.browser.studio import TILE_MS, Studio
from tests.fakes import style_png


def draw_three(studio: Studio) -> None:
    """Three strokes of the brush on an empty mask of 128 x 128."""
    studio.start_empty(128, 128)
    for dx, dy in ((-90, -60), (0, 50), (80, -40)):
        studio.stroke(dx, dy)
    studio.expect_mask(128, 128, "3 nuclei")


def test_draw_mix_make_compare_keep_and_make_again(studio: Studio):
    page = studio.page
    draw_three(studio)
    studio.mix(kidney=60, liver=20)
    expect(page.locator("#mix label").filter(has_text="kidney")).to_contain_text("75 %")
    seed = str(2**63 - 2)  # rounded, were it ever a JavaScript number
    page.get_by_label("Seed", exact=True).fill(seed)
    studio.make()
    expect(page.locator("#tile-facts")).to_contain_text(f"Seed {seed}")

    page.get_by_role("slider", name="Share of the mask or style").fill("80")
    studio.choose("What the tile is compared with", "Style")
    page.get_by_role("checkbox", name="Outlines").check()
    page.get_by_role("button", name="Zoom in").click()

    tile = studio.download("Download tile")
    made = json.loads(studio.download("Manifest"))
    mask = read_mask(studio.download_mask("TIFF"))
    assert sorted(np.unique(mask)) == [0, 1, 2, 3]
    assert Image.open(io.BytesIO(tile)).size == (128, 128)
    assert str(made["seed"]) == seed
    with zipfile.ZipFile(io.BytesIO(studio.download("All as ZIP"))) as bundle:
        assert bundle.testzip() is None
        assert sorted(bundle.namelist()) == ["mask.tif", "tile.json", "tile.png"]
        assert bundle.read("tile.png") == tile
        assert np.array_equal(read_mask(bundle.read("mask.tif")), mask)

    studio.open()  # the page anew: what is left is the gallery
    page.get_by_role("link", name="Gallery").click()
    card = page.get_by_role("listitem").filter(has_text="75 % kidney, 25 % liver")
    card.get_by_role("button", name="Same again").click()
    studio.wait_for_tile()
    proof = page.locator("#tile-proof")
    expect(proof).to_contain_text("The same bytes as before")
    expect(proof).to_contain_text(hashlib.sha256(tile).hexdigest())
    assert studio.download("Download tile") == tile
    studio.expect_mask(128, 128, "3 nuclei")


def test_the_shares_of_a_mix_make_a_hundred(studio: Studio):
    """Seven equal ones, too, each of which is nearest to 14."""
    page = studio.page
    sliders = page.locator("#mix label")
    studio.mix(**dict.fromkeys(sliders.locator("span").all_text_contents(), 30))
    shares = [
        int(text.removesuffix(" %")) for text in sliders.locator("output").all_text_contents()
    ]
    assert sorted(shares) == [14] * 5 + [15] * 2


def test_vary_delete_and_several_tiles(studio: Studio):
    page = studio.page
    page.get_by_label("Tiles", exact=True).fill("2")
    studio.make()
    assert page.get_by_role("group", name="Tiles of this run").get_by_role("button").count() == 2
    first = studio.download("Download tile")
    page.get_by_role("button", name="Tile 2").click()
    expect(page.get_by_role("button", name="Tile 2")).to_have_attribute("aria-pressed", "true")
    assert studio.download("Download tile") != first

    page.get_by_role("link", name="Gallery").click()
    page.get_by_role("button", name="Vary").click()
    studio.wait_for_tile()
    assert studio.download("Download tile") != first

    page.get_by_role("link", name="Gallery").click()
    expect(page.get_by_role("listitem")).to_have_count(2)
    page.get_by_role("button", name="Delete: ").first.click()
    expect(page.get_by_role("listitem")).to_have_count(1)
    page.get_by_role("button", name="Delete all").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete all").click()
    expect(page.get_by_text("Nothing yet.")).to_be_visible()


def test_an_image_as_style(studio: Studio, tmp_path):
    colours = np.random.default_rng(0).integers(90, 220, (96, 80, 3), dtype=np.uint8)
    path = tmp_path / "slide.png"
    Image.fromarray(colours).save(path)
    studio.choose("Where the style comes from", "Image")
    studio.page.locator("#style-file").set_input_files(path)
    studio.make()
    expect(studio.page.locator("#tile-facts")).to_contain_text("image slide.png")
    made = json.loads(studio.download("Manifest"))
    assert hashlib.sha256(path.read_bytes()).hexdigest() in json.dumps(made)


def test_a_large_mask_gives_a_file_to_download(studio: Studio):
    studio.choose("Where the mask comes from", "Draw")
    studio.page.locator("#blank-width").fill("1040")
    studio.page.locator("#blank-height").fill("64")
    studio.page.get_by_role("button", name="Start empty").click()
    canvas = studio.page.get_by_role("application", name="Instance mask")
    canvas.click()
    studio.expect_mask(1040, 64, "1 nucleus")
    expect(studio.page.get_by_label("Tiles", exact=True)).to_have_attribute("max", "1")
    studio.make()
    expect(studio.page.get_by_text("The tile is ready, as a TIFF.")).to_be_visible()
    with studio.page.expect_download() as waiting:
        studio.page.get_by_role("button", name="Download it").click()
    with Image.open(waiting.value.path()) as tile:
        assert tile.size == (1040, 64)


def test_an_image_is_kept_as_a_style_and_deleted(serve, visit):
    studio = visit(serve())
    page = studio.page
    organs = studio.group("Organ")
    presets = organs.get_by_role("radio").count()
    studio.page.get_by_role("link", name="Datasets").click()
    pictures = page.locator("#dataset-organ-list img")
    expect(page.locator("#dataset-organ-list img[src]")).to_have_count(presets, timeout=TILE_MS)
    assert pictures.count() == presets
    page.get_by_role("link", name="Tile").click()
    studio.choose("Where the style comes from", "Image")
    expect(page.get_by_role("button", name="Keep the style")).to_be_hidden()
    page.locator("#style-file").set_input_files(
        {"name": "slide.png", "mimeType": "image/png", "buffer": style_png()}
    )
    name = page.get_by_label("Name of the style")
    studio.provoked = {"422"}
    name.fill("Ward 3")
    page.get_by_role("button", name="Keep the style").click()
    expect(studio.problem).to_contain_text("This is no name for a style")
    name.fill("ward-3")
    page.get_by_label("Pixel size").fill("0.5")
    name.press("Enter")
    words = page.get_by_text("Kept: ward-3 is among the organs now.")
    expect(words).to_be_visible(timeout=TILE_MS)
    expect(studio.problem).to_have_count(0)
    kept = page.request.get(f"{studio.address}/styles/ward-3").json()
    assert kept["exemplars"][0]["source"]["mpp"] == 0.5
    page.get_by_role("button", name="Keep the style").click()  # once more: nothing changes
    expect(words).to_be_visible(timeout=TILE_MS)

    studio.choose("Where the style comes from", "Organ")
    expect(organs.get_by_role("radio")).to_have_count(presets + 1)
    expect(page.get_by_role("button", name="Delete it")).to_be_hidden()
    studio.choose("Organ", "ward-3")
    studio.make()
    expect(page.locator("#tile-facts")).to_contain_text("Style ward-3")
    compared = studio.group("What the tile is compared with").get_by_role("radio", name="Style")
    expect(compared).to_be_disabled()  # the service keeps no picture of it
    page.get_by_role("button", name="Delete it").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete it").click()
    expect(organs.get_by_role("radio")).to_have_count(presets)
    expect(organs.get_by_role("radio").first).to_be_checked()
    expect(organs.get_by_role("radio").first).to_be_focused()
    assert page.request.get(f"{studio.address}/styles/ward-3").status == 404
    page.get_by_role("link", name="Gallery").click()
    page.get_by_role("button", name="Same again").click()
    expect(studio.problem).to_contain_text("There is no such style")
    expect(studio.problem.get_by_role("button", name="Try again")).to_have_count(0)

    studio.choose("Where the style comes from", "Image")
    expect(studio.problem).to_have_count(0)  # another choice may be right
    page.locator("#style-file").set_input_files(
        {"name": "other.png", "mimeType": "image/png", "buffer": style_png(seed=1)}
    )
    expect(name).to_have_value("")
    name.fill("ward-3")
    page.get_by_role("button", name="Keep the style").click()
    expect(words).to_be_visible(timeout=TILE_MS)
    page.get_by_role("link", name="Gallery").click()
    page.get_by_role("button", name="Same again").click()
    studio.wait_for_tile()
    expect(page.locator("#tile-proof")).to_contain_text("the style of this name is another one now")


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"no image", "This style image cannot be read"),
        (style_png(side=40), "The style image is too small"),
    ],
)
def test_a_wrong_style_image_is_refused_at_once(studio: Studio, file, words):
    studio.choose("Where the style comes from", "Image")
    image = studio.page.locator("#style-file")
    image.set_input_files({"name": "wrong.png", "mimeType": "image/png", "buffer": file})
    expect(studio.problem).to_contain_text(words)
    expect(studio.page.get_by_role("button", name="Keep the style")).to_be_hidden()
    image.set_input_files({"name": "good.png", "mimeType": "image/png", "buffer": style_png()})
    expect(studio.problem).to_have_count(0)
    expect(studio.page.get_by_role("button", name="Keep the style")).to_be_visible()


NOTING = """() => {
    const revoke = URL.revokeObjectURL.bind(URL);
    window.revoked = [];
    URL.revokeObjectURL = (url) => (revoked.push(url), revoke(url));
}"""


def test_the_picture_of_a_style_image_is_let_go_for_the_next(studio: Studio):
    studio.page.evaluate(NOTING)
    studio.choose("Where the style comes from", "Image")
    sources = []
    for name in ("one.png", "other.png"):
        file = {"name": name, "mimeType": "image/png", "buffer": style_png()}
        studio.page.locator("#style-file").set_input_files(file)
        expect(studio.page.locator("#style-chosen")).to_have_text(name)
        sources.append(studio.page.locator("#style-chosen img").get_attribute("src"))
    revoked = studio.page.evaluate("revoked")
    assert [source in revoked for source in sources] == [True, False]


def test_the_pixel_size_is_that_of_the_mask_and_comes_back(studio: Studio):
    page = studio.page
    page.get_by_label("Pixel size").fill("2")
    studio.start()
    assert page.locator("#mpp").evaluate("(input) => input.validity.rangeOverflow")
    page.get_by_label("Pixel size").fill("0.5")
    studio.make()
    expect(page.locator("#tile-facts")).to_contain_text("Pixel size 0.5 \u00b5m")
    assert json.loads(studio.download("Manifest"))["mpp"] == 0.5
    page.get_by_label("Pixel size").fill("")
    page.get_by_role("link", name="Gallery").click()
    page.get_by_role("button", name="Same again").click()
    studio.wait_for_tile()
    expect(page.locator("#tile-proof")).to_contain_text("The same bytes as before")
    expect(page.get_by_label("Pixel size")).to_have_value("0.5")


def test_a_large_mask_that_was_drawn_on_is_small_enough_to_send(studio: Studio):
    """As .npy it would be 36 MB, and the service takes uploads up to 32 MiB."""
    page = studio.page
    studio.choose("Where the mask comes from", "Draw")
    page.locator("#blank-width").fill("3000")
    page.locator("#blank-height").fill("3000")
    page.get_by_role("button", name="Start empty").click()
    page.get_by_role("application", name="Instance mask").click()
    studio.expect_mask(3000, 3000, "1 nucleus")
    with page.expect_response("**/synthesize") as waiting:
        studio.start()
    assert waiting.value.status == 202
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("Canceled: nothing was kept.")).to_be_visible(timeout=TILE_MS)


def test_a_custom_style_beside_the_presets(serve, visit):
    server = serve()
    answer = server.client.post("/styles", files={"style": style_png()}, data={"name": "ward-3"})
    assert answer.status_code == 200, answer.text
    studio = visit(server)
    studio.choose("Organ", "ward-3")
    studio.make()
    expect(studio.page.locator("#tile-facts")).to_contain_text("Style ward-3")
    studio.mix(**{"ward-3": 50, "liver": 50})
    studio.make()
    expect(studio.page.locator("#tile-facts")).to_contain_text("50 % liver, 50 % ward-3")
    studio.choose("Where the mask comes from", "Generate")
    assert "ward-3" not in studio.page.get_by_label("Nuclei as in").inner_text()
