"""A finished job is kept for SIAN_RETENTION_HOURS, then it is gone for good and known to be."""

from tests.waiting import observed


def test_an_expired_job(serve, small_mask, tmp_path):
    # Long enough for a busy machine to look at it in time, short enough to wait for.
    server = serve(retention_hours=10 / 3600)
    server.wait_until_ready()
    response = server.synthesize(small_mask, organ="kidney")
    path = response.headers["Content-Location"]
    folder = tmp_path / "data" / "artifacts" / path.rpartition("/")[2]
    assert folder.is_dir()
    gone = observed(lambda: (seen := server.client.get(path)).status_code != 200 and seen)
    assert gone.status_code == 410
    assert gone.json()["code"] == "job_expired"
    assert server.client.get(f"{path}/outputs/0").status_code == 410
    assert not folder.exists()
    assert server.client.get("/jobs/unknown").status_code == 404
