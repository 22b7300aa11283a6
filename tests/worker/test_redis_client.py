import logging

import pytest

from model.errors import SettingsInvalid, StoreUnavailable
from worker.redis_client import connect, mapped

PASSWORDS = [
    "hunter2/secret",
    "hunter2#secret",
    "hunter2?secret",
    "hunter2@sec/ret",
    "hunter2@sec#ret",
    "hunter2[secret",
    # Before the cut stands what could be a port.
    "12345/secret",
    "12345#secret",
    "12345?secret",
]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("user", ["", "me"])
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_password_that_cuts_the_url_is_refused_and_not_shown(scheme, user, password):
    with pytest.raises(SettingsInvalid, match="SIAN_BROKER_URL") as refusal:
        connect(f"{scheme}://{user}:{password}@redis.lab:6379/0")
    assert "percent-encode / ? # @" in str(refusal.value)
    for part in ("hunter2", "sec", "ret", "12345", "redis.lab"):
        assert part not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("redis://:a%2Fb%23c%40d%3Fe@redis.lab:6379/1", "a/b#c@d?e"),
        ("rediss://me:a@b@redis.lab:6379/1", "a@b"),
        ("redis://redis.lab:6379/1", None),
    ],
)
def test_a_password_that_does_not(url, password):
    with connect(url) as client:
        known = client.connection_pool.connection_kwargs
    assert (known["host"], known["port"], known["db"]) == ("redis.lab", 6379, 1)
    assert known.get("password") == password


def test_the_log_has_the_cause_and_the_error_does_not(own_redis, caplog):
    caplog.set_level(logging.WARNING)
    own_redis.kill()
    port = own_redis.url.rpartition(":")[2].partition("/")[0]
    with (
        connect(own_redis.url) as client,
        pytest.raises(StoreUnavailable, match=r"Redis .* try again") as refusal,
        mapped(),
    ):
        client.ping()
    assert port not in str(refusal.value)
    assert port in caplog.text
    assert "refused" in caplog.text
