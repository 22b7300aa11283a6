"""Files on a disk and in S3: the same tests; then what is a disk's own."""

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.errors import SettingsInvalid, StorageUnavailable
from tests.small_disk import run_on_a_small_disk
from worker.artifacts import Artifacts

BAD_NAMES = ["", ".", "..", "../mask", "a/b", "/etc/passwd", ".hidden", "a\0b", "a\n", "x" * 129]


@pytest.fixture(params=["disk", "s3"])
def url(request, tmp_path):
    if request.param == "disk":
        return tmp_path / "artifacts"
    return request.getfixturevalue("s3").url("tiles")


@pytest.fixture
def artifacts(url):
    artifacts = Artifacts(url)
    yield artifacts
    artifacts.close()


@pytest.fixture
def on_disk(tmp_path):
    return Artifacts(tmp_path / "artifacts")


def test_returns_what_was_put(artifacts):
    artifacts.put("job", "0.png", b"tile\0\n")
    assert artifacts.get("job", "0.png") == b"tile\0\n"
    assert artifacts.exists("job", "0.png")


def test_gives_a_large_file_in_pieces(artifacts, monkeypatch):
    monkeypatch.setattr("worker.artifacts._PIECE_BYTES", 4)
    artifacts.put("job", "0.tif", b"0123456789")
    assert artifacts.size("job", "0.tif") == 10
    assert list(artifacts.pieces("job", "0.tif", slice(0, 10))) == [b"0123", b"4567", b"89"]
    assert list(artifacts.pieces("job", "0.tif", slice(3, 8))) == [b"3456", b"7"]
    assert list(artifacts.pieces("job", "0.tif", slice(5, 5))) == []


def test_replaces(artifacts):
    artifacts.put("job", "0.png", b"old and longer")
    artifacts.put("job", "0.png", b"new")
    assert artifacts.get("job", "0.png") == b"new"


def test_says_so_when_there_is_nothing(artifacts):
    artifacts.put("job", "mask", b"")
    assert artifacts.get("job", "mask") == b""
    for scope, name in (("job", "0.png"), ("nobody", "mask")):
        assert not artifacts.exists(scope, name)
        with pytest.raises(FileNotFoundError):
            artifacts.get(scope, name)
        with pytest.raises(FileNotFoundError):
            artifacts.size(scope, name)
        with pytest.raises(FileNotFoundError):
            list(artifacts.pieces(scope, name, slice(0, 1)))


def test_a_scope_is_no_file(artifacts):
    artifacts.put("job", "mask", b"")
    assert not artifacts.exists("job", "mas")
    artifacts.remove("jo")
    assert artifacts.exists("job", "mask")


def test_scopes_are_apart(artifacts):
    artifacts.put("a", "mask", b"a")
    artifacts.put("ab", "mask", b"b")
    artifacts.remove("a")
    assert not artifacts.exists("a", "mask")
    assert artifacts.get("ab", "mask") == b"b"


def test_removes_a_whole_scope(artifacts):
    for index in range(20):
        artifacts.put("job", f"{index}.png", b"tile")
    artifacts.remove("job")
    assert artifacts.scopes() == []
    artifacts.put("job", "mask", b"again")
    assert artifacts.get("job", "mask") == b"again"


def test_removing_nothing_is_no_error(artifacts):
    artifacts.remove("nobody")
    artifacts.discard("nobody", "mask")


def test_discards_one_file(artifacts):
    artifacts.put("job", "mask", b"")
    artifacts.put("job", "0.png", b"tile")
    for _ in range(2):
        artifacts.discard("job", "mask")
    assert not artifacts.exists("job", "mask")
    assert artifacts.exists("job", "0.png")


def test_names_its_scopes(artifacts):
    assert artifacts.scopes() == []
    for scope in ("a", "b"):
        artifacts.put(scope, "mask", b"")
        artifacts.put(scope, "0.png", b"")
    assert sorted(artifacts.scopes()) == ["a", "b"]


def test_names_the_files_of_a_scope(artifacts):
    assert artifacts.names("job") == []
    for scope, name in (("job", "mask"), ("job", "0.png"), ("other", "style")):
        artifacts.put(scope, name, b"")
    assert sorted(artifacts.names("job")) == ["0.png", "mask"]


def test_creates_only_what_is_not_there(artifacts):
    assert artifacts.create("job", "0.png", b"first")
    assert not artifacts.create("job", "0.png", b"second")
    assert artifacts.get("job", "0.png") == b"first"
    assert artifacts.names("job") == ["0.png"]
    artifacts.discard("job", "0.png")
    assert artifacts.create("job", "0.png", b"third")


def test_of_several_who_create_one_succeeds(artifacts):
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda k: artifacts.create("job", "name", b"%d" % k), range(8)))
    assert created.count(True) == 1
    assert artifacts.get("job", "name") == b"%d" % created.index(True)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_stay_inside(on_disk, name):
    for scope, file in ((name, "mask"), ("job", name)):
        for use in (
            lambda scope, file: on_disk.put(scope, file, b""),
            on_disk.get,
            on_disk.exists,
            on_disk.discard,
        ):
            with pytest.raises(ValueError, match="cannot name an artifact"):
                use(scope, file)
    with pytest.raises(ValueError, match="cannot name an artifact"):
        on_disk.remove(name)


def test_several_threads_and_places_see_the_same(artifacts, url):
    """As front end and worker do."""
    other = Artifacts(url)
    wrong = []

    def work(number):
        for index in range(5):
            data = f"{number} {index}".encode() * 1000
            artifacts.put(f"job-{number}", f"{index}.png", data)
            if other.get(f"job-{number}", f"{index}.png") != data:
                wrong.append((number, index))

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(other.scopes()) == 4
    other.close()


def test_a_file_is_never_seen_in_part(artifacts):
    """Whoever reads while it is replaced sees one or the other."""
    sizes = {100_000, 300_000}
    artifacts.put("job", "0.png", bytes(100_000))
    seen = set()
    stop = threading.Event()

    def read():
        while not stop.is_set():
            seen.add(len(artifacts.get("job", "0.png")))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(10):
        for size in sizes:
            artifacts.put("job", "0.png", bytes(size))
    stop.set()
    reader.join()
    assert seen <= sizes


def test_nothing_is_left_of_the_look_whether_it_can_be_written(url):
    for _ in range(2):
        artifacts = Artifacts(url)
        assert artifacts.scopes() == []
        artifacts.close()


# On a disk


def test_a_folder_may_be_given_as_url(tmp_path):
    Artifacts(f"file://{tmp_path}/there").put("job", "0.png", b"tile")
    assert (tmp_path / "there" / "job" / "0.png").read_bytes() == b"tile"


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    on_disk, tmp_path, monkeypatch, caplog
):
    on_disk.put("job", "0.png", b"old")

    def fail(descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageUnavailable, match="try again") as refusal:
        on_disk.put("job", "0.png", b"new")
    assert refusal.value.retry_after_s >= 1
    assert "Input/output error" in caplog.text
    assert [path.name for path in (tmp_path / "artifacts" / "job").iterdir()] == ["0.png"]
    assert on_disk.get("job", "0.png") == b"old"


def test_syncs_the_file_then_the_folder_that_names_it(on_disk, monkeypatch):
    synced = []
    sync = os.fsync

    def noting(descriptor):
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    on_disk.put("job", "0.png", b"tile")
    folders, file, scope = synced
    assert folders == "artifacts"
    assert file.startswith(".0.png.")
    assert scope == "job"


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("/proc")  # which not even root can write files to
    for name, why in (("file", "File exists"), ("link", "No such file")):
        with pytest.raises(SettingsInvalid, match=rf"SIAN_ARTIFACTS_URL.*cannot be .*{why}"):
            Artifacts(tmp_path / name)


def test_a_place_nobody_knows_is_refused():
    with pytest.raises(SettingsInvalid, match=r"ftp://there.*s3://bucket/prefix"):
        Artifacts("ftp://there")


_FILL_THE_DISK = """
import sys
from pathlib import Path
from model.errors import StorageUnavailable
from worker.artifacts import Artifacts

folder = Path(sys.argv[1])
artifacts = Artifacts(folder)
tile = bytes(100_000)
for index in range(10):
    try:
        artifacts.put("job", f"{index}.png", tile)
    except StorageUnavailable as error:
        assert "No space left on device" in str(error.__cause__), error
        break
else:
    raise AssertionError("there was room for all")
assert index >= 1
names = sorted(path.name for path in (folder / "job").iterdir())
assert names == [f"{k}.png" for k in range(index)], names
assert all(artifacts.get("job", name) == tile for name in names)
assert not artifacts.exists("job", f"{index}.png")
try:
    artifacts.put("job", "0.png", bytes(200_000))
except StorageUnavailable:
    assert artifacts.get("job", "0.png") == tile
else:
    raise AssertionError("there was room for more")
artifacts.remove("job")
artifacts.put("next", "0.png", tile)
assert artifacts.get("next", "0.png") == tile
"""


def test_a_full_disk_is_said_and_nothing_half_written_is_seen(tmp_path):
    run_on_a_small_disk(tmp_path, "400k", _FILL_THE_DISK)


def test_a_file_that_goes_meanwhile_keeps_none_of_the_others(on_disk, monkeypatch):
    """A worker discards the inputs of a job that a client removes in that moment."""
    for name in ("0.png", "0.json", "mask"):
        on_disk.put("a", name, b"x")
    remove, is_first = shutil.rmtree, [True]

    def beaten(path):
        if is_first.pop() if is_first else False:
            raise FileNotFoundError(path / "mask")
        remove(path)

    monkeypatch.setattr(shutil, "rmtree", beaten)
    on_disk.remove("a")
    assert on_disk.scopes() == []
