"""The editor's page as a person uses it, and its mask as NumPy sees it."""

import base64

import numpy as np
from playwright.sync_api import Page

# Arrays go in and out as base64 of little-endian int32, so that nothing rounds an id.
_LOAD = """([bytes, width, height]) => {
    const file = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
    editor.load(new Int32Array(file.buffer), width, height);
}"""
_LABELS = """() => {
    const bytes = new Uint8Array(editor.labels.buffer);
    let text = "";
    for (let i = 0; i < bytes.length; i += 4096)
        text += String.fromCharCode(...bytes.subarray(i, i + 4096));
    return btoa(text);
}"""


class Editor:
    """Places are (x, y) pixels of the mask unless said otherwise."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.canvas = page.get_by_role("application", name="Instance mask")

    def load(self, mask: np.ndarray) -> None:
        height, width = mask.shape
        encoded = base64.b64encode(np.ascontiguousarray(mask, "<i4").tobytes()).decode()
        self.page.evaluate(_LOAD, [encoded, width, height])

    @property
    def mask(self) -> np.ndarray:
        width, height = self.page.evaluate("[editor.width, editor.height]")
        decoded = base64.b64decode(self.page.evaluate(_LABELS))
        return np.frombuffer(decoded, "<i4").reshape(height, width)

    def choose(self, tool: str) -> None:
        """Press a button. It may be one that has nothing to do now: people press those, too."""
        self.page.get_by_role("button", name=tool, exact=True).click(force=True)

    def set_radius(self, radius: int) -> None:
        self.page.get_by_role("slider", name="Radius").fill(str(radius))

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where on the page the middle of a pixel of the mask is; the whole mask must be seen."""
        box = self.canvas.bounding_box()
        assert box is not None
        width, height = self.page.evaluate("[editor.width, editor.height]")
        scale = min((box["width"] - 32) / width, (box["height"] - 32) / height, 64)
        if int(scale) >= scale / 1.1:
            scale = int(scale)
        return (
            box["x"] + box["width"] / 2 + (x + 0.5 - width / 2) * scale,
            box["y"] + box["height"] / 2 + (y + 0.5 - height / 2) * scale,
        )

    def drag(self, *places: tuple[int, int]) -> None:
        """A stroke of the mouse from place to place."""
        mouse = self.page.mouse
        mouse.move(*self.place(*places[0]))
        mouse.down()
        for place in places[1:]:
            mouse.move(*self.place(*place))
        mouse.up()

    def click(self, x: int, y: int) -> None:
        self.page.mouse.click(*self.place(x, y))

    def keys(self, *keys: str) -> None:
        """Press keys on the canvas; "ArrowUp*3" is three times."""
        self.canvas.focus()
        for key in keys:
            name, _, times = key.partition("*")
            for _ in range(int(times or 1)):
                self.page.keyboard.press(name)

    @property
    def message(self) -> str:
        return self.page.get_by_role("status").inner_text().replace("\xa0", "")

    def events(self, kind: str) -> list[dict]:
        return self.page.evaluate("(kind) => events.filter(({ type }) => type === kind)", kind)
