import os

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
