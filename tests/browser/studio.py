"""The studio as a person uses it."""

from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Request, expect

TILE_MS = 60_000
"""A tile takes a second; the machine may be busy."""


_DROP = """([text, name, selector]) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([text], name));
    const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
    return !document.querySelector(selector).dispatchEvent(drop);
}"""


class Studio:
    """One page with the studio, and all that it asked for and complained of.

    provoked: statuses that the test provokes; Chromium writes each to the console.
    """

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.context = context
        self.address = address
        self.page = context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.provoked: set[str] = set()
        context.on("request", self._on_request)
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    @property
    def elsewhere(self) -> list[str]:
        """Requests to any other host."""
        own = urlsplit(self.address).netloc
        return [
            url
            for url in self.requests
            if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).netloc != own
        ]

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        if not any(status in message.text for status in self.provoked):
            self.complaints.append(message.text)

    def open(self) -> None:
        """Until the example is shown and the organs are there to choose from."""
        self.page.goto(self.address)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        expect(self.page.locator("html[data-ready]")).to_be_attached(timeout=TILE_MS)

    def group(self, name: str) -> Locator:
        return self.page.get_by_role("group", name=name)

    def choose(self, group: str, name: str) -> None:
        """A radio button by the name of its group and its own."""
        self.group(group).get_by_role("radio", name=name, exact=True).check()

    def expect_mask(self, width: int, height: int, more: str = "") -> None:
        """The studio says so. more: what follows."""
        facts = f"{width} \u00d7 {height} px, {more}"
        expect(self.page.locator("#mask-facts")).to_contain_text(facts)

    def open_mask(self, path: Path) -> None:
        self.choose("Where the mask comes from", "Open")
        self.page.locator("#mask-file").set_input_files(path)

    def drop(self, text: str, name: str, selector: str) -> bool:
        """A file onto what ``selector`` says. Whether the page has taken it, and the browser does
        not open it."""
        return self.page.evaluate(_DROP, [text, name, selector])

    def start_empty(self, width: int, height: int) -> None:
        self.choose("Where the mask comes from", "Draw")
        self.page.locator("#blank-width").fill(str(width))
        self.page.locator("#blank-height").fill(str(height))
        self.page.get_by_role("button", name="Start empty").click()

    def point(self, dx: float = 0, dy: float = 0) -> tuple[float, float]:
        """A place of the page: so far from the middle of the editor."""
        canvas = self.page.get_by_role("application", name="Instance mask")
        box = canvas.bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2 + dx, box["y"] + box["height"] / 2 + dy

    def stroke(self, dx: float, dy: float) -> None:
        """A short one, from that place on."""
        mouse = self.page.mouse
        mouse.move(*self.point(dx, dy))
        mouse.down()
        mouse.move(*self.point(dx + 25, dy + 10), steps=4)
        mouse.up()

    def mix(self, **weights: int) -> None:
        """Of organs; all others are at 0."""
        self.choose("Where the style comes from", "Mix")
        sliders = self.page.locator("#mix label")
        for slider in sliders.all():
            slider.get_by_role("slider").fill("0")
        for organ, weight in weights.items():
            sliders.filter(has_text=organ).get_by_role("slider").fill(str(weight))

    def open_style(self, name: str, data: bytes) -> None:
        self.choose("Where the style comes from", "Image")
        file = {"name": name, "mimeType": "image/png", "buffer": data}
        self.page.locator("#style-file").set_input_files(file)

    def make(self) -> None:
        """Make the tile, and wait for it."""
        self.start()
        self.wait_for_tile()

    def start(self) -> None:
        self.page.get_by_role("button", name="Make the tile").click()

    def wait_for_tile(self) -> None:
        stage = self.page.locator("#stage")
        expect(stage).to_have_attribute("aria-busy", "false", timeout=TILE_MS)
        expect(self.page.locator("#tile-view")).to_be_visible()
        expect(self.page.locator("#stage-title")).to_be_focused()

    @property
    def problem(self) -> Locator:
        return self.page.get_by_role("alert")

    @property
    def progress(self) -> Locator:
        return self.page.locator("#progress-words")

    def download(self, button: str) -> bytes:
        with self.page.expect_download() as waiting:
            self.page.get_by_role("button", name=button, exact=True).click()
        return waiting.value.path().read_bytes()

    def download_mask(self, format: str) -> bytes:
        """format: as the studio calls it."""
        self.page.get_by_label("Format of the mask").select_option(label=format)
        return self.download("Download mask as")
