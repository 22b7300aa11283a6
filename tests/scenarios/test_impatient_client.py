"""A client that leaves costs nobody else anything: its job is done if it has been accepted, and
nothing is if it has not."""

import re
import signal
import socket
from urllib.parse import urlsplit

import httpx2
import numpy as np
import pytest

from tests.fakes import png


def test_a_client_that_hangs_up(serve, small_mask):
    server = serve()
    server.wait_until_ready()
    files, data = {"mask": small_mask}, {"organ": "kidney", "n": "16"}
    with pytest.raises(httpx2.ReadTimeout):
        server.client.post("/synthesize", files=files, data=data, timeout=0.2)
    assert server.synthesize(small_mask, organ="kidney").status_code == 200
    assert server.wait_for(r"worker.engine: job (\w+) done in .* 16 tiles")
    assert not any("Traceback" in line for line in server.log)


def test_clients_that_hang_up_at_once(serve, small_mask):
    """Each with a style image that takes a while to read."""
    server = serve()
    server.wait_until_ready()
    style = png(np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8))
    request = server.client.build_request(
        "POST", "/synthesize", files={"mask": small_mask, "style": style}
    )
    body = b"".join(request.stream)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    at = urlsplit(server.address)
    for _ in range(20):
        with socket.create_connection((at.hostname, at.port)) as client:
            client.sendall(f"POST /synthesize HTTP/1.1\r\n{head}\r\n".encode() + body)
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
