"""How many requests for tiles, styles, masks and datasets each client may send."""

import math
import time
from ipaddress import IPv6Address, IPv6Network, ip_address

import anyio.to_thread
from fastapi import Request
from limits import parse_many
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from app.problems import on_sian_error
from model.errors import RateLimited, TryAgainLater

_COUNTED = frozenset({"/synthesize", "/styles", "/masks", "/masks/convert", "/datasets"})
"""Where a POST is work."""


class RateLimit:
    """Counts in Redis, so that several front ends count together, or in this process.

    Args:
        limit: such as ``120/minute``, or several: ``10/second;1000/hour``.
        broker_url: of Redis; None counts here.

    Raises:
        SettingsInvalid: not a Redis URL.
    """

    def __init__(self, limit: str, broker_url: str | None) -> None:
        self._limits = parse_many(limit)
        self._text = limit
        self._redis = None
        if broker_url is None:
            storage: MemoryStorage | RedisStorage = MemoryStorage()
        else:
            from worker.redis_client import connect

            self._redis = connect(broker_url)
            storage = RedisStorage(
                "redis://",  # unused: the pool says where and how
                connection_pool=self._redis.connection_pool,
                key_prefix="sian:rate",
            )
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    def hit(self, client: str) -> None:
        """Count a request.

        Raises:
            RateLimited: it is one too many.
            StoreUnavailable: Redis cannot be reached.
        """
        if self._redis is None:
            self._hit(client)
            return
        from worker.redis_client import mapped

        with mapped():
            self._hit(client)

    def close(self) -> None:
        if self._redis is not None:
            self._redis.close()

    def _hit(self, client: str) -> None:
        # What one limit refuses does not count for the others.
        refused = [limit for limit in self._limits if not self._limiter.test(limit, client)]
        for limit in refused or self._limits:
            if refused or not self._limiter.hit(limit, client):
                resets_at, _ = self._limiter.get_window_stats(limit, client)
                raise RateLimited(
                    f"More than {self._text} requests for tiles, styles, masks and datasets were "
                    "sent; wait a little.",
                    retry_after_s=max(1, math.ceil(resets_at - time.time())),
                )


class RateLimiting:
    """Refuses requests for tiles, styles, masks and datasets that are too many, before their body
    is read. Of an API key where keys are set, else of an address."""

    def __init__(self, app: ASGIApp, *, rate_limit: RateLimit) -> None:
        self.app = app
        self.rate_limit = rate_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in _COUNTED:
            try:
                await anyio.to_thread.run_sync(self.rate_limit.hit, _client(scope))
            except TryAgainLater as error:
                response = await on_sian_error(Request(scope), error)
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _client(scope: Scope) -> str:
    if (name := scope["state"]["client"]) is not None:
        return f"key {name}"
    address = scope.get("client")
    return f"address {_network(address[0]) if address else ''}"


def _network(address: str) -> str:
    """What belongs to one client: an IPv4 address, or the /64 that an IPv6 address is from."""
    try:
        found = ip_address(address)
    except ValueError:  # of a proxy that says something else
        return address
    if isinstance(found, IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped or IPv6Network((int(found) >> 64 << 64, 64)))
    return str(found)
