import pytest

from app.negotiation import choose, preferred_wait

PNG, JSON = "image/png", "application/json"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, PNG),
        ("", PNG),
        ("*/*", PNG),
        (BROWSER, PNG),
        ("image/png", PNG),
        ("IMAGE/PNG", PNG),
        ("image/*", PNG),
        ("application/json", JSON),
        ("application/*", JSON),
        ("application/json, */*;q=0.5", JSON),
        ("image/png;q=0.5, application/json", JSON),
        ("image/png, application/json;q=0.5", PNG),
        ("image/png;q=0, */*", JSON),
        ("*/*, image/png;q=0.1", JSON),
        ("text/html", None),
        ("image/png;q=0", None),
        ("image/png;q=nonsense", None),
        ("image/png;q=nan", None),
        (",;,", None),
    ],
)
def test_chooses_by_the_accept_header(accept, chosen):
    assert choose(accept, (PNG, JSON)) == chosen


def test_offers_only_what_there_is():
    assert choose("image/png", (JSON,)) is None
    assert choose("image/png, */*;q=0.1", (JSON,)) == JSON
    assert choose(None, (JSON,)) == JSON


@pytest.mark.parametrize(
    ("prefer", "wait_s", "applied"),
    [
        (None, 60, None),
        ("", 60, None),
        ("respond-async", 0, "respond-async"),
        ("Respond-Async", 0, "respond-async"),
        ("wait=5", 5, "wait=5"),
        ('wait="5"', 5, "wait=5"),
        ("wait = 5", 5, "wait=5"),
        ("wait=0", 0, "wait=0"),
        ("wait=600", 60, "wait=60"),
        ("wait=" + "9" * 5000, 60, "wait=60"),
        ("foo; bar=1, wait=5", 5, "wait=5"),
        ("respond-async, wait=5", 5, "respond-async, wait=5"),
        ("wait=5, respond-async", 5, "respond-async, wait=5"),
        ("respond-async, wait=600", 60, "respond-async, wait=60"),
        ("respond-async, wait=soon", 0, "respond-async"),
        ("wait=5, wait=9", 5, "wait=5"),
        ("wait", 60, None),
        ("wait=-1", 60, None),
        ("wait=soon", 60, None),
        ("wait=٣", 60, None),
        ("return=minimal", 60, None),
        ('garbage="', 60, None),
        (",,;=", 60, None),
    ],
)
def test_how_long_to_wait(prefer, wait_s, applied):
    assert preferred_wait(prefer, longest_s=60) == (wait_s, applied)


def test_a_header_of_blanks_costs_nothing():
    """It would hold up everybody else for minutes if a blank could be matched in two places."""
    assert preferred_wait("a" + " " * 100_000 + "(", longest_s=60) == (60, None)
    assert preferred_wait("a=1" + " " * 100_000 + "(", longest_s=60) == (60, None)
