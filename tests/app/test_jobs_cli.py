import json
import sys

import pytest

from app import cli
from worker.artifacts import Artifacts
from worker.jobs import Failure, Output, new_job_id
from worker.redis_jobs import RedisJobs
from worker.request import SynthesisRequest
from worker.sqlite_jobs import SqliteJobs
from worker.style import Style


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs ``sian jobs ARGUMENTS`` in this process; exit code, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["sian", "jobs", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code, captured.out, captured.err

    return run


@pytest.fixture(params=["sqlite", "redis"])
def jobs(request, tmp_path, monkeypatch):
    """The records that the settings name."""
    if request.param == "sqlite":
        monkeypatch.setenv("SIAN_DATA_DIR", str(tmp_path))
        store = SqliteJobs(tmp_path / "jobs.sqlite")
    else:
        url = request.getfixturevalue("redis_url")
        monkeypatch.setenv("SIAN_BROKER_URL", url)
        store = RedisJobs(url)
    yield store
    store.close()


def create(jobs, n=1):
    request = SynthesisRequest(mask_sha256="ab", style=Style(name="kidney"), seed=1, n=n)
    return jobs.create(new_job_id(), request, limit=100).id


@pytest.fixture
def failed(jobs):
    job_id = create(jobs, n=2)
    claim = jobs.start(job_id, lease_s=60)
    jobs.add_output(claim, Output(seed=1, sha256="cd"), 0)
    jobs.fail(claim, Failure("out_of_memory", "The device has too little memory."))
    return job_id


def table(out):
    """The counts, and the rows by id: each cell as it is printed."""
    counts, head, *rows = out.splitlines()
    starts = [head.index(name) for name in head.split()]
    ends = [*starts[1:], None]
    cells = [[row[a:b].strip() for a, b in zip(starts, ends, strict=True)] for row in rows]
    return counts, {row[0]: row[1:] for row in cells}


def test_lists_the_youngest(run, jobs, failed):
    waiting = [create(jobs) for _ in range(2)]
    code, out, err = run()
    assert (code, err) == (0, "")
    counts, rows = table(out)
    assert counts == "2 queued, 0 running, 0 succeeded, 1 failed, 0 canceled, 0 expired"
    assert set(rows) == {failed, *waiting}
    state, ahead, age, attempts, tiles, error = rows[failed]
    assert (state, ahead, attempts, tiles, error) == ("failed", "", "1", "1/2", "out_of_memory")
    assert age.endswith(" s")
    assert rows[waiting[0]][:2] == ["queued", "0"]
    assert rows[waiting[1]][:2] == ["queued", "1"]


def test_lists_some(run, jobs, failed):
    create(jobs)
    assert set(table(run("--state", "failed")[1])[1]) == {failed}
    assert len(table(run("--limit", "1")[1])[1]) == 1
    assert run("--state", "canceled")[1].count("\n") == 1
    assert run("--state", "lost")[0] == 2


def test_shows_one(run, jobs, failed):
    code, out, _ = run("show", failed)
    assert code == 0
    job = json.loads(out)
    assert job["id"] == failed
    assert job["state"] == "failed"
    assert job["position"] is None
    assert job["request"]["style"]["organ"] == "kidney"
    assert job["failure"]["code"] == "out_of_memory"
    assert job["created_at"].endswith("+00:00")


def test_cancels_one(run, jobs):
    job_id = create(jobs)
    assert run("cancel", job_id) == (0, f"{job_id} canceled\n", "")
    assert jobs.get(job_id).state == "canceled"
    assert run("cancel", job_id) == (0, f"{job_id} canceled\n", "")


def test_mask_and_style_of_what_is_canceled_go(run, jobs, monkeypatch, tmp_path):
    monkeypatch.setenv("SIAN_DATA_DIR", str(tmp_path))
    job_id = create(jobs)
    artifacts = Artifacts(tmp_path / "artifacts")
    for name in ("mask", "style"):
        artifacts.put(job_id, name, b"file")
    assert run("cancel", job_id) == (0, f"{job_id} canceled\n", "")
    assert artifacts.scopes() == []


def test_cancels_one_whose_files_are_out_of_reach(run, jobs, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("SIAN_ARTIFACTS_URL", str(tmp_path / "elsewhere"))
    job_id = create(jobs)
    assert run("cancel", job_id)[0] == 0
    assert jobs.get(job_id).state == "canceled"
    assert "elsewhere" in caplog.text
    assert not (tmp_path / "elsewhere").exists()


def test_there_is_nothing_left_to_cancel(run, jobs, failed):
    code, out, err = run("cancel", failed)
    assert (code, out) == (1, "")
    assert err == f"{failed} had already failed; nothing was canceled\n"
    assert jobs.get(failed).state == "failed"


@pytest.mark.parametrize("command", ["show", "cancel"])
def test_there_is_no_such_job(run, jobs, command):
    code, out, err = run(command, "nothing")
    assert (code, out) == (65, "")
    assert err.startswith("sian: There is no job 'nothing': check the id")


def test_there_are_no_records(run, tmp_path, monkeypatch):
    monkeypatch.setenv("SIAN_DATA_DIR", str(tmp_path / "none"))
    code, _, err = run()
    assert code == 78
    assert "SIAN_DATA_DIR" in err
    assert not (tmp_path / "none").exists()


def test_redis_is_away(run, own_redis, monkeypatch):
    own_redis.kill()
    monkeypatch.setenv("SIAN_BROKER_URL", own_redis.url)
    code, _, err = run()
    assert code == 75
    assert "Redis" in err
