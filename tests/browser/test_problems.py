"""What can go wrong is said in words, with what to do about it."""

import json
import signal

import numpy as np
from playwright.sync_api import Route, expect

from app.main import create_app
from app.problems import HTTP_CODES, OUTCOMES
from app.settings import Settings
from tests.browser.studio import TILE_MS, Studio
from tests.fakes import mask_png, png, small_checkpoint
from tests.waiting import observed

KEY = "Qm9vdHN0cmFwcGVk0815"


def test_every_code_has_words(studio: Studio, tmp_path):
    app = create_app(Settings.load(checkpoint=small_checkpoint(tmp_path), data_dir=tmp_path))
    documented = json.dumps(app.openapi())
    codes = {error.code for error in OUTCOMES} | set(HTTP_CODES.values()) | {"http_error"}
    sent = {code for code in codes if f'"{code}"' in documented} | {"http_error"}
    assert len(sent) > 40
    words = studio.page.evaluate("async () => (await import('/studio/service/words.js')).WORDS")
    assert sent - set(words) == set()
    assert set(words) - codes == {"unreachable", "gallery_full", "page_mistake"}
    for code, entry in words.items():
        assert entry["title"], code
        assert entry["advice"].endswith("."), code


def test_a_binary_mask_becomes_nuclei(studio: Studio, tmp_path):
    studio.provoked = {"422"}
    binary = np.zeros((64, 64), np.uint8)
    binary[4:20, 4:20] = binary[30:50, 30:50] = 255
    path = tmp_path / "binary.png"
    path.write_bytes(png(binary))
    studio.open_mask(path)
    expect(studio.problem).to_contain_text("All nuclei share one value")
    expect(studio.problem).to_contain_text("255")  # the service's own sentence
    studio.problem.get_by_role("button", name="Make each region a nucleus").click()
    studio.expect_mask(64, 64, "2 nuclei")
    expect(studio.problem).to_have_count(0)
    studio.make()  # with the file as it is: the service labels it again


def test_a_file_that_is_no_mask(studio: Studio, tmp_path):
    studio.provoked = {"422"}
    path = tmp_path / "notes.txt"
    path.write_text("These are no nuclei.")
    studio.open_mask(path)
    expect(studio.problem).to_contain_text("This file cannot be read as a mask")
    expect(studio.problem).to_contain_text("mask_unreadable")
    studio.expect_mask(256, 256, "85 nuclei")  # what was there before


def test_styles_that_could_not_be_loaded_are_asked_for_again(visit, server):
    studio = visit(server, wait=False)
    studio.provoked = {"net::ERR_"}
    studio.page.route("**/styles", lambda route: route.abort(), times=1)
    studio.open()
    hint = studio.page.locator("#dataset-organs-hint")
    expect(hint).to_contain_text("could not be loaded")
    studio.page.locator("#style-problem").get_by_role("button", name="Try again").click()
    expect(studio.page.locator("#organs input")).to_have_count(7)
    expect(studio.page.locator("#dataset-organ-list input[type=checkbox]")).to_have_count(7)
    expect(studio.page.locator("#draw-organ option", has_text="kidney")).to_have_count(1)
    expect(hint).to_contain_text("The number is a weight")


def test_the_page_works_without_its_example(visit, server):
    studio = visit(server, wait=False)
    studio.provoked = {"net::ERR_"}
    studio.page.route("**/example/mask.npy", lambda route: route.abort())
    studio.open()
    studio.expect_mask(512, 512, "0 nuclei")
    expect(studio.page.get_by_role("application", name="Instance mask")).to_be_visible()
    expect(studio.group("Organ").get_by_role("radio", name="breast")).to_be_checked()
    expect(studio.problem).to_have_count(0)


def test_an_example_that_comes_late_replaces_nothing(visit, server):
    studio = visit(server, wait=False)
    late: list[Route] = []
    studio.page.route("**/example/mask.npy", lambda route: late.append(route))
    studio.page.goto(server.address)
    expect(studio.page.locator("#organs input")).to_have_count(7)  # without waiting for it
    studio.choose("Where the mask comes from", "Draw")
    studio.page.get_by_role("button", name="Start empty").click()
    late[0].continue_()
    studio.wait_until_ready()
    studio.expect_mask(256, 256, "0 nuclei \u00b7 drawn")
    expect(studio.page.get_by_role("application", name="Instance mask")).to_be_visible()


def test_a_style_that_is_chosen_before_the_styles_are_there(studio: Studio):
    page = studio.page
    studio.choose("Organ", "kidney")
    studio.make()
    late: list[Route] = []
    page.route("**/styles", lambda route: late.append(route))
    page.reload()
    page.get_by_role("link", name="Gallery").click()
    page.get_by_role("button", name="Open: kidney").click()
    expect(page.locator("#tile-facts")).to_contain_text("Style kidney")
    late[0].continue_()
    studio.wait_until_ready()
    expect(studio.group("Organ").get_by_role("radio", name="kidney")).to_be_checked()


def test_a_seed_that_is_none(studio: Studio):
    studio.page.get_by_label("Seed", exact=True).fill(str(2**63))
    studio.start()
    expect(studio.problem).to_contain_text("0 to 2^63 - 1")
    assert not any("synthesize" in url for url in studio.requests)


def test_a_server_that_is_gone(serve, visit):
    server = serve()
    studio = visit(server)
    studio.provoked = {"net::ERR_"}
    studio.page.get_by_label("Tiles", exact=True).fill("16")
    studio.start()
    expect(studio.progress).to_contain_text("Painting", timeout=TILE_MS)
    server.stop(signal.SIGKILL)  # amid the events
    expect(studio.progress).to_contain_text("Connecting again")
    studio.page.get_by_role("button", name="Cancel").click()
    expect(studio.problem).to_contain_text("The service does not answer")
    studio.problem.get_by_role("button", name="Try again").click()
    expect(studio.problem).to_contain_text("The service does not answer")
    expect(studio.page.get_by_role("button", name="Make the tile")).to_be_enabled()


def test_a_full_queue_and_a_job_that_is_canceled(serve, visit):
    server = serve(queue_limit=1, max_batch=1)
    studio = visit(server)
    large = mask_png(512)
    wish = {"organ": "kidney", "n": "16"}  # half a minute a job: none ends meanwhile
    accepted = []

    def is_full():
        answer = server.synthesize(large, headers={"Prefer": "respond-async"}, **wish)
        if answer.status_code == 202:
            accepted.append(answer.headers["Location"])
        metrics = server.client.get("/metrics").text
        states = {"running": 2, "queued": 1}.items()
        return all(f'sian_job_records{{state="{name}"}} {n}' in metrics for name, n in states)

    observed(is_full)
    studio.provoked = {"429"}
    studio.start()
    expect(studio.progress).to_contain_text("its queue is full. Next try in")
    studio.page.get_by_role("button", name="Stop waiting").click()
    expect(studio.progress).to_be_hidden()
    expect(studio.problem).to_have_count(0)  # what the user wants is no problem

    server.client.delete(accepted.pop())
    studio.page.get_by_label("Tiles", exact=True).fill("16")
    studio.start()
    expect(studio.progress).to_contain_text("Queued", timeout=TILE_MS)
    studio.page.get_by_role("button", name="Cancel").click()
    expect(studio.page.get_by_text("Canceled: nothing was kept.")).to_be_visible()
    expect(studio.page.get_by_role("button", name="Make the tile")).to_be_focused()


WATCH = """() => {
    window.said = [];
    const watch = (changes) => {
        for (const { addedNodes } of changes)
            window.said.push(...[...addedNodes].map((node) => node.data));
    };
    const words = document.querySelector("#progress-words");
    new MutationObserver(watch).observe(words, { childList: true });
}"""
"""Notes all that the progress says, however short."""


def test_a_busy_service_is_asked_again(studio: Studio):
    refused: list[str] = []

    def on_synthesize(route: Route) -> None:
        if refused:
            route.continue_()
            return
        refused.append(route.request.url)
        problem = {"code": "rate_limited", "detail": "More than 1 request a second."}
        headers = {"Retry-After": "2", "Content-Type": "application/problem+json"}
        route.fulfill(status=429, headers=headers, body=json.dumps(problem))

    studio.provoked = {"429"}
    studio.page.route("**/synthesize", on_synthesize)
    studio.page.evaluate(WATCH)
    studio.make()
    waits = [words for words in studio.page.evaluate("said") if "Next try" in words]
    assert [words.rpartition("Next try in ")[2] for words in waits] == ["2 s.", "1 s."]
    assert len(refused) == 1


def test_a_connection_that_breaks_goes_on_after_the_last_event(studio: Studio):
    asked: list[str | None] = []

    def on_events(route: Route) -> None:
        asked.append(route.request.headers.get("last-event-id"))
        if len(asked) > 1:
            route.continue_()
            return
        path = route.request.url.removesuffix("/events")
        job = {**studio.page.request.get(path).json(), "status": "running"}
        body = f"retry: 50\n\nevent: job\ndata: {json.dumps(job)}\nid: 1-0\n\nevent: jo"
        route.fulfill(body=body, content_type="text/event-stream")

    studio.page.route("**/events", on_events)
    studio.make()
    assert asked == [None, "1-0"]


def test_a_proxy_whose_service_restarts_is_asked_again(studio: Studio):
    answers: list[dict] = [{"body": "retry: 50\n\n", "content_type": "text/event-stream"}]
    answers += [
        {"status": status, "body": "<h1>Away</h1>", "content_type": "text/html"}
        for status in (502, 503, 504)
    ]

    def on_events(route: Route) -> None:
        if answers:
            route.fulfill(**answers.pop(0))
        else:
            route.continue_()

    studio.provoked = {"502", "503", "504"}
    studio.page.route("**/events", on_events)
    studio.make()
    assert answers == []


def test_a_service_that_needs_a_key(serve, visit):
    server = serve(api_keys=f"ward:{KEY}")
    studio = visit(server, wait=False)
    studio.provoked = {"401"}
    studio.page.goto(server.address)
    dialog = studio.page.get_by_role("dialog", name="API key")
    dialog.get_by_label("Key").fill("wrong-key-0123456789")
    dialog.get_by_role("button", name="Use the key").click()
    expect(dialog).to_contain_text("does not know the key")
    typed = dialog.get_by_label("Key")
    typed.fill(f"\u043a{KEY}")  # no header can carry it
    dialog.get_by_role("button", name="Use the key").click()
    assert typed.evaluate("(input) => input.validity.patternMismatch")
    studio.page.evaluate("sessionStorage.setItem('sian-api-key', '\u043a')")  # of an older page
    studio.page.reload()
    expect(dialog).to_contain_text("This service needs an API key")
    typed.fill(f" {KEY} ")
    dialog.get_by_role("button", name="Use the key").click()
    studio.wait_until_ready()
    studio.make()
    studio.open()  # the key is kept as long as the tab
    expect(dialog).to_be_hidden()
