"""Nuclei drawn with the mouse: which pixels they get, and that no other changes."""

import numpy as np
import pytest

from tests.browser.editor import shapes

_SIZE = (40, 48)  # rows, columns; at 1280 px every pixel is more than ten wide


@pytest.fixture
def two_touching() -> np.ndarray:
    """Nucleus 7 beside nucleus 70,000, without a gap."""
    mask = np.zeros(_SIZE, np.int32)
    mask[10:20, 10:18] = 7
    mask[10:20, 18:26] = 70_000
    return mask


@pytest.fixture
def empty(editor):
    editor.load(np.zeros(_SIZE, np.int32))
    return editor


def test_a_press_of_the_brush_paints_a_disc(empty):
    empty.set_radius(5)
    empty.click(20, 15)
    np.testing.assert_array_equal(empty.mask, shapes.disc(_SIZE, (20, 15), 5))
    assert empty.message == "Nucleus 1 drawn, 97 pixels. 1 nucleus in all."


def test_every_stroke_is_a_nucleus_of_its_own(empty):
    empty.set_radius(2)
    ways = [[(5, 5), (20, 9), (12, 20)], [(30, 5), (40, 30)]]
    for way in ways:
        empty.drag(*way)
    expected = shapes.stroke(_SIZE, ways[0], 2) + 2 * shapes.stroke(_SIZE, ways[1], 2)
    np.testing.assert_array_equal(empty.mask, expected)
    assert empty.page.evaluate("editor.nuclei") == 2
    assert [event["nuclei"] for event in empty.events("change")][-2:] == [1, 2]


def test_a_stroke_may_begin_and_end_outside(empty):
    empty.set_radius(3)
    empty.drag((-4, 12), (51, 12))
    np.testing.assert_array_equal(empty.mask, shapes.stroke(_SIZE, [(-4, 12), (51, 12)], 3))


def test_a_stroke_ends_where_its_pointer_is_lost(empty):
    """As where the button is released over something that took the pointer away."""
    page = empty.page
    empty.set_radius(2)
    page.evaluate(
        """() => addEventListener("pointerdown", ({ target, pointerId }) => {
            window.lose = () => target.releasePointerCapture(pointerId);
        }, { once: true })"""
    )
    page.mouse.move(*empty.place(5, 5))
    page.mouse.down()
    page.mouse.move(*empty.place(20, 5))
    page.evaluate("lose()")
    page.mouse.move(*empty.place(20, 30))
    page.mouse.up()
    np.testing.assert_array_equal(empty.mask, shapes.stroke(_SIZE, [(5, 5), (20, 5)], 2))
    assert empty.message.startswith("Nucleus 1 drawn")


def test_a_new_nucleus_leaves_its_neighbours_alone(editor, two_touching):
    editor.load(two_touching)
    editor.set_radius(4)
    editor.click(18, 20)
    disc = shapes.disc(_SIZE, (18, 20), 4)
    expected = np.where(disc & (two_touching == 0), 70_001, two_touching)
    np.testing.assert_array_equal(editor.mask, expected)


def test_it_may_be_painted_over_them(editor, two_touching):
    editor.load(two_touching)
    editor.set_radius(4)
    editor.page.get_by_label("Paint over other nuclei").check()
    editor.click(18, 20)
    expected = np.where(shapes.disc(_SIZE, (18, 20), 4), 70_001, two_touching)
    np.testing.assert_array_equal(editor.mask, expected)


def test_a_stroke_may_add_to_the_selected_nucleus(editor, two_touching):
    editor.load(two_touching)
    editor.choose("Select")
    editor.click(12, 12)
    editor.choose("Brush")
    editor.set_radius(3)
    editor.page.get_by_label("Add to the selected nucleus").check()
    editor.drag((12, 20), (12, 26))
    way = shapes.stroke(_SIZE, [(12, 20), (12, 26)], 3)
    np.testing.assert_array_equal(editor.mask, np.where(way & (two_touching == 0), 7, two_touching))
    assert editor.message.startswith("Nucleus 7 extended, ")


def test_a_stroke_without_a_free_pixel_makes_no_nucleus(editor, two_touching):
    editor.load(two_touching)
    editor.set_radius(1)
    editor.click(14, 14)
    np.testing.assert_array_equal(editor.mask, two_touching)
    assert editor.message.startswith("Nothing was drawn")
    undo = editor.page.get_by_role("button", name="Undo")
    assert undo.get_attribute("aria-disabled") == "true"


def test_a_polygon_is_closed_by_a_double_click(empty):
    corners = [(5, 5), (30, 8), (35, 30), (10, 25)]
    empty.choose("Polygon")
    for corner in corners[:-1]:
        empty.click(*corner)
    empty.page.mouse.dblclick(*empty.place(*corners[-1]))
    np.testing.assert_array_equal(empty.mask, shapes.polygon(_SIZE, corners))


def test_a_polygon_is_closed_at_its_first_corner(empty):
    corners = [(5, 5), (30, 8), (10, 25)]
    empty.choose("Polygon")
    for corner in [*corners, corners[0]]:
        empty.click(*corner)
    np.testing.assert_array_equal(empty.mask, shapes.polygon(_SIZE, corners))


def test_a_polygon_is_closed_by_its_button_and_leaves_neighbours_alone(editor, two_touching):
    editor.load(two_touching)
    corners = [(8, 8), (28, 8), (28, 15), (8, 15)]
    editor.choose("Polygon")
    for corner in [*corners[:2], (40, 35)]:
        editor.click(*corner)
    editor.choose("Remove corner")
    for corner in corners[2:]:
        editor.click(*corner)
    editor.choose("Close polygon")
    inside = shapes.polygon(_SIZE, corners)
    expected = np.where(inside & (two_touching == 0), 70_001, two_touching)
    np.testing.assert_array_equal(editor.mask, expected)


def test_escape_gives_a_polygon_up(empty):
    empty.choose("Polygon")
    for corner in [(5, 5), (30, 8), (10, 25)]:
        empty.click(*corner)
    empty.keys("Escape", "Enter")  # Enter sets a first corner and closes nothing
    assert not empty.mask.any()


def test_a_polygon_of_two_corners_is_not_closed(empty):
    empty.choose("Polygon")
    empty.click(5, 5)
    empty.page.mouse.dblclick(*empty.place(20, 20))
    assert not empty.mask.any()
    assert empty.message == "A polygon needs at least three corners."


def test_what_is_erased_may_leave_two_pieces_of_one_nucleus(editor, two_touching):
    editor.load(two_touching)
    editor.choose("Erase")
    editor.set_radius(1)
    editor.drag((8, 14), (17, 14))
    way = shapes.stroke(_SIZE, [(8, 14), (17, 14)], 1)
    expected = np.where(way, 0, two_touching)
    assert (expected[10:13, 10:16] == 7).all()
    assert (expected[16:20, 10:16] == 7).all()
    np.testing.assert_array_equal(editor.mask, expected)
    assert editor.page.evaluate("editor.nuclei") == 2


def test_the_eraser_may_be_held_to_one_nucleus(editor, two_touching):
    editor.load(two_touching)
    editor.choose("Select")
    editor.click(20, 15)
    editor.choose("Erase")
    editor.page.get_by_label("Only the selected nucleus").check()
    editor.set_radius(3)
    editor.click(18, 14)
    erased = shapes.disc(_SIZE, (18, 14), 3) & (two_touching == 70_000)
    np.testing.assert_array_equal(editor.mask, np.where(erased, 0, two_touching))


@pytest.mark.parametrize("way", ["key", "button"])
def test_a_selected_nucleus_is_deleted_in_all_its_pieces(editor, two_touching, way):
    two_touching[30:34, 40:45] = 7
    editor.load(two_touching)
    editor.choose("Select")
    editor.click(42, 31)
    assert editor.events("select")[-1] == {"type": "select", "selected": 7, "hovered": 7}
    if way == "key":
        editor.page.keyboard.press("Delete")
    else:
        editor.choose("Delete")
    expected = np.where(two_touching == 7, 0, two_touching)
    np.testing.assert_array_equal(editor.mask, expected)
    assert editor.events("change")[-1]["nuclei"] == 1
    assert editor.events("select")[-1]["selected"] == 0


def test_pressing_delete_without_a_selection_says_what_to_do(editor, two_touching):
    editor.load(two_touching)
    editor.choose("Delete")
    np.testing.assert_array_equal(editor.mask, two_touching)
    assert editor.message == "No nucleus is selected. Select one first, then delete it."
