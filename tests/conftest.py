"""Fixtures for every test.

Tests that need MoNuSeg or the pretrained weights use ``test_data`` or ``monuseg``. The
environment variable SIAN_TEST_DATA names the folder that holds data/monuseg/ and weights/.
Without it they skip by name; where CI=true they fail instead, so that they cannot go missing.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.redis_server import RedisServer
from tests.s3_server import S3Server

_TEST_DATA = os.environ.get("SIAN_TEST_DATA")
_IN_CI = os.environ.get("CI") == "true"

# No deadline: tests assert nothing about time. In CI the same examples on every run.
settings.register_profile("sian", deadline=None, derandomize=_IN_CI)
settings.load_profile("sian")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that use the data, so that `-m data` and `-m "not data"` select."""
    for item in items:
        if "test_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)


def _clean_environment(patch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SIAN_")]:
        patch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """Settings of the developer's shell reach neither session fixtures nor child processes."""
    with pytest.MonkeyPatch.context() as patch:
        _clean_environment(patch)
        # Tests run side by side, and the threads of a child process would spin on cores that
        # another one needs.
        patch.setenv("OMP_WAIT_POLICY", "PASSIVE")
        yield


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test starts without SIAN_* variables, whatever ran before it."""
    _clean_environment(monkeypatch)


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    """One thread, so that results do not depend on the machine; without importing torch."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with data/monuseg/ and weights/, and perhaps the paper's text, paper/sian.txt."""
    if _TEST_DATA is None:
        reason = "needs MoNuSeg and pretrained weights: set SIAN_TEST_DATA (docs/training.md)"
        if _IN_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    folder = Path(_TEST_DATA).resolve()
    for part in ("data/monuseg", "weights"):
        if not (folder / part).is_dir():
            pytest.fail(f"SIAN_TEST_DATA={_TEST_DATA} holds no {part}/", pytrace=False)
    return folder


@pytest.fixture(scope="session")
def monuseg(test_data: Path) -> Path:
    """The MoNuSeg folder: train/, test/, manifest.json."""
    return test_data / "data" / "monuseg"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for all tests that leave it running."""
    server = RedisServer()
    yield server
    server.remove()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Of an empty Redis."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that the test may kill, freeze and restart."""
    server = RedisServer()
    yield server
    server.remove()


@pytest.fixture
def own_s3() -> Iterator[S3Server]:
    """An S3 that the test may stop and start."""
    server = S3Server()
    yield server
    server.stop()
