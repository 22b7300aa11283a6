"""A real server, in a process of its own, with the released checkpoint.

Nothing here sleeps: the server's log is read line by line until it says what is waited for.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.fakes import png

ROOT = Path(__file__).parents[2]
RELEASE = ROOT / "checkpoints" / "sian-release.safetensors"
PATIENCE_S = 120


class Server:
    """``sian serve`` on a free port."""

    def __init__(self, data_dir: Path, **settings: object) -> None:
        given = {"data_dir": data_dir, "checkpoint": RELEASE, "threads": 1, **settings}
        environment = {f"SIAN_{name.upper()}": str(value) for name, value in given.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--port", "0"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self._grew = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self._client: httpx2.Client | None = None

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                with self._grew:
                    self.log.append(line.rstrip("\n"))
                    self._grew.notify_all()
        with self._grew:
            self._ended = True
            self._grew.notify_all()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match of ``pattern`` in the log, now or later."""

        def find() -> re.Match[str] | None:
            return next((found for line in self.log if (found := re.search(pattern, line))), None)

        with self._grew:
            self._grew.wait_for(lambda: find() or self._ended, PATIENCE_S)
            found = find()
        assert found, "\n".join([f"no {pattern!r} in the server's log:", *self.log])
        return found

    @property
    def client(self) -> httpx2.Client:
        """For requests to it, from when it listens."""
        if self._client is None:
            address = self.wait_for(r"listening on (http://\S+)")[1]
            self._client = httpx2.Client(base_url=address, timeout=PATIENCE_S)
        return self._client

    def wait_until_ready(self) -> None:
        self.wait_for("worker.engine: ready after")
        assert self.client.get("/readyz").status_code == 200

    def synthesize(self, mask: bytes, *, headers: dict | None = None, style: bytes | None = None,
                   **fields: object) -> httpx2.Response:  # fmt: skip
        files = {"mask": mask} if style is None else {"mask": mask, "style": style}
        data = {name: str(value) for name, value in fields.items()}
        return self.client.post("/synthesize", files=files, data=data, headers=headers)

    def finished(self, path: str) -> dict:
        """The job at ``path`` once the log says that it is done or has failed."""
        job_id = path.rpartition("/")[2]
        self.wait_for(f"worker.engine: job {job_id} (done|failed)")
        return self.client.get(path).json()

    def memory_mb(self, which: str = "VmHWM") -> float:
        """Peak (VmHWM) or present (VmRSS) resident memory, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{which}:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1024

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(how)
        return self.wait()

    def wait(self) -> int:
        """The exit code, once the process has ended by itself."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        if self._client is not None:
            self._client.close()
        return code


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers that the test may stop or kill; the data folder stays the same."""
    servers: list[Server] = []

    def serve(**settings: object) -> Server:
        servers.append(Server(**{"data_dir": tmp_path / "data", **settings}))
        return servers[-1]

    yield serve
    for server in servers:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it as it was."""
    server = Server(tmp_path_factory.mktemp("server"))
    server.wait_until_ready()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def nuclei() -> NDArray[np.int32]:
    """An instance mask of 256 x 256 with 56 nuclei: the thumbnails' mask, four times."""
    quarter = np.asarray(Image.open(ROOT / "worker" / "thumbnail-mask.png")).astype(np.int32)
    mask = np.tile(quarter, (2, 2))
    quadrant = np.arange(4).reshape(2, 2).repeat(128, axis=0).repeat(128, axis=1)
    return np.where(mask > 0, mask + 20 * quadrant, 0).astype(np.int32)


@pytest.fixture(scope="session")
def mask(nuclei: NDArray[np.int32]) -> bytes:
    """``nuclei`` as a label PNG."""
    return png(nuclei.astype(np.uint16))


@pytest.fixture(scope="session")
def small_mask(nuclei: NDArray[np.int32]) -> bytes:
    """A corner of 64 x 64, for tests that need many tiles."""
    return png(nuclei[:64, :64].astype(np.uint16))
