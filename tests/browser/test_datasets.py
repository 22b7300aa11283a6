"""Datasets are asked for, followed, fetched and removed in the studio."""

import hashlib
import io
import json
import re
import zipfile

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.browser.access import NARROW, WIDE, check
from tests.browser.studio import TILE_MS, Studio

KEY = "Qm9vdHN0cmFwcGVk0815"
DATASET_MS = 2 * TILE_MS


def go(studio: Studio) -> None:
    studio.page.get_by_role("link", name="Datasets").click()
    expect(studio.page.locator("#datasets-title")).to_be_focused()


def reload(studio: Studio) -> None:
    studio.page.reload()
    studio.wait_until_ready()


def wish(studio: Studio, count: int, side: int, **weights: int) -> None:
    """weights: of organs; all alike if there are none."""
    page = studio.page
    page.locator("#dataset-count").fill(str(count))
    page.locator("#dataset-width").fill(str(side))
    page.locator("#dataset-height").fill(str(side))
    if weights:
        page.get_by_role("button", name="None", exact=True).click()
    for organ, weight in weights.items():
        page.get_by_role("checkbox", name=organ, exact=True).check()
        page.get_by_role("spinbutton", name=f"Weight of {organ}").fill(str(weight))


def submit(studio: Studio) -> None:
    studio.page.get_by_role("button", name="Make the dataset").click()


def newest(studio: Studio) -> Locator:
    """The card of the newest dataset."""
    return studio.page.locator("#dataset-cards > li").first


def status(studio: Studio) -> Locator:
    return newest(studio).locator(".dataset-status")


def wait_until_ready(studio: Studio) -> None:
    expect(status(studio)).to_contain_text("Ready: made in", timeout=DATASET_MS)


def download(studio: Studio) -> tuple[str, dict[str, bytes]]:
    """The name of the bundle, and its files, which are what its sums say."""
    with studio.page.expect_download() as waiting:
        newest(studio).get_by_text("Download ZIP").click()
    data = waiting.value.path().read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    sums = dict(reversed(line.split("  ")) for line in files["SHA256SUMS"].decode().splitlines())
    assert sums == {
        name: hashlib.sha256(content).hexdigest()
        for name, content in files.items()
        if name != "SHA256SUMS"
    }
    return waiting.value.suggested_filename, files


def test_from_the_wish_to_the_bundle_and_back(studio: Studio):
    page = studio.page
    go(studio)
    seed = str(2**63 - 1)  # rounded, were it ever a JavaScript number
    wish(studio, 6, 64, kidney=2, liver=1)
    expect(page.locator("#dataset-organs li").filter(has_text="kidney")).to_contain_text("4 tiles")
    page.locator("#dataset-seed").fill(seed)
    page.get_by_role("checkbox", name="GeoJSON").check()
    expect(page.locator("#dataset-estimate")).to_have_text("A ZIP of about 48 kB.")
    submit(studio)
    wait_until_ready(studio)
    expect(page.locator("#dataset-news")).to_contain_text("The dataset is ready: 6 tiles")
    facts = ("67 % kidney, 33 % liver", f"Seed {seed}", "Label PNG, COCO, GeoJSON")
    for fact in facts:
        expect(newest(studio)).to_contain_text(fact)

    name, files = download(studio)
    assert name == f"sian-6-{seed}.zip"
    made = json.loads(files["manifest.json"])
    assert made["tiles"] == {"kidney": 4, "liver": 2}
    assert str(made["request"]["seed"]) == seed
    assert len([name for name in files if name.startswith("geojson/")]) == 6
    link = newest(studio).get_by_text("Download ZIP")
    expect(link).to_have_attribute("href", re.compile("^datasets/[0-9a-f]+/bundle$"))

    reload(studio)
    wait_until_ready(studio)
    for fact in facts:
        expect(newest(studio)).to_contain_text(fact)
    newest(studio).get_by_role("button", name="Use these settings").click()
    expect(page.locator("#dataset-seed")).to_have_value(seed)
    expect(page.get_by_role("checkbox", name="breast", exact=True)).not_to_be_checked()
    submit(studio)
    expect(page.locator("#dataset-cards > li")).to_have_count(2)
    wait_until_ready(studio)
    assert download(studio)[1] == files


def test_progress_is_seen_and_a_dataset_canceled(studio: Studio):
    go(studio)
    wish(studio, 60, 256)
    submit(studio)
    expect(status(studio)).to_have_text(
        re.compile(r"^[1-9]\d* of 60 tiles\. [\d.]+ tiles a \w+, about \d+ (s|min) left\.$"),
        timeout=DATASET_MS,
    )
    bar = newest(studio).get_by_role("progressbar")
    assert 0 < float(bar.get_attribute("value") or 0) < 60

    reload(studio)  # it goes on meanwhile, and is followed again
    expect(status(studio)).to_contain_text(" of 60 tiles.", timeout=DATASET_MS)
    newest(studio).get_by_role("button", name="Cancel").click()
    dialog = studio.page.get_by_role("dialog", name="Cancel the dataset?")
    dialog.get_by_role("button", name="Go on with it").click()
    expect(newest(studio).get_by_role("button", name="Cancel")).to_be_focused()
    newest(studio).get_by_role("button", name="Cancel").click()
    dialog.get_by_role("button", name="Cancel the dataset").click()
    expect(status(studio)).to_have_text(
        re.compile(r"^Canceled after \d+ of 60 tiles\.$"), timeout=DATASET_MS
    )
    expect(bar).to_be_hidden()
    expect(newest(studio).get_by_text("Download ZIP")).to_have_count(0)
    expect(newest(studio).get_by_role("button", name="Use these settings")).to_be_focused()


def test_a_cancellation_that_comes_too_late_takes_nothing(studio: Studio, server):
    page = studio.page
    page.route("**/datasets/*/events", lambda route: None)  # the page hears of no progress
    go(studio)
    wish(studio, 1, 64, kidney=1)
    with page.expect_response("**/datasets") as accepted:
        submit(studio)
    server.finished(accepted.value.json()["links"]["self"])
    newest(studio).get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog", name="Cancel the dataset?")
    dialog.get_by_role("button", name="Cancel the dataset").click()
    wait_until_ready(studio)
    assert "images/000000.png" in download(studio)[1]


def test_removed_here_and_elsewhere(studio: Studio, server):
    page = studio.page
    studio.provoked = {"404", "410"}
    go(studio)
    for count in (1, 2):
        wish(studio, 1, 64, kidney=1)
        submit(studio)
        expect(page.locator("#dataset-cards > li")).to_have_count(count)
        wait_until_ready(studio)
    link = newest(studio).get_by_text("Download ZIP").get_attribute("href")
    assert link is not None
    newest(studio).get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("#dataset-cards > li")).to_have_count(1)
    expect(page.locator("#dataset-list-title")).to_be_focused()
    assert server.client.get(f"/{link}").status_code in (404, 410)

    link = newest(studio).get_by_text("Download ZIP").get_attribute("href")
    assert link is not None
    assert server.client.delete(f"/{link.removesuffix('/bundle')}").status_code == 204
    newest(studio).get_by_text("Download ZIP").click()  # is not there, and nothing is downloaded
    expect(status(studio)).to_contain_text("Expired or removed: the service no longer has it.")
    reload(studio)
    expect(status(studio)).to_contain_text("Expired or removed: the service no longer has it.")
    newest(studio).get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No dataset yet.")).to_be_visible()


def test_wrong_input_is_said(studio: Studio):
    page = studio.page
    go(studio)
    wish(studio, 2, 64)
    page.locator("#dataset-count").fill("0")
    submit(studio)
    expect(page.locator("#dataset-count")).to_be_focused()  # the browser says what is wrong
    page.locator("#dataset-count").fill("2")
    page.locator("#dataset-seed").fill(str(2**63))
    submit(studio)
    expect(studio.problem).to_contain_text("0 to 2^63 - 1")
    expect(page.locator("#dataset-seed")).to_be_focused()
    page.locator("#dataset-seed").fill("")
    page.get_by_role("button", name="None", exact=True).click()
    submit(studio)
    expect(studio.problem).to_contain_text("Choose at least one organ")
    page.get_by_role("checkbox", name="liver", exact=True).check()
    page.get_by_role("spinbutton", name="Weight of liver").fill("-1")
    submit(studio)
    expect(page.get_by_role("spinbutton", name="Weight of liver")).to_be_focused()
    assert not any(url.endswith("/datasets") for url in studio.requests)

    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_role("spinbutton", name="Weight of liver").fill("1")
    page.locator("#dataset-count").fill("10001")
    studio.provoked = {"422"}
    submit(studio)
    expect(studio.problem).to_contain_text("A field needs another value")
    expect(studio.problem).to_contain_text("up to 10000 tiles")  # the service's own sentence
    expect(page.get_by_text("No dataset yet.")).to_be_visible()


def test_a_service_that_limits_requests(serve, visit):
    studio = visit(serve(rate_limit="1/hour"))
    studio.provoked = {"429"}
    page = studio.page
    go(studio)
    wish(studio, 1, 64, kidney=1)
    submit(studio)
    wait_until_ready(studio)
    submit(studio)
    words = page.locator("#dataset-waiting-words")
    expect(words).to_contain_text("it limits how often it is asked. Next try in")
    page.get_by_role("button", name="Stop waiting").click()
    expect(words).to_be_hidden()
    expect(studio.problem).to_have_count(0)  # what the user wants is no problem
    expect(page.get_by_role("button", name="Make the dataset")).to_be_focused()
    expect(page.locator("#dataset-cards > li")).to_have_count(1)


def test_with_a_key_the_bundle_is_fetched(serve, visit):
    server = serve(api_keys=f"ward:{KEY}")
    studio = visit(server, wait=False)
    studio.provoked = {"401"}
    studio.page.goto(server.address)
    dialog = studio.page.get_by_role("dialog", name="API key")
    dialog.get_by_label("Key").fill(KEY)
    dialog.get_by_role("button", name="Use the key").click()
    studio.wait_until_ready()
    go(studio)
    wish(studio, 2, 64, kidney=1)
    studio.page.locator("#dataset-seed").fill("7")
    submit(studio)
    wait_until_ready(studio)
    name, files = download(studio)
    assert name == "sian-2-7.zip"
    assert json.loads(files["manifest.json"])["tiles"] == {"kidney": 2}
    wait_until_ready(studio)  # what the card says again


def test_by_keyboard_alone(studio: Studio):
    keyboard = studio.page.keyboard
    go(studio)
    keyboard.press("Tab")
    expect(studio.page.locator("#dataset-count")).to_be_focused()
    keyboard.press("Control+A")
    keyboard.type("1")
    keyboard.press("Tab")
    keyboard.press("Control+A")
    keyboard.type("64")
    keyboard.press("Tab")
    keyboard.press("Control+A")
    keyboard.type("64")
    keyboard.press("Enter")
    wait_until_ready(studio)
    for _ in range(60):
        keyboard.press("Tab")
        if studio.page.evaluate("document.activeElement.matches('a.button')"):
            break
    with studio.page.expect_download():
        keyboard.press("Enter")


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["1280", "390"])
def test_axe_finds_nothing_serious(visit, server, viewport):
    studio = visit(server, viewport=viewport)
    go(studio)
    check(studio)
    wish(studio, 2, 64, kidney=1)
    held: list[Route] = []  # so that the page hears of nothing while it is looked at
    studio.page.route("**/datasets/*/events", lambda route: held.append(route))
    with studio.page.expect_request("**/datasets/*/events"):
        submit(studio)
    expect(status(studio)).to_have_text(re.compile(r"^Queued\.$|^0 of 2 tiles\."))
    check(studio)
    held[0].continue_()
    wait_until_ready(studio)
    studio.page.locator("#dataset-seed").fill("none")
    submit(studio)
    expect(studio.problem).to_be_visible()
    check(studio)
    newest(studio).get_by_role("button", name="Remove").click()
    expect(studio.page.get_by_role("dialog")).to_be_visible()
    check(studio)
