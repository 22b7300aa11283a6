"""What cannot be served stops the start with one clear line, before anything is listened on."""

import socket
import subprocess
import sys

import pytest

from tests.processes import ROOT
from tests.scenarios import checkpoints
from tests.scenarios.checkpoints import change_card

CONFIGURATION = 78


@pytest.fixture
def checkpoint(tmp_path):
    """A copy of the released pair that the test may spoil."""
    return checkpoints.copy(tmp_path)


def missing(checkpoint):
    checkpoint.unlink()


def without_card(checkpoint):
    checkpoint.with_suffix(".json").unlink()


def truncated(checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])


def of_another_version(checkpoint):
    change_card(checkpoint, format_version=99)


def with_a_flipped_bit(checkpoint):
    data = bytearray(checkpoint.read_bytes())
    data[-1] ^= 1
    checkpoint.write_bytes(data)


def with_an_edited_card(checkpoint):
    change_card(checkpoint, style_dim=1)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (missing, "no checkpoint file"),
        (without_card, "no checkpoint file"),
        (truncated, "cut short or damaged"),
        (of_another_version, "format version 99"),
        (with_a_flipped_bit, "SHA-256"),
        (with_an_edited_card, "it has been edited"),
    ],
)
def test_a_bad_checkpoint(serve, checkpoint, spoil, text):
    spoil(checkpoint)
    server = serve(checkpoint=checkpoint)
    assert server.wait() == CONFIGURATION
    (line,) = server.log
    assert line.startswith("sian: ")
    assert text in line


def test_weights_that_do_not_fit_their_card(serve, checkpoint):
    """Only loading shows it, which happens while the server already answers /healthz."""
    checkpoints.take_a_weight(checkpoint)
    server = serve(checkpoint=checkpoint)
    assert server.wait() == CONFIGURATION
    assert server.log[-1].startswith("sian: The weights in ")
    assert not any("Traceback" in line for line in server.log)


def test_a_data_folder_in_use(serve):
    serve().wait_until_ready()
    second = serve()
    assert second.wait() == CONFIGURATION
    (line,) = second.log
    assert "SIAN_DATA_DIR" in line
    assert "running on this folder" in line


def test_a_data_folder_that_is_a_file(serve, tmp_path):
    (tmp_path / "file").write_text("")
    server = serve(data_dir=tmp_path / "file")
    assert server.wait() == CONFIGURATION
    (line,) = server.log
    assert "SIAN_DATA_DIR" in line


@pytest.mark.parametrize(
    ("name", "text"), [("jobs.sqlite", "not a database"), ("artifacts", "cannot be written")]
)
def test_a_data_folder_with_damage(serve, tmp_path, name, text):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / name).write_bytes(b"damaged" * 1000)
    server = serve(data_dir=folder)
    assert server.wait() == CONFIGURATION
    (line,) = server.log
    assert line.startswith("sian: SIAN_DATA_DIR")
    assert str(folder / name) in line
    assert text in line


def test_a_port_in_use(tmp_path, monkeypatch):
    monkeypatch.setenv("SIAN_DATA_DIR", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 64
    assert done.stderr.startswith(f"sian: Port {port} of 127.0.0.1 cannot be listened on")
    assert done.stderr.count("\n") == 1
