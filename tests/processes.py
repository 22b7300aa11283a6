"""Processes of the product, as a user starts them.

Nothing here sleeps: a process's log is read line by line until it says what is waited for.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx2

ROOT = Path(__file__).parents[1]
RELEASE = ROOT / "checkpoints" / "sian-release.safetensors"
PATIENCE_S = 120


class LoggingProcess:
    """A process whose standard error is its log.

    settings: SIAN_* variables, by name without the prefix.
    """

    def __init__(
        self, command: Sequence[str | Path], settings: Mapping[str, object], **environment: str
    ) -> None:
        variables = {f"SIAN_{name.upper()}": str(value) for name, value in settings.items()}
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **variables, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self._grew = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

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

    def wait_for(self, pattern: str, *, count: int = 1) -> re.Match[str]:
        """The match of ``pattern`` in the ``count``-th line of the log that has one, now or
        later."""

        def find() -> list[re.Match[str]]:
            return [found for line in self.log if (found := re.search(pattern, line))]

        with self._grew:
            self._grew.wait_for(lambda: len(find()) >= count or self._ended, PATIENCE_S)
            found = find()
        assert len(found) >= count, "\n".join([f"{len(found)} x {pattern!r} in:", *self.log])
        return found[count - 1]

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(how)
        return self.wait()

    def wait(self) -> int:
        """The exit code, once the process has ended by itself."""
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code

    def memory_mb(self, which: str = "VmHWM") -> float:
        """Peak (VmHWM) or present (VmRSS) resident memory, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{which}:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1024


class Server(LoggingProcess):
    """``sian serve`` on a free port.

    prefix: a command that runs it. program: what to run instead of the ``sian`` command.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        prefix: Sequence[str] = (),
        program: Sequence[str] = ("-m", "app.cli"),
        environment: Mapping[str, str] | None = None,
        **settings: object,
    ) -> None:
        super().__init__(
            [*prefix, sys.executable, *program, "serve", "--port", "0"],
            {"data_dir": data_dir, "checkpoint": RELEASE, "threads": 1, **settings},
            **(environment or {}),
        )
        self._client: httpx2.Client | None = None

    @property
    def address(self) -> str:
        """From when it listens."""
        return self.wait_for(r"listening on (http://\S+)")[1]

    @property
    def client(self) -> httpx2.Client:
        """For requests to it, from when it listens."""
        if self._client is None:
            self._client = httpx2.Client(base_url=self.address, timeout=PATIENCE_S)
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
        """The job at ``path`` once it has ended, as its events say."""
        with self.client.stream("GET", f"{path}/events") as events:
            for _ in events.iter_lines():
                pass
        job = self.client.get(path).json()
        assert job["finished_at"] is not None, job
        return job

    def wait(self) -> int:
        code = super().wait()
        if self._client is not None:
            self._client.close()
        return code


class Worker(LoggingProcess):
    """``sian worker``. program: what to run instead of the ``sian`` command."""

    def __init__(
        self,
        *,
        program: Sequence[str] = ("-m", "app.cli"),
        environment: Mapping[str, str] | None = None,
        **settings: object,
    ) -> None:
        super().__init__(
            [sys.executable, *program, "worker"],
            {"checkpoint": RELEASE, "threads": 1, **settings},
            **(environment or {}),
        )

    def wait_until_ready(self) -> None:
        self.wait_for("worker.engine: ready after")
