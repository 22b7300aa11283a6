"""Past runs whose masks only the service can read."""

from pathlib import Path

import numpy as np
from playwright.sync_api import Route, expect

from model.formats import read_mask
from tests.browser.studio import Studio
from tests.fakes import label_mask, mask_png

_BUSY = {"code": "rate_limited", "detail": "More than 1 request a second."}


def make(studio: Studio, folder: Path, side: int) -> None:
    path = folder / f"{side}.png"
    path.write_bytes(mask_png(side))
    studio.open_mask(path)
    studio.expect_mask(side, side)
    studio.make()


def test_of_two_that_are_opened_the_later_one_is_shown(studio: Studio, tmp_path):
    page = studio.page
    for side in (64, 96):
        make(studio, tmp_path, side)
    asked: list[Route] = []

    def answer(route: Route) -> None:
        asked.append(route)
        if len(asked) == 2:
            route.fulfill(status=429, headers={"Retry-After": "2"}, json=_BUSY)
        elif len(asked) > 2:
            route.continue_()

    studio.provoked = {"429"}
    page.route("**/masks/convert", answer)
    page.get_by_role("link", name="Gallery").click()
    newer, older = page.get_by_role("button", name="Open").all()
    with page.expect_request("**/masks/convert"):
        older.click()
    newer.click()
    expect(page.get_by_text("The service is busy. Next try in 2 s.")).to_be_visible()
    studio.expect_mask(96, 96)
    asked[0].continue_()
    studio.wait_for_tile()
    studio.expect_mask(96, 96)
    expect(page.locator("#tile-facts")).to_contain_text("96 \u00d7 96 px")
    page.get_by_role("link", name="Gallery").click()
    expect(page.get_by_text("The service is busy.")).to_have_count(0)

    page.get_by_role("link", name="Tile").click()
    del asked[1:]  # the next is refused
    assert np.array_equal(read_mask(studio.download_mask("PNG")), label_mask(96))
    expect(page.locator("#download-problem")).to_be_empty()
