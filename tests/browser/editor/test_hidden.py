"""An editor that the page hides and shows again."""

import numpy as np

from tests.browser.editor import shapes

_SIZE = (40, 48)
# Until it is drawn, and its size is known.
_HIDE = """(hidden) => {
    document.getElementById("editor").hidden = hidden;
    return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""


def test_it_fits_its_mask_when_it_is_shown(editor):
    editor.page.evaluate(_HIDE, True)
    editor.load(np.zeros(_SIZE, np.int32))
    editor.page.evaluate(_HIDE, False)
    editor.set_radius(1)
    editor.click(40, 35)
    np.testing.assert_array_equal(editor.mask, shapes.disc(_SIZE, (40, 35), 1))


def test_what_is_seen_of_the_mask_is_the_same_again(editor):
    mask = np.zeros((512, 512), np.int32)
    mask[250:262, 250:262] = 5
    editor.load(mask)
    editor.keys("1", "v")  # 100 %, the middle of the mask in that of the canvas
    editor.page.evaluate(_HIDE, True)
    editor.page.evaluate(_HIDE, False)
    box = editor.canvas.bounding_box()
    editor.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert editor.events("select")[-1]["selected"] == 5
