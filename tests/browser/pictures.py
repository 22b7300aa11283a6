"""Takes the pictures of docs/studio.md anew, from a real server with the released checkpoint.

    python -m tests.browser.pictures     writes docs/pictures/*.webp

Not collected by pytest: what the pictures show is tested elsewhere, and they are committed.
"""

import io
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser import chromium
from tests.browser.studio import TILE_MS, Studio
from tests.processes import ROOT, Server

FOLDER = ROOT / "docs" / "pictures"
MAX_BYTES = 250_000
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


def take(studio: Studio, name: str, *, still: bool = True) -> None:
    """What is seen of the page now, from its top, as docs/pictures/NAME.webp. still: nothing is
    under way."""
    studio.page.evaluate("scrollTo(0, 0)")
    if still:
        studio.page.wait_for_load_state("networkidle")
    studio.page.evaluate(
        "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 200)))"
    )
    picture = Image.open(io.BytesIO(studio.page.screenshot()))
    path = FOLDER / f"{name}.webp"
    picture.save(path, quality=86, method=6)
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; at most {MAX_BYTES} are wanted.")
    print(path.relative_to(ROOT), path.stat().st_size)


@contextmanager
def visiting(browser: Browser, server: Server, viewport: dict, scheme: str) -> Iterator[Studio]:
    context = browser.new_context(viewport=viewport, color_scheme=scheme)
    studio = Studio(context, server.address)
    studio.open()
    expect(studio.page.locator("#organs img[src]")).to_have_count(
        studio.page.locator("#organs img").count()
    )
    yield studio
    context.close()


def generate(studio: Studio) -> None:
    studio.choose("Where the mask comes from", "Generate")
    studio.page.get_by_label("Nuclei as in").select_option("kidney")
    studio.page.get_by_label("Seed of the mask").fill("12")
    studio.page.locator("#draw-width").fill("320")
    studio.page.get_by_role("button", name="Generate mask").click()
    studio.expect_mask(320, 256)


def mix(studio: Studio) -> None:
    studio.choose("Where the mask comes from", "Open")  # the smallest, so that all organs are seen
    studio.choose("Where the style comes from", "Mix")
    for organ, weight in {"bladder": 0, "breast": 70, "prostate": 30}.items():
        slider = studio.page.locator("#mix label").filter(has_text=organ).get_by_role("slider")
        slider.fill(str(weight))


def make(studio: Studio, seed: str) -> None:
    studio.page.get_by_label("Seed", exact=True).fill(seed)
    studio.make()


def tour(studio: Studio) -> None:
    """The tasks of docs/studio.md, in their order."""
    page = studio.page
    take(studio, "first-screen")
    generate(studio)
    take(studio, "mask")
    mix(studio)
    take(studio, "mix")
    page.get_by_label("Tiles", exact=True).fill("3")
    make(studio, "7")
    page.get_by_role("checkbox", name="Outlines").check()
    page.get_by_role("slider", name="Share of the mask or style").fill("30")
    take(studio, "tile")
    studio.choose("Where the style comes from", "Organ")
    studio.choose("Organ", "stomach")
    page.get_by_label("Tiles", exact=True).fill("1")
    make(studio, "8")
    studio.choose("Organ", "kidney")
    make(studio, "9")
    page.get_by_role("link", name="Gallery").click()
    take(studio, "gallery")
    page.get_by_role("button", name="Same again").first.click()
    studio.wait_for_tile()
    page.get_by_role("checkbox", name="Outlines").uncheck()
    take(studio, "same-again")


def ask_for_dataset(studio: Studio, count: int, seed: str) -> None:
    studio.page.locator("#dataset-count").fill(str(count))
    studio.page.locator("#dataset-seed").fill(seed)
    studio.page.get_by_role("button", name="Make the dataset").click()


def datasets(studio: Studio) -> None:
    """One that is ready, and one that is made."""
    page = studio.page
    page.get_by_role("link", name="Datasets").click()
    for organ in ("bladder", "colon", "prostate", "stomach"):
        page.get_by_role("checkbox", name=organ, exact=True).uncheck()
    page.get_by_role("spinbutton", name="Weight of kidney").fill("2")
    page.get_by_role("checkbox", name="GeoJSON").check()
    ask_for_dataset(studio, 4, "7")
    expect(page.get_by_text("Ready: made in")).to_be_visible(timeout=TILE_MS)
    ask_for_dataset(studio, 40, "8")
    expect(page.get_by_text(re.compile(r"^8 of 40 tiles.* left"))).to_be_visible(timeout=TILE_MS)
    take(studio, "datasets", still=False)


def problem(studio: Studio) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (4, 4, 20, 20))
    mask.paste(255, (30, 30, 50, 50))
    file = io.BytesIO()
    mask.save(file, "PNG")
    studio.page.locator("#mask-file").set_input_files(
        {"name": "binary.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )
    expect(studio.problem).to_be_visible()
    take(studio, "problem")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder))
        server.wait_until_ready()
        browser = playwright.chromium.launch(
            executable_path=chromium.executable(playwright), args=chromium.ARGUMENTS
        )
        with visiting(browser, server, WIDE, "light") as studio:
            tour(studio)
        with visiting(browser, server, WIDE, "light") as studio:
            datasets(studio)
        with visiting(browser, server, WIDE, "dark") as studio:
            problem(studio)
        with visiting(browser, server, NARROW, "dark") as studio:
            take(studio, "phone")
        browser.close()
        server.stop()


if __name__ == "__main__":
    main()
