"""The queue over TLS: a certificate that nobody vouches for is refused, as the records' is."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import redis
from kombu.exceptions import OperationalError

from model.errors import StoreUnavailable
from worker.redis_client import connect, mapped
from worker.tasks import LISTS, QUEUE, RUN, celery_app

PATIENCE_S = 30


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Self-signed, for 127.0.0.1; its key lies beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    path = tmp_path / "cert.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", str(tmp_path / "key.pem"), "-out", str(path),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return path


@pytest.fixture
def url(certificate: Path, tmp_path: Path):
    """Of a Redis that speaks TLS alone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = subprocess.Popen(
        [
            "redis-server", "--bind", "127.0.0.1", "--port", "0", "--tls-port", str(port),
            "--tls-cert-file", str(certificate), "--tls-key-file", str(tmp_path / "key.pem"),
            "--tls-auth-clients", "no", "--dir", str(tmp_path), "--save", "",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            if server.poll() is not None and "Bad directive" in server.communicate()[0]:
                pytest.skip("needs a redis-server with TLS")
            assert server.poll() is None
            assert time.monotonic() < until
    yield f"rediss://127.0.0.1:{port}/0"
    server.terminate()
    server.communicate()


def publish(url: str) -> None:
    app = celery_app(url)
    try:
        app.send_task(RUN, args=["a"], queue=QUEUE, retry=False)
    finally:
        app.close()


def test_an_unknown_certificate_is_refused(url: str) -> None:
    with pytest.raises(OperationalError, match="certificate verify failed"):
        publish(url)
    with connect(url) as client, pytest.raises(StoreUnavailable), mapped():
        client.ping()


def test_a_known_certificate_is_taken(url: str, certificate: Path) -> None:
    known = f"{url}?ssl_ca_certs={certificate}"
    publish(known)
    with redis.Redis.from_url(known) as client:
        assert sum(client.llen(name) for name in LISTS) == 1
