import pytest

from app.rate_limit import RateLimit, _client
from model.errors import RateLimited, SettingsInvalid, StoreUnavailable

WARD, LAB = "0123456789abcdef", "fedcba9876543210"


@pytest.fixture(params=["memory", "redis"])
def limit(request):
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    made = []

    def limit(text):
        made.append(RateLimit(text, url))
        return made[-1]

    yield limit
    for rate_limit in made:
        rate_limit.close()


def test_counts_each_client_on_its_own(limit):
    rate_limit = limit("2/day")
    for client in ("ward", "ward", "lab", "lab"):
        rate_limit.hit(client)
    for client in ("ward", "lab"):
        with pytest.raises(RateLimited, match="2/day") as refusal:
            rate_limit.hit(client)
        assert 1 <= refusal.value.retry_after_s <= 86400


def test_several_limits_hold_together(limit):
    rate_limit = limit("100/day;1/hour")
    rate_limit.hit("ward")
    with pytest.raises(RateLimited) as refusal:
        rate_limit.hit("ward")
    assert refusal.value.retry_after_s <= 3600


@pytest.mark.parametrize("text", ["3/minute;1/hour", "1/hour;3/minute"])
def test_what_one_limit_refuses_does_not_use_up_another(limit, text):
    rate_limit = limit(text)
    rate_limit.hit("ward")
    for _ in range(5):
        with pytest.raises(RateLimited):
            rate_limit.hit("ward")
    minute = next(each for each in rate_limit._limits if each.amount == 3)
    assert rate_limit._limiter.get_window_stats(minute, "ward").remaining == 2


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unknown", "unknown"),
    ],
)
def test_who_counts_as_one_client(address, counted_as):
    scope = {"state": {"client": None}, "client": (address, 1234)}
    assert _client(scope) == f"address {counted_as}"
    assert _client({"state": {"client": "ward"}, "client": (address, 1)}) == "key ward"


def test_front_ends_count_together(redis_url):
    first, second = RateLimit("1/day", redis_url), RateLimit("1/day", redis_url)
    first.hit("ward")
    with pytest.raises(RateLimited):
        second.hit("ward")
    first.close()
    second.close()


def test_an_outage_of_redis(own_redis):
    rate_limit = RateLimit("1/day", own_redis.url)
    own_redis.freeze()
    with pytest.raises(StoreUnavailable):
        rate_limit.hit("ward")
    own_redis.thaw()
    own_redis.kill()
    with pytest.raises(StoreUnavailable):
        rate_limit.hit("ward")
    rate_limit.close()


def test_a_url_that_is_none():
    with pytest.raises(SettingsInvalid, match="SIAN_BROKER_URL"):
        RateLimit("1/day", "http://localhost")


def test_over_http(start, mask_file):
    client = start(rate_limit="1/day", api_keys=f"ward:{WARD},lab:{LAB}")

    def post(key):
        fields = {"organ": "kidney"}
        headers = {"X-API-Key": key}
        return client.post("/synthesize", files=mask_file, data=fields, headers=headers)

    assert [post(WARD).status_code, post(LAB).status_code] == [200, 200]
    refused = post(WARD)
    assert refused.status_code == 429
    assert refused.json()["code"] == "rate_limited"
    assert int(refused.headers["Retry-After"]) >= 1
    assert client.get("/styles", headers={"X-API-Key": WARD}).status_code == 200
    # A request without a key is nobody's.
    assert post("wrong").status_code == 401


def test_without_keys_an_address_is_a_client(start, mask_file):
    client = start(rate_limit="1/day")
    codes = [
        client.post("/synthesize", files=mask_file, data={"organ": "kidney"}).status_code
        for _ in range(2)
    ]
    assert codes == [200, 429]


def test_datasets_count(start):
    client = start(rate_limit="1/day")
    wish = {"count": 1, "organs": ["kidney"], "width": 64, "height": 64}
    assert [client.post("/datasets", json=wish).status_code for _ in range(2)] == [202, 429]
