"""Real processes with the released checkpoint: one server that does it all, or a deployment of
front end, Redis and workers."""

import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.fakes import png
from tests.processes import ROOT, LoggingProcess, Server, Worker
from tests.scenarios.masks import tiled
from tests.small_disk import small_disk as on_a_small_disk


@pytest.fixture
def processes() -> Iterator[list[LoggingProcess]]:
    """Killed at the end of the test, those that still run. Pytest shows the logs if it failed."""
    started: list[LoggingProcess] = []
    yield started
    for process in started:
        if process.is_running:
            process.stop(signal.SIGKILL)
        else:
            process.wait()
        print(f"exit code {process.process.returncode}:", *process.log, sep="\n")


@pytest.fixture
def serve(tmp_path: Path, processes: list[LoggingProcess]) -> Callable[..., Server]:
    """Starts servers that the test may stop or kill; the data folder stays the same."""

    def serve(**settings: object) -> Server:
        server = Server(**{"data_dir": tmp_path / "data", **settings})
        processes.append(server)
        return server

    return serve


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it as it was."""
    server = Server(tmp_path_factory.mktemp("server"))
    server.wait_until_ready()
    yield server
    server.stop()


@pytest.fixture
def deployed(tmp_path: Path, redis_url: str) -> dict[str, object]:
    """Settings that front ends and workers of one deployment share."""
    return {
        "broker_url": redis_url,
        "data_dir": tmp_path / "data",
        "artifacts_url": tmp_path / "artifacts",
    }


@pytest.fixture
def front(deployed: dict[str, object], processes: list[LoggingProcess]) -> Callable[..., Server]:
    """Starts front ends of the deployment."""

    def front(**settings: object) -> Server:
        server = Server(**{**deployed, **settings})
        processes.append(server)
        return server

    return front


@pytest.fixture
def work(deployed: dict[str, object], processes: list[LoggingProcess]) -> Callable[..., Worker]:
    """Starts workers of the deployment."""

    def work(**settings: object) -> Worker:
        worker = Worker(**{**deployed, **settings})
        processes.append(worker)
        return worker

    return work


@pytest.fixture(scope="session")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, str], Sequence[str]]:
    """The command that runs a command with a disk so small that it gets full. Where the system
    lets nobody mount one, that is said, and no server is blamed for not starting."""
    command = [*on_a_small_disk(tmp_path_factory.mktemp("disk"), "100k"), "true"]
    try:
        subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", None) or error
        pytest.fail(
            "The tests of a full disk mount one, with unshare of Linux in a user namespace of "
            f"their own, which cannot be done here ({str(why).strip()}). Allow it: 'sudo sysctl "
            "kernel.apparmor_restrict_unprivileged_userns=0' on Ubuntu, 'docker run "
            "--privileged' in a container.",
            pytrace=False,
        )
    return on_a_small_disk


@pytest.fixture(scope="session")
def nuclei() -> NDArray[np.int32]:
    """An instance mask of 256 x 256 with 56 nuclei: the thumbnails' mask, four times."""
    quarter = np.asarray(Image.open(ROOT / "worker" / "thumbnail-mask.png")).astype(np.int32)
    return tiled(quarter, 2)


@pytest.fixture(scope="session")
def mask(nuclei: NDArray[np.int32]) -> bytes:
    """``nuclei`` as a label PNG."""
    return png(nuclei.astype(np.uint16))


@pytest.fixture(scope="session")
def small_mask(nuclei: NDArray[np.int32]) -> bytes:
    """A corner of 64 x 64, for tests that need many tiles."""
    return png(nuclei[:64, :64].astype(np.uint16))
