"""``sian serve``: the HTTP server around the application."""

import logging
import signal
import socket
import sys
import time
from contextlib import ExitStack
from ipaddress import ip_address
from types import FrameType

import uvicorn

from app import connections, logs
from app.main import create_app
from app.problems import OUTCOMES
from app.service import Service
from app.settings import Settings
from model.errors import ParameterInvalid, SettingsInvalid, SianError

_SLOW_CLIENTS_S = 10
"""How long a stop waits for requests that are still sending or receiving."""

logger = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """A server that says where it listens and that stops in two steps. On SIGTERM ``/readyz``
    turns while it goes on serving, for ``drain_s``; then the requests that wait are answered.
    SIGINT, or a second SIGTERM, comes to the second step at once.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._drained_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        is_first = not self._service.stopping.is_set()
        self._service.stopping.set()
        if sig == signal.SIGTERM and is_first:
            self._captured_signals.append(sig)
            self._drained_at = time.monotonic() + self._service.settings.drain_s
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        if self._drained_at is not None and time.monotonic() >= self._drained_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            address, port = listener.getsockname()[:2]
            shown = f"[{address}]" if ":" in address else address
            logger.info("listening on http://%s:%d", shown, port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.stopping.set()
        self._service.waiters.release()
        await super().shutdown(sockets)
        if self.force_exit:
            # Impatience is with the clients: what runs still goes back to the queue in order.
            await self.lifespan.shutdown()


def run(settings: Settings, *, host: str, port: int) -> None:
    """Serve until stopped by SIGINT or SIGTERM.

    Exits with the error's code if the network turns out not to be loadable, or stalls.

    Raises:
        CheckpointError, SettingsInvalid, ParameterInvalid, StorageUnavailable: before anything
            is listened on.
    """
    failures: list[SianError] = []
    connections.raise_open_files()

    def stop(error: SianError) -> None:
        failures.append(error)
        server.should_exit = True

    with _bound(settings, host, port) as listener:
        logs.configure(settings.log_format)
        app = create_app(settings, on_failure=stop)
        # Lines of uvicorn go through the root logger; RequestContext writes the access log.
        config = uvicorn.Config(
            app,
            http=connections.bounded(),
            ws="none",
            backlog=connections.BACKLOG,
            forwarded_allow_ips=settings.trusted_proxies,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_SLOW_CLIENTS_S,
        )
        server = _Server(config, app.state.service)
        server.run(sockets=[listener])
    if failures:
        print(f"sian: {' '.join(str(failures[0]).split())}", file=sys.stderr)
        sys.exit(OUTCOMES[type(failures[0])].exit_code)


def _bound(settings: Settings, host: str, port: int) -> socket.socket:
    """A socket bound to the address, unless anybody could come in there by oversight."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        if not ip_address(address[0]).is_loopback:
            _refuse_anonymous(settings, host)
        with ExitStack() as undo:
            listener = undo.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            undo.pop_all()
    except OSError as error:
        raise ParameterInvalid(
            f"Port {port} of {host} cannot be listened on: {error.strerror}. "
            "Choose another --host or --port."
        ) from None
    return listener


def _refuse_anonymous(settings: Settings, host: str) -> None:
    if not settings.api_keys and not settings.allow_anonymous:
        raise SettingsInvalid(
            f"--host {host} can be reached from other machines, and SIAN_API_KEYS is not set. "
            "Set it to name:key, or SIAN_ALLOW_ANONYMOUS=true to let everybody in."
        )
