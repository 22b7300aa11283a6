"""A real Redis for tests: a process of its own that can be killed, frozen and restarted."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import redis

from tests.waiting import PATIENCE_S

_TRIES = 10


class RedisServer:
    """Started on a free port of the loopback address when it is made. Every write is on disk
    before it is answered, and nothing is evicted, as in the deployment.

    Raises:
        RuntimeError: there is no redis-server and it cannot be installed, or it does not start.
    """

    def __init__(self) -> None:
        self._program = _program()
        self._folder = Path(tempfile.mkdtemp(prefix="sian-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        for _ in range(_TRIES):
            self.port = _free_port()
            try:
                self.start()
                return
            except _PortTaken:  # by another process, since it was looked for
                continue
        raise RuntimeError(f"no free port for redis-server after {_TRIES} tries")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it again, on the same port and with what it had on disk; returns once it
        answers."""
        assert self._process is None, "it runs already"
        log = self._folder / "log"
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [
                    self._program,
                    "--bind", "127.0.0.1",
                    "--port", str(self.port),
                    "--dir", str(self._folder),
                    "--save", "",
                    "--appendonly", "yes",
                    "--appendfsync", "always",
                    "--maxmemory-policy", "noeviction",
                ],
                stdout=file,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE_S
        # The log and not a connection: at the port may be somebody else's Redis.
        while "Ready to accept connections" not in (said := log.read_text(errors="replace")):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise (_PortTaken if "Address already in use" in said else RuntimeError)(said)
            time.sleep(0.005)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9: from now on nothing listens."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill and start it."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """It still takes connections but answers nothing."""
        self._running().send_signal(signal.SIGSTOP)
        # The signal is only on its way when kill(2) returns; this returns when it has arrived.
        os.waitpid(self._running().pid, os.WUNTRACED)

    def thaw(self) -> None:
        """Go on where it was frozen."""
        self._running().send_signal(signal.SIGCONT)

    def memory_mb(self) -> float:
        """Memory that its data takes, in MiB."""
        with redis.Redis.from_url(self.url) as client:
            return int(client.info("memory")["used_memory"]) / 2**20

    def set_memory(self, most: str) -> None:
        """From now on at most so much; 0 is no limit."""
        with redis.Redis.from_url(self.url) as client:
            client.config_set("maxmemory", most)

    def flush(self) -> None:
        """Forget all data."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def remove(self) -> None:
        """Kill it if it runs, and remove its files."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._folder)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it is not running"
        return self._process

    def _end(self, how: signal.Signals) -> None:
        process = self._running()
        process.send_signal(how)
        process.wait(PATIENCE_S)
        self._process = None


class _PortTaken(RuntimeError):
    pass


def _free_port() -> int:
    """Redis has no port 0 for any free one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _program() -> str:
    """Where redis-server is; installed where that is possible."""
    found = shutil.which("redis-server")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get") is not None:
        quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", "redis-server"]):
            subprocess.run(["apt-get", "-qq", *arguments], env=quietly, check=False, timeout=600)
        found = shutil.which("redis-server")
    if found is None:
        raise RuntimeError(
            "The tests need Redis 7 or newer. Install it: 'sudo apt install redis-server' on "
            "Debian and Ubuntu, 'brew install redis' on macOS."
        )
    return found
