"""``sian serve``: the HTTP server around the application."""

import logging
import socket
import sys

import uvicorn

from app import logs
from app.main import create_app
from app.problems import OUTCOMES
from app.settings import Settings
from app.waiting import Waiters
from model.errors import ParameterInvalid, SianError

_SLOW_CLIENTS_S = 10
"""How long a stop waits for requests that are still sending or receiving."""

logger = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """A server that says where it listens and, told to stop, answers the requests that wait."""

    def __init__(self, config: uvicorn.Config, waiters: Waiters) -> None:
        super().__init__(config)
        self._waiters = waiters

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            address, port = listener.getsockname()[:2]
            shown = f"[{address}]" if ":" in address else address
            logger.info("listening on http://%s:%d", shown, port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._waiters.release()
        await super().shutdown(sockets)


def run(settings: Settings, *, host: str, port: int) -> None:
    """Serve until stopped by SIGINT or SIGTERM.

    Exits with the error's code if the network turns out not to be loadable.

    Raises:
        CheckpointError, SettingsInvalid, ParameterInvalid: before anything is listened on.
    """
    failures: list[SianError] = []

    def stop(error: SianError) -> None:
        failures.append(error)
        server.should_exit = True

    app = create_app(settings, on_failure=stop)
    listener = _listen(host, port)
    logs.configure()
    # Lines of uvicorn go through the root logger; RequestContext writes the access log.
    config = uvicorn.Config(
        app, log_config=None, access_log=False, timeout_graceful_shutdown=_SLOW_CLIENTS_S
    )
    server = _Server(config, app.state.service.waiters)
    server.run(sockets=[listener])
    if failures:
        print(f"sian: {' '.join(str(failures[0]).split())}", file=sys.stderr)
        sys.exit(OUTCOMES[type(failures[0])].exit_code)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise ParameterInvalid(
            f"Port {port} of {host} cannot be listened on: {error.strerror}. "
            "Choose another --host or --port."
        ) from None
    return listener
