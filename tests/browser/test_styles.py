"""Styles that come late, and styles that are gone."""

from playwright.sync_api import Route, expect

from tests.browser.studio import TILE_MS, Studio
from tests.browser.test_lost_answers import asked, lose_first
from tests.fakes import style_png

# The first picture that is decoded waits until `release` is called.
_SLOW = """() => {
    const decode = createImageBitmap.bind(window);
    window.createImageBitmap = (...image) => new Promise((done) => {
        window.createImageBitmap = decode;
        window.release = async () => {
            done(decode(...image));
            await decode(...image);
        };
    });
}"""


def test_of_two_images_the_later_one_is_shown(studio: Studio):
    studio.page.evaluate(_SLOW)
    studio.open_style("slow.png", style_png())
    studio.page.wait_for_function("'release' in window")
    studio.open_style("quick.png", style_png())
    chosen = studio.page.locator("#style-chosen")
    expect(chosen).to_have_text("quick.png")
    studio.page.evaluate("release()")
    expect(chosen).to_have_text("quick.png")
    expect(studio.problem).to_have_count(0)


def test_a_style_is_kept_while_another_image_is_opened(serve, visit):
    studio = visit(serve())
    page = studio.page
    organs = page.locator("#organs input")
    presets = organs.count()
    name, words = page.get_by_label("Name of the style"), page.locator("#style-keep-words")
    keep = page.get_by_role("button", name="Keep the style")
    held: list[Route] = []
    page.route("**/events", lambda route: held.append(route))
    studio.open_style("one.png", style_png())
    name.fill("ward-3")
    with page.expect_request("**/events"):
        keep.click()
    studio.open_style("other.png", style_png(seed=1))
    expect(words).to_contain_text("Once kept")
    held[0].continue_()
    expect(organs).to_have_count(presets + 1, timeout=TILE_MS)
    expect(words).to_contain_text("Once kept")
    expect(studio.problem).to_have_count(0)

    page.unroute("**/events")
    lose_first(studio, "styles")
    name.fill("ward-4")
    keep.click()
    expect(studio.problem).to_contain_text("The service does not answer")
    keep.click()
    expect(words).to_contain_text("Kept: ward-4", timeout=TILE_MS)
    expect(organs).to_have_count(presets + 2)
    (key, _), (again, _) = asked(studio)
    assert key == again


def test_a_style_that_is_gone_becomes_no_other(serve, visit):
    server = serve()
    sent = {"files": {"style": style_png()}, "data": {"name": "ward-3"}}
    assert server.client.post("/styles", **sent).status_code == 200
    studio = visit(server)
    page = studio.page
    studio.choose("Organ", "ward-3")
    studio.make()
    studio.mix(**{"ward-3": 50, "liver": 50})
    studio.make()
    assert server.client.delete("/styles/ward-3").status_code == 204
    studio.open()
    told, refused = page.locator("#style-problem"), page.locator("#run-problem")
    for number, kind in enumerate(("50 % liver, 50 % ward-3", "ward-3")):
        page.get_by_role("link", name="Gallery").click()
        page.get_by_role("button", name="Open").nth(number).click()
        expect(page.locator("#tile-facts")).to_contain_text(f"Style {kind}")
        expect(told).to_contain_text("There is no such style")
        expect(told).to_contain_text("no style named ward-3.")
        studio.start()
        expect(refused).to_contain_text("no style named ward-3.")
    assert sum(url.endswith("/synthesize") for url in studio.requests) == 2

    studio.mix(liver=50)
    expect(studio.problem).to_have_count(0)
    studio.make()
    expect(page.locator("#tile-facts")).to_contain_text("Style 100 % liver")
