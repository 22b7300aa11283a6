"""Undo and redo, by buttons, by keys and by the page's code."""

import numpy as np
import pytest

_SIZE = (40, 48)


@pytest.fixture
def steps(editor):
    """The mask after each of a few steps of every kind, the first being before them."""
    mask = np.zeros(_SIZE, np.int32)
    mask[10:20, 10:18] = 7
    mask[10:20, 18:26] = 70_000
    editor.load(mask)
    steps = [editor.mask]

    def did():
        steps.append(editor.mask)
        assert (steps[-1] != steps[-2]).any()

    editor.set_radius(3)
    editor.drag((5, 5), (30, 22))
    did()
    editor.page.get_by_label("Paint over other nuclei").check()
    editor.drag((12, 5), (12, 35), (40, 35))
    did()
    editor.choose("Erase")
    editor.drag((2, 15), (40, 15))
    did()
    editor.choose("Polygon")
    for corner in [(20, 2), (46, 2), (46, 20)]:
        editor.click(*corner)
    editor.keys("Enter")
    did()
    editor.choose("Select")
    editor.click(20, 11)
    editor.keys("Delete")
    did()
    return steps


_WAYS = {
    "keys": (lambda editor: editor.keys("Control+z"), lambda editor: editor.keys("Control+y")),
    "shift": (
        lambda editor: editor.keys("Control+z"),
        lambda editor: editor.keys("Control+Shift+Z"),
    ),
    "buttons": (lambda editor: editor.choose("Undo"), lambda editor: editor.choose("Redo")),
    "code": (
        lambda editor: editor.page.evaluate("editor.undo()"),
        lambda editor: editor.page.evaluate("editor.redo()"),
    ),
}


@pytest.mark.parametrize("way", _WAYS)
def test_every_step_is_undone_and_redone_exactly(editor, steps, way):
    undo, redo = _WAYS[way]
    for before in reversed(steps[:-1]):
        undo(editor)
        np.testing.assert_array_equal(editor.mask, before)
        nuclei = len(np.unique(before)) - 1
        assert editor.events("change")[-1]["nuclei"] == nuclei
    undo(editor)
    np.testing.assert_array_equal(editor.mask, steps[0])
    assert editor.message == "There is nothing to undo."
    for after in steps[1:]:
        redo(editor)
        np.testing.assert_array_equal(editor.mask, after)
    redo(editor)
    np.testing.assert_array_equal(editor.mask, steps[-1])
    assert editor.message == "There is nothing to redo."


def test_a_new_step_ends_what_could_be_redone(editor, steps):
    editor.choose("Undo")
    editor.choose("Brush")
    editor.click(3, 36)
    after = editor.mask
    editor.choose("Redo")
    np.testing.assert_array_equal(editor.mask, after)


def test_another_mask_has_no_history(editor, steps):
    mask = np.eye(30, dtype=np.int32)
    editor.load(mask)
    editor.choose("Undo")
    np.testing.assert_array_equal(editor.mask, mask)


def test_undo_in_a_stroke_takes_the_stroke_back(editor, steps):
    editor.choose("Brush")
    mouse = editor.page.mouse
    mouse.move(*editor.place(4, 30))
    mouse.down()
    mouse.move(*editor.place(20, 33))
    assert (editor.mask != steps[-1]).any()
    editor.page.keyboard.press("Control+z")
    np.testing.assert_array_equal(editor.mask, steps[-2])
    mouse.up()
    np.testing.assert_array_equal(editor.mask, steps[-2])


_BOUNDED = """() => {
    const history = new History(3000);
    const step = (size) => ({ value: 1, runs: new Int32Array(3 * size), pixels: size, title: "" });
    const seen = [];
    for (let i = 0; i < 20; i++) {
        history.push(step(50));
        seen.push(history.bytes);
    }
    let undone = 0;
    while (history.undo() !== null) undone++;
    history.push(step(1000));
    return { seen, undone, canRedo: history.canRedo, canUndo: history.canUndo };
}"""


def test_the_history_is_bounded_by_bytes_and_keeps_the_newest(modules):
    found = modules.evaluate(_BOUNDED)
    assert max(found["seen"]) <= 3000
    assert found["undone"] == 3  # of 600 bytes and what else a step is
    assert found["canUndo"]
    assert not found["canRedo"]


def test_a_step_is_as_large_as_its_stroke_and_not_as_the_mask(modules):
    runs = modules.evaluate(
        """() => {
            const image = new LabelImage(new Int32Array(2048 * 2048), 2048, 2048);
            const edit = image.edit(1, 0);
            edit.fill(raster.stroke({ x: 100, y: 100 }, { x: 1900, y: 1900 }, 5));
            return edit.finish().runs.length / 3;
        }"""
    )
    assert runs == 1801 + 2 * 5
