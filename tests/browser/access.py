"""What holds for every state of the studio, for everybody."""

from axe_playwright_python.sync_playwright import Axe

from tests.browser.studio import Studio

WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
SCHEMES = ("light", "dark")


def check(studio: Studio) -> None:
    """What is shown now, in light and in dark."""
    for scheme in SCHEMES:
        # Without motion, or axe sees colours that are on their way to others.
        studio.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        _check_as_it_is(studio)


def _check_as_it_is(studio: Studio) -> None:
    """Axe finds nothing serious or critical, and nothing reaches over the edge of the page."""
    width = studio.page.viewport_size["width"]
    assert studio.page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(studio.page).response["violations"]
    assert [
        f"{violation['id']}: {node['html']} {node['failureSummary']}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ] == []
