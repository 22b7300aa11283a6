"""No room on the disk, S3 that does not answer: the job says so, nothing half-written is seen."""

from tests.waiting import observed

ASYNC = {"Prefer": "respond-async"}


def test_a_full_disk(serve, mask, small_disk, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    server = serve(prefix=small_disk(folder, "600k"), artifacts_url=folder, storage_wait_s=0.1)
    server.wait_until_ready()
    answers = [
        server.synthesize(mask, headers=ASYNC, organ="kidney", seed=seed) for seed in range(8)
    ]
    refused = [answer for answer in answers if answer.status_code != 202]
    assert {(answer.status_code, answer.json()["code"]) for answer in refused} <= {
        (503, "storage_unavailable")
    }
    jobs = [server.finished(a.headers["Location"]) for a in answers if a.status_code == 202]
    failed = [job for job in jobs if job["status"] == "failed"]
    assert failed
    for job in failed:
        assert job["error"]["code"] == "storage_unavailable"
        assert "try again" in job["error"]["detail"]
        assert job["outputs"] == []
        assert server.client.get(f"{job['links']['self']}/outputs/0").status_code == 404
    for job in jobs:
        for output in job["outputs"]:
            assert server.client.get(output["href"]).status_code == 200
    assert server.wait_for("No space left on device")
    # What is removed makes room.
    for job in jobs:
        assert server.client.delete(job["links"]["self"]).status_code == 204
    assert server.synthesize(mask, organ="kidney", seed=1).status_code == 200


def test_no_room_for_uploads(serve, mask, small_disk, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    server = serve(prefix=small_disk(folder, "600k"), environment={"TMPDIR": str(folder)})
    server.wait_until_ready()
    refused = server.synthesize(mask, style=b"x" * 3_000_000)
    assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
    assert int(refused.headers["Retry-After"]) >= 1
    assert server.wait_for("No space left on device")
    assert server.synthesize(mask, organ="kidney").status_code == 200


def test_s3_does_not_answer(front, work, own_s3, mask):
    settings = {"artifacts_url": own_s3.url("tiles"), "storage_wait_s": 0.1}
    front = front(**settings, environment=own_s3.environment)
    worker = work(**settings, environment=own_s3.environment)
    worker.wait_until_ready()
    stored = front.synthesize(mask, organ="kidney", seed=1)
    assert stored.status_code == 200

    accepted = [
        front.synthesize(mask, headers=ASYNC, organ="kidney", seed=seed, n=16).headers["Location"]
        for seed in range(2)
    ]
    observed(lambda: any(front.client.get(path).json()["outputs"] for path in accepted))
    own_s3.stop()
    for path in accepted:
        job = front.finished(path)
        assert job["status"] == "failed"
        assert job["error"]["code"] == "storage_unavailable"
        assert len(job["outputs"]) < 16
    answer = front.synthesize(mask, organ="kidney", seed=2)
    assert answer.status_code == 503
    assert answer.json()["code"] == "storage_unavailable"
    for text in (answer.text, *(front.client.get(path).text for path in accepted)):
        assert own_s3.environment["AWS_ENDPOINT_URL"] not in text
    output = f"{stored.headers['Content-Location']}/outputs/0"
    assert front.client.get(output).status_code == 503

    own_s3.start()
    assert front.synthesize(mask, organ="kidney", seed=1).content == stored.content


def test_s3_that_is_started_anew_costs_no_job(front, work, own_s3, mask):
    settings = {"artifacts_url": own_s3.url("tiles")}
    front = front(**settings, environment=own_s3.environment)
    worker = work(**settings, environment=own_s3.environment)
    worker.wait_until_ready()
    accepted = [
        front.synthesize(mask, headers=ASYNC, organ="kidney", seed=seed, n=16).headers["Location"]
        for seed in range(2)
    ]
    observed(lambda: any(front.client.get(path).json()["outputs"] for path in accepted))
    own_s3.stop()
    worker.wait_for("waits for its files")
    own_s3.start()
    for path in accepted:
        job = front.finished(path)
        assert (job["status"], len(job["outputs"])) == ("succeeded", 16)
