"""The connection to Redis that job records, worker records and rate limits share."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from model.errors import SettingsInvalid, StoreUnavailable

_TIMEOUT_S = 1.0
RETRY_AFTER_S = 5

logger = logging.getLogger(__name__)


def connect(url: str) -> redis.Redis:
    """A client that gives up after a second. redis-py's own defaults try for almost a minute,
    and a request that waits for it is better answered 503.

    Connects when it is first used.

    Raises:
        SettingsInvalid: not a Redis URL. Quotes nothing of it: where a password cuts the URL, any
            part may be the password's.
    """
    try:
        _check_whole(url)
        return redis.Redis.from_url(
            url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        raise SettingsInvalid(
            "SIAN_BROKER_URL is not a Redis URL, such as redis://:PASSWORD@localhost:6379/0; "
            "percent-encode / ? # @ in the password."
        ) from None


def _check_whole(url: str) -> None:
    """A password with / ? or # ends the address early. What is left of it may be one all the
    same, of another server, with the @ somewhere behind it."""
    parts = urlsplit(url)
    if "@" in parts.path + parts.query or parts.fragment:
        raise ValueError


@contextmanager
def mapped() -> Iterator[None]:
    """Whatever goes wrong with Redis becomes StoreUnavailable. Clients are shown that, so it is
    the log that has the cause, with addresses."""
    try:
        yield
    except redis.RedisError as error:
        logger.warning("Redis does not answer as it should: %s", error)
        raise StoreUnavailable(
            "The job records in Redis cannot be used now; try again in a moment.",
            retry_after_s=RETRY_AFTER_S,
        ) from error
