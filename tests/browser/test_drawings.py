"""What was drawn is not lost without a question, and nobody is disturbed who draws."""

from playwright.sync_api import Dialog, Route, expect

from tests.browser.studio import Studio


def test_drawings_are_not_replaced_without_a_question(studio: Studio):
    page = studio.page
    studio.start_empty(128, 128)
    studio.stroke(-40, 0)
    studio.make()  # from now on it is in the gallery
    studio.start_empty(128, 128)
    studio.expect_mask(128, 128, "0 nuclei")
    studio.stroke(40, 0)
    studio.expect_mask(128, 128, "1 nucleus")

    dialog = page.get_by_role("dialog", name="Replace what was drawn?")
    keep = dialog.get_by_role("button", name="Keep drawing")
    studio.start_empty(128, 128)
    keep.click()
    studio.choose("Where the mask comes from", "Generate")
    page.get_by_role("button", name="Generate mask").click()
    keep.click()
    studio.drop("no mask", "notes.txt", "#stage")
    keep.click()
    page.get_by_role("link", name="Gallery").click()
    for name in ("Open", "Same again", "Vary"):
        page.get_by_role("button", name=name).click()
        keep.click()
    expect(page.locator("#gallery-title")).to_be_visible()
    page.get_by_role("link", name="Tile").click()
    studio.expect_mask(128, 128, "1 nucleus \u00b7 drawn")

    page.get_by_role("link", name="Gallery").click()
    page.get_by_role("button", name="Open").click()
    dialog.get_by_role("button", name="Replace it").click()
    studio.expect_mask(128, 128, "1 nucleus \u00b7 from the gallery")


def test_the_browser_asks_before_drawings_are_left(studio: Studio):
    asked: list[str] = []

    def accept(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    studio.page.on("dialog", accept)
    studio.start_empty(128, 128)
    studio.page.reload()  # nothing was drawn
    studio.wait_until_ready()
    assert asked == []
    studio.start_empty(128, 128)
    studio.stroke(0, 0)
    studio.expect_mask(128, 128, "1 nucleus")
    studio.page.reload()
    studio.wait_until_ready()
    assert asked == ["beforeunload"]


def test_a_run_leaves_alone_who_draws_and_is_left_alone(studio: Studio):
    page = studio.page
    studio.start_empty(128, 128)
    studio.stroke(-40, 0)
    studio.make()
    held: list[Route] = []
    page.route("**/events", lambda route: held.append(route))
    with page.expect_request("**/events"):
        studio.start()
    page.get_by_role("link", name="Gallery").click()
    for name in ("Open", "Same again", "Vary"):
        page.get_by_role("button", name=name).click()
        expect(page.get_by_text("A run is under way. Wait for it or cancel it.")).to_be_visible()
    page.get_by_role("link", name="Tile").click()
    studio.expect_mask(128, 128, "1 nucleus \u00b7 drawn")

    studio.choose("What is shown", "Mask")
    page.mouse.move(*studio.point(40, 0))
    page.mouse.down()
    held[0].continue_()
    expect(page.get_by_text("The tile is ready.")).to_be_visible()
    page.mouse.move(*studio.point(60, 0), steps=4)
    page.mouse.up()
    studio.expect_mask(128, 128, "2 nuclei")
    expect(page.get_by_role("application", name="Instance mask")).to_be_focused()
    page.get_by_role("button", name="Show it").click()
    studio.wait_for_tile()
    expect(page.get_by_text("The tile is ready.")).to_have_count(0)
    page.get_by_role("link", name="Gallery").click()
    expect(page.get_by_role("listitem")).to_have_count(2)
    expect(page.get_by_text("A run is under way.")).to_have_count(0)
