"""The mark that files and Redis have in common, on a disk and in S3."""

import threading

import pytest

from model.errors import SettingsInvalid, StorageUnavailable, StoreUnavailable
from worker import same_files
from worker.artifacts import Artifacts
from worker.redis_jobs import RedisJobs

PLACE = "SIAN_DATA_DIR=/somewhere"


@pytest.fixture
def jobs(redis_url):
    jobs = RedisJobs(redis_url)
    yield jobs
    jobs.close()


@pytest.fixture(params=["disk", "s3"])
def places(request, tmp_path, monkeypatch):
    """URLs of two places for files."""
    if request.param == "disk":
        return tmp_path / "a", tmp_path / "b"
    s3 = request.getfixturevalue("own_s3")
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    return s3.url("ours"), s3.url("theirs")


@pytest.fixture
def open_files():
    made = []

    def open_files(url):
        made.append(Artifacts(url))
        return made[-1]

    yield open_files
    for artifacts in made:
        artifacts.close()


def test_the_same_files_are_the_same_to_every_process(jobs, places, open_files):
    for _ in range(2):
        same_files.check(jobs, open_files(places[0]), place=PLACE)
    assert len(marks(open_files(places[0]))) == 1


def test_other_files_are_refused_and_left_as_they_are(jobs, places, open_files):
    same_files.check(jobs, open_files(places[0]), place=PLACE)
    other = open_files(places[1])
    with pytest.raises(SettingsInvalid, match=r"SIAN_DATA_DIR=/somewhere: .*SIAN_ARTIFACTS_URL"):
        same_files.check(jobs, other, place=PLACE)
    assert other.scopes() == []


def test_files_that_were_emptied_are_others_until_redis_forgets_them(jobs, tmp_path, open_files):
    artifacts = open_files(tmp_path)
    same_files.check(jobs, artifacts, place=PLACE)
    artifacts.remove("identity")
    with pytest.raises(SettingsInvalid, match=r"redis-cli .* DEL sian:files"):
        same_files.check(jobs, artifacts, place=PLACE)
    jobs._client.delete("sian:files")
    for _ in range(2):
        same_files.check(jobs, artifacts, place=PLACE)


def test_files_outlive_their_redis(jobs, tmp_path, open_files):
    """One that starts empty again takes the files it is given."""
    artifacts = open_files(tmp_path)
    same_files.check(jobs, artifacts, place=PLACE)
    jobs._client.flushall()
    same_files.check(jobs, artifacts, place=PLACE)


def test_many_first_starts_at_once_agree(redis_url, tmp_path):
    at_once = threading.Barrier(8)
    wrong = []

    def start():
        jobs, artifacts = RedisJobs(redis_url), Artifacts(tmp_path)
        at_once.wait()
        try:
            same_files.check(jobs, artifacts, place=PLACE)
        except Exception as error:
            wrong.append(error)
        jobs.close()

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(marks(Artifacts(tmp_path))) == 1


def test_the_slower_of_two_first_starts_takes_the_mark_of_the_faster(jobs, tmp_path, open_files):
    artifacts = open_files(tmp_path)

    class Slow(RedisJobs):
        """Hears that there is no mark yet, just before another sets one."""

        def files_mark(self):
            known = super().files_mark()
            same_files.check(jobs, artifacts, place=PLACE)
            return known

    slow = Slow(f"redis://127.0.0.1:{jobs._client.connection_pool.connection_kwargs['port']}/0")
    same_files.check(slow, artifacts, place=PLACE)
    slow.close()
    assert marks(artifacts) == [jobs.files_mark()]


def test_a_redis_without_room_takes_the_mark(own_redis, tmp_path, open_files):
    own_redis.set_memory("1kb")
    jobs = RedisJobs(own_redis.url)
    same_files.check(jobs, open_files(tmp_path), place=PLACE)
    assert jobs.files_mark() is not None
    jobs.close()


def test_outages_are_not_other_files(own_redis, tmp_path, open_files, monkeypatch):
    jobs, artifacts = RedisJobs(own_redis.url), open_files(tmp_path)
    same_files.check(jobs, artifacts, place=PLACE)

    def fail(folder, name):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(artifacts._files, "exists", fail)
        with pytest.raises(StorageUnavailable):
            same_files.check(jobs, artifacts, place=PLACE)
    own_redis.kill()
    with pytest.raises(StoreUnavailable):
        same_files.check(jobs, artifacts, place=PLACE)
    jobs.close()


def marks(artifacts):
    """Names in the folder of marks, which only a disk shows."""
    files = artifacts._files
    if hasattr(files, "_fs"):
        return [path for path in files._call("find", files._root) if "/identity/" in path]
    return [path.name for path in (files._root / "identity").iterdir()]
