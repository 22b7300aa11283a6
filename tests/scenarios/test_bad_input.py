"""Bad input costs an answer and little memory, and the server keeps serving."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.processes import Server, Worker
from tests.redis_server import RedisServer

SIDE = 30_000
LITTLE_MB = 24
"""Less than any of the larger bodies below: none is kept in memory."""

GIVES_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""For the C library: what is freed goes back to the system, so that what is taken is seen."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A front end, whose worker is another process: one that has a network keeps the memory of its
    tiles, hundreds of megabytes, and bad input would take of that unseen."""
    folder = tmp_path_factory.mktemp("bad-input")
    with ExitStack() as ending:
        redis = RedisServer()
        ending.callback(redis.remove)
        deployed = {"broker_url": redis.url, "artifacts_url": folder / "artifacts"}
        front = Server(folder / "data", environment=GIVES_BACK, **deployed)
        ending.callback(front.stop)
        worker = Worker(data_dir=folder / "data", **deployed)
        ending.callback(worker.stop)
        worker.wait_until_ready()
        yield front


@contextmanager
def little_memory(server: Server) -> Iterator[None]:
    """What happens meanwhile takes little of it at any time."""
    # The peak is from now on that of what follows, and not of what came before.
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    before_mb = server.memory_mb()
    yield
    assert server.memory_mb() - before_mb < LITTLE_MB


def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png_bomb() -> bytes:
    """A valid one-bit PNG of 30,000 x 30,000 black pixels, in about 100 kB."""
    compressor = zlib.compressobj(9)
    row = bytes(1 + (SIDE + 7) // 8)
    data = b"".join(compressor.compress(row * 1000) for _ in range(SIDE // 1000))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", data + compressor.flush())
        + chunk(b"IEND", b"")
    )


def tiff_bomb() -> bytes:
    buffer = io.BytesIO()
    zeros = np.zeros(1, np.uint8)
    tifffile.imwrite(
        buffer, np.broadcast_to(zeros, (SIDE, SIDE)), compression="zlib", rowsperstrip=1000
    )
    return buffer.getvalue()


def npy_bomb() -> bytes:
    """A header that announces 7 GB, and nothing behind it."""
    buffer = io.BytesIO()
    header = {"descr": "<i8", "fortran_order": False, "shape": (SIDE, SIDE)}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


@pytest.mark.parametrize("bomb", [png_bomb, tiff_bomb, npy_bomb])
def test_a_bomb_as_mask(server, mask, bomb):
    file = bomb()
    with little_memory(server):
        response = server.synthesize(file, organ="kidney")
    assert response.status_code == 413
    assert response.json()["code"] == "mask_too_large"
    assert server.synthesize(mask, organ="kidney").status_code == 200


@pytest.mark.parametrize("bomb", [png_bomb, tiff_bomb])
def test_a_bomb_as_style(server, mask, bomb):
    file = bomb()
    with little_memory(server):
        response = server.synthesize(mask, style=file)
    assert response.status_code == 413
    assert response.json()["code"] == "style_too_large"
    assert server.synthesize(mask, organ="kidney").status_code == 200


def test_a_body_beyond_the_limit(server, mask):
    with little_memory(server):
        response = server.synthesize(bytes(100_000_000), organ="kidney")
    assert response.status_code == 413
    assert response.json()["code"] == "upload_too_large"
    assert server.synthesize(mask, organ="kidney").status_code == 200


def test_a_body_beyond_the_limit_that_does_not_say_so(server, mask):
    def body():
        yield b'--xx\r\nContent-Disposition: form-data; name="mask"; filename="m"\r\n\r\n'
        for _ in range(100):
            yield bytes(1_000_000)

    headers = {"Content-Type": "multipart/form-data; boundary=xx"}
    with little_memory(server):
        response = server.client.post("/synthesize", content=body(), headers=headers)
    assert response.status_code == 413
    assert response.json()["code"] == "upload_too_large"
    assert server.synthesize(mask, organ="kidney").status_code == 200


PART = b'--xx\r\nContent-Disposition: form-data; name="%b"'
# Made when they are sent: together they take 200 MB.
HOSTILE_BODIES = {
    "many headers": lambda: PART % b"mask" + b"\r\nX: y" * 5_000_000,
    "a long header": lambda: PART % b"mask" + b"\r\nX: " + b"y" * 31_000_000,
    "a long name of a header": lambda: PART % b"mask" + b"\r\n" + b"X" * 31_000_000,
    "a long name": lambda: PART % (b"m" * 31_000_000),
    "many fields": lambda: (PART % b"n" + b"\r\n\r\n1\r\n") * 100_000,
    "many files": lambda: (PART % b"mask" + b'; filename="m"\r\n\r\n1\r\n') * 100_000,
    "a long field": lambda: PART % b"organ" + b"\r\n\r\n" + b"k" * 31_000_000,
    "nothing but line breaks": lambda: b"\r\n" * 15_000_000,
}


@pytest.mark.parametrize("made", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES)
def test_a_hostile_body(server, mask, made):
    """Within the limit of size, and made to be expensive to parse."""
    body = made()
    headers = {"Content-Type": "multipart/form-data; boundary=xx"}
    with little_memory(server):
        response = server.client.post("/synthesize", content=body, headers=headers)
    assert response.status_code in (400, 422)
    assert response.json()["code"] in ("request_malformed", "mask_missing")
    assert server.synthesize(mask, organ="kidney").status_code == 200


@pytest.mark.parametrize(("fields", "status"), [(7_000_000, {413}), (16_000, {400, 415})])
def test_a_hostile_body_of_another_type(server, mask, fields, status):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    with little_memory(server):
        response = server.client.post("/synthesize", content=b"n=1&" * fields, headers=headers)
    assert response.status_code in status
    assert server.synthesize(mask, organ="kidney").status_code == 200


def test_one_bad_request_after_another(server, mask, nuclei):
    binary = io.BytesIO()
    np.save(binary, (nuclei > 0).astype(np.uint8))
    bad = [
        (b"", "mask_empty_file"),
        (mask[: len(mask) // 2], "mask_unreadable"),
        (binary.getvalue(), "mask_binary"),
        (b"GIF89a", "mask_unreadable"),
    ]
    for _ in range(5):
        for data, code in bad:
            response = server.synthesize(data, organ="kidney")
            assert response.status_code == 422
            assert response.json()["code"] == code
            assert response.headers["Content-Type"] == "application/problem+json"
    assert server.synthesize(mask, organ="kidney").status_code == 200


def test_memory_of_a_tile(serve, mask):
    """Of a server that does it all, and has done nothing else."""
    server = serve()
    server.wait_until_ready()
    assert server.synthesize(mask, organ="kidney").status_code == 200
    assert server.memory_mb() < 1024
