"""The stack of docker-compose.yml under a project name of its own, and ways to break it."""

import json
import os
import secrets
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.waiting import SERVICE_PATIENCE_S, until

ROOT = Path(__file__).parents[2]
PATIENCE_S = 2 * SERVICE_PATIENCE_S
"""Containers take longer than processes."""
_LOOK_EVERY_S = 0.25
_FIND = "read pid others < /proc/1/task/1/children;"
"""In a container the first process is Docker's init, and its oldest child is the service."""


class Stack:
    """Up to when ``down`` is called. Nothing of it is seen by other compose projects.

    overrides: compose files that are read after docker-compose.yml.
    """

    def __init__(self, overrides: Sequence[Path]) -> None:
        self.project = f"sian-test-{secrets.token_hex(4)}"
        self.port = _free_port()
        files = [ROOT / "docker-compose.yml", *overrides]
        self._command = [
            *_compose_command(),
            *("--project-name", self.project, "--project-directory", str(ROOT)),
            *(word for file in files for word in ("--file", str(file))),
        ]
        # Settings of the shell would make it another stack than the one that is tested.
        ours = {name: value for name, value in os.environ.items() if not name.startswith("SIAN_")}
        self._environment = {**ours, "SIAN_PORT": str(self.port)}
        self.client = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120)

    def compose(self, *arguments: str) -> str:
        """What a compose command prints. Raises CalledProcessError."""
        return _run([*self._command, *arguments], self._environment)

    def up(self, *services: str) -> None:
        """Start what does not run, as it is in the files; returns when it is started."""
        self.compose("up", "-d", *services)

    def down(self) -> None:
        """Remove containers, networks and volumes."""
        self.client.close()
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")

    def logs(self) -> str:
        return self.compose("logs", "--no-color", "--tail", "100")

    def container(self, service: str) -> str:
        """Id of the container of a service that has one."""
        (found,) = self.compose("ps", "-a", "-q", service).split()
        return found

    def inspect(self, service: str) -> dict[str, Any]:
        (found,) = json.loads(_run(["docker", "inspect", self.container(service)]))
        return dict(found)

    def image_mb(self, service: str) -> int:
        image = self.inspect(service)["Image"]
        return round(int(_run(["docker", "image", "inspect", "-f", "{{.Size}}", image])) / 1e6)

    def exec(self, service: str, *command: str) -> tuple[int, str]:
        """Exit code and output of a command in a service's container."""
        done = subprocess.run(
            ["docker", "exec", self.container(service), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout.strip()

    def peak_mb(self, service: str) -> int:
        """The most memory that the service's process has ever had, resident."""
        code, line = self.exec(service, "sh", "-c", f"{_FIND} grep VmHWM /proc/$pid/status")
        assert code == 0, line
        return round(int(line.split()[1]) / 1024)

    def kill_container(self, service: str) -> None:
        """kill -9 from outside. Docker takes that for a wish and does not start it again."""
        _run(["docker", "kill", "--signal", "KILL", self.container(service)])

    def signal_process(self, service: str, name: str) -> None:
        """Send a signal to the service's process from inside its container."""
        code, said = self.exec(service, "sh", "-c", f"{_FIND} kill -{name} $pid")
        assert code == 0, said

    def is_healthy(self, service: str) -> bool:
        """What the health check of the container has found."""
        return bool(self.inspect(service)["State"]["Health"]["Status"] == "healthy")

    def is_ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def submit(
        self, mask: bytes, *, seed: int, n: int, style: bytes | None = None
    ) -> httpx2.Response:
        """In the stain of an image, or else of kidney; answered at once."""
        fields = {"seed": str(seed), "n": str(n)}
        return self.client.post(
            "/synthesize",
            files={"mask": mask} if style is None else {"mask": mask, "style": style},
            data=fields if style is not None else {**fields, "organ": "kidney"},
            headers={"Prefer": "respond-async"},
        )

    def job(self, path: str) -> dict[str, Any]:
        answer = self.client.get(path)
        answer.raise_for_status()
        return dict(answer.json())

    def finished(self, paths: Sequence[str]) -> list[dict[str, Any]]:
        """The jobs once all of them have ended."""
        wait_until(
            lambda: all(self.job(path)["finished_at"] is not None for path in paths),
            f"{len(paths)} jobs have ended",
        )
        return [self.job(path) for path in paths]


@contextmanager
def running(overrides: Sequence[Path]) -> Iterator[Stack]:
    """A stack that is taken down whatever happens; if something went wrong, its logs first."""
    stack = Stack(overrides)
    try:
        yield stack
    except BaseException:
        print(stack.logs())
        raise
    finally:
        stack.down()


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Look again and again. Raises AssertionError, which says ``what``."""
    until(is_so, what, patience_s=PATIENCE_S, every_s=_LOOK_EVERY_S)


def versions() -> dict[str, str]:
    return {
        "docker": _run(["docker", "version", "-f", "{{.Server.Version}}"]).strip(),
        "compose": _run([*_compose_command(), "version", "--short"]).strip(),
    }


def _compose_command() -> list[str]:
    """Compose 2, a plugin of docker, or else docker-compose."""
    plugin = ["docker", "compose"]
    found = subprocess.run([*plugin, "version"], capture_output=True, check=False)
    return plugin if found.returncode == 0 else ["docker-compose"]


def _run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        print(done.stdout, done.stderr, sep="\n")
        done.check_returncode()
    return done.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
