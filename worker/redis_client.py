"""The connection to Redis that job records, worker records and rate limits share."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from model.errors import SettingsInvalid, StoreUnavailable

_TIMEOUT_S = 1.0
RETRY_AFTER_S = 5


def connect(url: str) -> redis.Redis:
    """A client that gives up after a second. redis-py's own defaults try for almost a minute,
    and a request that waits for it is better answered 503.

    Connects when it is first used.

    Raises:
        SettingsInvalid: not a Redis URL.
    """
    try:
        return redis.Redis.from_url(
            url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise SettingsInvalid(f"SIAN_BROKER_URL: {error}.") from None


@contextmanager
def mapped() -> Iterator[None]:
    """Whatever goes wrong with Redis becomes StoreUnavailable."""
    try:
        yield
    except redis.RedisError as error:
        raise StoreUnavailable(
            f"Redis does not answer as it should ({error}); try again in a moment.",
            retry_after_s=RETRY_AFTER_S,
        ) from error
