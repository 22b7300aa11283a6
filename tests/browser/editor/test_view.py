"""Zooming, panning, fingers, and that what is seen is the mask."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tests.browser.editor import shapes

_SIZE = (40, 48)

# One pixel of the canvas with the mask, at a place of the page.
_COLOUR = """([x, y]) => {
    const [canvas] = document.querySelectorAll("canvas");
    const ratio = canvas.width / canvas.clientWidth;
    const box = canvas.getBoundingClientRect();
    const copy = new OffscreenCanvas(1, 1).getContext("2d");
    copy.drawImage(canvas, -Math.floor((x - box.left) * ratio), -Math.floor((y - box.top) * ratio));
    return [...copy.getImageData(0, 0, 1, 1).data];
}"""
_SEEN = "() => document.querySelector('canvas').toDataURL().split(',')[1]"
_FRAME = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def _frame(editor) -> None:
    editor.page.evaluate(_FRAME)


def _seen(editor) -> np.ndarray:
    """The canvas with the mask, (H, W, 4)."""
    file = base64.b64decode(editor.page.evaluate(_SEEN))
    return np.array(Image.open(io.BytesIO(file)).convert("RGBA"), int)


def _zoom(editor) -> str:
    return editor.page.locator(".me-facts").inner_text().splitlines()[-1]


def test_every_nucleus_is_seen_in_its_colour(editor):
    mask = np.zeros(_SIZE, np.int32)
    mask[5:15, 5:15] = 3
    mask[5:15, 15:25] = 70_000
    editor.load(mask)
    _frame(editor)
    for (x, y), number in {(9, 9): 3, (20, 9): 70_000}.items():
        *colour, alpha = editor.page.evaluate(_COLOUR, list(editor.place(x, y)))
        expected = editor.page.evaluate("(id) => colours.colourOf(id)", number)
        np.testing.assert_allclose(colour, expected, atol=2)
        assert alpha == pytest.approx(107, abs=2)
    assert editor.page.evaluate(_COLOUR, list(editor.place(30, 30))) == [0, 0, 0, 0]


@pytest.mark.parametrize("zoom", [0, -3, 2, 6])
def test_what_a_stroke_repaints_is_what_a_whole_repaint_shows(editor, zoom):
    draw = np.random.default_rng(4)
    mask = np.kron(draw.integers(0, 4, (40, 60)) * 70_001, np.ones((9, 9))).astype(np.int32)
    editor.load(mask)
    zooming = f"{'+' if zoom > 0 else '-'}*{abs(zoom)}" if zoom else "0"
    editor.keys(zooming)
    box = editor.canvas.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for tool in ["Brush", "Erase"]:
        editor.choose(tool)
        before = editor.mask
        editor.page.mouse.move(*middle)
        editor.page.mouse.down()
        for step in range(1, 6):
            editor.page.mouse.move(middle[0] + 17 * step, middle[1] - 9 * step)
            _frame(editor)
        in_parts = _seen(editor)
        editor.page.mouse.up()
        assert (editor.mask != before).any()
        editor.load(editor.mask)
        editor.keys(zooming)
        _frame(editor)
        # Where tiles meet, a part is scaled a little differently from a whole; a pixel that was
        # not repainted would be out by the alpha of a nucleus or of an outline, 100 or more.
        np.testing.assert_allclose(_seen(editor), in_parts, atol=24)


def test_a_stroke_repaints_no_more_than_its_surroundings(editor):
    editor.page.evaluate("editor.clear(2048, 2048)")
    editor.set_radius(6)
    _frame(editor)
    editor.page.evaluate(
        """() => {
            window.painted = 0;
            const context = OffscreenCanvasRenderingContext2D.prototype;
            const { putImageData } = context;
            context.putImageData = function (pixels, ...place) {
                window.painted += pixels.width * pixels.height;
                putImageData.call(this, pixels, ...place);
            };
        }"""
    )
    places = [(1000 + 20 * i, 1000) for i in range(11)]
    mouse = editor.page.mouse
    mouse.move(*editor.place(*places[0]))
    mouse.down()
    for place in places[1:]:
        mouse.move(*editor.place(*place))
        _frame(editor)
    mouse.up()
    pixels = editor.page.evaluate("editor.labels.reduce((sum, id) => sum + id, 0)")
    assert pixels > 200 * 13
    # At a quarter of its size, in ten steps that overlap.
    assert 0 < editor.page.evaluate("window.painted") < pixels


def test_the_wheel_zooms_around_the_pointer(editor):
    editor.load(np.zeros(_SIZE, np.int32))
    editor.set_radius(1)
    editor.page.mouse.move(*editor.place(7, 30))
    for _ in range(3):
        editor.page.mouse.wheel(0, -120)
    assert _zoom(editor) != "100 %"
    editor.page.mouse.down()
    editor.page.mouse.up()
    np.testing.assert_array_equal(editor.mask, shapes.disc(_SIZE, (7, 30), 1))


def test_the_mask_stays_in_sight_however_far_it_is_pushed(editor):
    mask = np.full(_SIZE, 5, np.int32)
    editor.load(mask)
    editor.choose("Pan")
    for _ in range(4):
        editor.drag((40, 35), (5, 5))
    box = editor.canvas.bounding_box()
    editor.choose("Select")
    editor.page.mouse.click(box["x"] + 20, box["y"] + 20)
    assert editor.events("select")[-1]["selected"] == 5


def test_buttons_and_keys_zoom(editor):
    editor.load(np.zeros((512, 512), np.int32))
    fitted = _zoom(editor)
    editor.keys("1")
    assert _zoom(editor) == "100 %"
    editor.choose("Zoom in")
    assert _zoom(editor) == "141 %"
    editor.keys("+")
    assert _zoom(editor) == "200 %"
    editor.choose("Zoom out")
    editor.choose("100 %")
    assert _zoom(editor) == "100 %"
    editor.keys("-", "0")
    assert _zoom(editor) == fitted


@pytest.mark.parametrize("way", ["tool", "middle button", "arrow keys"])
def test_panning_moves_the_view_and_no_nucleus(editor, way):
    mask = np.zeros(_SIZE, np.int32)
    mask[10:20, 10:20] = 5
    editor.load(mask)
    start = editor.place(15, 15)
    if way == "arrow keys":
        editor.keys("h", "ArrowLeft*2")  # the view goes left, the mask goes right
        moved = 80
    else:
        moved = 70
        if way == "tool":
            editor.choose("Pan")
        button = "middle" if way == "middle button" else "left"
        editor.page.mouse.move(*start)
        editor.page.mouse.down(button=button)
        editor.page.mouse.move(start[0] + moved, start[1])
        editor.page.mouse.up(button=button)
    np.testing.assert_array_equal(editor.mask, mask)
    editor.choose("Select")
    editor.page.mouse.click(editor.place(19, 15)[0] + moved, start[1])
    assert editor.events("select")[-1]["selected"] == 5


def test_the_underlay_is_seen_beneath_and_its_opacity_can_be_set(editor):
    editor.load(np.zeros(_SIZE, np.int32))
    assert not editor.page.get_by_role("slider", name="Image").is_visible()
    editor.page.evaluate(
        """async () => {
            const pixels = new ImageData(new Uint8ClampedArray([200, 80, 160, 255]), 1, 1);
            editor.setUnderlay(await createImageBitmap(pixels));
        }"""
    )
    _frame(editor)
    at = list(editor.place(20, 20))
    assert editor.page.evaluate(_COLOUR, at) == [200, 80, 160, 255]
    editor.page.get_by_role("slider", name="Image").fill("50")
    _frame(editor)
    assert editor.page.evaluate(_COLOUR, at)[3] == pytest.approx(128, abs=1)
    editor.page.evaluate("editor.setUnderlay(null)")
    _frame(editor)
    assert editor.page.evaluate(_COLOUR, at) == [0, 0, 0, 0]


class _Fingers:
    """Touches as the browser's own protocol sends them: playwright's touchscreen only taps."""

    def __init__(self, editor) -> None:
        self._session = editor.page.context.new_cdp_session(editor.page)

    def put(self, kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        self._session.send(
            "Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points}
        )


def test_one_finger_draws(phone):
    phone.load(np.zeros(_SIZE, np.int32))
    phone.set_radius(2)
    fingers = _Fingers(phone)
    way = [(10, 10), (20, 12), (25, 30)]
    fingers.put("Start", phone.place(*way[0]))
    for place in way[1:]:
        fingers.put("Move", phone.place(*place))
    fingers.put("End")
    np.testing.assert_array_equal(phone.mask, shapes.stroke(_SIZE, way, 2))


@pytest.mark.parametrize("tool", ["Brush", "Polygon"])
def test_two_fingers_zoom_and_pan_and_draw_nothing(phone, tool):
    phone.load(np.zeros(_SIZE, np.int32))
    phone.choose(tool)
    before = float(_zoom(phone).removesuffix(" %"))
    (ax, ay), (bx, by) = phone.place(14, 20), phone.place(34, 20)
    fingers = _Fingers(phone)
    fingers.put("Start", (ax, ay))
    fingers.put("Move", (ax + 2, ay))
    fingers.put("Start", (ax + 2, ay), (bx - 2, by))
    apart = (bx - ax - 4) / 2
    for step in range(1, 6):
        fingers.put("Move", (ax + 2 - apart * step / 5, ay), (bx - 2 + apart * step / 5, by))
    fingers.put("End", (ax, ay))
    fingers.put("Move", (ax + 9, ay + 9))
    fingers.put("End")
    assert not phone.mask.any()
    assert float(_zoom(phone).removesuffix(" %")) == pytest.approx(2 * before, rel=0.02)
    phone.keys("Control+z")
    assert phone.message == "There is nothing to undo."
    assert phone.page.get_by_role("button", name="Undo").get_attribute("aria-disabled") == "true"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(phone, scheme):
    phone.page.emulate_media(color_scheme=scheme)
    for tool in ["Brush", "Polygon", "Erase", "Select", "Pan"]:
        phone.choose(tool)
        assert phone.page.evaluate("document.documentElement.scrollWidth") == 390
        for button in phone.page.get_by_role("group", name="Tools").get_by_role("button").all():
            box = button.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
            assert min(box["width"], box["height"]) >= 44


def test_the_largest_mask_can_be_edited(editor):
    nuclei = editor.page.evaluate(
        """() => {
            const side = 8192;
            const labels = new Int32Array(side * side);
            for (let y = 0; y < side; y++)
                for (let x = 0; x < side; x++)
                    if (x % 32 < 20 && y % 32 < 20)
                        labels[y * side + x] = 1 + (y >> 5) * 256 + (x >> 5);
            editor.load(labels, side, side);
            return editor.nuclei;
        }"""
    )
    assert nuclei == 256 * 256
    editor.set_radius(5)
    editor.keys("1", "Shift+ArrowRight", "ArrowLeft*10", "Space", "Space")
    changed = editor.page.evaluate(
        "() => editor.labels.reduce((count, id) => count + (id === 65537), 0)"
    )
    # The middle, (4096, 4096), is the corner of a nucleus: a quarter of the disc is taken.
    assert changed == 97 - 6 * 6 + (6 * 6 - np.count_nonzero(_quarter()))
    editor.keys("Control+z")
    assert editor.page.evaluate("editor.nuclei") == 256 * 256


def _quarter() -> np.ndarray:
    """The part of a disc of radius 5 that lies right of and below its centre, both included."""
    return shapes.disc((16, 16), (5, 5), 5)[5:, 5:]
