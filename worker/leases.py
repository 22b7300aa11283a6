"""Holds on to the claims of the jobs that run here."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from model.errors import StoreUnavailable
from worker.jobs import Claim, JobStore

_FRESH_S = 1.0
"""A claim that was known to hold so recently isn't asked about again."""

logger = logging.getLogger(__name__)


@dataclass
class _Lease:
    claim: Claim
    renewed_at: float


class Leases:
    """Renews all claims from a thread of its own, three times in the length of a lease.

    may_renew: asked each time, in that thread. A worker that makes no progress lets go of its
        jobs, so that another takes them.
    """

    def __init__(self, jobs: JobStore, *, lease_s: float, may_renew: Callable[[], bool]) -> None:
        self._jobs = jobs
        self._lease_s = lease_s
        self._may_renew = may_renew
        self._lock = threading.Lock()
        self._leases: dict[str, _Lease] = {}
        self._store_is_away = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sian-leases", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread. May be called again."""
        self._stopping.set()
        if self._thread.ident is not None and threading.current_thread() is not self._thread:
            self._thread.join()

    @contextmanager
    def holding(self, claim: Claim, *, since: float) -> Iterator[None]:
        """Keep a claim renewed.

        since: a moment on the monotonic clock before the store gave the claim.
        """
        with self._lock:
            # Who has a job anew has lost it before, and the store names jobs and not claims.
            for token, lease in list(self._leases.items()):
                if lease.claim.job.id == claim.job.id:
                    del self._leases[token]
            self._leases[claim.token] = _Lease(claim, since)
        try:
            yield
        finally:
            self.drop(claim)

    def drop(self, claim: Claim) -> bool:
        """Stop renewing; the claim is lost or of no more use. Whether it was held until now."""
        with self._lock:
            return self._leases.pop(claim.token, None) is not None

    def wanted(self, tokens: set[str]) -> set[str]:
        """Those whose claims still hold. Asks the store, once for all that it was not asked
        about in the last second; while it is away, what is known must do."""
        alive = self._alive(tokens)
        before = time.monotonic() - _FRESH_S
        stale = [lease for lease in alive.values() if lease.renewed_at < before]
        if stale and not self._store_is_away:
            self._renew(stale)
            return set(self._alive(tokens))
        return set(alive)

    def _alive(self, tokens: set[str]) -> dict[str, _Lease]:
        now = time.monotonic()
        with self._lock:
            return {
                token: lease
                for token in tokens
                if (lease := self._leases.get(token)) and now < lease.renewed_at + self._lease_s
            }

    def _run(self) -> None:
        while not self._stopping.wait(self._lease_s / 3):
            with self._lock:
                leases = list(self._leases.values())
            try:
                if self._may_renew() and leases:
                    self._renew(leases)
            except Exception:
                logger.exception("leases could not be renewed")

    def _renew(self, leases: list[_Lease]) -> None:
        now = time.monotonic()
        try:
            held = self._jobs.renew([lease.claim for lease in leases], lease_s=self._lease_s)
        except StoreUnavailable as error:
            if not self._store_is_away:
                logger.warning("leases cannot be renewed: %s", error)
            self._store_is_away = True
            return
        self._store_is_away = False
        for lease in leases:
            if lease.claim.job.id in held:
                lease.renewed_at = now
            elif self.drop(lease.claim):
                logger.info("job %s is no longer held", lease.claim.job.id)
