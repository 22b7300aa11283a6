"""The list of datasets and a service whose answers come when the test wants them to."""

import json
import re
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Route, expect

from tests.browser.studio import Studio

ADDRESSES = re.compile(r"/datasets/\d+(/events)?(\?|$)")
KEEP = "(all) => { for (const [key, entry] of Object.entries(all)) localStorage[key] = entry; }"


def dataset(number: int, status: str = "running") -> dict:
    """Its document; canceled or being made."""
    path, time = f"/datasets/{number}", f"2026-01-0{number}T00:00:00Z"
    ended = status == "canceled"
    return {
        "id": str(number), "status": status, "error": None, "count": 4,
        "progress": {"done": 1, "total": 4, "unit": "tiles"}, "organs": {"kidney": 1.0},
        "width": 64, "height": 64, "seed": 7, "formats": ["coco"], "parts": 1,
        "created_at": time, "started_at": time, "finished_at": time if ended else None,
        "expires_at": time if ended else None,
        "links": {"self": path, "events": f"{path}/events", "bundle": None,
                  "cancel": None if ended else f"{path}?only=cancel",
                  "remove": path if ended else None},
    }  # fmt: skip


def keep(studio: Studio, *datasets: dict) -> None:
    """In the browser's list."""
    entries = {
        f"sian-dataset-{each['id']}": json.dumps({"dataset": each, "gone": False})
        for each in datasets
    }
    studio.page.evaluate(KEEP, entries)
    reload(studio)


def reload(studio: Studio) -> None:
    studio.page.reload()
    studio.wait_until_ready()


def press(studio: Studio, name: str, *, confirm: str | None = None) -> None:
    """A button of the newest dataset, and one of the question that follows."""
    cards(studio).first.get_by_role("button", name=name).click()
    if confirm is not None:
        dialog = studio.page.get_by_role("dialog")
        dialog.get_by_role("button", name=confirm, exact=True).click()


def cards(studio: Studio) -> Locator:
    return studio.page.locator("#dataset-cards > li")


def test_what_was_removed_does_not_come_back(studio: Studio):
    """One of which the service tells late, and one that waits for its turn to be followed."""
    page = studio.page
    late: dict[str, Route] = {}

    def answer(route: Route) -> None:
        url = urlsplit(route.request.url)
        if route.request.method == "DELETE" and not url.query:
            route.fulfill(status=204)
        elif route.request.method == "DELETE":
            route.fulfill(json=dataset(3, "canceled"))
        elif url.path.endswith("/events") or url.path == "/datasets/4":
            late[url.path] = route
        else:
            route.fulfill(json=dataset(int(url.path.rpartition("/")[2])))

    fourth = dataset(4)
    fourth["links"]["cancel"] = "/datasets/4"  # of an older service, which removes what has ended
    page.route(ADDRESSES, answer)
    keep(studio, *map(dataset, (1, 2, 3)), fourth)
    page.get_by_role("link", name="Datasets").click()
    press(studio, "Cancel", confirm="Cancel the dataset")
    expect(cards(studio).first).to_contain_text("Expired or removed")
    press(studio, "Remove")
    expect(cards(studio)).to_have_count(3)
    studio.provoked = {"410"}
    with page.expect_request("**/datasets/2/events"):
        late["/datasets/4"].fulfill(status=410, json={"code": "job_expired", "detail": "Gone."})

    press(studio, "Cancel", confirm="Cancel the dataset")
    press(studio, "Remove", confirm="Remove")
    expect(cards(studio)).to_have_count(2)
    body = f"event: dataset\ndata: {json.dumps(dataset(1, 'canceled'))}\nid: 9\n\n"
    late["/datasets/1/events"].fulfill(body=body, content_type="text/event-stream")
    expect(page.locator("#dataset-news")).to_contain_text("The dataset was canceled")
    assert not any(url.endswith("/datasets/3/events") for url in studio.requests)
    reload(studio)
    expect(cards(studio)).to_have_count(2)


def test_what_went_wrong_with_one_that_is_finished_stays(studio: Studio):
    def answer(route: Route) -> None:
        if route.request.url.endswith("/2"):
            route.fulfill(status=500, json={"code": "internal_error", "detail": "A defect."})
        else:
            route.fulfill(json=dataset(1, "canceled"))

    studio.provoked = {"500"}
    studio.page.route(ADDRESSES, answer)
    keep(studio, dataset(1, "canceled"), dataset(2, "canceled"))
    with studio.page.expect_response("**/datasets/1"):  # looked at after the other
        studio.page.get_by_role("link", name="Datasets").click()
    expect(cards(studio).first).to_contain_text("The service has a defect")
