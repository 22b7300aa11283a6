"""For everybody: keyboard alone, narrow screens, light and dark, screen readers, no network."""

import pytest
from playwright.sync_api import expect

from tests.browser.access import NARROW, WIDE, check
from tests.browser.studio import Studio


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["1280", "390"])
def test_axe_finds_nothing_serious(visit, server, viewport):
    studio = visit(server, viewport=viewport)
    page = studio.page
    check(studio)
    studio.choose("What is shown", "Mask")
    studio.choose("Where the mask comes from", "Generate")
    studio.choose("Where the style comes from", "Mix")
    check(studio)
    studio.choose("Where the mask comes from", "Draw")
    studio.choose("Where the style comes from", "Image")
    page.locator("#style-file").set_input_files(
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no image"}
    )
    expect(studio.problem).to_be_visible()
    check(studio)
    studio.choose("Where the style comes from", "Organ")
    page.get_by_label("Tiles", exact=True).fill("2")
    studio.make()
    check(studio)
    page.get_by_role("link", name="Gallery").click()
    expect(page.get_by_role("listitem")).to_have_count(1)
    check(studio)
    page.get_by_role("button", name="Delete all").click()
    check(studio)


def tab_to(studio: Studio, selector: str, presses: int = 80) -> None:
    for _ in range(presses):
        if studio.page.evaluate("(s) => document.activeElement.matches(s)", selector):
            return
        studio.page.keyboard.press("Tab")
    raise AssertionError(f"{selector} is not reached by Tab")


def test_a_tile_by_keyboard_alone(studio: Studio):
    keyboard = studio.page.keyboard
    keyboard.press("Tab")
    keyboard.press("Tab")
    expect(studio.page.get_by_text("Skip to the controls")).to_be_focused()
    keyboard.press("Enter")
    tab_to(studio, "input[name=mask-from]")
    keyboard.press("ArrowRight")
    keyboard.press("ArrowRight")  # Draw
    tab_to(studio, "#blank")
    keyboard.press("Enter")
    expect(studio.page.get_by_role("application", name="Instance mask")).to_be_focused()
    keyboard.press("Space")  # the brush down and up, where the crosshair is
    keyboard.press("Space")
    studio.expect_mask(256, 256, "1 nucleus")
    tab_to(studio, "input[name=organ]")
    keyboard.press("ArrowRight")
    tab_to(studio, "#seed")
    keyboard.type("7")
    keyboard.press("Enter")
    studio.wait_for_tile()
    tab_to(studio, "#compare canvas")
    keyboard.press("+")
    keyboard.press("ArrowLeft")
    tab_to(studio, "#divider")
    keyboard.press("Home")
    expect(studio.page.locator("#divider")).to_have_value("0")


SEEN = """() => new Promise((done) => {
    const see = () => done(document.querySelector("#compare canvas").toDataURL());
    requestAnimationFrame(() => requestAnimationFrame(see));
})"""


def swipe_down(studio: Studio, x: float, y: float) -> None:
    """With one finger, as the browser's own protocol sends it: playwright's touchscreen taps."""
    session = studio.context.new_cdp_session(studio.page)
    for kind, down in (("Start", 0), ("Move", 30), ("Move", 60), ("Move", 90), ("End", None)):
        points = [] if down is None else [{"x": x, "y": y + down}]
        event = {"type": f"touch{kind}", "touchPoints": points}
        session.send("Input.dispatchTouchEvent", event)


def test_a_finger_scrolls_the_page_or_moves_the_picture(visit, server):
    """The picture where it is zoomed, and else the page."""
    studio = visit(server, viewport=NARROW, has_touch=True)
    canvas = studio.page.locator("#compare canvas")
    expect(canvas).to_have_css("touch-action", "pan-y pinch-zoom")
    for _ in range(3):
        studio.page.get_by_role("button", name="Zoom in").click()
    expect(canvas).to_have_css("touch-action", "pinch-zoom")
    canvas.scroll_into_view_if_needed()
    before, box = studio.page.evaluate(SEEN), canvas.bounding_box()
    assert box is not None
    swipe_down(studio, box["x"] + box["width"] / 5, box["y"] + box["height"] / 4)
    assert studio.page.evaluate(SEEN) != before
    studio.page.get_by_role("button", name="Fit", exact=True).click()
    expect(canvas).to_have_css("touch-action", "pan-y pinch-zoom")


def test_colours_are_chosen_and_kept(studio: Studio):
    background = "getComputedStyle(document.body).backgroundColor"
    light = studio.page.evaluate(background)
    button = studio.page.get_by_role("button", name="Colours")
    button.click()
    assert studio.page.evaluate(background) == light
    button.click()
    dark = studio.page.evaluate(background)
    assert dark != light
    studio.open()
    assert studio.page.evaluate(background) == dark


def test_the_page_asks_its_own_server_only(studio: Studio):
    studio.make()
    assert len(studio.requests) > 40
    assert studio.elsewhere == []


def test_reduced_motion(visit, server):
    studio = visit(server, reduced_motion="reduce")
    moving = "[...document.querySelectorAll('*')].filter((e) => " \
        "parseFloat(getComputedStyle(e).transitionDuration) > 0).length"  # fmt: skip
    assert studio.page.evaluate(moving) == 0
