"""The server's connections: how many there may be, and how long they may stall."""

import asyncio
import resource
import socket
import threading
import time

import pytest
import uvicorn

from app import connections
from tests.waiting import until

PATIENCE_S = 30
MIB = 2**20
LARGE = 32 * MIB
GET_LARGE = b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n"
HEAD = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\n"


async def app(scope, receive, send):
    """Answers 200 once it has the whole body; at /large with 32 MiB."""
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/large":
        size = str(LARGE).encode()
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": [(b"content-length", size)]})
        for left in range(LARGE // MIB, 0, -1):
            await send({"type": "http.response.body", "body": bytes(MIB), "more_body": left > 1})
        return
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}
    )
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def connect():
    """Starts a server with at most so many connections; returns a function that connects."""
    opened, running = [], []

    def start(most=connections._MOST):
        protocol = type("Bounded", (connections.BoundedProtocol,), {"most": most})
        config = uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        listener = socket.create_server(("127.0.0.1", 0))
        address = listener.getsockname()
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        running.append((server, thread))
        until(lambda: server.started)

        def connect():
            opened.append(socket.create_connection(address, PATIENCE_S))
            return opened[-1]

        return connect

    yield start
    for each in opened:
        each.close()
    for server, thread in running:
        server.should_exit = True
        thread.join(PATIENCE_S)


def answered(client, data=HEAD + b"0123456789"):
    client.sendall(data)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        received = client.recv(4096)
        if not received:
            return False
        answer += received
    return answer.startswith(b"HTTP/1.1 200")


def closed(client):
    """Waits for the server's end."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_one_connection_too_many_is_closed_and_the_others_stay(connect):
    connect = connect(most=3)
    clients = [connect() for _ in range(3)]
    assert answered(clients[0])
    assert closed(connect())
    assert all(answered(client) for client in clients)
    clients[0].close()
    until = time.monotonic() + PATIENCE_S
    while True:  # the server learns of it in a moment
        try:
            if answered(connect()):
                break
        except OSError:
            pass
        assert time.monotonic() < until


def test_many_refusals_are_one_line_in_the_log(caplog, monkeypatch):
    refusals = connections.Refusals()
    for _ in range(1000):
        refusals.warn(7)
    assert [record.getMessage() for record in caplog.records] == [
        "refused 1 connections: 7 are open"
    ]
    monkeypatch.setattr(connections, "_TELL_EVERY_S", 0.0)
    refusals.warn(7)
    assert caplog.records[-1].getMessage() == "refused 1000 connections: 7 are open"


@pytest.mark.parametrize("sent", [b"", HEAD[:20], HEAD, HEAD + b"0123"])
def test_a_request_that_stalls_is_given_up(connect, monkeypatch, sent):
    monkeypatch.setattr(connections, "STALLED_S", 0.2)
    client = connect()()
    client.sendall(sent)
    assert closed(client)


def test_a_head_in_drops_has_no_more_time(connect, monkeypatch):
    monkeypatch.setattr(connections, "STALLED_S", 0.3)
    client = connect()()
    began = time.monotonic()
    for _ in range(1000):
        try:
            client.sendall(b"X")
        except OSError:
            break
        time.sleep(0.02)
    else:
        pytest.fail(f"still open after {time.monotonic() - began:.0f} s")


def test_a_body_in_pieces_has_its_time(connect, monkeypatch):
    monkeypatch.setattr(connections, "STALLED_S", 1.0)
    client = connect()()
    client.sendall(HEAD)
    for byte in b"012345678":
        time.sleep(0.2)  # 1.8 s in all
        client.sendall(bytes([byte]))
    assert answered(client, b"9")
    assert answered(client)  # and the connection goes on


def received(client, *, pause_s=0.0):
    """How much there is to read, reading so slowly."""
    total = 0
    while total < LARGE:
        try:
            data = client.recv(MIB)
        except ConnectionResetError:
            break
        if not data:
            break
        total += len(data)
        time.sleep(pause_s)
    return total


def test_a_client_that_reads_nothing_is_given_up(connect, monkeypatch):
    monkeypatch.setattr(connections, "UNREAD_S", 0.2)
    client = connect()()
    client.sendall(GET_LARGE)
    time.sleep(1.0)
    assert received(client) < LARGE


def test_a_client_that_reads_slowly_has_its_time(connect, monkeypatch):
    monkeypatch.setattr(connections, "UNREAD_S", 0.5)
    client = connect()()
    client.sendall(GET_LARGE)
    assert received(client, pause_s=0.02) >= LARGE


@pytest.mark.parametrize(
    ("soft", "most"),
    [(1024, 75), (2**20, 4096), (resource.RLIM_INFINITY, 4096), (256, 8)],
)
def test_as_many_as_the_process_may_open(monkeypatch, soft, most):
    monkeypatch.setattr(resource, "getrlimit", lambda what: (soft, resource.RLIM_INFINITY))
    assert connections.most_connections() == most
    assert connections.bounded().most == most


@pytest.mark.parametrize(
    ("soft", "hard", "raised"),
    [
        (1024, 2**20, 45_248),
        (1024, 4096, 4096),
        (1024, resource.RLIM_INFINITY, 45_248),
        (2**20, 2**20, None),
        (4096, 4096, None),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None),
    ],
)
def test_opens_as_many_files_as_it_may_need(monkeypatch, soft, hard, raised):
    limits = []
    monkeypatch.setattr(resource, "getrlimit", lambda what: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda what, limit: limits.append(limit))
    connections.raise_open_files()
    assert limits == ([] if raised is None else [(raised, hard)])


def test_a_system_that_allows_less_than_it_says(monkeypatch):
    def refuse(what, limit):
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    connections.raise_open_files()
    assert connections.most_connections() == 8
