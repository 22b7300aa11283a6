"""Answers that are lost on their way: nothing is made twice, and what was made comes in the end."""

import json

from playwright.sync_api import Route, expect

from tests.browser.studio import TILE_MS, Studio

# The service does what it is asked at this path; its first answer never comes.
_LOSE = """(path) => {
    const { fetch } = window;
    window.asked = [];
    window.fetch = async (url, options = {}) => {
        const answer = await fetch(url, options);
        if (options.method !== "POST" || url !== path) return answer;
        const { id } = await answer.clone().json();
        window.asked.push([new Headers(options.headers).get("Idempotency-Key"), id]);
        if (window.asked.length === 1) throw new TypeError("The answer is lost.");
        return answer;
    };
}"""


def lose_first(studio: Studio, path: str) -> None:
    studio.page.evaluate(_LOSE, path)


def asked(studio: Studio) -> list[list[str]]:
    """The key of every request since then, and the id of what it made."""
    return studio.page.evaluate("asked")


def test_the_same_run_is_tried_again(studio: Studio):
    """Of Same again, so that its bytes are compared in the end."""
    page = studio.page
    studio.make()
    page.get_by_role("link", name="Gallery").click()
    lose_first(studio, "synthesize")
    page.get_by_role("button", name="Same again").click()
    expect(studio.problem).to_contain_text("The service does not answer")
    studio.problem.get_by_role("button", name="Try again").click()
    studio.wait_for_tile()
    expect(page.locator("#tile-proof")).to_contain_text("The same bytes as before")
    expect(page.locator("#gallery-count")).to_have_text("1")
    studio.make()
    first, again, other = asked(studio)
    assert first == again
    assert first[0] != other[0]
    assert first[1] != other[1]


def test_a_dataset_is_not_made_twice(studio: Studio):
    page = studio.page
    page.get_by_role("link", name="Datasets").click()
    for field in ("count", "width", "height"):
        page.locator(f"#dataset-{field}").fill("1" if field == "count" else "64")
    lose_first(studio, "datasets")
    submit = page.get_by_role("button", name="Make the dataset")
    submit.click()
    expect(studio.problem).to_contain_text("The service does not answer")
    submit.click()
    cards = page.locator("#dataset-cards > li")
    expect(cards).to_have_count(1)
    submit.click()
    expect(cards).to_have_count(2)
    first, again, other = asked(studio)
    assert first == again
    assert first[0] != other[0]
    assert first[1] != other[1]
    expect(page.get_by_text("Ready: made in")).to_have_count(2, timeout=2 * TILE_MS)


def test_tiles_are_fetched_as_soon_as_that_is_possible(studio: Studio):
    page = studio.page
    studio.provoked = {"net::ERR_", "503"}
    away = json.dumps({"code": "storage_unavailable", "detail": "The files are away."})

    def refuse(route: Route) -> None:
        route.fulfill(status=503, body=away, content_type="application/problem+json")

    page.route("**/outputs/0", lambda route: route.abort(), times=1)
    page.route("**/outputs/0/manifest", refuse, times=1)
    studio.make()
    assert json.loads(studio.download("Manifest"))["seed"] is not None

    page.route("**/outputs/0", lambda route: route.abort())
    studio.start()
    expect(studio.progress).to_contain_text("Connecting again", timeout=TILE_MS)
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("Canceled: nothing was kept.")).to_be_visible()
    expect(page.get_by_role("button", name="Make the tile")).to_be_focused()
