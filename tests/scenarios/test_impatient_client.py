"""A client that leaves costs nobody else anything: its job is done if it has been accepted, and
nothing is if it has not."""

import re
import signal
import socket
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.fakes import png
from tests.processes import Server


def on_the_wire(server: Server, files: dict[str, bytes], fields: dict[str, str]) -> bytes:
    """A request for tiles, for a connection that the test may close when it wants to."""
    request = server.client.build_request("POST", "/synthesize", files=files, data=fields)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"POST /synthesize HTTP/1.1\r\n{head}\r\n".encode() + b"".join(request.stream)


def connected(server: Server) -> socket.socket:
    at = urlsplit(server.address)
    return socket.create_connection((at.hostname, at.port))


def test_a_client_that_hangs_up(serve, small_mask):
    """Once its job is accepted, and before it is done."""
    server = serve()
    server.wait_until_ready()
    request = on_the_wire(server, {"mask": small_mask}, {"organ": "kidney", "n": "16"})
    with connected(server) as client:
        client.sendall(request)
        job_id = server.wait_for(r"job (\w+) is accepted")[1]
        client.setblocking(False)
        with pytest.raises(BlockingIOError):  # it would wait: there is no answer yet
            client.recv(1)
    assert server.synthesize(small_mask, organ="kidney").status_code == 200
    assert server.wait_for(rf"job {job_id} done in .* 16 tiles")
    assert not any("Traceback" in line for line in server.log)


def test_clients_that_hang_up_at_once(serve, small_mask):
    """Each with a style image that takes a while to read."""
    server = serve()
    server.wait_until_ready()
    style = png(np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8))
    request = on_the_wire(server, {"mask": small_mask, "style": style}, {})
    for _ in range(20):
        with connected(server) as client:
            client.sendall(request)
    assert server.synthesize(small_mask, organ="kidney").status_code == 200
    assert server.wait_for("POST /synthesize 499")
    accepted = [line for line in server.log if re.search(r"job \w+ is accepted", line)]
    assert len(accepted) < 20


def test_two_interrupts_in_a_row_stop_it_in_order(serve, small_mask):
    """What runs goes back to the queue, and the next server goes on with it."""
    server = serve()
    server.wait_until_ready()
    answer = server.client.post(
        "/synthesize",
        files={"mask": small_mask},
        data={"organ": "kidney", "n": "16"},
        headers={"Prefer": "respond-async"},
    )
    for _ in range(2):
        server.process.send_signal(signal.SIGINT)
    server.wait()
    assert not any("Traceback" in line for line in server.log), "\n".join(server.log)
    following = serve()
    assert following.wait_for(rf"job {answer.json()['id']} done in .* 16 tiles")
