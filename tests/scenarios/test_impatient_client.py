"""A client that leaves while it waits costs nobody else anything, and its job is done."""

import httpx2
import pytest


def test_a_client_that_hangs_up(serve, small_mask):
    server = serve()
    server.wait_until_ready()
    files, data = {"mask": small_mask}, {"organ": "kidney", "n": "16"}
    with pytest.raises(httpx2.ReadTimeout):
        server.client.post("/synthesize", files=files, data=data, timeout=0.2)
    assert server.synthesize(small_mask, organ="kidney").status_code == 200
    assert server.wait_for(r"worker.engine: job (\w+) done in .* 16 tiles")
    assert not any("Traceback" in line for line in server.log)
