"""Files that are written whole or not at all."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from model.errors import FileUnwritable
from model.files import remove_partial, whole, write_whole


def test_a_file_and_its_folder_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "note.txt"
    write_whole(path, "one")
    write_whole(path, "two")
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    write_whole(path, "one")
    with pytest.raises(ZeroDivisionError), whole(path) as partial:
        partial.write_text(f"tw{partial.write_text('t') / 0}")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_written_to_as_it_is(tmp_path: Path) -> None:
    pipe, said = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: said.append(pipe.read_text()))
    reader.start()
    write_whole(pipe, "one")
    reader.join(30)
    assert said == ["one"]
    assert pipe.is_fifo()


def test_a_link_stays_one_and_a_file_keeps_its_mode(tmp_path: Path) -> None:
    there = tmp_path / "there" / "note.txt"
    write_whole(there, "one")
    there.chmod(0o664)
    (tmp_path / "here.txt").symlink_to(there)
    write_whole(tmp_path / "here.txt", "two")
    assert (tmp_path / "here.txt").is_symlink()
    assert there.read_text() == "two"
    assert there.stat().st_mode & 0o777 == 0o664
    assert list(there.parent.iterdir()) == [there]


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    names = [".state.safetensors.0011aabb.tmp", ".tmpA1b2C3", ".dataset.json", "state.safetensors"]
    for name in names:
        (tmp_path / name).touch()
    remove_partial(tmp_path, older_than_s=60)
    assert {path.name for path in tmp_path.iterdir()} == set(names)
    remove_partial(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(names[2:])


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileUnwritable, match=r"note\.txt cannot be written: .*Make room"):
        write_whole(tmp_path / "file" / "note.txt", "one")


FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from safetensors.numpy import save_file
from model.errors import FileUnwritable
from model.files import whole

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails, as it does on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    with whole(Path(sys.argv[1])) as partial:
        save_file({"a": np.zeros(1000)}, partial)
except FileUnwritable as error:
    print(error)
"""


def test_no_room_leaves_the_former_weights_and_nothing_half_written(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"a": np.ones(3)}, path)
    before = path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True
    )
    assert "weights.safetensors cannot be written" in done.stdout
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
