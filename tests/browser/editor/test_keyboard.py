"""Everything without a mouse."""

import numpy as np
import pytest

from tests.browser.editor import shapes

_SIZE = (40, 48)


@pytest.fixture
def empty(editor):
    """With the crosshair in the middle, at (24, 20), as soon as it is moved."""
    editor.load(np.zeros(_SIZE, np.int32))
    editor.set_radius(2)
    return editor


def test_tab_leads_to_the_canvas_and_to_every_tool(empty):
    focused = """() => document.activeElement.getAttribute("aria-label")
        ?? document.activeElement.innerText.trim()"""
    empty.page.evaluate("document.activeElement.blur()")
    seen = []
    for _ in range(20):
        empty.page.keyboard.press("Tab")
        seen.append(empty.page.evaluate(focused))
    for name in ["Brush", "Polygon", "Erase", "Select", "Pan", "Undo", "Fit", "Instance mask"]:
        assert name in seen


@pytest.mark.parametrize("key", ["Space", "Enter"])
def test_a_nucleus_is_painted_with_the_arrow_keys(empty, key):
    empty.keys(key, "ArrowRight*3", "ArrowDown*2", "Shift+ArrowLeft", key, "ArrowUp*9")
    way = [(24, 20), (27, 20), (27, 22), (17, 22)]
    np.testing.assert_array_equal(empty.mask, shapes.stroke(_SIZE, way, 2))
    assert empty.message == f"Nucleus 1 drawn, {np.count_nonzero(empty.mask)} pixels. " + (
        "1 nucleus in all."
    )


def test_a_polygon_is_drawn_and_closed(empty):
    empty.keys("p", "Space", "Shift+ArrowRight", "Space", "ArrowDown*8", "Space", "ArrowLeft*5")
    assert empty.message == "Corner 3 at 34, 28."
    empty.keys("Space", "Enter")
    corners = [(24, 20), (34, 20), (34, 28), (29, 28)]
    np.testing.assert_array_equal(empty.mask, shapes.polygon(_SIZE, corners))


def test_backspace_removes_the_last_corner(empty):
    empty.keys("p", "Space", "Shift+ArrowRight", "Space", "ArrowUp*3", "Space", "Backspace")
    assert empty.message == "Corner 2 at 34, 20."
    empty.keys("ArrowDown*9", "Space", "Enter")
    np.testing.assert_array_equal(empty.mask, shapes.polygon(_SIZE, [(24, 20), (34, 20), (34, 26)]))


def test_erase_select_and_delete(empty):
    mask = np.zeros(_SIZE, np.int32)
    mask[15:25, 20:30] = 3
    mask[2:6, 2:6] = 99_999
    empty.load(mask)
    empty.keys("e", "Space", "ArrowUp*4", "Space")
    way = shapes.stroke(_SIZE, [(24, 20), (24, 16)], 2)
    expected = np.where(way, 0, mask)
    np.testing.assert_array_equal(empty.mask, expected)
    empty.keys("v", "ArrowRight*4", "Space")
    assert empty.events("select")[-1]["selected"] == 3
    empty.keys("Delete")
    np.testing.assert_array_equal(empty.mask, np.where(expected == 3, 0, expected))
    empty.keys("Control+z", "Control+z")
    np.testing.assert_array_equal(empty.mask, mask)


def test_n_visits_the_nuclei_in_the_order_of_their_ids(empty):
    mask = np.zeros(_SIZE, np.int32)
    mask[2:6, 2:6] = 70_000
    mask[30:34, 40:44] = 12
    mask[10:20, 10] = mask[10:20, 20] = mask[19, 10:20] = 40  # open at the top, empty inside
    empty.load(mask)
    seen = []
    for key in ["n", "n", "n", "n", "Shift+N", "Shift+N"]:
        empty.keys(key)
        event = empty.events("select")[-1]
        assert event["hovered"] == event["selected"]
        seen.append(event["selected"])
    assert seen == [12, 40, 70_000, 12, 70_000, 40]
    assert empty.message == "Nucleus 40 selected, 29 pixels."


def test_escape_takes_a_stroke_back(empty):
    empty.keys("Space", "ArrowRight*5")
    assert empty.mask.any()
    empty.keys("Escape")
    assert not empty.mask.any()
    assert empty.message == "The stroke was taken back."
    empty.keys("Control+z")
    assert empty.message == "There is nothing to undo."


def test_a_stroke_ends_where_the_focus_leaves_the_canvas(empty):
    empty.keys("Space", "ArrowRight*5", "Tab")
    way = shapes.stroke(_SIZE, [(24, 20), (29, 20)], 2)
    np.testing.assert_array_equal(empty.mask, way)
    empty.keys("Control+z")
    assert not empty.mask.any()


def test_the_crosshair_stays_in_the_image_and_says_where_it_is(empty):
    mask = np.zeros(_SIZE, np.int32)
    mask[0, 0] = 70_000
    empty.load(mask)
    empty.keys("Shift+ArrowLeft*4", "Shift+ArrowUp*4")
    said = empty.page.locator("[aria-live=polite]")
    said.get_by_text("x 0, y 0: nucleus 70000").wait_for(state="attached")


@pytest.mark.parametrize(
    ("key", "tool"),
    [("b", "Brush"), ("p", "Polygon"), ("e", "Erase"), ("v", "Select"), ("h", "Pan")],
)
def test_every_tool_has_its_key(empty, key, tool):
    empty.choose("Pan" if key == "b" else "Brush")
    empty.keys(key)
    tools = empty.page.get_by_role("group", name="Tools")
    pressed = tools.get_by_role("button", pressed=True)
    assert pressed.all_inner_texts() == [tool]
    assert pressed.get_attribute("aria-keyshortcuts") == key.upper()


def test_brackets_change_the_radius_and_the_slider_keeps_its_arrows(empty):
    slider = empty.page.get_by_role("slider", name="Radius")
    empty.keys("]*3", "[")
    assert slider.input_value() == "4"
    assert slider.get_attribute("aria-valuetext") == "4 px"
    slider.press("ArrowRight")
    assert slider.input_value() == "5"
    empty.keys("Space", "Space")
    np.testing.assert_array_equal(empty.mask, shapes.disc(_SIZE, (24, 20), 5))


def test_the_help_lists_the_keys(empty):
    empty.page.get_by_text("Keyboard", exact=True).click()
    listed = empty.page.locator("kbd").all_inner_texts()
    for key in ["B", "P", "E", "V", "H", "Ctrl+Z", "Delete", "Space", "Esc", "[", "]", "0", "1"]:
        assert key in listed


def test_a_mouse_that_is_pushed_leaves_the_stroke_of_the_keyboard_alone(empty):
    empty.keys("Space", "ArrowRight*3")
    empty.page.mouse.move(*empty.place(3, 3))
    empty.keys("ArrowRight*3", "Space")
    np.testing.assert_array_equal(empty.mask, shapes.stroke(_SIZE, [(24, 20), (30, 20)], 2))


def test_a_press_of_the_mouse_ends_the_stroke_of_the_keyboard(empty):
    empty.keys("Space", "ArrowRight*3")
    empty.click(5, 5)
    first = shapes.stroke(_SIZE, [(24, 20), (27, 20)], 2)
    np.testing.assert_array_equal(empty.mask, first + 2 * shapes.disc(_SIZE, (5, 5), 2))
    assert empty.events("select")[-1] == {"type": "select", "selected": 2, "hovered": 2}
    empty.keys("Control+z")
    np.testing.assert_array_equal(empty.mask, first)
    empty.keys("Control+z")
    assert not empty.mask.any()


def test_another_tool_ends_the_stroke(empty):
    empty.keys("Space", "ArrowRight*3", "e", "Control+z")
    assert not empty.mask.any()
    empty.keys("Control+y")
    np.testing.assert_array_equal(empty.mask, shapes.stroke(_SIZE, [(24, 20), (27, 20)], 2))


def test_delete_in_a_stroke_that_extends_a_nucleus_is_a_step_after_it(empty):
    empty.keys("Space", "Space")
    empty.page.get_by_label("Add to the selected nucleus").check()
    disc = empty.mask
    empty.keys("Space", "ArrowRight*9", "Delete")
    assert not empty.mask.any()
    empty.keys("Control+z")
    np.testing.assert_array_equal(empty.mask, shapes.stroke(_SIZE, [(24, 20), (33, 20)], 2))
    empty.keys("Control+z")
    np.testing.assert_array_equal(empty.mask, disc)
    assert empty.events("change")[-1]["nuclei"] == 1


def test_a_mouse_at_rest_leaves_the_crosshair_alone_when_the_page_moves(empty):
    empty.page.evaluate("onpointermove = (event) => { window.seen = event; }")
    empty.page.mouse.move(*empty.place(3, 3))
    empty.keys("ArrowRight*5")
    # What browsers with a screen send when something beneath the mouse has moved.
    empty.page.evaluate(
        """([clientX, clientY]) => document.elementFromPoint(clientX, clientY).dispatchEvent(
            new PointerEvent("pointermove", { clientX, clientY, bubbles: true }))""",
        empty.page.evaluate("[seen.clientX, seen.clientY]"),
    )
    empty.keys("p", "Space")
    assert empty.message == "Corner 1 at 8, 3."
