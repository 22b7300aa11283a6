"""Clients that connect and send nothing cost no job its files."""

import socket
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit


def test_jobs_succeed_amid_more_connections_than_files_may_be_open(serve, mask, small_mask):
    server = serve(prefix=("sh", "-c", 'ulimit -n 256; exec "$0" "$@"'))
    server.wait_until_ready()
    accepted = [
        server.client.post(
            "/synthesize",
            files={"mask": mask},
            data={"organ": "kidney", "n": "2"},
            headers={"Prefer": "respond-async"},
        )
        for _ in range(4)
    ]
    assert [answer.status_code for answer in accepted] == [202] * 4
    at = urlsplit(server.address)
    with ExitStack() as idle:
        for _ in range(400):
            client = idle.enter_context(socket.create_connection((at.hostname, at.port)))
            with suppress(OSError):  # of one that was refused
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        server.wait_for(r"refused \d+ connections")
        ids = [answer.json()["id"] for answer in accepted]
        assert not any(f"job {ids[-1]} done" in line for line in server.log), "it came too early"
        for job_id in ids:
            assert server.wait_for(rf"job {job_id} (done|failed)").group(1) == "done"
    assert server.synthesize(small_mask, organ="kidney").status_code == 200
