"""Front ends and workers with other files than those of the jobs in Redis do not start, and no
job is lost to them."""

import os
import re
import subprocess

CONFIGURATION, TEMPORARY, SOFTWARE = 78, 75, 70
ASYNC = {"Prefer": "respond-async"}


def refusal(process, code):
    assert process.wait() == code
    assert process.log[-1].startswith("sian: ")
    assert not any("Traceback" in line for line in process.log)
    return process.log[-1]


def test_a_worker_with_another_folder_leaves_the_jobs_alone(front, work, small_mask, tmp_path):
    # The folder of each is its own: SIAN_ARTIFACTS_URL is not set, SIAN_DATA_DIR not the same.
    front = front(artifacts_url="", data_dir=tmp_path / "a")
    paths = [
        front.synthesize(small_mask, headers=ASYNC, organ="kidney", seed=seed).headers["Location"]
        for seed in range(3)
    ]
    line = refusal(work(artifacts_url="", data_dir=tmp_path / "b"), CONFIGURATION)
    assert f"SIAN_DATA_DIR={tmp_path / 'b'}: the files of the jobs in Redis are not there" in line
    assert [front.client.get(path).json()["status"] for path in paths] == ["queued"] * 3
    work(artifacts_url="", data_dir=tmp_path / "a").wait_until_ready()
    for path in paths:
        job = front.finished(path)
        assert (job["status"], job["attempts"]) == ("succeeded", 1)


def test_new_files_on_an_old_redis(front, work, small_mask, tmp_path, redis_url):
    front().wait_for("listening")
    new = f"{tmp_path}/new"
    line = refusal(front(artifacts_url=new), CONFIGURATION)
    assert f"SIAN_ARTIFACTS_URL={new}" in line
    (command,) = re.findall(r"run: (redis-cli .*?),", line)
    environment = {**os.environ, "SIAN_BROKER_URL": redis_url}
    subprocess.run(command, shell=True, env=environment, check=True)
    again = front(artifacts_url=new)
    work(artifacts_url=new).wait_until_ready()
    assert again.synthesize(small_mask, organ="kidney", seed=1).status_code == 200


def test_redis_is_away_at_the_start(front, work, own_redis):
    own_redis.kill()
    for start in (front, work):
        line = refusal(start(broker_url=own_redis.url), TEMPORARY)
        assert line.startswith("sian: SIAN_BROKER_URL: Redis does not answer")


def test_a_worker_whose_files_go_away_ends(front, work, tmp_path):
    # The files are looked at four times in a retention: every 2 s.
    worker = work(retention_hours=8 / 3600)
    worker.wait_until_ready()
    (tmp_path / "artifacts").rename(tmp_path / "unmounted")
    (tmp_path / "artifacts").mkdir()
    assert worker.wait() == SOFTWARE
    assert any("the worker ends: SIAN_ARTIFACTS_URL=" in line for line in worker.log)
