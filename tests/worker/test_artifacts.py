import os
from pathlib import Path

import pytest

from worker.artifacts import Artifacts


def test_returns_what_was_put(artifacts):
    artifacts.put("job", "0.png", b"tile")
    assert artifacts.get("job", "0.png") == b"tile"
    assert artifacts.exists("job", "0.png")


def test_replaces(artifacts):
    artifacts.put("job", "0.png", b"old and longer")
    artifacts.put("job", "0.png", b"new")
    assert artifacts.get("job", "0.png") == b"new"


def test_says_so_when_there_is_nothing(artifacts):
    artifacts.put("job", "mask", b"")
    assert not artifacts.exists("job", "0.png")
    with pytest.raises(FileNotFoundError):
        artifacts.get("job", "0.png")


def test_scopes_are_apart(artifacts):
    artifacts.put("a", "mask", b"a")
    artifacts.put("b", "mask", b"b")
    artifacts.remove("a")
    assert not artifacts.exists("a", "mask")
    assert artifacts.get("b", "mask") == b"b"


def test_removing_nothing_is_no_error(artifacts):
    artifacts.remove("nobody")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../mask", "a/b", "/etc/passwd", ".hidden", "a\0b", "a\n", "x" * 129]
)
def test_names_stay_inside(artifacts, name):
    for scope, file in ((name, "mask"), ("job", name)):
        with pytest.raises(ValueError, match="cannot name an artifact"):
            artifacts.put(scope, file, b"")
        with pytest.raises(ValueError, match="cannot name an artifact"):
            artifacts.get(scope, file)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    artifacts = Artifacts(tmp_path)
    artifacts.put("job", "0.png", b"old")

    def no_space(descriptor):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        artifacts.put("job", "0.png", b"new")
    assert [path.name for path in (tmp_path / "job").iterdir()] == ["0.png"]
    assert artifacts.get("job", "0.png") == b"old"


def test_discards_one_file(artifacts):
    artifacts.put("job", "mask", b"")
    artifacts.put("job", "0.png", b"tile")
    for _ in range(2):
        artifacts.discard("job", "mask")
    assert not artifacts.exists("job", "mask")
    assert artifacts.exists("job", "0.png")


def test_names_its_scopes(artifacts):
    assert artifacts.scopes() == []
    artifacts.put("a", "mask", b"")
    artifacts.put("b", "mask", b"")
    assert sorted(artifacts.scopes()) == ["a", "b"]


def test_syncs_the_file_then_the_folder_that_names_it(artifacts, monkeypatch):
    synced = []
    sync = os.fsync

    def noting(descriptor):
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    artifacts.put("job", "0.png", b"tile")
    folders, file, scope = synced
    assert folders == "artifacts"
    assert file.startswith(".0.png.")
    assert scope == "job"


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="File exists"):
        Artifacts(tmp_path / "file")
    (tmp_path / "link").symlink_to("/proc")  # which not even root can write files to
    with pytest.raises(OSError, match="No such file"):
        Artifacts(tmp_path / "link")
