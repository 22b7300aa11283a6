import threading
import time

import pytest

from model.errors import StoreUnavailable
from worker.jobs import JobState
from worker.leases import Leases

PATIENCE_S = 30
LONG_S = 3600.0


@pytest.fixture
def leases(jobs):
    made = []

    def make(*, lease_s=LONG_S, may_renew=lambda: True):
        made.append(Leases(jobs, lease_s=lease_s, may_renew=may_renew))
        return made[-1]

    yield make
    for leases in made:
        leases.stop()


def claim_of(jobs, job_id, lease_s=LONG_S):
    claim = jobs.start(job_id, lease_s=lease_s)
    assert claim is not None
    return claim


class Renewals:
    """Counts the calls of ``renew``; all of them fail while ``is_away``."""

    def __init__(self, jobs, monkeypatch):
        self.sizes = []
        self.is_away = False
        self.happened = threading.Condition()
        self._renew = jobs.renew
        monkeypatch.setattr(jobs, "renew", self)

    def __call__(self, claims, *, lease_s):
        with self.happened:
            self.sizes.append(len(claims))
            self.happened.notify_all()
        if self.is_away:
            raise StoreUnavailable("away", retry_after_s=1)
        return self._renew(claims, lease_s=lease_s)

    def wait_for(self, count):
        with self.happened:
            assert self.happened.wait_for(lambda: len(self.sizes) >= count, PATIENCE_S)


@pytest.fixture
def renewals(jobs, monkeypatch):
    return Renewals(jobs, monkeypatch)


def test_renews_what_is_held_again_and_again(leases, jobs, accept, renewals):
    held = leases(lease_s=0.03)
    claim = claim_of(jobs, accept())
    held.start()
    with held.holding(claim, since=-LONG_S):
        renewals.wait_for(6)
        assert held._leases[claim.token].renewed_at > -LONG_S
    assert held.wanted({claim.token}) == set()
    assert set(renewals.sizes) == {1}


def test_renews_three_times_in_the_length_of_a_lease(leases):
    held = leases(lease_s=15.0)
    waited = []

    def wait(timeout_s):
        waited.append(timeout_s)
        return len(waited) == 3

    held._stopping.wait = wait
    held._run()
    assert waited == [5.0] * 3


def test_a_worker_without_progress_lets_go(leases, jobs, accept, renewals):
    asked = threading.Semaphore(0)

    def may_renew():
        asked.release()
        return False

    held = leases(lease_s=0.03, may_renew=may_renew)
    claim = claim_of(jobs, accept(), lease_s=0.03)
    held.start()
    with held.holding(claim, since=time.monotonic()):
        for _ in range(6):
            assert asked.acquire(timeout=PATIENCE_S)
        assert renewals.sizes == []
        assert held.wanted({claim.token}) == set()
        assert jobs.reap() == [claim.job.id]


def test_a_canceled_job_is_no_longer_wanted(leases, jobs, accept):
    held = leases()
    long_ago = time.monotonic() - 60
    kept, canceled = (claim_of(jobs, accept()) for _ in range(2))
    with held.holding(kept, since=long_ago), held.holding(canceled, since=long_ago):
        tokens = {kept.token, canceled.token}
        assert held.wanted(tokens) == tokens
        jobs.cancel(canceled.job.id)
        held._leases[canceled.token].renewed_at = long_ago
        assert held.wanted(tokens) == {kept.token}
        assert held.wanted({canceled.token}) == set()


def test_asks_once_for_all_and_only_if_it_has_been_a_while(leases, jobs, accept, renewals):
    held = leases()
    claims = [claim_of(jobs, accept()) for _ in range(3)]
    long_ago = time.monotonic() - 60
    with (
        held.holding(claims[0], since=long_ago),
        held.holding(claims[1], since=long_ago),
        held.holding(claims[2], since=time.monotonic()),
    ):
        tokens = {claim.token for claim in claims}
        assert held.wanted(tokens) == tokens
        assert held.wanted(tokens) == tokens
        assert renewals.sizes == [2]
    assert held.wanted(tokens) == set()
    assert renewals.sizes == [2]


def test_what_is_known_must_do_while_the_store_is_away(leases, jobs, accept, renewals, caplog):
    held = leases()
    claim = claim_of(jobs, accept())
    renewals.is_away = True
    with held.holding(claim, since=time.monotonic() - 60):
        for _ in range(3):
            assert held.wanted({claim.token}) == {claim.token}
        assert renewals.sizes == [1]  # the device doesn't wait for it again
        assert caplog.text.count("leases cannot be renewed") == 1


def test_a_lease_that_ran_out_is_not_held(leases, jobs, accept, renewals):
    held = leases(lease_s=10)
    claim = claim_of(jobs, accept())
    with held.holding(claim, since=time.monotonic() - 11):
        assert held.wanted({claim.token}) == set()


def test_a_store_that_comes_back_renews_what_it_still_has(leases, jobs, accept, renewals):
    held = leases(lease_s=0.03)
    claim = claim_of(jobs, accept())
    renewals.is_away = True
    with held.holding(claim, since=-LONG_S):
        held.start()
        renewals.wait_for(2)
        assert held._leases[claim.token].renewed_at == -LONG_S
        renewals.is_away = False
        renewals.wait_for(5)
        assert held._leases[claim.token].renewed_at > -LONG_S
    assert jobs.get(claim.job.id).state is JobState.RUNNING


def test_an_unexpected_error_does_not_end_the_thread(leases, jobs, accept, caplog):
    times = threading.Semaphore(0)

    def may_renew():
        times.release()
        raise RuntimeError("a bug")

    held = leases(lease_s=0.03, may_renew=may_renew)
    held.start()
    for _ in range(3):
        assert times.acquire(timeout=PATIENCE_S)
    held.stop()
    held.stop()
    assert "a bug" in caplog.text


def test_a_job_that_is_claimed_anew_was_lost_before(leases, jobs, accept):
    """The store answers by jobs: the renewal of the new claim must not stand for the old one."""
    leases, job_id = leases(), accept()
    old = claim_of(jobs, job_id)
    with leases.holding(old, since=time.monotonic()):
        jobs.reap(everything=True)
        new = claim_of(jobs, job_id)
        with leases.holding(new, since=time.monotonic()):
            assert leases.wanted({old.token, new.token}) == {new.token}
